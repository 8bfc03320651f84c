"""Non-maximum suppression of SSD: class by class, then the best of all classes.

Source: plugins BatchedNMS_TRT, BatchedNMSDynamic_TRT, NMS_TRT and NMSDynamic_TRT, version 1 each, of
github.com/NVIDIA/TensorRT. Candidates with equal scores stand in the order of the input, classes in theirs.
float16 is computed in float32, and rounded at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dims import product
from ...dtypes import DType
from ...errors import InputError, ShapeError
from ...ir import TensorType
from ...ops.suppression import Collides, Detections, area, best_first, ordered, rank_within, sigmoid, survivors, wide
from .rules import FLOAT, INT, agree, at_least, default, dims_are, floating, library, one_of, ranks


def collides(iou: float, normalized: bool, caffe: bool) -> Collides:
    """Whether ordered boxes overlap by more than iou.

    Of pixels (not normalized), a box is one wider and higher than its corners say; of an intersection that holds in
    Caffe only, where boxes that do not meet count as meeting in one pixel.
    """
    threshold, pixel = np.float32(iou), 0.0 if normalized else 1.0
    inside = np.float32(pixel if caffe else 0)

    def test(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
        sides = high - low
        apart = (sides[:, 0] < 0) | (sides[:, 1] < 0)
        common = np.maximum(sides[:, 0] + inside, 0) * np.maximum(sides[:, 1] + inside, 0)
        common[apart] = inside * inside
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = common / (area(a, pixel) + area(b, pixel) - common)
        return (common > 0) & (ratio > threshold)
    return test


def select(corners: np.ndarray, scores: np.ndarray, *, score: float, background: int, top: int, keep_top: int,
           test: Collides) -> Detections:
    """corners (N, B, 1 or C, 4), scores (N, B, C): the best `top` of a class suppress each other, `keep_top` stay."""
    classes = scores.shape[2]
    chosen = (scores > np.float32(score)).transpose(0, 2, 1).copy()                      # (N, C, B)
    if 0 <= background < classes:
        chosen[:, background] = False
    image, kind, box = np.nonzero(chosen)
    rating = scores[image, box, kind]
    group = image * classes + kind
    order = best_first(rating, group)
    order = order[rank_within(group[order]) < top]
    image, kind, box, rating, group = image[order], kind[order], box[order], rating[order], group[order]
    found = corners[image, box, kind if corners.shape[2] > 1 else 0]
    kept = np.flatnonzero(survivors(ordered(found), group, test, keep_top))
    kept = kept[best_first(rating[kept], image[kept])]
    place = rank_within(image[kept])
    kept, place = kept[place < keep_top], place[place < keep_top]
    return Detections(image[kept], place, box[kept], kind[kept], rating[kept], found[kept])


def batched_nms(boxes: np.ndarray, scores: np.ndarray, *, shareLocation: int, backgroundLabelId: int, numClasses: int,
                topK: int, keepTopK: int, scoreThreshold: float, iouThreshold: float, isNormalized: int = 1,
                clipBoxes: int = 1, scoreBits: int = 16, caffeSemantics: int = 1) -> tuple[np.ndarray, ...]:
    """num_detections int32 (N, 1); boxes (N, keepTopK, 4), scores and classes (N, keepTopK) of the boxes' type."""
    images, dtype = len(boxes), boxes.dtype
    found = select(wide(boxes), wide(scores.reshape(images, -1, numClasses)), score=scoreThreshold,
                   background=backgroundLabelId, top=topK, keep_top=keepTopK,
                   test=collides(iouThreshold, bool(isNormalized), bool(caffeSemantics)))
    count = np.bincount(found.image, minlength=images).astype(np.int32).reshape(images, 1)
    result = np.zeros((images, keepTopK, 4), dtype)
    rating, kinds = np.zeros((images, keepTopK), dtype), np.full((images, keepTopK), -1, dtype)
    at = found.image, found.place
    result[at] = np.clip(found.corners, 0, 1) if clipBoxes else found.corners
    rating[at], kinds[at] = found.score, found.kind
    return count, result, rating, kinds


def decoded(loc: np.ndarray, prior: np.ndarray, variance: np.ndarray, code: int) -> np.ndarray:
    """Corners (x1, y1, x2, y2) of predictions (N, B, L, 4) relative to priors (N or 1, B, 1, 4), two corners each.

    variance  of the priors' shape; 1 where it is part of the prediction
    code      0: offsets of the corners. 1: of the center, in sizes, and the sizes' logarithms. 2: of the corners, in
              sizes. 3: as 1, with y before x in the prediction
    """
    size = prior[..., 2:] - prior[..., :2]
    if code == 0:
        return prior + loc * variance
    if code == 2:
        return prior + loc * variance * np.concatenate([size, size], -1)
    if code == 3:
        loc = loc[..., [1, 0, 3, 2]]
    middle = (prior[..., :2] + prior[..., 2:]) / np.float32(2)
    center = loc[..., :2] * variance[..., :2] * size + middle
    half = np.exp(loc[..., 2:] * variance[..., 2:]) * size / np.float32(2)
    return np.concatenate([center - half, center + half], -1)


def ssd_nms(*inputs: np.ndarray, shareLocation: int, varianceEncodedInTarget: int, backgroundLabelId: int,
            numClasses: int, topK: int, keepTopK: int, confidenceThreshold: float, nmsThreshold: float,
            inputOrder: tuple[int, ...] = (0, 2, 1), confSigmoid: int = 0, isNormalized: int = 1, codeType: int = 3,
            scoreBits: int = 16, isBatchAgnostic: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """detections (N, 1, keepTopK, 7) of (image, class, score, x1, y1, x2, y2), and their number int32 (N, 1, 1, 1).

    Rows beyond the number are (image, -1, 0, 0, 0, 0, 0). Coordinates are clipped to 0 … 1.
    """
    dtype = inputs[0].dtype
    loc, conf, priors = (wide(inputs[i]) for i in inputOrder)
    images, locations = len(loc), 1 if shareLocation else numClasses
    loc = loc.reshape(images, -1, locations, 4)
    scores = conf.reshape(images, loc.shape[1], numClasses)
    if confSigmoid:
        scores = sigmoid(scores)
    priors = priors.reshape(len(priors), 2, loc.shape[1], 1, 4)
    if isBatchAgnostic:
        priors = priors[:1]
    prior, variance = priors[:, 0], priors[:, 1]
    if varianceEncodedInTarget and codeType != 3:
        variance = np.ones_like(variance)
    with np.errstate(over="ignore", invalid="ignore"):
        corners = decoded(loc, prior, variance, codeType)
    found = select(corners, scores, score=confidenceThreshold, background=backgroundLabelId, top=topK,
                   keep_top=keepTopK, test=collides(nmsThreshold, bool(isNormalized), True))
    rows = np.zeros((images, keepTopK, 7), dtype)
    rows[..., 0], rows[..., 1] = np.arange(images)[:, None], -1
    at = found.image, found.place
    rows[(*at, 1)], rows[(*at, 2)] = found.kind, found.score
    rows[(*at, slice(3, 7))] = np.clip(found.corners, 0, 1)
    count = np.bincount(found.image, minlength=images).astype(np.int32)
    return rows[:, None], count.reshape(images, 1, 1, 1)


def _check(topK: int, keepTopK: int, numClasses: int, scoreBits: int) -> None:
    at_least("numClasses", numClasses, 1)
    at_least("keepTopK", keepTopK, 1)
    if topK < keepTopK or topK > 4096:
        raise InputError(f"attribute 'topK' is {topK}; keepTopK, which is {keepTopK}, to 4096 are supported")
    if 0 < scoreBits <= 10:
        raise InputError(f"attribute 'scoreBits' is {scoreBits}: scores sorted by some of their bits are not supported",
                         try_="leave it out, or set it to 16: all bits count")


def batched_nms_types(boxes: TensorType, scores: TensorType, *, shareLocation: int, numClasses: int, topK: int,
                      keepTopK: int, scoreBits: int, **_: Any) -> tuple[TensorType, ...]:
    _check(topK, keepTopK, numClasses, scoreBits)
    floating("boxes and scores", boxes, scores)
    ranks("boxes", boxes, 4)
    ranks("scores", scores, 3, 4)
    N, B = boxes.shape[:2]
    dims_are("boxes", boxes, N, B, 1 if shareLocation else numClasses, 4)
    dims_are("scores", scores, N, B, numClasses, *(1,) * (len(scores.shape) - 3))
    rows = TensorType((N, keepTopK), boxes.dtype)
    return TensorType((N, 1), DType.int32), TensorType((N, keepTopK, 4), boxes.dtype), rows, rows


def batched_nms_static(*inputs: np.ndarray, **attributes: Any) -> tuple[np.ndarray, ...]:
    """BatchedNMS_TRT: as batched_nms, with the number of detections as int32 (N,)."""
    count, *others = batched_nms(*inputs, **attributes)
    return count[:, 0], *others


def batched_nms_static_types(*inputs: TensorType, **attributes: Any) -> tuple[TensorType, ...]:
    count, *others = batched_nms_types(*inputs, **attributes)
    return TensorType(count.shape[:1], DType.int32), *others


def ssd_nms_types(*inputs: TensorType, shareLocation: int, numClasses: int, topK: int, keepTopK: int, scoreBits: int,
                  inputOrder: tuple[int, ...], codeType: int, **_: Any) -> tuple[TensorType, ...]:
    _check(topK, keepTopK, numClasses, scoreBits)
    one_of("codeType", codeType, 0, 1, 2, 3)
    if sorted(inputOrder) != [0, 1, 2]:
        raise InputError(f"attribute 'inputOrder' is {inputOrder}; an order of 0, 1, 2 is needed")
    floating("inputs", *inputs)
    loc, conf, priors = (inputs[i] for i in inputOrder)
    for what, t in (("predicted boxes", loc), ("scores", conf), ("priors", priors)):
        if len(t.shape) < 2:
            raise ShapeError(f"{what} are {t}: they have a batch axis and at least one more")
    N = loc.shape[0]
    each = 4 * (1 if shareLocation else numClasses)
    numbers = [product(t.shape[1:]) for t in (loc, conf, priors)]
    for what, n, unit in zip(("predicted boxes", "scores", "priors"), numbers, (each, numClasses, 8), strict=True):
        if isinstance(n, int) and n % unit:
            raise ShapeError(f"{what}: {n} elements per image are no multiple of {unit}")
    agree("number of priors", *(n // unit for n, unit in zip(numbers, (each, numClasses, 8), strict=True)))
    return TensorType((N, 1, keepTopK, 7), loc.dtype), TensorType((N, 1, 1, 1), DType.int32)


_BATCHED = {"shareLocation": INT, "backgroundLabelId": INT, "numClasses": INT, "topK": INT, "keepTopK": INT,
            "scoreThreshold": FLOAT, "iouThreshold": FLOAT, "isNormalized": default(1), "clipBoxes": default(1),
            "scoreBits": default(16), "caffeSemantics": default(1)}
library("BatchedNMS_TRT", batched_nms_static, batched_nms_static_types, _BATCHED, (2, 2))
library("BatchedNMSDynamic_TRT", batched_nms, batched_nms_types, _BATCHED, (2, 2))

_SSD = {"shareLocation": INT, "varianceEncodedInTarget": INT, "backgroundLabelId": INT, "numClasses": INT, "topK": INT,
        "keepTopK": INT, "confidenceThreshold": FLOAT, "nmsThreshold": FLOAT, "inputOrder": default((0, 2, 1)),
        "confSigmoid": default(0), "isNormalized": default(1), "codeType": default(3), "scoreBits": default(16),
        "isBatchAgnostic": default(1)}
library("NMS_TRT", ssd_nms, ssd_nms_types, _SSD, (3, 3))
library("NMSDynamic_TRT", ssd_nms, ssd_nms_types, {**_SSD, "isBatchAgnostic": default(0)}, (3, 3))
