"""Regions proposed by the first stage of Faster R-CNN and Mask R-CNN.

Source: plugins ProposalLayer_TRT, MultilevelProposeROI_TRT, Proposal, ProposalDynamic and RPROI_TRT, version 1 each, of
github.com/NVIDIA/TensorRT. Candidates with equal scores stand in the order of the input; rows without a region are 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ...dims import product
from ...errors import InputError, ShapeError
from ...ir import TensorType
from ...ops.suppression import overlap, rank_within, survivors, wide
from .rules import FLOAT, FLOATS, INT, agree, at_least, default, dims_are, floating, length, library, ranks


def best(scores: np.ndarray, boxes: np.ndarray, *, before: int, after: int, iou: float, pixel: float = 0.0,
         score: float = -np.inf, above: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """scores (N, A), boxes (N, A, 4) → the best (N, after, 4), and their scores (N, after), after suppression.

    before   the candidates of an image that are looked at
    score    they have at least this score
    above    boxes that survive, but are not above it, do not come out
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :before]
    image = np.repeat(np.arange(len(scores)), order.shape[1])
    rating, found = scores[image, order.reshape(-1)], boxes[image, order.reshape(-1)]
    good = rating >= score
    image, rating, found = image[good], rating[good], found[good]
    threshold = np.float32(iou)
    keep = survivors(found, image, lambda a, b: overlap(a, b, pixel) > threshold, after)
    if above is not None:
        keep &= rating > np.float32(above)
    image, rating, found = image[keep], rating[keep], found[keep]
    place = rank_within(image)
    regions, ratings = np.zeros((len(scores), after, 4), np.float32), np.zeros((len(scores), after), np.float32)
    regions[image, place], ratings[image, place] = found, rating
    return regions, ratings


def refined(anchors: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """Boxes (y1, x1, y2, x2) from 0 to 1 moved by (dy, dx, log dh, log dw) of deviations 0.1 and 0.2, and clipped."""
    delta = delta * np.array([0.1, 0.1, 0.2, 0.2], np.float32)
    size = anchors[..., 2:] - anchors[..., :2]
    center = (anchors[..., :2] + anchors[..., 2:]) / np.float32(2) + delta[..., :2] * size
    with np.errstate(over="ignore"):
        size = size * np.exp(delta[..., 2:])
    low = center - np.float32(0.5) * size
    return np.clip(np.concatenate([low, low + size], -1), 0, 1)


def refined_pixels(anchors: np.ndarray, delta: np.ndarray, weights: tuple[float, ...], image: tuple[int, int]
                   ) -> np.ndarray:
    """The same for boxes of pixels, both corners inside; (dy, dx, log dh, log dw) are divided by weights."""
    delta = delta / np.array(weights, np.float32)
    size = anchors[..., 2:] - anchors[..., :2] + np.float32(1)
    center = anchors[..., :2] + size * np.float32(0.5) + delta[..., :2] * size
    size = np.exp(np.minimum(delta[..., 2:], np.float32(np.log(1000 / 16)))) * size
    low = center - np.float32(0.5) * size
    edge = np.array([*image, *image], np.float32) - 1
    return np.clip(np.concatenate([low, low + size - 1], -1), 0, edge)


def _grid(height: int, width: int, stride: int, start: int, sides: np.ndarray) -> np.ndarray:
    """Centers (y, x) of a grid, and sides (h, w) of the anchors there: each (rows · columns · anchors, 2)."""
    y, x = np.meshgrid(np.arange(start, height, stride), np.arange(start, width, stride), indexing="ij")
    center = np.stack([y, x], -1).reshape(-1, 1, 2).astype(np.float32)
    return np.stack(np.broadcast_arrays(center, sides[None]), 0).reshape(2, -1, 2)


@lru_cache(maxsize=8)
def mask_rcnn_anchors(height: int, width: int) -> np.ndarray:
    """(A, 4) from 0 to 1: five levels of strides 4 … 64, squares of 32 … 512 pixels, in shapes 1:2, 1:1 and 2:1."""
    parts = []
    for level in range(5):
        root = np.sqrt(np.array([0.5, 1, 2], np.float32))
        sides = np.float32(32 << level) * np.stack([1 / root, root], 1)
        center, size = _grid(height, width, 4 << level, 0, sides)
        parts.append(np.concatenate([center - size / 2, center + size / 2 - 1], 1))
    return np.concatenate(parts) / np.array([height - 1, width - 1] * 2, np.float32)


@lru_cache(maxsize=8)
def pyramid_anchors(height: int, width: int) -> tuple[np.ndarray, ...]:
    """Five arrays (A, 4) of pixels: eight strides wide, in shapes 1:1, 0.7:1.4 and 1.4:0.7 (height : width)."""
    parts = []
    for stride in (4, 8, 16, 32, 64):
        sides = np.float32(8 * stride) * np.array([[1, 1], [0.7, 1.4], [1.4, 0.7]], np.float32)
        center, size = _grid(height, width, stride, stride // 2, sides)
        parts.append(np.concatenate([center - size / 2, center + size / 2], 1))
    return tuple(parts)


def _check(before: int, keep_topk: int, most: int, image_size: tuple[int, ...]) -> None:
    if not 1 <= before <= most:
        raise InputError(f"attribute 'prenms_topk' is {before}; 1 to {most} are supported")
    at_least("keep_topk", keep_topk, 1)
    length("image_size", image_size, 3)
    if image_size[0] != 3 or min(image_size) < 2:
        raise InputError(f"attribute 'image_size' is {image_size}; three channels, height and width are needed")


def proposal_layer(scores: np.ndarray, deltas: np.ndarray, *, prenms_topk: int, keep_topk: int, iou_threshold: float,
                   image_size: tuple[int, ...]) -> np.ndarray:
    """scores (N, A, 2, 1) of background and object, deltas (N, A, 4, 1) → regions (N, keep_topk, 4) from 0 to 1."""
    boxes = refined(mask_rcnn_anchors(*image_size[1:]), wide(deltas[..., 0]))
    return best(wide(scores[:, :, 1, 0]), boxes, before=prenms_topk, after=keep_topk, iou=iou_threshold, score=0.0,
                above=0.01)[0]


def proposal_layer_types(scores: TensorType, deltas: TensorType, *, prenms_topk: int, keep_topk: int,
                         image_size: tuple[int, ...], iou_threshold: float) -> TensorType:
    _check(prenms_topk, keep_topk, 1024, image_size)
    floating("scores and deltas", scores, deltas)
    count = len(mask_rcnn_anchors(*image_size[1:]))
    dims_are("scores", scores, None, count, 2, 1)
    dims_are("deltas", deltas, scores.shape[0], count, 4, 1)
    return TensorType((scores.shape[0], keep_topk, 4), scores.dtype)


def multilevel_propose(*inputs: np.ndarray, prenms_topk: int, keep_topk: int, fg_threshold: float,
                       iou_threshold: float, image_size: tuple[int, ...]) -> np.ndarray:
    """Of five levels deltas (N, A, 4, 1) and scores (N, A, 1, 1) in turn → the best regions (N, keep_topk, 4)."""
    found = []
    for i, anchors in enumerate(pyramid_anchors(*image_size[1:])):
        boxes = refined_pixels(anchors, wide(inputs[2 * i][..., 0]), (1, 1, 1, 1), (image_size[1], image_size[2]))
        found.append(best(wide(inputs[2 * i + 1][:, :, 0, 0]), boxes, before=prenms_topk, after=keep_topk,
                          iou=iou_threshold, score=fg_threshold))
    regions, scores = (np.concatenate(parts, 1) for parts in zip(*found, strict=True))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :keep_topk]
    return np.take_along_axis(regions, order[..., None], 1)


def multilevel_propose_types(*inputs: TensorType, prenms_topk: int, keep_topk: int, image_size: tuple[int, ...],
                             **_: Any) -> TensorType:
    _check(prenms_topk, keep_topk, 4096, image_size)
    floating("deltas and scores", *inputs)
    for i, anchors in enumerate(pyramid_anchors(*image_size[1:])):
        dims_are(f"deltas of level {i}", inputs[2 * i], inputs[0].shape[0], len(anchors), 4, 1)
        dims_are(f"scores of level {i}", inputs[2 * i + 1], inputs[0].shape[0], len(anchors), 1, 1)
    return TensorType((inputs[0].shape[0], keep_topk, 4), inputs[0].dtype)


def proposal(scores: np.ndarray, deltas: np.ndarray, *, input_height: int, input_width: int, rpn_stride: int,
             roi_min_size: float, nms_iou_threshold: float, pre_nms_top_n: int, post_nms_top_n: int,
             anchor_sizes: tuple[float, ...], anchor_ratios: tuple[float, ...]) -> np.ndarray:
    """scores (N, A, H, W), deltas (N, 4·A, H, W) of (dx, dy, log dw, log dh) → (N, post_nms_top_n, 4, 1).

    Regions (y1, x1, y2, x2) are from 0 to 1. Anchors of size s and ratio r are s·r wide and s/r high.
    """
    N, A, H, W = scores.shape
    sizes, shapes = np.array(anchor_sizes, np.float32), np.array(anchor_ratios, np.float32)
    sides = np.stack([np.outer(sizes, shapes), np.outer(sizes, 1 / shapes)], -1).reshape(1, A, 1, 1, 2)
    center = np.stack(np.meshgrid((np.arange(W) + 0.5) * rpn_stride, (np.arange(H) + 0.5) * rpn_stride), -1)
    corners = _moved(center.astype(np.float32), sides, wide(deltas).reshape(N, A, 4, H, W))
    corners = np.clip(corners, 0, np.array([input_width - 1, input_height - 1] * 2, np.float32))
    small = (corners[..., 2:] - corners[..., :2] <= np.float32(roi_min_size)).any(-1)
    rating = np.where(small, -np.inf, wide(scores)).reshape(N, -1)
    regions, _ = best(rating, corners.reshape(N, -1, 4), before=pre_nms_top_n, after=post_nms_top_n,
                      iou=nms_iou_threshold, pixel=1.0)
    edge = np.array([input_height - 1, input_width - 1] * 2, np.float32)
    return (regions[..., [1, 0, 3, 2]] / edge)[..., None]


def _moved(center: np.ndarray, sides: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """center (H, W, 2) and sides (1, A, 1, 1, 2) as (x, y), delta (N, A, 4, H, W) → corners (N, A, H, W, 4)."""
    delta = np.moveaxis(delta, 2, -1)
    middle = center + sides * delta[..., :2]
    with np.errstate(over="ignore"):
        half = np.exp(delta[..., 2:]) * sides / np.float32(2)
    return np.concatenate([middle - half, middle + half], -1)


def proposal_types(scores: TensorType, deltas: TensorType, *, pre_nms_top_n: int, post_nms_top_n: int,
                   anchor_sizes: tuple[float, ...], anchor_ratios: tuple[float, ...], **_: Any) -> TensorType:
    at_least("pre_nms_top_n", pre_nms_top_n, 1)
    at_least("post_nms_top_n", post_nms_top_n, 1)
    floating("scores and deltas", scores, deltas)
    _maps(scores, deltas, 1, len(anchor_sizes) * len(anchor_ratios))
    return TensorType((scores.shape[0], post_nms_top_n, 4, 1), scores.dtype)


def _maps(scores: TensorType, deltas: TensorType, kinds: int, anchors: int) -> None:
    ranks("scores", scores, 4)
    N, _, H, W = scores.shape
    dims_are("scores", scores, N, kinds * anchors, H, W)
    dims_are("deltas", deltas, N, 4 * anchors, H, W)


def propose_and_pool(scores: np.ndarray, deltas: np.ndarray, maps: np.ndarray, info: np.ndarray, *, poolingH: int,
                     poolingW: int, featureStride: int, preNmsTop: int, nmsMaxOut: int, anchorsRatioCount: int,
                     anchorsScaleCount: int, iouThreshold: float, minBoxSize: float, spatialScale: float,
                     anchorsRatios: tuple[float, ...], anchorsScales: tuple[float, ...]
                     ) -> tuple[np.ndarray, np.ndarray]:
    """scores (N, 2·A, H, W), deltas (N, 4·A, H, W), maps (N, C, H, W), info of (height, width, scale) per image →
    regions (N, 1, nmsMaxOut, 4) of pixels (x1, y1, x2, y2), and pools (N, nmsMaxOut, C, poolingH, poolingW)."""
    N, _, H, W = scores.shape
    A, stride = anchorsRatioCount * anchorsScaleCount, np.float32(featureStride)
    ratios, scales = np.array(anchorsRatios, np.float32), np.array(anchorsScales, np.float32)
    across = _rounded(np.sqrt(stride * stride / ratios))
    sides = np.stack([np.outer(across, scales), np.outer(_rounded(across * ratios), scales)], -1)
    center = np.stack(np.meshgrid(np.arange(W) * stride, np.arange(H) * stride), -1) + (stride - 1) / 2
    corners = _moved(center.astype(np.float32), sides.reshape(1, A, 1, 1, 2).astype(np.float32),
                     wide(deltas).reshape(N, A, 4, H, W))
    height, width, scale = wide(info).reshape(N, 3).T.reshape(3, N, 1, 1, 1)
    corners = np.clip(corners, 0, np.stack([width - 1, height - 1] * 2, -1))
    small = (corners[..., 2:] - corners[..., :2] + 1 < (np.float32(minBoxSize) * scale)[..., None]).any(-1)
    rating = np.where(small, -np.inf, wide(scores).reshape(N, 2, A, H, W)[:, 1]).reshape(N, -1)
    regions, _ = best(rating, corners.reshape(N, -1, 4), before=preNmsTop, after=nmsMaxOut, iou=iouThreshold, pixel=1.0)
    pools = np.zeros((N, nmsMaxOut, maps.shape[1], poolingH, poolingW), maps.dtype)
    for n, r in np.ndindex(N, nmsMaxOut):
        cells = _rounded(regions[n, r] * np.float32(spatialScale)).astype(int)
        pools[n, r] = pooled(maps[n], cells, poolingH, poolingW)
    return regions[:, None], pools


def _rounded(x: np.ndarray) -> np.ndarray:
    """To the nearest whole number, halves away from zero."""
    return np.copysign(np.floor(np.abs(x) + np.float32(0.5)), x)


def pooled(image: np.ndarray, region: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The largest element of each cell of a region (x1, y1, x2, y2): image (C, H, W) → (C, rows, columns)."""
    x1, y1, x2, y2 = region
    part = _cells(image, 1, y1, max(y2 - y1 + 1, 1), rows)
    return _cells(part, 2, x1, max(x2 - x1 + 1, 1), columns)


def _cells(x: np.ndarray, axis: int, start: int, size: int, cells: int) -> np.ndarray:
    """The maximum over each of `cells` parts of an axis, which may share elements; 0 of parts without elements."""
    step, extent, parts = np.float32(size) / np.float32(cells), x.shape[axis], []
    for i in range(cells):
        low = min(max(int(np.floor(np.float32(i) * step)) + start, 0), extent)
        high = min(max(int(np.ceil(np.float32(i + 1) * step)) + start, 0), extent)
        empty = np.zeros([n for a, n in enumerate(x.shape) if a != axis], x.dtype)
        parts.append(x.take(range(low, high), axis).max(axis) if low < high else empty)
    return np.stack(parts, axis)


def propose_and_pool_types(scores: TensorType, deltas: TensorType, maps: TensorType, info: TensorType, *,
                           poolingH: int, poolingW: int, preNmsTop: int, nmsMaxOut: int, anchorsRatioCount: int,
                           anchorsScaleCount: int, anchorsRatios: tuple[float, ...], anchorsScales: tuple[float, ...],
                           **_: Any) -> tuple[TensorType, TensorType]:
    for name, value in (("poolingH", poolingH), ("poolingW", poolingW), ("preNmsTop", preNmsTop),
                        ("nmsMaxOut", nmsMaxOut)):
        at_least(name, value, 1)
    length("anchorsRatios", anchorsRatios, anchorsRatioCount)
    length("anchorsScales", anchorsScales, anchorsScaleCount)
    floating("inputs", scores, deltas, maps, info)
    _maps(scores, deltas, 2, anchorsRatioCount * anchorsScaleCount)
    ranks("feature maps", maps, 4)
    agree("batch", scores.shape[0], maps.shape[0], info.shape[0])
    per_image = product(info.shape[1:])
    if isinstance(per_image, int) and per_image != 3:
        raise ShapeError(f"image information is {info}: (height, width, scale) of each image is needed")
    N = scores.shape[0]
    return (TensorType((N, 1, nmsMaxOut, 4), scores.dtype),
            TensorType((N, nmsMaxOut, maps.shape[1], poolingH, poolingW), maps.dtype))


library("ProposalLayer_TRT", proposal_layer, proposal_layer_types, {
    "prenms_topk": INT, "keep_topk": INT, "iou_threshold": FLOAT, "image_size": default((3, 1024, 1024))}, (2, 2))
library("MultilevelProposeROI_TRT", multilevel_propose, multilevel_propose_types, {
    "prenms_topk": INT, "keep_topk": INT, "fg_threshold": FLOAT, "iou_threshold": FLOAT,
    "image_size": default((3, 832, 1344))}, (10, 10))
_PROPOSAL = {"input_height": INT, "input_width": INT, "rpn_stride": INT, "roi_min_size": FLOAT,
             "nms_iou_threshold": FLOAT, "pre_nms_top_n": INT, "post_nms_top_n": INT, "anchor_sizes": FLOATS,
             "anchor_ratios": FLOATS}
library("Proposal", proposal, proposal_types, _PROPOSAL, (2, 2))
library("ProposalDynamic", proposal, proposal_types, _PROPOSAL, (2, 2))
library("RPROI_TRT", propose_and_pool, propose_and_pool_types, {
    "poolingH": INT, "poolingW": INT, "featureStride": INT, "preNmsTop": INT, "nmsMaxOut": INT,
    "anchorsRatioCount": INT, "anchorsScaleCount": INT, "iouThreshold": FLOAT, "minBoxSize": FLOAT,
    "spatialScale": FLOAT, "anchorsRatios": FLOATS, "anchorsScales": FLOATS}, (4, 4))
