"""Anchors, YOLO's layers, and the small plugins of the library, beside loops in float64."""

import math
from typing import Any

import numpy as np
import pytest

from tensorwright.errors import InputError, ShapeError, UnsupportedError

from .run import run

pytest.importorskip("onnx")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize(("name", "shapes"), [("GridAnchor_TRT", (4, 2, 1)),
                                              ("GridAnchorRect_TRT", (4, 3, 2, 1, 1, 1))])
def test_grid_anchors(name: str, shapes: tuple[int, ...]) -> None:
    ratios, variance = (1.0, 2.0, 0.5, 3.0), (0.1, 0.1, 0.2, 0.2)
    got = run(name, aspectRatios=ratios, featureMapShapes=shapes, variance=variance, numLayers=3, minSize=0.2,
              maxSize=0.8)
    sizes = [(s, s) for s in shapes] if name == "GridAnchor_TRT" else list(zip(shapes[::2], shapes[1::2], strict=True))
    for i, (H, W) in enumerate(sizes):
        scale = (0.2, 0.5, 0.8, 1.0)
        anchors = [(0.1, 1.0), (0.2, 2.0), (0.2, 0.5)] if i == 0 else \
            [(scale[i], r) for r in ratios] + [(math.sqrt(scale[i] * scale[i + 1]), 1.0)]
        boxes = []
        for y, x in np.ndindex(H, W):
            for s, r in anchors:
                w, h, cx, cy = s * math.sqrt(r), s / math.sqrt(r), (x + 0.5) / W, (y + 0.5) / H
                boxes += [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
        assert got[i].shape == (1, 2, len(boxes), 1)
        np.testing.assert_allclose(got[i][0, 0, :, 0], boxes, atol=1e-6)
        np.testing.assert_allclose(got[i][0, 1, :, 0], variance * (len(boxes) // 4), rtol=1e-6)


@pytest.mark.parametrize("settings", [{"imgH": 0, "imgW": 0}, {"imgH": 30, "imgW": 40, "stepH": 8.0, "stepW": 9.0,
                                                              "clip": 1, "maxSize": (12.0, 20.0), "flip": 1}], ids=str)
def test_prior_boxes(settings: dict[str, Any]) -> None:
    given = {"minSize": (4.0, 9.0), "aspectRatios": (1.0, 2.0, 3.0), "flip": 0, "clip": 0,
             "variance": (0.1, 0.1, 0.2, 0.2), **settings}
    got = run("PriorBox_TRT", normal(2, 5, 3, 4), normal(2, 3, 24, 32), **given)
    H, W = given["imgH"] or 24, given["imgW"] or 32
    step_h, step_w = given.get("stepH") or H / 3, given.get("stepW") or W / 4
    boxes = []
    for i, j in np.ndindex(3, 4):
        for k, s in enumerate(given["minSize"]):
            sides = [(s, s)]
            if "maxSize" in given:
                sides.append((math.sqrt(s * given["maxSize"][k]),) * 2)
            for r in (2.0, 3.0):
                sides += [(s * math.sqrt(q), s / math.sqrt(q)) for q in ((r, 1 / r) if given["flip"] else (r,))]
            for w, h in sides:
                cx, cy = (j + 0.5) * step_w, (i + 0.5) * step_h
                box = [(cx - w / 2) / W, (cy - h / 2) / H, (cx + w / 2) / W, (cy + h / 2) / H]
                boxes += [min(max(v, 0.0), 1.0) for v in box] if given["clip"] else box
    assert got.shape == (1, 2, len(boxes), 1)
    np.testing.assert_allclose(got[0, 0, :, 0], boxes, atol=1e-6)
    np.testing.assert_allclose(got[0, 1, :, 0], given["variance"] * (len(boxes) // 4), rtol=1e-6)


def sigmoid(v: float) -> float:
    return 1 / (1 + math.exp(-v))


@pytest.mark.parametrize("images", [1, 3])
def test_region(images: int) -> None:
    x = normal(images, 2 * 8, 3, 4)
    got = run("Region_TRT", x, num=2, coords=4, classes=3)
    for n, a, i, j in np.ndindex(images, 2, 3, 4):
        v = [float(t) for t in x[n, a * 8 : a * 8 + 8, i, j]]
        shares = [math.exp(t) for t in v[5:]]
        wanted = [sigmoid(v[0]), sigmoid(v[1]), v[2], v[3], sigmoid(v[4]), *(s / sum(shares) for s in shares)]
        np.testing.assert_allclose(got[n, a * 8 : a * 8 + 8, i, j], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("new", [0, 1])
@pytest.mark.parametrize("images", [1, 2])
def test_yolo_layer(new: int, images: int) -> None:
    x = normal(images, 3 * 9, 2, 4)
    if new:
        x = np.abs(x) % 1
    anchors = (10.0, 13.0, 16.0, 30.0, 33.0, 23.0)
    size = {"inputMultiplier": 8} if new else {"inputWidth": 32, "inputHeight": 16}
    got = run("YoloLayer_TRT", x, yoloWidth=4, yoloHeight=2, numAnchors=3, anchors=anchors, numClasses=4, scaleXY=1.2,
              newCoords=new, **size)
    assert got.shape == (images, 7 * 24, 1, 1)
    rows = got.reshape(images, 3, 2, 4, 7)
    for n, a, i, j in np.ndindex(images, 3, 2, 4):
        v = [float(t) for t in x[n, 9 * a : 9 * a + 9, i, j]]
        p = [v[k] if new else sigmoid(v[k]) for k in (0, 1, 4, 5, 6, 7, 8)]
        w, h = ((2 * v[k]) ** 2 if new else math.exp(v[k]) for k in (2, 3))
        w, h = w * anchors[2 * a] / 32, h * anchors[2 * a + 1] / 16
        cx, cy = (j + 1.2 * p[0] - 0.1) / 4, (i + 1.2 * p[1] - 0.1) / 2
        best = max(range(4), key=lambda c: p[3 + c])
        np.testing.assert_allclose(rows[n, a, i, j], [cx - w / 2, cy - h / 2, w, h, p[2], best, p[3 + best]], rtol=1e-4,
                                   atol=1e-5)


def test_reorg_in_darknets_order() -> None:
    """out[c', h, w] is the memory of an image read as (C / s², H·s, W·s), at (c, h·s + i, w·s + j)."""
    for version in "12":
        x = np.arange(2 * 8 * 6 * 4, dtype=np.float32).reshape(2, 8, 6, 4)
        got = run("Reorg_TRT", x, version=version, stride=2)
        assert got.shape == (2, 32, 3, 2)
        flat = got.reshape(2, 2, 2, 2, 6, 4)                                # image, i, j, c, h, w
        for n, i, j, c, h, w in np.ndindex(*flat.shape):
            assert flat[n, i, j, c, h, w] == x[n].reshape(2, 12, 8)[c, 2 * h + i, 2 * w + j]


@pytest.mark.parametrize("scale", [2.0, 1.5, 0.5])
def test_resize_nearest(scale: float) -> None:
    x = normal(2, 3, 5, 7)
    got = run("ResizeNearest_TRT", x, scale=scale)
    assert got.shape == (2, 3, int(5 * scale), int(7 * scale))
    for i, j in np.ndindex(*got.shape[2:]):
        np.testing.assert_array_equal(got[:, :, i, j], x[:, :, int(i / scale), int(j / scale)])


@pytest.mark.parametrize(("H", "W"), [(3, 5), (4, 4)])
def test_coordinates(H: int, W: int) -> None:
    x = normal(2, 3, H, W)
    got = run("CoordConvAC", x)
    np.testing.assert_array_equal(got[:, :3], x)
    for i, j in np.ndindex(H, W):
        np.testing.assert_allclose(got[:, 3:, i, j], [[2 * i / (H - 1) - 1, 2 * j / (W - 1) - 1]] * 2, atol=1e-6)


def test_what_only_moves_or_bounds_elements() -> None:
    x, y = normal(2, 3, 4, 5), normal(2, 2, 1, 3, seed=1)
    clipped = run("Clip_TRT", x, clipMin=-0.5, clipMax=0.7)
    np.testing.assert_array_equal(clipped, np.clip(x, np.float32(-0.5), np.float32(0.7)))
    assert run("Clip_TRT", np.arange(5, dtype=np.int32), clipMin=1, clipMax=3).tolist() == [1, 1, 2, 3, 3]
    np.testing.assert_array_equal(run("LReLU_TRT", x, negSlope=0.25), np.where(x > 0, x, x * 0.25))
    joined = run("FlattenConcat_TRT", x, y)
    assert joined.shape == (2, 66, 1, 1)
    np.testing.assert_array_equal(joined[1].reshape(-1), np.concatenate([x[1].reshape(-1), y[1].reshape(-1)]))
    rows = normal(2, 4, 6)
    np.testing.assert_array_equal(run("SpecialSlice_TRT", rows), rows[..., :4])
    tile = run("BatchTilePlugin_TRT", x, normal(1, 2, 3, 4))
    np.testing.assert_array_equal(tile, np.repeat(normal(1, 2, 3, 4), 2, 0))
    parts = run("Split", x, axis=2, output_lengths=(1, 3))
    np.testing.assert_array_equal(np.concatenate(parts, 2), x)
    assert [p.shape[2] for p in parts] == [1, 3]


def test_scatter() -> None:
    x = normal(4, 5)
    got = run("ScatterND", x, np.array([[1], [3]], np.int32), np.zeros((2, 5), np.float32))
    np.testing.assert_array_equal(got[[1, 3]], 0)
    np.testing.assert_array_equal(got[[0, 2]], x[[0, 2]])
    indices, updates = np.array([[0, 2, 0], [1, -1, 1]]), normal(2, 3, seed=1)
    for reduction, of in (("add", lambda a, b: a + b), ("mul", lambda a, b: a * b), ("max", max), ("min", min)):
        wanted = x.astype(float)
        for i, j in np.ndindex(2, 3):
            wanted[i, indices[i, j]] = of(wanted[i, indices[i, j]], float(updates[i, j]))
        for version in "12":
            got = run("ScatterElements", x, indices, updates, version=version, reduction=reduction, axis=-1)
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("axis", [-1, 1])
def test_top_k(largest: int, axis: int) -> None:
    x = np.round(normal(3, 6, 4) * 2)                                       # with ties
    values, places = run("TopkLastDim", x, type_id=0, k=3, is_largest=largest, axis=axis)
    assert places.dtype == np.int32
    rows = np.moveaxis(x, axis, -1)
    wanted = np.sort(rows, -1)[..., ::-1][..., :3] if largest else np.sort(rows, -1)[..., :3]
    np.testing.assert_array_equal(np.moveaxis(values, axis, -1), wanted)
    np.testing.assert_array_equal(np.take_along_axis(x, places.astype(int), axis), values)


@pytest.mark.parametrize(("name", "shapes", "given", "kind", "said"), [
    ("Reorg_TRT", [(1, 6, 4, 4)], {"stride": 2}, ShapeError, "no multiple of 4"),
    ("Region_TRT", [(1, 16, 2, 2)], {"num": 2, "coords": 5, "classes": 3}, InputError, "'coords' is 5; 4"),
    ("Region_TRT", [(1, 16, 2, 2)], {"num": 2, "classes": 3, "smTree": (1, 2)}, UnsupportedError, "'smTree'"),
    ("FlattenConcat_TRT", [(1, 2, 2, 2)], {"axis": 2}, InputError, "'axis' is 2; 1 are supported"),
    ("TopkLastDim", [(3, 4)], {"type_id": 7, "k": 1, "is_largest": 1}, InputError, "'type_id' is 7; 0, 1, 3"),
    ("TopkLastDim", [(3, 4)], {"type_id": 0, "k": 5, "is_largest": 1}, InputError, "'k' is 5; 1 to 4"),
    ("ScatterElements", [(3, 4)] * 3, {"reduction": "none"}, InputError, "'reduction' is none"),
    ("PriorBox_TRT", [(1, 1, 2, 2)] * 2, {"minSize": (0.0,), "aspectRatios": (1.0,), "flip": 0, "clip": 0,
                                          "variance": (1.0,) * 4, "imgH": 0, "imgW": 0}, InputError, "'minSize'"),
    ("GridAnchor_TRT", [], {"aspectRatios": (1.0, 2.0, 3.0), "featureMapShapes": (4, 4), "variance": (1.0,) * 4},
     InputError, "'featureMapShapes' has 2 values; 6 are needed"),
], ids=lambda v: v if isinstance(v, str) and len(v) < 20 else "")
def test_what_is_not_supported_is_refused(name: str, shapes: list[tuple[int, ...]], given: dict[str, Any],
                                          kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        run(name, *(np.zeros(s, np.float32) for s in shapes), **given)
