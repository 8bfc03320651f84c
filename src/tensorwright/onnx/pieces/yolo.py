"""What YOLO networks put out → boxes (x1, y1, x2, y2) in pixels of the network's input, and scores per class.

    v5, v7        (batch, boxes, 5 + classes): centre, size, objectness, classes, already decoded; or the three heads
                  before decoding, (batch, anchors · (5 + classes), H, W) or (batch, anchors, H, W, 5 + classes)
    v8, v9, v11   (batch, 4 + classes, boxes): centre, size, classes
    v10           (batch, boxes, 6): x1, y1, x2, y2, score, class: no suppression needed

Source: the decoding rules of these networks' papers and reference implementations, written for this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ModelError
from ..model import Model
from ..seam import described
from .nms import detections
from .writer import Writer, floating, pick, shape_of

if TYPE_CHECKING:
    import onnx_ir

Anchors = Sequence[Sequence[tuple[float, float]]]
#: (width, height) in pixels, of the networks trained on COCO; finest stride first
ANCHORS: dict[str, Anchors] = {
    "v5": (((10, 13), (16, 30), (33, 23)), ((30, 61), (62, 45), (59, 119)), ((116, 90), (156, 198), (373, 326))),
    "v7": (((12, 16), (19, 36), (40, 28)), ((36, 75), (76, 55), (72, 146)), ((142, 110), (192, 243), (459, 401))),
}
ANCHOR_FREE = ("v8", "v9", "v11")


def yolo(model: Model, version: str, output: str | Sequence[str] | None = None, *, classes: int | None = None,
         anchors: Anchors | None = None, image: tuple[int, int] | None = None, score: float | None = None) -> Model:
    """Decode: outputs `boxes` (batch, N, 4) and `scores` (batch, N, classes); for v10 those of `nms`.

    output    the output's name, or the names of the three heads; None: all outputs of the model
    classes   channels that are classes, when more follow them (masks, key points); those are left out
    anchors   (width, height) in pixels for each head, finest first; those trained on COCO when None
    image     (height, width) of the network's input; read from its input when None. For heads only.
    score     v10 only: detections whose score is not above it are left out; 0.25 when None
    Raises    ModelError when the outputs do not look like this version's.
    """
    if version not in (*ANCHORS, *ANCHOR_FREE, "v10"):
        raise ModelError(f"YOLO {version!r} is not known", try_="one of v5, v7, v8, v9, v10, v11")
    names = [output] if isinstance(output, str) else list(output or [])
    values = [pick(model, n, "output") for n in names or [str(v.name) for v in model.outputs]]
    heads = version in ANCHORS and len(values) > 1
    for name, given, used in (("anchors", anchors, heads), ("image", image, heads), ("score", score, version == "v10"),
                              ("classes", classes, version != "v10")):
        if given is not None and not used:
            raise ModelError(f"{name} is not for one decoded output of YOLO {version}", at=model.label,
                             try_="anchors and image are for the three heads of v5 and v7, score is for v10")
    if heads:
        return _heads(model, values, anchors or ANCHORS[version], classes, image)
    if len(values) != 1:
        raise ModelError(f"YOLO {version} has one output, and the model {len(values)}", at=model.label,
                         try_='output="..."')
    if version == "v10":
        return _end_to_end(model, values[0], 0.25 if score is None else score)
    return _decoded(model, values[0], version in ANCHOR_FREE, classes)


def _decoded(model: Model, value: onnx_ir.Value, anchor_free: bool, classes: int | None) -> Model:
    batch, *rest = shape_of(model, value, 3)
    axis, other, first = (1, 2, 4) if anchor_free else (2, 1, 5)
    count, boxes = rest[axis - 1], rest[other - 1]
    if not isinstance(count, int) or count <= first or (isinstance(boxes, int) and count > boxes):
        form = f"(batch, {first} + classes, boxes)" if anchor_free else f"(batch, boxes, {first} + classes)"
        raise ModelError(f"{value.name!r} is {described(value)}, not {form}", at=model.label,
                         try_="another version, or put a Transpose behind the model")
    dtype, code = floating(model, value), int(value.dtype)      # type: ignore[arg-type]
    writer = Writer("yolo", model)
    x = writer.input(str(value.name), code, [batch, *rest])
    number = _class_count(model, count - first, classes)
    sizes = [2, 2, *([] if anchor_free else [1]), number, *([count - first - number] if number < count - first else [])]
    centre, size, *others = writer.split(x, sizes, axis)
    half = writer.node("Mul", size, writer.constant(0.5, dtype))
    corners = writer.node("Concat", writer.node("Sub", centre, half), writer.node("Add", centre, half), axis=axis)
    scores = others[0] if anchor_free else writer.node("Mul", others[0], others[1])
    if anchor_free:
        corners, scores = (writer.node("Transpose", t, perm=[0, 2, 1]) for t in (corners, scores))
    writer.output(corners, "boxes", code, [batch, boxes, 4])
    writer.output(scores, "scores", code, [batch, boxes, number])
    return writer.model()


def _class_count(model: Model, most: int, classes: int | None) -> int:
    if classes is not None and not 1 <= classes <= most:
        raise ModelError(f"the output has room for {most} classes, not for {classes}", at=model.label)
    return classes or most


def _heads(model: Model, values: list[onnx_ir.Value], anchors: Anchors, classes: int | None,
           image: tuple[int, int] | None) -> Model:
    """xy = (2 σ(t) − ½ + cell) · stride, wh = (2 σ(t))² · anchor, score = σ(objectness) · σ(class)"""
    image = image or _image_size(model)
    if len(values) != len(anchors):
        raise ModelError(f"{len(anchors)} sets of anchors for {len(values)} outputs", at=model.label,
                         try_="anchors=..., one set for each head, or output=[...] with the names of the heads")
    dtype, code = floating(model, values[0]), int(values[0].dtype)  # type: ignore[arg-type]
    writer = Writer("yolo", model)
    shapes = [_head(model, v, len(a)) for v, a in zip(_finest_first(model, values), anchors, strict=True)]
    all_boxes, all_scores, boxes, number = [], [], 0, 0
    for value, (_, height, width, count), sizes in zip(_finest_first(model, values), shapes, anchors, strict=True):
        x = writer.input(str(value.name), code, shape_of(model, value))
        per = len(sizes)
        if len(value.shape or ()) == 4:
            x = writer.node("Reshape", x, writer.constant([0, per, count, height, width]))
            x = writer.node("Transpose", x, perm=[0, 1, 3, 4, 2])
        number = _class_count(model, count - 5, classes)
        parts = [2, 2, 1, number, *([count - 5 - number] if number < count - 5 else [])]
        xy, wh, objectness, scores = writer.split(writer.node("Sigmoid", x), parts, 4)[:4]
        stride = np.array([image[1] / width, image[0] / height])
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)[None, None]      # (1, 1, H, W, 2): x, y
        two = writer.constant(2, dtype)
        centre = writer.node("Add", writer.node("Mul", xy, writer.constant(2 * stride, dtype)),
                             writer.constant((grid - 0.5) * stride, dtype))
        double = writer.node("Mul", wh, two)
        half = writer.node("Mul", writer.node("Mul", double, double),
                           writer.constant(np.asarray(sizes, np.float64)[None, :, None, None] / 2, dtype))
        corners = writer.node("Concat", writer.node("Sub", centre, half), writer.node("Add", centre, half), axis=4)
        boxes += (here := per * height * width)
        all_boxes.append(writer.node("Reshape", corners, writer.constant([0, here, 4])))
        all_scores.append(writer.node("Reshape", writer.node("Mul", objectness, scores),
                                      writer.constant([0, here, number])))
    batch = shapes[0][0]
    writer.output(writer.node("Concat", *all_boxes, axis=1), "boxes", code, [batch, boxes, 4])
    writer.output(writer.node("Concat", *all_scores, axis=1), "scores", code, [batch, boxes, number])
    return writer.model()


def _finest_first(model: Model, values: list[onnx_ir.Value]) -> list[onnx_ir.Value]:
    def height(value: onnx_ir.Value) -> int:
        shape = shape_of(model, value, 4, 5)
        return -shape[2] if isinstance(shape[2], int) else 0
    return sorted(values, key=height)


def _head(model: Model, value: onnx_ir.Value, anchors: int) -> tuple[Any, int, int, int]:
    """batch, height, width, 5 + classes"""
    shape = shape_of(model, value, 4, 5)
    batch, height, width = shape[0], shape[2], shape[3]
    last, parts = (shape[4], 1) if len(shape) == 5 else (shape[1], anchors)
    count = last // parts if isinstance(last, int) else 0
    fits = shape[1] == anchors if len(shape) == 5 else shape[1] == anchors * count
    if not fits or not (isinstance(height, int) and isinstance(width, int)) or count <= 5:
        raise ModelError(f"{value.name!r} is {described(value)}, not a head of {anchors} anchors with fixed height and "
                         "width", at=model.label)
    return batch, height, width, count


def _image_size(model: Model) -> tuple[int, int]:
    for value in model.inputs:
        shape = value.shape
        if shape is not None and len(shape) == 4 and isinstance(shape[2], int) and isinstance(shape[3], int):
            return (shape[2], shape[3]) if shape[1] in (1, 3, 4) else (int(shape[1]), shape[2])  # type: ignore[arg-type]
    raise ModelError("the size of the image is not known from the model's inputs", at=model.label,
                     try_="image=(height, width)")


def _end_to_end(model: Model, value: onnx_ir.Value, score: float) -> Model:
    import onnx

    batch, count, fields = shape_of(model, value, 3)
    if fields != 6 or not isinstance(count, int):
        raise ModelError(f"{value.name!r} is {described(value)}, not (batch, detections, 6)", at=model.label)
    floating(model, value)
    writer = Writer("yolo", model)
    x = writer.input(str(value.name), int(value.dtype), [batch, count, 6])      # type: ignore[arg-type]
    x = writer.cast(x, onnx.TensorProto.FLOAT)
    corners, scores, classes = writer.split(x, [4, 1, 1], 2)
    flat = writer.node("Squeeze", scores, writer.constant([2]))
    lowest = writer.constant(np.finfo(np.float32).min, np.float32)
    kept = writer.node("Greater", flat, writer.constant(score, np.float32))
    rated = writer.node("Where", kept, flat, lowest)
    best, order = writer.nodes_of("TopK", [rated, writer.constant([count])], 2, axis=1)
    place = writer.node("Unsqueeze", order, writer.constant([2]))
    corners = writer.node("GatherND", corners, place, batch_dims=1)
    classes = writer.node("GatherND", writer.node("Squeeze", classes, writer.constant([2])), place, batch_dims=1)
    detections(writer, batch, count, best, corners, classes, lowest)
    return writer.model()
