"""OpenMMLab's plugins in the library, beside loops in float64 and the plugins they are forms of."""

import math
from typing import Any

import numpy as np
import pytest

from tensorwright.errors import InputError, ShapeError

from .run import run
from .test_library_nms import boxes_and_scores, plain_batched
from .test_library_regions import average, bilinear, clamp, pooled
from .test_library_sampling import sample

pytest.importorskip("onnx")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("topk", "looked_at"), [(9, 9), (-1, 30), (100, 30)])
def test_batched_nms(shared: bool, topk: int, looked_at: int) -> None:
    boxes, scores = boxes_and_scores(2, 30, 3, 5, 1 if shared else 3)
    given = {"background_label_id": 0, "num_classes": 3, "topk": topk, "keep_topk": 15, "score_threshold": 0.3,
             "iou_threshold": 0.4}
    rows, kinds, index = run("TRTBatchedNMS", boxes, scores, **given, clip_boxes=0, return_index=1)
    for n, found in enumerate(plain_batched(boxes, scores, score=0.3, limit=0.4, top=looked_at, keep=15, background=0)):
        wanted = [[*boxes[n, i, 0 if shared else c], s] for i, c, s in found] + [[0] * 5] * (15 - len(found))
        np.testing.assert_allclose(rows[n], wanted, rtol=1e-6)
        rest = [-1] * (15 - len(found))
        assert kinds[n].tolist() == [c for _, c, _ in found] + rest
        assert index[n].tolist() == [i if shared else 30 * c + i for i, c, _ in found] + rest
    clipped = run("TRTBatchedNMS", boxes, scores, **given)
    assert len(clipped) == 2 and clipped[0].min() >= 0 and clipped[0].max() <= 1


def region(image: np.ndarray, box: Any, cells: tuple[int, int], ratio: int, aligned: bool, reduce: Any) -> np.ndarray:
    """image (C, H, W); box (x1, y1, x2, y2) in its pixels."""
    x1, y1, x2, y2 = (float(v) - (0.5 if aligned else 0) for v in box)
    axes = []
    for low, high, n in ((y1, y2, cells[0]), (x1, x2, cells[1])):
        step = (high - low if aligned else max(high - low, 1.0)) / n
        per = ratio or max(math.ceil(step), 0)
        axes.append([[low + step * (p + (i + 0.5) / per) for i in range(per)] for p in range(n)])

    def value(one: np.ndarray, y: float, x: float) -> float:
        h, w = one.shape
        outside = y < -1 or y > h or x < -1 or x > w
        return 0.0 if outside else bilinear(one, clamp(y, 0, h - 1), clamp(x, 0, w - 1))
    return pooled(image.astype(float), *axes, value, reduce)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align(mode: str, aligned: int, ratio: int) -> None:
    x = normal(2, 2, 7, 8)
    rois = np.array([[0, 1, 2, 9, 8], [1, -4, 0, 5, 13], [1, 6, 6, 6.4, 6.4]], np.float32)
    got = run("MMCVRoiAlign", x, rois, output_height=2, output_width=3, spatial_scale=0.5, sampling_ratio=ratio,
              mode=mode, aligned=aligned)
    reduce = average if mode == "avg" else max
    for r, (image, *box) in enumerate(rois):
        wanted = region(x[int(image)], np.array(box) * 0.5, (2, 3), ratio, bool(aligned), reduce)
        np.testing.assert_allclose(got[r], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("grown", [-1.0, 1.5])
@pytest.mark.parametrize("pool", [0, 1])
def test_multilevel_roi_align(grown: float, pool: int) -> None:
    maps = [normal(2, 2, 16 >> i, 12 >> i, seed=i) for i in range(3)]
    rois = np.array([[0, 1, 2, 5, 5], [1, 2, 3, 14, 20], [0, 0, 0, 40, 50], [1, 3, 3, 3, 3]], np.float32)
    got = run("MMCVMultiLevelRoiAlign", rois, *maps, output_height=2, output_width=2, pool_mode=pool, sampling_ratio=2,
              featmap_strides=(4.0, 8.0, 16.0), roi_scale_factor=grown, finest_scale=8)
    for r, (image, x1, y1, x2, y2) in enumerate(rois.astype(float)):
        size = math.sqrt((x2 - x1) * (y2 - y1))
        level = min(max(math.floor(math.log2(size / 8 + 1e-6)), 0), 2)
        if grown > 0:
            cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
            w, h = ((x2 - x1 + 1) * grown - 1) / 2, ((y2 - y1 + 1) * grown - 1) / 2
            x1, y1, x2, y2 = cx - w, cy - h, cx + w, cy + h
        box = np.array([x1, y1, x2, y2]) / (4 << level)
        wanted = region(maps[level][int(image)], box, (2, 2), 2, True, average if pool else max)
        np.testing.assert_allclose(got[r], wanted, rtol=1e-4, atol=1e-5)
    none = run("MMCVMultiLevelRoiAlign", rois[:0], *maps, output_height=2, output_width=2, pool_mode=pool,
               featmap_strides=(4.0, 8.0, 16.0), finest_scale=8)
    assert none.shape == (0, 2, 2, 2)


def test_deformable_convolutions_and_attention_are_those_of_tensorrt_in_other_words() -> None:
    x, offset, mask, weight = normal(2, 4, 6, 5), normal(2, 36, 6, 5), np.abs(normal(2, 18, 6, 5)), normal(6, 2, 3, 3)
    theirs = {"padding": (1, 1), "groups": 2, "deform_groups": 2}
    ours = {"padding": (1, 1), "group": 2, "deformable_group": 2}
    wanted = run("ModulatedDeformConv2d", x, offset, mask, weight, normal(6), **ours)
    got = run("MMCVModulatedDeformConv2d", x, offset, mask, weight, normal(6), **theirs)
    np.testing.assert_array_equal(got, wanted)
    wanted = run("ModulatedDeformConv2d", x, offset, np.ones_like(mask), weight, **ours)
    np.testing.assert_array_equal(run("MMCVDeformConv2d", x, offset, weight, **theirs), wanted)
    arrays = (normal(1, 26, 2, 3), np.array([[5, 4], [3, 2]], np.int32), np.array([0, 20], np.int32),
              np.abs(normal(1, 4, 2, 2, 3, 2)) % 1, normal(1, 4, 2, 2, 3))
    wanted = run("MultiscaleDeformableAttnPlugin_TRT", *arrays)
    np.testing.assert_array_equal(run("MMCVMultiScaleDeformableAttention", *arrays), wanted.reshape(1, 4, 6))


def test_instance_normalization() -> None:
    x, scale, bias = normal(2, 3, 4, 5), normal(3, seed=1), normal(3, seed=2)
    got = run("TRTInstanceNormalization", x, scale, bias, epsilon=1e-3)
    for n, c in np.ndindex(2, 3):
        m = x[n, c].astype(float)
        wanted = (m - m.mean()) / math.sqrt(((m - m.mean()) ** 2).mean() + 1e-3) * scale[c] + bias[c]
        np.testing.assert_allclose(got[n, c], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize(("mode", "border"), [(0, 0), (0, 1), (1, 0)])
def test_grid_sampler(corners: int, mode: int, border: int) -> None:
    x, grid = normal(2, 3, 6, 5), normal(2, 4, 3, 2, seed=1)
    got = run("grid_sampler", x, grid, interpolation_mode=mode, padding_mode=border, align_corners=corners)
    for n, c, i, j in np.ndindex(*got.shape):
        y, z = ((float(g) + 1) / 2 * (s - 1) if corners else ((float(g) + 1) * s - 1) / 2
                for g, s in zip(grid[n, i, j, ::-1], (6, 5), strict=True))
        if border:
            y, z = clamp(y, 0, 5), clamp(z, 0, 4)
        if mode:
            y, z = round(y), round(z)
        assert got[n, c, i, j] == pytest.approx(sample(x[n, c], y, z), abs=1e-5)


def test_rows_and_priors() -> None:
    x, indices = normal(2, 7, 3, 4), np.array([[6, 0, 0], [1, 5, 2]], np.int32)
    got = run("GatherTopk", x, indices)
    for n, k in np.ndindex(2, 3):
        np.testing.assert_array_equal(got[n, k], x[n, indices[n, k]])
    np.testing.assert_array_equal(run("GatherTopk", x, indices[0] % 2), x[indices[0] % 2])
    anchors = normal(3, 4)
    got = run("GridPriorsTRT", anchors, normal(5), normal(2), stride_h=8, stride_w=4).reshape(5, 2, 3, 4)
    for i, j, a in np.ndindex(5, 2, 3):
        np.testing.assert_allclose(got[i, j, a], anchors[a] + np.array([4 * j, 8 * i] * 2), rtol=1e-6)


@pytest.mark.parametrize("corners", [0, 1])
def test_bicubic(corners: int) -> None:
    x = normal(2, 3, 5, 4)
    got = run("TRTBicubicInterpolate", x, scale_factor=(2.0, 1.5), align_corners=corners)

    def taps(i: int, size: int, made: int, scale: float) -> list[tuple[int, float]]:
        at = i * (size - 1) / (made - 1) if corners else (i + 0.5) / scale - 0.5
        base, found = math.floor(at), []
        for k in range(-1, 3):
            d = abs(at - base - k)
            share = 1.25 * d ** 3 - 2.25 * d ** 2 + 1 if d <= 1 else -0.75 * (d ** 3 - 5 * d ** 2 + 8 * d - 4)
            found.append((min(max(base + k, 0), size - 1), share if d < 2 else 0.0))
        return found

    assert got.shape == (2, 3, 10, 6)
    for i, j in np.ndindex(10, 6):
        wanted = sum(a * b * x[:, :, u, v] for u, a in taps(i, 5, 10, 2.0) for v, b in taps(j, 4, 6, 1.5))
        np.testing.assert_allclose(got[:, :, i, j], wanted, rtol=1e-4, atol=1e-5)


def test_what_is_not_supported_is_refused() -> None:
    x = normal(1, 2, 3, 3)
    with pytest.raises(InputError, match="'mode' is sum; avg, max"):
        run("MMCVRoiAlign", x, normal(1, 5), output_height=1, output_width=1, spatial_scale=1.0, mode="sum")
    with pytest.raises(InputError, match="'featmap_strides' has 2 values; 1 are needed"):
        run("MMCVMultiLevelRoiAlign", normal(1, 5), x, output_height=1, output_width=1, pool_mode=1,
            featmap_strides=(4.0, 8.0), finest_scale=8)
    with pytest.raises(ShapeError, match="grid"):
        run("grid_sampler", x, normal(1, 2, 2, 3), interpolation_mode=0, padding_mode=0, align_corners=0)
