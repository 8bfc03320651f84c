"""EfficientNMS: non-maximum suppression over all classes of an image together, with box decoding and sigmoid inside.

Source: plugins EfficientNMS_TRT, EfficientNMS_ONNX_TRT, EfficientNMS_Explicit_TF_TRT and EfficientNMS_Implicit_TF_TRT,
version 1 each, of github.com/NVIDIA/TensorRT. What their documentation leaves open is settled so:

- Candidates with equal scores stand in the order of the input, box by box, class by class.
- The 5000 best candidates of an image are looked at.
- What is below the threshold, or of the background class, never comes out, however low the threshold.
- float16 is computed in float32, and rounded at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dims import minimum
from ...dtypes import DType
from ...ir import TensorType
from ...ops.suppression import Detections, best_first, ordered, overlap, rank_within, sigmoid, survivors, wide
from .rules import FLOAT, INT, agree, at_least, default, dims_are, floating, library, one_of, ranks

#: Candidates of an image that are looked at, after sorting by score.
CANDIDATES = 5000


@dataclass(frozen=True)
class Rules:
    """What a member of the family asks for.

    score, iou    keep a candidate whose score is ≥ score; drop it when its overlap with a better one is ≥ iou
    limit         detections per image
    per_class     detections per image and class; None: no limit
    background    class that is never detected; -1: none
    activate      scores are logits: compare and return their sigmoid
    agnostic      boxes of all classes suppress each other
    centered      boxes and anchors are (a, b, da, db) with a center and sizes, not two corners
    """

    score: float
    iou: float
    limit: int
    per_class: int | None = None
    background: int = -1
    activate: bool = False
    agnostic: bool = False
    centered: bool = False


def detect(boxes: np.ndarray, scores: np.ndarray, anchors: np.ndarray | None, rules: Rules) -> Detections:
    """boxes (N, B, 4), (N, B, 1, 4) or (N, B, C, 4); scores (N, B, C) or (N, B, C, 1); anchors (1 or N, B, 4)."""
    images, number, classes = scores.shape[:3]
    boxes = boxes.reshape(images, number, -1, 4)
    flat = scores.reshape(images, number * classes)
    chosen = flat >= np.asarray(_threshold(rules), flat.dtype)
    if 0 <= rules.background < classes:
        chosen[:, rules.background::classes] = False
    image, element = np.nonzero(chosen)
    score = wide(flat[image, element])
    order = best_first(score, image)
    image, element, score = image[order], element[order], score[order]
    few = rank_within(image) < CANDIDATES
    image, element, score = image[few], element[few], score[few]
    box, kind = np.divmod(element, classes)

    corners = wide(boxes[image, box, kind if boxes.shape[2] > 1 else 0])
    if anchors is not None:
        corners = _applied(corners, wide(anchors[image if anchors.shape[0] > 1 else 0, box]), rules.centered)
    if rules.centered:
        middle, half = corners[:, :2], corners[:, 2:] * np.float32(0.5)
        corners = np.concatenate([middle - half, middle + half], 1)

    group = image if rules.agnostic else image * classes + kind
    by_group = np.argsort(group, kind="stable")
    limit = rules.limit if rules.per_class is None else min(rules.limit, rules.per_class)
    threshold = np.float32(rules.iou)
    keep = np.zeros(image.size, bool)
    keep[by_group] = survivors(ordered(corners)[by_group], group[by_group],
                               lambda a, b: overlap(a, b) >= threshold, limit)
    place = rank_within(image[keep])
    taken = np.flatnonzero(keep)[place < rules.limit]
    score = sigmoid(score[taken]) if rules.activate else score[taken]
    return Detections(image[taken], place[place < rules.limit], box[taken], kind[taken], score, corners[taken])


def _threshold(rules: Rules) -> float:
    """The score threshold, before the sigmoid where there is one."""
    t = rules.score
    if not rules.activate:
        return t
    return -32768.0 if t <= 0 else np.inf if t >= 1 else float(np.log(t / (1 - t)))


def _applied(raw: np.ndarray, anchor: np.ndarray, centered: bool) -> np.ndarray:
    """Predictions decoded with their anchors, in the same coding."""
    if not centered:
        return ordered(raw) + ordered(anchor)
    return np.concatenate([raw[:, :2] * anchor[:, 2:] + anchor[:, :2], anchor[:, 2:] * np.exp(raw[:, 2:])], 1)


def tabulated(found: Detections, images: int, limit: int, dtype: np.dtype, clip: bool) -> tuple[np.ndarray, ...]:
    """num_detections int32 (N, 1); boxes (N, limit, 4), scores (N, limit), classes int32 (N, limit): 0 beyond them."""
    count = np.bincount(found.image, minlength=images).astype(np.int32).reshape(images, 1)
    boxes, scores = np.zeros((images, limit, 4), dtype), np.zeros((images, limit), dtype)
    kinds = np.zeros((images, limit), np.int32)
    at = found.image, found.place
    boxes[at] = np.clip(found.corners, 0, 1) if clip else found.corners
    scores[at], kinds[at] = found.score, found.kind
    return count, boxes, scores, kinds


def efficient_nms(boxes: np.ndarray, scores: np.ndarray, anchors: np.ndarray | None = None, *, score_threshold: float,
                  iou_threshold: float, max_output_boxes: int, background_class: int, score_activation: int,
                  box_coding: int, class_agnostic: int = 0) -> tuple[np.ndarray, ...]:
    """boxes (N, B, 4), (N, B, 1, 4) or (N, B, C, 4), scores (N, B, C), anchors (1 or N, B, 4) or none → num_detections
    int32 (N, 1), boxes (N, max_output_boxes, 4) as two corners, scores and int32 classes (N, max_output_boxes).

    box_coding   0: two corners; anchors are added to them. 1: center and sizes, in units of the anchors'
    """
    rules = Rules(score_threshold, iou_threshold, max_output_boxes, None, background_class, bool(score_activation),
                  bool(class_agnostic), box_coding == 1)
    return tabulated(detect(boxes, scores, anchors, rules), len(scores), max_output_boxes, boxes.dtype, False)


def efficient_nms_onnx(boxes: np.ndarray, scores: np.ndarray, *, score_threshold: float, iou_threshold: float,
                       max_output_boxes_per_class: int, center_point_box: int) -> np.ndarray:
    """Rows (image, class, box), the last repeated up to the size of the output; all -1 when there is none."""
    limit = max_output_boxes_per_class
    rules = Rules(score_threshold, iou_threshold, limit, limit, centered=center_point_box == 1)
    found = detect(boxes, scores, None, rules)
    rows = np.stack([found.image, found.kind, found.box], 1).astype(np.int32)
    result = np.full((len(scores) * limit, 3), -1, np.int32)
    result[: len(rows)] = rows
    if len(rows):
        result[len(rows):] = rows[-1]
    return result


def efficient_nms_tf(boxes: np.ndarray, scores: np.ndarray, *, max_output_size_per_class: int, max_total_size: int,
                     iou_threshold: float, score_threshold: float, pad_per_class: int, clip_boxes: int,
                     ) -> tuple[np.ndarray, ...]:
    """boxes (N, B, 1 or C, 4) as two corners, scores (N, B, C) → as EfficientNMS_TRT, max_total_size rows per image.

    pad_per_class   no more rows than max_output_size_per_class for each class
    """
    limit = max_total_size
    if pad_per_class and max_output_size_per_class > 0:         # no more rows than all classes can fill
        limit = min(limit, max_output_size_per_class * scores.shape[2])
    per_class = None if max_output_size_per_class < 0 else max_output_size_per_class
    found = detect(boxes, scores, None, Rules(score_threshold, iou_threshold, limit, per_class))
    return tabulated(found, len(scores), limit, boxes.dtype, bool(clip_boxes))


def _shapes(boxes: TensorType, scores: TensorType, anchors: TensorType | None = None) -> None:
    floating("boxes, scores and anchors", *(t for t in (boxes, scores, anchors) if t is not None))
    ranks("boxes", boxes, 3, 4)
    ranks("scores", scores, 3, 4)
    N, B, C = scores.shape[:3]
    dims_are("scores", scores, N, B, C, *(1,) * (len(scores.shape) - 3))
    if len(boxes.shape) == 3:
        dims_are("boxes", boxes, N, B, 4)
    else:
        dims_are("boxes", boxes, N, B, None, 4)
        if boxes.shape[2] != 1:
            agree("classes of boxes and scores", boxes.shape[2], C)
    if anchors is not None:
        dims_are("anchors", anchors, None if anchors.shape[0] == 1 else N, B, 4)


def _table(images: Any, limit: Any, dtype: DType) -> tuple[TensorType, ...]:
    return (TensorType((images, 1), DType.int32), TensorType((images, limit, 4), dtype),
            TensorType((images, limit), dtype), TensorType((images, limit), DType.int32))


def efficient_nms_types(boxes: TensorType, scores: TensorType, anchors: TensorType | None = None, *,
                        score_threshold: float, iou_threshold: float, max_output_boxes: int, score_activation: int,
                        class_agnostic: int, box_coding: int, **_: Any) -> tuple[TensorType, ...]:
    at_least("score_threshold", score_threshold, 0)
    at_least("iou_threshold", iou_threshold, 0)
    at_least("max_output_boxes", max_output_boxes, 1)
    for name, value in (("score_activation", score_activation), ("class_agnostic", class_agnostic),
                        ("box_coding", box_coding)):
        one_of(name, value, 0, 1)
    _shapes(boxes, scores, anchors)
    return _table(scores.shape[0], max_output_boxes, boxes.dtype)


def efficient_nms_onnx_types(boxes: TensorType, scores: TensorType, *, max_output_boxes_per_class: int,
                             center_point_box: int, **_: Any) -> TensorType:
    at_least("max_output_boxes_per_class", max_output_boxes_per_class, 1)
    one_of("center_point_box", center_point_box, 0, 1)
    _shapes(boxes, scores)
    return TensorType((scores.shape[0] * max_output_boxes_per_class, 3), DType.int32)


def efficient_nms_tf_types(boxes: TensorType, scores: TensorType, *, max_output_size_per_class: int,
                           max_total_size: int, pad_per_class: int, **_: Any) -> tuple[TensorType, ...]:
    at_least("max_total_size", max_total_size, 1)
    _shapes(boxes, scores)
    limit: Any = max_total_size
    if pad_per_class and max_output_size_per_class > 0:
        limit = minimum(max_total_size, max_output_size_per_class * scores.shape[2])
    return _table(scores.shape[0], limit, boxes.dtype)


def _implicit(*inputs: np.ndarray, **attributes: Any) -> tuple[np.ndarray, ...]:
    """EfficientNMS_Implicit_TF_TRT: as the explicit one, with the number of detections as int32 (N,)."""
    count, *others = efficient_nms_tf(*inputs, **attributes)
    return count[:, 0], *others


def _implicit_types(*inputs: TensorType, **attributes: Any) -> tuple[TensorType, ...]:
    count, *others = efficient_nms_tf_types(*inputs, **attributes)
    return TensorType(count.shape[:1], DType.int32), *others


library("EfficientNMS_TRT", efficient_nms, efficient_nms_types, {
    "score_threshold": FLOAT, "iou_threshold": FLOAT, "max_output_boxes": INT, "background_class": INT,
    "score_activation": INT, "class_agnostic": default(0), "box_coding": INT}, (2, 3))
library("EfficientNMS_ONNX_TRT", efficient_nms_onnx, efficient_nms_onnx_types, {
    "score_threshold": default(0.5), "iou_threshold": default(0.5), "max_output_boxes_per_class": INT,
    "center_point_box": default(0)}, (2, 2))
_TF = {"max_output_size_per_class": default(-1), "max_total_size": default(100), "iou_threshold": default(0.5),
       "score_threshold": default(0.5), "pad_per_class": default(0), "clip_boxes": default(0)}
library("EfficientNMS_Explicit_TF_TRT", efficient_nms_tf, efficient_nms_tf_types, _TF, (2, 2))
library("EfficientNMS_Implicit_TF_TRT", _implicit, _implicit_types, _TF, (2, 2))
