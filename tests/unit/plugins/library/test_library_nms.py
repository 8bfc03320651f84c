"""Non-maximum suppression of the plugin library, beside loops over boxes in float64 and ONNX Runtime."""

import math
from typing import Any

import numpy as np
import pytest

from tensorwright.errors import InputError, ShapeError, TypeMismatch

from .run import run

EFFICIENT = {"score_threshold": 0.3, "iou_threshold": 0.5, "max_output_boxes": 10, "background_class": -1,
             "score_activation": 0, "box_coding": 0}
BATCHED = {"shareLocation": 1, "backgroundLabelId": -1, "numClasses": 3, "topK": 20, "keepTopK": 10,
           "scoreThreshold": 0.3, "iouThreshold": 0.5, "isNormalized": 1, "clipBoxes": 0}


def boxes_and_scores(images: int, number: int, classes: int, seed: int = 0, per_class: int = 1
                     ) -> tuple[np.ndarray, np.ndarray]:
    g = np.random.default_rng(seed)
    shape = images, number, per_class, 2
    low, size = g.uniform(-0.1, 0.8, shape), g.uniform(0.1, 0.4, shape)
    return (np.concatenate([low, low + size], -1).astype(np.float32),
            g.uniform(0, 1, (images, number, classes)).astype(np.float32))


def corners_of(box: Any) -> list[float]:
    a = [float(v) for v in box]
    return [min(a[0], a[2]), min(a[1], a[3]), max(a[0], a[2]), max(a[1], a[3])]


def iou(p: Any, q: Any) -> float:
    p, q = corners_of(p), corners_of(q)
    h, w = min(p[2], q[2]) - max(p[0], q[0]), min(p[3], q[3]) - max(p[1], q[1])
    if h <= 0 or w <= 0:
        return 0.0
    return h * w / ((p[2] - p[0]) * (p[3] - p[1]) + (q[2] - q[0]) * (q[3] - q[1]) - h * w)


def caffe_iou(p: Any, q: Any, normalized: bool, caffe: bool) -> float:
    p, q = corners_of(p), corners_of(q)
    one = 0.0 if normalized else 1.0
    inside = one if caffe else 0.0
    h, w = min(p[2], q[2]) - max(p[0], q[0]), min(p[3], q[3]) - max(p[1], q[1])
    if h < 0 or w < 0:
        h = w = 0.0
    h, w = h + inside, w + inside
    if h <= 0 or w <= 0:
        return 0.0
    areas = sum((b[2] - b[0] + one) * (b[3] - b[1] + one) for b in (p, q))
    return h * w / (areas - h * w)


def plain_efficient(boxes: np.ndarray, scores: np.ndarray, *, score: float, limit: float, most: int,
                    background: int = -1, agnostic: bool = False, per_class: int = 1 << 30
                    ) -> list[list[tuple[int, int, float]]]:
    """(box, class, score) of each image, box by box."""
    result = []
    for b, s in zip(boxes, scores, strict=True):
        candidates = [(float(s[i, c]), i, c) for i in range(s.shape[0]) for c in range(s.shape[1])
                      if c != background and s[i, c] >= score]
        candidates.sort(key=lambda x: -x[0])
        kept: list[tuple[int, int, float]] = []
        counts: dict[int, int] = {}
        found = []
        for rating, i, c in candidates:
            mine = b[i, c if b.shape[1] > 1 else 0]
            if any((agnostic or c == k) and iou(mine, b[j, k if b.shape[1] > 1 else 0]) >= limit for j, k, _ in kept):
                continue
            kept.append((i, c, rating))
            counts[c] = counts.get(c, 0) + 1
            if counts[c] <= per_class:
                found.append((i, c, rating))
        result.append(found[:most])
    return result


def compare(results: Any, expected: list[list[tuple[int, int, float]]], boxes: np.ndarray, most: int, empty: int = 0
            ) -> None:
    count, found, ratings, kinds = results
    assert count.reshape(-1).tolist() == [len(e) for e in expected]
    for n, e in enumerate(expected):
        assert kinds[n].tolist() == [c for _, c, _ in e] + [empty] * (most - len(e))
        np.testing.assert_allclose(ratings[n], [s for _, _, s in e] + [0] * (most - len(e)), rtol=1e-6)
        wanted = [boxes[n, i, c if boxes.shape[2] > 1 else 0] for i, c, _ in e] + [np.zeros(4)] * (most - len(e))
        np.testing.assert_allclose(found[n], np.array(wanted), rtol=1e-6)


@pytest.mark.parametrize("images", [1, 2, 3])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("agnostic", [0, 1])
def test_efficient_nms(images: int, shared: bool, agnostic: int) -> None:
    boxes, scores = boxes_and_scores(images, 30, 3, images, 1 if shared else 3)
    expected = plain_efficient(boxes, scores, score=0.3, limit=0.5, most=10, background=1, agnostic=bool(agnostic))
    given = boxes[:, :, 0] if shared else boxes
    got = run("EfficientNMS_TRT", given, scores, **{**EFFICIENT, "background_class": 1, "class_agnostic": agnostic})
    assert got[0].dtype == got[3].dtype == np.int32 and got[0].shape == (images, 1)
    compare(got, expected, boxes, 10)


def test_efficient_nms_of_logits_and_centers_with_anchors() -> None:
    g = np.random.default_rng(5)
    raw = g.normal(0, 0.3, (2, 12, 4)).astype(np.float32)
    anchors = np.concatenate([g.uniform(0, 1, (1, 12, 2)), g.uniform(0.2, 0.5, (1, 12, 2))], -1).astype(np.float32)
    logits = g.normal(0, 2, (2, 12, 2)).astype(np.float32)
    boxes = np.zeros((2, 12, 1, 4))
    for n in range(2):
        for i in range(12):
            (y, x, h, w), (t, u, v, q) = anchors[0, i].astype(float), raw[n, i].astype(float)
            cy, cx, hh, ww = t * h + y, u * w + x, h * math.exp(v), w * math.exp(q)
            boxes[n, i, 0] = cy - hh / 2, cx - ww / 2, cy + hh / 2, cx + ww / 2
    expected = plain_efficient(boxes, 1 / (1 + np.exp(-logits.astype(float))), score=0.3, limit=0.5, most=10)
    settings = {**EFFICIENT, "score_activation": 1, "box_coding": 1}
    compare(run("EfficientNMS_TRT", raw, logits, anchors, **settings), expected, boxes, 10)
    compare(run("EfficientNMS_TRT", raw, logits, np.repeat(anchors, 2, 0), **settings), expected, boxes, 10)


def test_efficient_nms_of_corners_with_anchors_turns_both_the_right_way_round() -> None:
    raw = np.array([[[0.2, 0.0, 0.1, 0.1]]], np.float32)
    anchors = np.array([[[0.5, 0.5, 0.3, 0.7]]], np.float32)
    got = run("EfficientNMS_TRT", raw, np.ones((1, 1, 1), np.float32), anchors, **EFFICIENT)
    np.testing.assert_allclose(got[1][0, 0], [0.4, 0.5, 0.7, 0.8], rtol=1e-6)


def test_efficient_nms_at_its_limits() -> None:
    """No candidate; a score and an overlap that equal their thresholds; ties; more boxes than places; 5000 of them."""
    boxes, scores = boxes_and_scores(2, 8, 2)
    count, *others = run("EfficientNMS_TRT", boxes, scores * 0.1, **EFFICIENT)
    assert not count.any() and not any(o.any() for o in others)

    half = np.array([[[0, 0, 1, 1], [0, 0, 1, 0.5]]], np.float32)
    at = np.array([[[0.9], [0.5]]], np.float32)
    low = {**EFFICIENT, "score_threshold": 0.5}
    assert run("EfficientNMS_TRT", half, at, **low)[0].item() == 1
    assert run("EfficientNMS_TRT", half, at, **{**low, "iou_threshold": 0.51})[0].item() == 2

    apart = np.stack([np.arange(40), np.zeros(40), np.arange(40) + 0.5, np.ones(40)], 1).astype(np.float32)[None]
    got = run("EfficientNMS_TRT", apart, np.full((1, 40, 1), 0.5, np.float32), **EFFICIENT)
    assert got[0].item() == 10 and got[1][0, :, 0].tolist() == list(range(10))

    many = np.zeros((1, 6000, 4), np.float32)
    many[0, :, 2:] = 1
    many[0, 5000:] += 10                      # the last thousand, behind 5000 better ones, are not looked at
    falling = np.linspace(1, 0.5, 6000, dtype=np.float32).reshape(1, 6000, 1)
    assert run("EfficientNMS_TRT", many, falling, **EFFICIENT)[0].item() == 1


def test_efficient_nms_in_half_precision() -> None:
    boxes, scores = (a.astype(np.float16) for a in boxes_and_scores(2, 20, 3))
    got = run("EfficientNMS_TRT", boxes, scores, **EFFICIENT)
    assert got[1].dtype == got[2].dtype == np.float16
    compare(got, plain_efficient(boxes, scores, score=float(np.float16(0.3)), limit=0.5, most=10), boxes, 10)


@pytest.mark.parametrize("most", [2, 30])
def test_efficient_nms_onnx_finds_what_onnx_runtime_finds(most: int) -> None:
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    boxes, scores = boxes_and_scores(1, 30, 1, 3)
    h = onnx.helper
    node = h.make_node("NonMaxSuppression", ["b", "s", "n", "i", "t"], ["y"])
    kinds = {"b": (1, [1, 30, 4]), "s": (1, [1, 1, 30]), "n": (7, [1]), "i": (1, [1]), "t": (1, [1])}
    graph = h.make_graph([node], "g", [h.make_tensor_value_info(k, *v) for k, v in kinds.items()],
                         [h.make_tensor_value_info("y", 7, None)])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 11)], ir_version=8)
    feeds = {"b": boxes[:, :, 0], "s": scores.transpose(0, 2, 1).copy(), "n": np.array([most]),
             "i": np.array([0.4], np.float32), "t": np.array([0.2], np.float32)}
    (wanted,) = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    got = run("EfficientNMS_ONNX_TRT", boxes, scores, score_threshold=0.2, iou_threshold=0.4,
              max_output_boxes_per_class=most)
    assert got.shape == (most, 3) and got.dtype == np.int32
    assert got[: len(wanted)].tolist() == wanted.tolist() and (got[len(wanted):] == got[len(wanted) - 1]).all()


def test_efficient_nms_onnx_of_several_images_and_none() -> None:
    boxes, scores = boxes_and_scores(3, 20, 2, 8)
    settings = {"score_threshold": 0.6, "iou_threshold": 0.3, "max_output_boxes_per_class": 4}
    expected = plain_efficient(boxes, scores, score=0.6, limit=0.3, most=4, per_class=4)
    rows = [[n, c, i] for n, found in enumerate(expected) for i, c, _ in found]
    got = run("EfficientNMS_ONNX_TRT", boxes, scores, **settings)
    assert got.tolist() == rows + [rows[-1]] * (12 - len(rows))
    assert (run("EfficientNMS_ONNX_TRT", boxes, scores * 0, **settings) == -1).all()


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("name", ["EfficientNMS_Explicit_TF_TRT", "EfficientNMS_Implicit_TF_TRT"])
def test_efficient_nms_of_tensorflow(name: str, pad: int) -> None:
    boxes, scores = boxes_and_scores(2, 25, 3, 4)
    got = run(name, boxes, scores, max_output_size_per_class=2, max_total_size=20, iou_threshold=0.4,
              score_threshold=0.2, pad_per_class=pad, clip_boxes=1)
    most = 6 if pad else 20
    assert got[0].shape == ((2, 1) if "Explicit" in name else (2,))
    expected = plain_efficient(boxes, scores, score=0.2, limit=0.4, most=most, per_class=2)
    compare(got, expected, np.clip(boxes, 0, 1), most)


def plain_batched(boxes: np.ndarray, scores: np.ndarray, *, score: float, limit: float, top: int, keep: int,
                  background: int = -1, normalized: bool = True, caffe: bool = True
                  ) -> list[list[tuple[int, int, float]]]:
    result = []
    for b, s in zip(boxes, scores, strict=True):
        found: list[tuple[int, int, float]] = []
        for c in range(s.shape[1]):
            order = sorted((i for i in range(len(s)) if s[i, c] > score and c != background),
                           key=lambda i: -float(s[i, c]))[:top]
            kept: list[int] = []
            for i in order:
                mine, column = b[i], c if b.shape[1] > 1 else 0
                if not any(caffe_iou(mine[column], b[j, column], normalized, caffe) > limit for j in kept):
                    kept.append(i)
            found += [(i, c, float(s[i, c])) for i in kept]
        result.append(sorted(found, key=lambda x: -x[2])[:keep])
    return result


@pytest.mark.parametrize("images", [1, 2, 3])
@pytest.mark.parametrize("shared", [1, 0])
def test_batched_nms(images: int, shared: int) -> None:
    boxes, scores = boxes_and_scores(images, 30, 3, 7, 1 if shared else 3)
    expected = plain_batched(boxes, scores, score=0.3, limit=0.5, top=20, keep=10, background=0)
    for name in ("BatchedNMSDynamic_TRT", "BatchedNMS_TRT"):
        got = run(name, boxes, scores, **{**BATCHED, "shareLocation": shared, "backgroundLabelId": 0})
        assert got[0].shape == ((images, 1) if "Dynamic" in name else (images,)) and got[3].dtype == np.float32
        compare(got, expected, boxes, 10, empty=-1)


@pytest.mark.parametrize("caffe", [0, 1])
def test_batched_nms_of_pixels(caffe: int) -> None:
    boxes, scores = boxes_and_scores(2, 30, 3, 9)
    boxes = np.round(boxes * 8)
    expected = plain_batched(boxes, scores, score=0.3, limit=0.35, top=20, keep=10, normalized=False, caffe=bool(caffe))
    got = run("BatchedNMSDynamic_TRT", boxes, scores[..., None],
              **{**BATCHED, "isNormalized": 0, "iouThreshold": 0.35, "caffeSemantics": caffe})
    compare(got, expected, boxes, 10, empty=-1)


def test_batched_nms_at_its_limits() -> None:
    boxes, scores = boxes_and_scores(2, 8, 3)
    count, found, ratings, kinds = run("BatchedNMSDynamic_TRT", boxes, scores * 0, **BATCHED)
    assert not count.any() and not found.any() and not ratings.any() and (kinds == -1).all()
    clipped = run("BatchedNMSDynamic_TRT", boxes, scores, **{**BATCHED, "clipBoxes": 1})[1]
    assert clipped.min() >= 0 and clipped.max() <= 1
    tied = run("BatchedNMSDynamic_TRT", np.array([[[[0, 0, 1, 1]], [[2, 2, 3, 3]]]], np.float32),
               np.full((1, 2, 3), 0.5, np.float32), **BATCHED)
    assert tied[3][0, :6].tolist() == [0, 0, 1, 1, 2, 2] and tied[1][0, :3, 0].tolist() == [0, 2, 0]
    few = run("BatchedNMSDynamic_TRT", boxes, scores, **{**BATCHED, "topK": 2, "keepTopK": 2})
    compare(few, plain_batched(boxes, scores, score=0.3, limit=0.5, top=2, keep=2), boxes, 2, empty=-1)


def test_batched_nms_where_values_meet() -> None:
    """An overlap that equals its threshold; a box beyond topK; single pixels that do not meet, in Caffe's way."""
    half = np.array([[[[0, 0, 1, 1]], [[0, 0, 1, 0.5]]]], np.float32)
    rated = np.array([[[0.9], [0.8]]], np.float32)
    one = {**BATCHED, "numClasses": 1}
    assert run("BatchedNMSDynamic_TRT", half, rated, **one)[0].item() == 2
    assert run("BatchedNMSDynamic_TRT", half, rated, **{**one, "iouThreshold": 0.49})[0].item() == 1

    three = np.array([[[[0, 0, 1, 1]], [[0, 0, 1, 0.9]], [[5, 5, 6, 6]]]], np.float32)
    falling = np.array([[[0.9], [0.8], [0.7]]], np.float32)
    assert run("BatchedNMSDynamic_TRT", three, falling, **one)[0].item() == 2
    assert run("BatchedNMSDynamic_TRT", three, falling, **{**one, "topK": 2, "keepTopK": 2})[0].item() == 1

    pixels = np.array([[[[0, 0, 0, 0]], [[9, 9, 9, 9]]]], np.float32)
    one["isNormalized"] = 0
    assert run("BatchedNMSDynamic_TRT", pixels, rated, **one)[0].item() == 1
    assert run("BatchedNMSDynamic_TRT", pixels, rated, **{**one, "caffeSemantics": 0})[0].item() == 2


def decode(code: int, p: Any, v: Any, q: Any) -> list[float]:
    """A prediction p of SSD with variances v and prior q, written out."""
    p, v, q = ([float(x) for x in a] for a in (p, v, q))
    w, h, x, y = q[2] - q[0], q[3] - q[1], (q[0] + q[2]) / 2, (q[1] + q[3]) / 2
    if code == 0:
        return [q[k] + p[k] * v[k] for k in range(4)]
    if code == 2:
        return [q[k] + p[k] * v[k] * (w, h, w, h)[k] for k in range(4)]
    if code == 3:
        p = [p[1], p[0], p[3], p[2]]
    cx, cy, ww, hh = p[0] * v[0] * w + x, p[1] * v[1] * h + y, math.exp(p[2] * v[2]) * w, math.exp(p[3] * v[3]) * h
    return [cx - ww / 2, cy - hh / 2, cx + ww / 2, cy + hh / 2]


@pytest.mark.parametrize("code", [0, 1, 2, 3])
@pytest.mark.parametrize("encoded", [0, 1])
@pytest.mark.parametrize("shared", [0, 1])
def test_ssd_nms(code: int, encoded: int, shared: int) -> None:
    g = np.random.default_rng(code)
    places = 1 if shared else 3
    loc = g.normal(0, 0.5, (2, 10, places, 4)).astype(np.float32)
    logits = g.normal(0, 1, (2, 10, 3)).astype(np.float32)
    low = g.uniform(0, 0.6, (2, 10, 2))
    priors = np.stack([np.concatenate([low, low + g.uniform(0.1, 0.4, (2, 10, 2))], -1),
                       g.uniform(0.1, 0.3, (2, 10, 4))], 1).astype(np.float32)
    for agnostic in (0, 1):
        boxes = np.zeros((2, 10, places, 4))
        for n, i, c in np.ndindex(2, 10, places):
            q = priors[0 if agnostic else n]
            boxes[n, i, c] = decode(code, loc[n, i, c], np.ones(4) if encoded and code != 3 else q[1, i], q[0, i])
        expected = plain_batched(boxes, 1 / (1 + np.exp(-logits.astype(float))), score=0.3, limit=0.4, top=9, keep=8,
                                 background=0)
        rows, count = run("NMS_TRT", loc.reshape(2, -1, 1, 1), priors.reshape(2, 2, -1, 1), logits.reshape(2, -1, 1, 1),
                          shareLocation=shared, varianceEncodedInTarget=encoded, backgroundLabelId=0, numClasses=3,
                          topK=9, keepTopK=8, confidenceThreshold=0.3, nmsThreshold=0.4, confSigmoid=1, codeType=code,
                          isBatchAgnostic=agnostic)
        assert rows.shape == (2, 1, 8, 7) and count.reshape(-1).tolist() == [len(e) for e in expected]
        for n, e in enumerate(expected):
            wanted = [[n, c, s, *np.clip(boxes[n, i, c if places > 1 else 0], 0, 1)] for i, c, s in e]
            wanted += [[n, -1, 0, 0, 0, 0, 0]] * (8 - len(e))
            np.testing.assert_allclose(rows[n, 0], wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "changed", "said"), [
    ("EfficientNMS_TRT", {"box_coding": 2}, "'box_coding' is 2; 0, 1"),
    ("EfficientNMS_TRT", {"max_output_boxes": 0}, "'max_output_boxes' is 0"),
    ("BatchedNMSDynamic_TRT", {"topK": 5}, "'topK' is 5; keepTopK, which is 10, to 4096"),
    ("BatchedNMSDynamic_TRT", {"scoreBits": 8}, "'scoreBits' is 8"),
])
def test_what_is_not_supported_is_refused(name: str, changed: dict[str, Any], said: str) -> None:
    boxes, scores = boxes_and_scores(1, 4, 3)
    with pytest.raises(InputError, match=said):
        run(name, boxes, scores, **{**(EFFICIENT if name.startswith("E") else BATCHED), **changed})


def test_inputs_that_do_not_fit_are_refused() -> None:
    boxes, scores = boxes_and_scores(1, 4, 3)
    with pytest.raises(ShapeError, match="boxes"):
        run("EfficientNMS_TRT", boxes[:, :3], scores, **EFFICIENT)
    with pytest.raises(ShapeError, match="classes"):
        run("EfficientNMS_TRT", np.repeat(boxes, 2, 2), scores, **EFFICIENT)
    with pytest.raises(TypeMismatch, match="float32 or float16"):
        run("EfficientNMS_TRT", boxes, scores.astype(np.float64), **EFFICIENT)
    with pytest.raises(InputError, match="needs the attribute 'score_threshold'"):
        run("EfficientNMS_TRT", boxes, scores)
