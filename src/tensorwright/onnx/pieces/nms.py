"""Non-maximum suppression behind a detector: ONNX's operator with its results gathered, or TensorRT's plugin.

Both give the same four outputs: num_detections int32 (batch, 1), detection_boxes (batch, limit, 4), detection_scores
(batch, limit), detection_classes int32 (batch, limit), best first; entries beyond num_detections are 0.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ...errors import ModelError
from ..model import Model
from ..seam import described
from .writer import Writer, floating, pick, shape_of


def nms(model: Model, boxes: str = "boxes", scores: str = "scores", *, iou: float = 0.45, score: float = 0.25,
        limit: int = 100, agnostic: bool = False, kind: Literal["onnx", "plugin"] = "onnx") -> Model:
    """boxes (batch, N, 4) as two corners and scores (batch, N, classes) → at most `limit` detections per image.

    boxes, scores   names of the model's outputs, as `yolo` makes them
    iou             a box that overlaps a better one of its class by more is dropped
    score           boxes whose score is not above it are dropped
    limit           detections per image
    agnostic        boxes of all classes suppress each other; each box counts with its best class
    kind            "onnx": NonMaxSuppression; "plugin": TensorRT's EfficientNMS_TRT, for TensorRT and us
    """
    where, what = pick(model, boxes, "output"), pick(model, scores, "output")
    floating(model, where), floating(model, what)
    (batch, number, corners), (batches, numbers, _) = shape_of(model, where, 3), shape_of(model, what, 3)
    if corners != 4 or any(isinstance(a, int) and isinstance(b, int) and a != b
                           for a, b in ((batch, batches), (number, numbers))):
        raise ModelError(f"{boxes!r} is {described(where)} and {scores!r} {described(what)}: not (batch, N, 4) and "
                         "(batch, N, classes)", at=model.label)
    if not (0 <= iou <= 1 and np.isfinite(score) and limit >= 1):
        raise ModelError(f"iou is 0 … 1 and limit at least 1, not {iou} and {limit}")
    if kind == "plugin":
        return _plugin(model, where, what, iou, score, limit, agnostic)
    if kind != "onnx":
        raise ModelError(f"kind is onnx or plugin, not {kind!r}")
    return _standard(model, where, what, iou, score, limit, agnostic)


def _standard(model: Model, boxes: Any, scores: Any, iou: float, score: float, limit: int, agnostic: bool) -> Model:
    import onnx

    f32 = onnx.TensorProto.FLOAT
    writer = Writer("nms", model)
    b = writer.input(boxes.name, int(boxes.dtype), shape_of(model, boxes))
    s = writer.input(scores.name, int(scores.dtype), shape_of(model, scores))
    b, s = (t if int(v.dtype) == f32 else writer.cast(t, f32) for t, v in ((b, boxes), (s, scores)))
    if agnostic:
        best = writer.node("ArgMax", s, axis=2, keepdims=0)                                     # (batch, N)
        rated = writer.node("Unsqueeze", writer.reduce("ReduceMax", s, 2, False), writer.constant([1]))
    else:
        rated = writer.node("Transpose", s, perm=[0, 2, 1])                                     # (batch, classes, N)
    found = writer.node("NonMaxSuppression", b, rated, writer.constant([limit]), writer.constant([iou], np.float32),
                        writer.constant([score], np.float32))                               # (M, 3): image, class, N
    place = writer.node("Gather", found, writer.constant([0, 2]), axis=1)
    image, kind = (writer.node("Gather", found, writer.constant(i), axis=1) for i in (0, 1))
    if agnostic:
        kind = writer.node("GatherND", best, place)

    def padded(tensor: str, filler: np.ndarray) -> str:
        """So that the best `limit` can be taken of however few there are."""
        return writer.node("Concat", tensor, writer.constant(filler, filler.dtype), axis=0)
    low = np.finfo(np.float32).min
    lowest = writer.constant(low, np.float32)
    rating = padded(writer.node("GatherND", rated, found), np.full(limit, low, np.float32))
    corner = padded(writer.node("GatherND", b, place), np.zeros((limit, 4), np.float32))
    kind = padded(kind, np.zeros(limit, np.int64))
    image = padded(image, np.full(limit, -1, np.int64))

    count = writer.node("Gather", writer.node("Shape", b), writer.constant(0), axis=0)
    images = writer.node("Unsqueeze", writer.node("Range", writer.constant(0), count, writer.constant(1)),
                         writer.constant([1]))
    own = writer.node("Where", writer.node("Equal", images, image), rating, lowest)             # (batch, M + limit)
    rating, order = writer.nodes_of("TopK", [own, writer.constant([limit])], 2, axis=1)
    detections(writer, shape_of(model, boxes)[0], limit, rating, writer.node("Gather", corner, order, axis=0),
               writer.node("Gather", kind, order, axis=0), lowest)
    return writer.model()


def detections(writer: Writer, batch: Any, limit: int, scores: str, boxes: str, classes: str, lowest: str) -> None:
    """The four outputs; entries whose score is `lowest` are none.

    scores float32 (batch, limit); boxes float32 (batch, limit, 4); classes (batch, limit); lowest float32 ()
    """
    import onnx

    f32, i32 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    valid, zero = writer.node("Greater", scores, lowest), writer.constant(0, np.float32)
    count = writer.reduce("ReduceSum", writer.cast(valid, i32), 1, True)
    boxes = writer.node("Where", writer.node("Unsqueeze", valid, writer.constant([2])), boxes, zero)
    kinds = writer.node("Where", valid, writer.cast(classes, i32), writer.constant(0, np.int32))
    writer.output(count, "num_detections", i32, [batch, 1])
    writer.output(boxes, "detection_boxes", f32, [batch, limit, 4])
    writer.output(writer.node("Where", valid, scores, zero), "detection_scores", f32, [batch, limit])
    writer.output(kinds, "detection_classes", i32, [batch, limit])


def _plugin(model: Model, boxes: Any, scores: Any, iou: float, score: float, limit: int, agnostic: bool) -> Model:
    """Version 1 of the plugin, described in github.com/NVIDIA/TensorRT, plugin/efficientNMSPlugin."""
    import onnx

    writer = Writer("nms", model)
    writer.domains["TRT"] = 1
    inputs = [writer.input(v.name, int(v.dtype), shape_of(model, v)) for v in (boxes, scores)]
    batch, kind = shape_of(model, boxes)[0], int(boxes.dtype)
    made = writer.nodes_of("EfficientNMS_TRT", inputs, 4, "TRT", plugin_version="1", background_class=-1, box_coding=0,
                           iou_threshold=float(iou), score_threshold=float(score), max_output_boxes=limit,
                           score_activation=0, **({"class_agnostic": 1} if agnostic else {}))
    i32 = onnx.TensorProto.INT32
    writer.output(made[0], "num_detections", i32, [batch, 1])
    writer.output(made[1], "detection_boxes", kind, [batch, limit, 4])
    writer.output(made[2], "detection_scores", kind, [batch, limit])
    writer.output(made[3], "detection_classes", i32, [batch, limit])
    return writer.model()
