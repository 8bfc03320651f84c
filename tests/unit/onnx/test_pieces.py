"""Ready-made pieces, run by ONNX Runtime at several batch sizes, against NumPy in float64 (Pillow for antialiasing)."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import tensorwright
from tensorwright import onnx as toolkit
from tensorwright.cli.main import main
from tensorwright.errors import ModelError
from tensorwright.onnx import pieces

from . import models

F, H = TensorProto.FLOAT, TensorProto.FLOAT16
EXPORTS = Path(__file__).parents[2] / "data" / "exports"
BATCHES = (1, 2, 3)


def passing(shapes: dict[str, list], dtype: int = F, opset: int = 17) -> toolkit.Model:
    """A model whose outputs o_<name> are its inputs <name>."""
    nodes = [helper.make_node("Identity", [n], [f"o_{n}"]) for n in shapes]
    return toolkit.load(models.model(nodes, {n: (dtype, s) for n, s in shapes.items()},
                                     {f"o_{n}": (dtype, s) for n, s in shapes.items()}, opset=opset))


def run(model: toolkit.Model, **feeds: np.ndarray) -> list[np.ndarray]:
    proto = model.proto()
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    results = session.run(None, feeds)
    for output, result in zip(model.outputs, results, strict=True):
        assert all(d == n for d, n in zip(output.shape, result.shape, strict=True) if isinstance(d, int)), "shapes hold"
    return results


# images --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("opset", [13, 18])
def test_bytes_to_a_normalised_image(batch: int, opset: int) -> None:
    model = passing({"x": ["batch", 3, 5, 6]}, opset=opset)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    toolkit.prepend(model, pieces.image(model, mean=mean, std=std, swap=True))
    assert model.inputs[0].name == "x" and model.inputs[0].dtype.name == "UINT8"
    photo = np.random.default_rng(batch).integers(0, 256, (batch, 5, 6, 3), np.uint8)
    expected = ((photo[..., ::-1].astype(np.float64) / 255 - mean) / std).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(run(model, x=photo)[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("shape", "dtype", "layout"), [
    (["n", 6, 5, 1], F, None), (["n", 3, 4, 3], F, "NHWC"), (["n", 3, 4, 3], F, "NCHW"), ([2, 4, "h", "w"], H, None)])
def test_other_layouts_types_and_scales(shape: list, dtype: int, layout) -> None:
    model = passing({"x": shape}, dtype)
    toolkit.prepend(model, pieces.image(model, scale=1, mean=100, std=50, dtype="float32", layout=layout))
    channels_last = layout == "NHWC" or shape[3] == 1
    fed = [7 if isinstance(d, str) else d for d in (shape if channels_last else [shape[i] for i in (0, 2, 3, 1)])]
    photo = np.random.default_rng(0).random(fed, dtype=np.float32) * 255
    expected = (photo.astype(np.float64) - 100) / 50
    got, close = run(model, x=photo)[0], 1e-3 if dtype == H else 1e-6
    assert got.dtype == (np.float16 if dtype == H else np.float32)
    np.testing.assert_allclose(got, expected if channels_last else expected.transpose(0, 3, 1, 2), close, close)


def weights(source: int, target: int, mode: str) -> np.ndarray:
    """float64 (target, source): each row's weights of the source pixels."""
    rows = np.zeros((target, source))
    for i in range(target):
        if mode == "nearest":
            rows[i, i * source // target] = 1
            continue
        at = (i + 0.5) * source / target - 0.5
        low = int(np.floor(at))
        for k in range(low - 1, low + 3):
            d = abs(at - k)
            if mode == "linear":
                w = max(0, 1 - d)
            else:
                a = -0.75
                w = (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0
            rows[i, min(max(k, 0), source - 1)] += w
    return rows


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("opset", [13, 19])
def test_images_of_any_size(mode, opset: int) -> None:
    model = passing({"x": ["batch", 3, 6, 8]}, opset=opset)
    toolkit.prepend(model, pieces.image(model, resize=True, interpolation=mode, mean=0.5))
    assert [d if isinstance(d, int) else d.value for d in model.inputs[0].shape] == ["batch", "height", "width", 3]
    for batch, height, width in ((1, 9, 5), (2, 6, 8), (3, 3, 17)):
        photo = np.random.default_rng(height).integers(0, 256, (batch, height, width, 3), np.uint8)
        expected = np.einsum("ih,jw,bhwc->bcij", weights(height, 6, mode), weights(width, 8, mode), photo / 255.0) - 0.5
        np.testing.assert_allclose(run(model, x=photo)[0], expected, atol=2e-5)


def test_antialiased_as_pillow_does() -> None:
    from PIL import Image
    model = passing({"x": [1, 1, 7, 5]}, opset=13)
    toolkit.prepend(model, pieces.image(model, resize=True, antialias=True, scale=1, source=(20, 31)))
    assert model.opset == 18, "antialias needs it"
    photo = np.random.default_rng(0).integers(0, 256, (1, 20, 31, 1), np.uint8)
    expected = Image.fromarray(photo[0, ..., 0].astype(np.float32)).resize((5, 7), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(run(model, x=photo)[0][0, 0], np.asarray(expected), rtol=1e-4, atol=1e-2)


def test_a_network_of_dynamic_size() -> None:
    model = passing({"x": ["b", 3, "h", "w"]})
    with pytest.raises(ModelError, match="not fixed"):
        pieces.image(model, resize=True)
    toolkit.prepend(model, pieces.image(model, resize=(4, 4)))
    assert run(model, x=np.zeros((2, 9, 9, 3), np.uint8))[0].shape == (2, 3, 4, 4)


@pytest.mark.parametrize(("shape", "more", "says"), [
    (["n", 3, 8, 8], {"mean": (1, 2)}, "1 or 3"), (["n", 3, 8, 8], {"std": 0}, "must not be 0"),
    (["n", 3, 8, 8], {"resize": (4, 4)}, "cannot take"), (["n", 8], {}, "4 axes"),
    (["n", 3, 8, 3], {}, "not clear"), (["n", "c", 8, 8], {"layout": "NCHW"}, "must be fixed"),
    (["n", 1, 8, 8], {"swap": True}, "no order"), (["n", 3, 8, 8], {"dtype": "int8"}, "uint8"),
    (["n", 3, 8, 8], {"source": (2, 2)}, "resized"), (["n", 3, 8, 8], {"antialias": True}, "resized"),
    (["n", 3, 8, 8], {"interpolation": "cubic"}, "resized"), (["n", 3, 8, 8], {"input": "y"}, "no input"),
])
def test_images_that_cannot_be(shape: list, more: dict, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        pieces.image(passing({"x": shape}), **more)


# classes -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("shape", "axis"), [(["b", 7], None), (["b", 5, 3, 2], None), (["b", 4, 6], -1)])
@pytest.mark.parametrize("batch", BATCHES)
def test_softmax_and_argmax(shape: list, axis: int | None, batch: int) -> None:
    at = 1 if axis is None else axis
    x = np.random.default_rng(0).standard_normal((batch, *shape[1:])).astype(np.float32) * 9
    e = np.exp(x.astype(np.float64) - x.max(at, keepdims=True))
    model = passing({"x": shape})
    toolkit.append(model, pieces.softmax(model, axis=axis))
    np.testing.assert_allclose(run(model, x=x)[0], e / e.sum(at, keepdims=True), atol=1e-6)
    toolkit.append(model, pieces.argmax(model, axis=axis, top=2))
    scores, classes = run(model, x=x)
    np.testing.assert_array_equal(classes, np.argsort(-x, at).take((0, 1), at))
    np.testing.assert_allclose(scores, -np.sort(-e / e.sum(at, keepdims=True), at).take((0, 1), at), atol=1e-6)
    model = passing({"x": shape})
    toolkit.append(model, pieces.argmax(model, axis=axis))
    np.testing.assert_array_equal(run(model, x=x)[0], x.argmax(at))


def test_tails_that_are_not_clear() -> None:
    model = passing({"x": ["b", 4, 6]})
    for call in (lambda: pieces.softmax(model), lambda: pieces.argmax(model, axis=3),
                 lambda: pieces.argmax(model, axis=1, top=5), lambda: pieces.softmax(model, "none"),
                 lambda: pieces.softmax(passing({"x": ["b", 2], "y": ["b", 2]}))):
        with pytest.raises(ModelError):
            call()


# detection -----------------------------------------------------------------------------------------------------------
def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def corners(centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.concatenate([centre - size / 2, centre + size / 2], -1)


def suppressed(boxes: np.ndarray, scores: np.ndarray, iou: float, score: float, limit: int, agnostic: bool) -> list:
    """Greedy suppression of one image: boxes (N, 4), scores (N, classes) → [(score, class, box)], best first."""
    candidates = []
    for n, row in enumerate(scores):
        kinds = [int(row.argmax())] if agnostic else range(len(row))
        candidates += [(row[k], k, n) for k in kinds if row[k] > score]
    kept: list = []
    for value, kind, n in sorted(candidates, key=lambda c: -c[0]):
        def overlap(other: int, n: int = n) -> float:
            a, b = boxes[n].astype(np.float64), boxes[other].astype(np.float64)
            w, h = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
            inter = max(w, 0) * max(h, 0)
            return inter / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inter)
        if all((k != kind and not agnostic) or overlap(m) <= iou for _, k, m in kept):
            kept.append((value, kind, n))
    return kept[:limit]


def check_detections(results: list[np.ndarray], boxes: np.ndarray, scores: np.ndarray, iou: float = 0.45,
                     score: float = 0.25, limit: int = 100, agnostic: bool = False) -> None:
    count, found, rating, kinds = results
    assert count.dtype == kinds.dtype == np.int32 and found.shape == (len(boxes), limit, 4)
    for b in range(len(boxes)):
        expected = suppressed(boxes[b], scores[b], iou, score, limit, agnostic)
        n = len(expected)
        assert count[b, 0] == n
        np.testing.assert_allclose(rating[b, :n], [e[0] for e in expected], rtol=1e-5)
        assert kinds[b, :n].tolist() == [e[1] for e in expected]
        np.testing.assert_allclose(found[b, :n], [boxes[b][e[2]] for e in expected] or np.zeros((0, 4)), rtol=1e-5)
        assert not found[b, n:].any() and not rating[b, n:].any() and not kinds[b, n:].any()


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("agnostic", [False, True])
def test_suppression(batch: int, agnostic: bool) -> None:
    model = passing({"boxes": ["b", 40, 4], "scores": ["b", 40, 3]})
    random = np.random.default_rng(batch)
    boxes = corners(random.random((batch, 40, 2)) * 30, 5 + random.random((batch, 40, 2)) * 10).astype(np.float32)
    scores = random.random((batch, 40, 3), dtype=np.float32)
    scores[-1] *= 0 if batch == 2 else 1                 # an image with nothing in it
    toolkit.append(model, pieces.nms(model, "o_boxes", "o_scores", limit=12, agnostic=agnostic))
    check_detections(run(model, boxes=boxes, scores=scores), boxes, scores, limit=12, agnostic=agnostic)
    model = passing({"boxes": ["b", 40, 4], "scores": ["b", 40, 3]})
    toolkit.append(model, pieces.nms(model, "o_boxes", "o_scores", limit=200, iou=0.2, score=0.7, agnostic=agnostic))
    check_detections(run(model, boxes=boxes, scores=scores), boxes, scores, 0.2, 0.7, 200, agnostic)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", [F, H])
def test_anchor_free_decoding(batch: int, dtype: int) -> None:
    model = passing({"x": ["b", 4 + 3 + 2, 20]}, dtype)
    kind = np.float16 if dtype == H else np.float32
    x = np.random.default_rng(batch).random((batch, 9, 20)).astype(kind)
    toolkit.append(model, pieces.yolo(model, "v8", classes=3))
    t = x.transpose(0, 2, 1).astype(np.float64)
    boxes, scores = run(model, x=x)
    np.testing.assert_allclose(boxes, corners(t[..., :2], t[..., 2:4]), atol=2e-3 if dtype == H else 1e-6)
    np.testing.assert_array_equal(scores, x.transpose(0, 2, 1)[..., 4:7])


def test_anchors_decoded_by_the_network() -> None:
    model = passing({"x": ["b", 30, 5 + 4]})
    x = np.random.default_rng(0).random((2, 30, 9), dtype=np.float32)
    toolkit.append(model, pieces.yolo(model, "v5"))
    boxes, scores = run(model, x=x)
    np.testing.assert_allclose(boxes, corners(x[..., :2], x[..., 2:4]), atol=1e-6)
    np.testing.assert_allclose(scores, x[..., 4:5].astype(np.float64) * x[..., 5:], atol=1e-6)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("five", [False, True], ids=["four axes", "five axes"])
def test_heads_with_anchors(batch: int, five: bool) -> None:
    """Three heads in any order, decoded in loops over cells and anchors."""
    sides = {"coarse": (2, 3), "fine": (8, 12), "middle": (4, 6)}
    nodes = [helper.make_node("Identity", [n], [f"o_{n}"]) for n in sides]
    shapes = {n: [None, 3, *s, 7] if five else [None, 21, *s] for n, s in sides.items()}
    image = {"image": (F, ["b", 3, 64, 96])}
    model = toolkit.load(models.model(nodes, {**image, **{n: (F, ["b", *s[1:]]) for n, s in shapes.items()}},
                                      {f"o_{n}": (F, ["b", *s[1:]]) for n, s in shapes.items()}))
    toolkit.append(model, pieces.yolo(model, "v7"))
    random = np.random.default_rng(batch)
    heads = {n: random.standard_normal((batch, *s[1:])).astype(np.float32) for n, s in shapes.items()}
    boxes, scores = run(model, image=np.zeros((batch, 3, 64, 96), np.float32), **heads)
    anchors = {"fine": [(12, 16), (19, 36), (40, 28)], "middle": [(36, 75), (76, 55), (72, 146)],
               "coarse": [(142, 110), (192, 243), (459, 401)]}
    expected_boxes, expected_scores = [], []
    for name in ("fine", "middle", "coarse"):
        head = heads[name] if five else heads[name].reshape(batch, 3, 7, *sides[name]).transpose(0, 1, 3, 4, 2)
        stride = 64 / sides[name][0]
        for a, (w, h) in enumerate(anchors[name]):
            for i in range(sides[name][0]):
                for j in range(sides[name][1]):
                    s = sigmoid(head[:, a, i, j])
                    centre = (2 * s[:, :2] - 0.5 + np.array([j, i])) * stride
                    expected_boxes.append(corners(centre, (2 * s[:, 2:4]) ** 2 * np.array([w, h])))
                    expected_scores.append(s[:, 4:5] * s[:, 5:])
    np.testing.assert_allclose(boxes, np.stack(expected_boxes, 1), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scores, np.stack(expected_scores, 1), atol=1e-6)


def test_own_anchors_by_the_command_line(tmp_path: Path) -> None:
    """One anchor per head, the size of the image from the command: the box of a head of zeros is its anchor."""
    shapes = {"a": ["b", 6, 4, 4], "b": ["b", 6, 2, 2]}
    onnx.save(passing(shapes).proto(), tmp_path / "heads.onnx")
    command = ["onnx", "append", str(tmp_path / "heads.onnx"), "--yolo", "v5", "-o", str(tmp_path / "out.onnx"), "-q"]
    assert main([*command, "--image-size", "32x32", "--anchors", "6,4", "10,20"]) == 0
    boxes, scores = run(toolkit.load(tmp_path / "out.onnx"), **{n: np.zeros((2, *s[1:]), np.float32)
                                                               for n, s in shapes.items()})
    assert np.unique(boxes[:, :16, 2:] - boxes[:, :16, :2], axis=1).tolist() == [[[6, 4]]] * 2
    assert np.unique(boxes[:, 16:, 2:] - boxes[:, 16:, :2], axis=1).tolist() == [[[10, 20]]] * 2
    assert boxes[0, 0].tolist() == [4 - 3, 4 - 2, 4 + 3, 4 + 2] and (scores == 0.25).all()
    assert main([*command, "--image-size", "32x32", "--anchors", "6,4,1", "10,20"]) == 2
    assert main([*command, "--image-size", "32x32", "--anchors", "6,4"]) == 3


@pytest.mark.parametrize("batch", BATCHES)
def test_end_to_end_detections(batch: int) -> None:
    model = passing({"x": ["b", 10, 6]})
    x = np.random.default_rng(batch).random((batch, 10, 6)).astype(np.float32)
    x[..., 5] = np.arange(10) % 4
    toolkit.append(model, pieces.yolo(model, "v10", score=0.4))
    count, boxes, scores, kinds = run(model, x=x)
    for b in range(batch):
        kept = sorted((r for r in x[b] if r[4] > 0.4), key=lambda r: -r[4])
        n = len(kept)
        assert count[b, 0] == n and kinds[b, :n].tolist() == [r[5] for r in kept]
        np.testing.assert_array_equal(boxes[b, :n], np.reshape([r[:4] for r in kept], (n, 4)))
        np.testing.assert_array_equal(scores[b, :n], [r[4] for r in kept])
        assert not boxes[b, n:].any() and not scores[b, n:].any() and not kinds[b, n:].any()


def test_plugin_node() -> None:
    """As github.com/NVIDIA/TensorRT, plugin/efficientNMSPlugin, describes it."""
    model = passing({"boxes": ["b", 40, 4], "scores": ["b", 40, 3]})
    toolkit.append(model, pieces.nms(model, "o_boxes", "o_scores", kind="plugin", limit=50, iou=0.5, score=0.1))
    onnx.checker.check_model(model.proto())
    node = model.nodes[-1]
    assert (node.domain, node.op_type, model.ir.opset_imports["TRT"]) == ("TRT", "EfficientNMS_TRT", 1)
    assert {k: a.value for k, a in node.attributes.items()} == {
        "plugin_version": "1", "background_class": -1, "box_coding": 0, "score_activation": 0, "max_output_boxes": 50,
        "iou_threshold": 0.5, "score_threshold": pytest.approx(0.1)}
    assert [(o.name, o.dtype.name, [*o.shape][1:]) for o in model.outputs] == [
        ("num_detections", "INT32", [1]), ("detection_boxes", "FLOAT", [50, 4]), ("detection_scores", "FLOAT", [50]),
        ("detection_classes", "INT32", [50])]


@pytest.mark.parametrize("agnostic", [False, True])
def test_the_plugin_finds_what_onnxs_operator_finds(agnostic: bool) -> None:
    """The plugin in our engine, NonMaxSuppression in ONNX Runtime. Where boxes count with all their classes they are
    of one class here: the plugin's classes suppress each other, ONNX's node only sees the best one."""
    random = np.random.default_rng(3)
    low, classes = random.uniform(0, 10, (2, 40, 2)), 1 if agnostic else 3
    x = {"boxes": np.concatenate([low, low + random.uniform(1, 5, (2, 40, 2))], 2).astype(np.float32),
         "scores": random.random((2, 40, classes), dtype=np.float32)}
    found = []
    for kind in ("onnx", "plugin"):
        model = passing({"boxes": ["b", 40, 4], "scores": ["b", 40, classes]})
        toolkit.append(model, pieces.nms(model, "o_boxes", "o_scores", kind=kind, limit=12, iou=0.3, score=0.4,
                                         agnostic=agnostic))
        found.append(model)
    engine = tensorwright.build(found[1].proto(), shapes={"b": (1, 2, 2)}, tune_budget=0.0, timing_cache=False)
    for ours, theirs in zip(engine.run(x).values(), run(found[0], **x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("call", [
    lambda: pieces.yolo(passing({"x": ["b", 84, 20]}), "v8"), lambda: pieces.yolo(passing({"x": ["b", 20, 9]}), "v3"),
    lambda: pieces.yolo(passing({"x": ["b", 9, 20]}), "v8", classes=6),
    lambda: pieces.yolo(passing({"x": ["b", 9, 20]}), "v8", score=0.5),
    lambda: pieces.yolo(passing({"x": ["b", 9, 20]}), "v8", anchors=[[(1, 2)]]),
    lambda: pieces.yolo(passing({"x": ["b", 20, 9]}), "v5", image=(64, 64)),
    lambda: pieces.yolo(passing({"x": ["b", 20, 6]}), "v10", classes=1),
    lambda: pieces.yolo(passing({"x": ["b", 9, 20], "y": ["b", 9, 20]}), "v8"),
    lambda: pieces.yolo(passing({"x": ["b", 20, 8, 8], "y": ["b", 21, 4, 4], "z": ["b", 21, 2, 2]}), "v5",
                        image=(64, 64)),
    lambda: pieces.yolo(passing({"x": ["b", "c", "n"]}), "v8"), lambda: pieces.yolo(passing({"x": ["b", 9, 5]}), "v10"),
    lambda: pieces.nms(passing({"boxes": ["b", 40, 4], "scores": ["b", 30, 3]}), "o_boxes", "o_scores"),
    lambda: pieces.nms(passing({"boxes": ["b", 40, 4], "scores": ["b", 40, 3]}), "o_boxes", "o_scores", limit=0),
])
def test_detectors_that_are_not(call) -> None:
    with pytest.raises(ModelError):
        call()


def test_a_real_detector_from_bytes_to_detections(tmp_path: Path) -> None:
    """By the command line: uint8 images of any size in, detections out; the parts computed one by one in NumPy."""
    source, middle, target = EXPORTS / "detector.onnx", str(tmp_path / "a.onnx"), tmp_path / "b.onnx"
    assert main(["onnx", "prepend", str(source), "--image", "uint8", "--bgr", "--resize", "-o", middle, "-q"]) == 0
    assert main(["onnx", "append", middle, "--yolo", "v8", "--nms", "--score", "0.5", "--iou", "0.6", "--limit", "20",
                 "-o", str(target), "-q"]) == 0
    photo = np.random.default_rng(0).integers(0, 256, (3, 50, 90, 3), np.uint8)
    x = np.einsum("ih,jw,bhwc->bcij", weights(50, 64, "linear"), weights(90, 64, "linear"), photo[..., ::-1] / 255.0)
    raw = run(toolkit.load(source), images=x.astype(np.float32))[0].transpose(0, 2, 1)
    boxes = corners(raw[..., :2], raw[..., 2:4])
    results = run(toolkit.load(target), images=photo)
    assert results[0].sum() > 3
    for b in range(3):                                   # nearly equal scores may change places: compare as sets
        expected = suppressed(boxes[b], raw[b, :, 4:], 0.6, 0.5, 20, False)
        assert abs(int(results[0][b, 0]) - len(expected)) <= 1
        np.testing.assert_allclose(results[2][b, :len(expected)], [e[0] for e in expected], atol=5e-3)


def test_commands_for_classifiers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = str(EXPORTS / "resnet.onnx"), tmp_path / "out.onnx"
    assert main(["onnx", "append", source, "--softmax", "--argmax", "3", "-o", str(target), "--json"]) == 0
    assert '"classes": "int64 (batch, 3)"' in capsys.readouterr().out
    image = np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32)
    scores, classes = run(toolkit.load(target), image=image)
    logits = run(toolkit.load(source), image=image)[0]
    np.testing.assert_array_equal(classes, np.argsort(-logits, 1)[:, :3])
    assert (scores > 0).all() and (scores.sum(1) <= 1).all()
    for wrong in (["--iou", "0.5", "--softmax"], ["--softmax", "--nms"], [], ["--yolo", "v10", "--nms"],
                  ["--yolo", "v8", "--score", "0.3"], ["--yolo", "v8", "--image-size", "64"],
                  ["--softmax", "--keep", "x"]):
        assert main(["onnx", "append", source, *wrong, "-o", str(target)]) == 2, wrong
    for wrong in (["--image", "uint8", "--source", "4x4"], ["--image", "uint8", "--connect", "a=b"],
                  ["--model", source, "--bgr"], ["--image", "uint8", "--resize", "4by4"]):
        assert main(["onnx", "prepend", source, *wrong, "-o", str(target)]) == 2, wrong
