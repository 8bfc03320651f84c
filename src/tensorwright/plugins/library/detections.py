"""The second stage of Mask R-CNN: regions refined, and suppressed class by class.

Source: plugins DetectionLayer_TRT and GenerateDetection_TRT, version 1 each, of github.com/NVIDIA/TensorRT. A region is
of the class with the highest score, the first of equals; candidates with equal scores stand in the order of the input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InputError
from ...ir import TensorType
from ...ops.suppression import best_first, overlap, rank_within, survivors, wide
from .proposals import refined, refined_pixels
from .rules import FLOAT, INT, at_least, default, dims_are, floating, length, library

#: Detections whose score is not above this never come out.
LOWEST = np.float32(0.01)


def _detections(boxes: np.ndarray, kind: np.ndarray, score: np.ndarray, *, keep: int, least: float, iou: float
                ) -> np.ndarray:
    """boxes (N, R, 4), kind and score (N, R) → (N, keep, 6) of (y1, x1, y2, x2, class, score); class -1: none."""
    image, region = np.nonzero((kind > 0) & (score >= np.float32(least)))
    rating = score[image, region]
    order = np.lexsort((-rating, kind[image, region], image))
    image, region, rating = image[order], region[order], rating[order]
    group = image * (int(kind.max(initial=0)) + 1) + kind[image, region]
    found, threshold = boxes[image, region], np.float32(iou)
    kept = np.flatnonzero(survivors(found, group, lambda a, b: overlap(a, b) > threshold, keep) & (rating > LOWEST))
    kept = kept[best_first(rating[kept], image[kept])]
    place = rank_within(image[kept])
    kept, place = kept[place < keep], place[place < keep]
    result = np.zeros((len(boxes), keep, 6), np.float32)
    result[..., 4] = -1
    at = image[kept], place
    result[(*at, slice(4))], result[(*at, 4)], result[(*at, 5)] = found[kept], kind[image, region][kept], rating[kept]
    return result


def _chosen(deltas: np.ndarray, scores: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The class of each region from `first` on, its score, and its delta (N, R, 4)."""
    ratings = wide(scores[..., 0, 0])
    kind = ratings[..., first:].argmax(-1) + first
    score = np.take_along_axis(ratings, kind[..., None], -1)[..., 0]
    each = wide(deltas).reshape(*ratings.shape, 4)
    return kind, score, np.take_along_axis(each, kind[..., None, None], 2)[:, :, 0]


def detection_layer(deltas: np.ndarray, scores: np.ndarray, rois: np.ndarray, *, num_classes: int, keep_topk: int,
                    score_threshold: float, iou_threshold: float) -> np.ndarray:
    """deltas (N, R, 4·C, 1, 1), scores (N, R, C, 1, 1), rois (N, R, 4) from 0 to 1 → (N, keep_topk, 6)."""
    kind, score, delta = _chosen(deltas, scores, 0)
    boxes = refined(wide(rois), delta)
    return _detections(boxes, kind, score, keep=keep_topk, least=score_threshold, iou=iou_threshold)


def generate_detection(deltas: np.ndarray, scores: np.ndarray, rois: np.ndarray, *, num_classes: int, keep_topk: int,
                       score_threshold: float, iou_threshold: float, image_size: tuple[int, ...]) -> np.ndarray:
    """As detection_layer, with rois of pixels, and the background left out where a region's class is chosen."""
    kind, score, delta = _chosen(deltas, scores, 1)
    boxes = refined_pixels(wide(rois), delta, (10, 10, 5, 5), (image_size[1], image_size[2]))
    return _detections(boxes, kind, score, keep=keep_topk, least=score_threshold, iou=iou_threshold)


def detection_types(deltas: TensorType, scores: TensorType, rois: TensorType, *, num_classes: int, keep_topk: int,
                    score_threshold: float, iou_threshold: float, image_size: tuple[int, ...] = (3, 1, 1)
                    ) -> TensorType:
    if num_classes < 2:
        raise InputError(f"attribute 'num_classes' is {num_classes}: the background and a class at least are needed")
    at_least("keep_topk", keep_topk, 1)
    at_least("score_threshold", score_threshold, 0)
    length("image_size", image_size, 3)
    floating("deltas, scores and rois", deltas, scores, rois)
    dims_are("rois", rois, None, None, 4)
    dims_are("deltas", deltas, *rois.shape[:2], 4 * num_classes, 1, 1)
    dims_are("scores", scores, *rois.shape[:2], num_classes, 1, 1)
    return TensorType((rois.shape[0], keep_topk, 6), rois.dtype)


_DETECTION: dict[str, Any] = {"num_classes": INT, "keep_topk": INT, "score_threshold": FLOAT, "iou_threshold": FLOAT}
library("DetectionLayer_TRT", detection_layer, detection_types, _DETECTION, (3, 3))
library("GenerateDetection_TRT", generate_detection, detection_types,
        {**_DETECTION, "image_size": default((3, 832, 1344))}, (3, 3))
