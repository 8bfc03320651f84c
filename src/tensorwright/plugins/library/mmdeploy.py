"""OpenMMLab's operators, as MMDeploy exports them for TensorRT.

Source: plugins TRTBatchedNMS, MMCVRoiAlign, MMCVMultiLevelRoiAlign, MMCVModulatedDeformConv2d, MMCVDeformConv2d,
MMCVMultiScaleDeformableAttention, TRTInstanceNormalization, grid_sampler, GatherTopk, GridPriorsTRT and
TRTBicubicInterpolate, version 1 each, of github.com/open-mmlab/mmdeploy.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ...dtypes import DType
from ...errors import InputError
from ...ir import TensorType
from ...ops.sampling import highest, mean, region
from ..attributes import Attribute
from ..graph import Tensor, ops
from .classic_nms import collides, select
from .deformable import (
    deformable_attention,
    deformable_attention_types,
    modulated_deform_conv,
    modulated_deform_conv_types,
)
from .expressions import expression, ramp, size
from .rules import (
    FLOAT,
    FLOATS,
    INT,
    agree,
    at_least,
    default,
    dims_are,
    floating,
    length,
    library,
    one_of,
    ranks,
    whole,
)


def batched_nms(boxes: np.ndarray, scores: np.ndarray, *, background_label_id: int, num_classes: int, topk: int,
                keep_topk: int, score_threshold: float, iou_threshold: float, is_normalized: int, clip_boxes: int,
                return_index: int) -> tuple[np.ndarray, ...]:
    """boxes (N, B, 1 or C, 4), scores (N, B, C) → (N, keep_topk, 5) of (x1, y1, x2, y2, score), classes int32
    (N, keep_topk), and with return_index the boxes' indices int32 (N, keep_topk); class and index -1: none.

    topk    as many of each class are looked at; not from 1 to B: all of them
    """
    N, B, shared = len(boxes), boxes.shape[1], boxes.shape[2] == 1
    top = topk if 0 < topk <= B else B
    found = select(boxes, scores, score=score_threshold, background=background_label_id, top=top, keep_top=keep_topk,
                   test=collides(iou_threshold, True, True))
    rows, kinds, index = np.zeros((N, keep_topk, 5), np.float32), *(np.full((N, keep_topk), -1, np.int32) for _ in "ki")
    at = found.image, found.place
    rows[(*at, slice(4))] = np.clip(found.corners, 0, 1) if clip_boxes else found.corners
    rows[(*at, 4)], kinds[at] = found.score, found.kind
    index[at] = found.box if shared else found.kind * B + found.box
    return (rows, kinds, index) if return_index else (rows, kinds)


def batched_nms_types(boxes: TensorType, scores: TensorType, *, num_classes: int, keep_topk: int, return_index: int,
                      **_: Any) -> tuple[TensorType, ...]:
    at_least("num_classes", num_classes, 1)
    at_least("keep_topk", keep_topk, 1)
    one_of("return_index", return_index, 0, 1)
    float32("boxes and scores", boxes, scores)
    ranks("boxes", boxes, 4)
    N, B = boxes.shape[:2]
    dims_are("boxes", boxes, N, B, 1 if boxes.shape[2] == 1 else num_classes, 4)
    dims_are("scores", scores, N, B, num_classes)
    whole_rows = TensorType((N, keep_topk), DType.int32)
    return TensorType((N, keep_topk, 5), DType.float32), *([whole_rows] * (1 + return_index))


def float32(what: str, *types: TensorType) -> None:
    floating(what, TensorType((), DType.float32), *types)


def roi_align(x: np.ndarray, rois: np.ndarray, *, output_height: int, output_width: int, spatial_scale: float,
              sampling_ratio: int, mode: str, aligned: int) -> np.ndarray:
    """x (N, C, H, W), rois (R, 5) of (image, x1, y1, x2, y2) → (R, C, output_height, output_width)."""
    return _regions(rois, [x] * len(rois), np.full(len(rois), spatial_scale), (output_height, output_width),
                    sampling_ratio, mode == "avg", bool(aligned))


def _regions(rois: np.ndarray, maps: list[np.ndarray], scales: np.ndarray, cells: tuple[int, int], ratio: int,
             average: bool, aligned: bool) -> np.ndarray:
    """Each region from its own map; of one without a sample 0."""
    boxes = rois[:, 1:] * scales.astype(np.float32)[:, None] - np.float32(0.5 if aligned else 0)
    if not aligned:
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    result = np.zeros((len(rois), maps[0].shape[1] if maps else 0, *cells), np.float32)
    for r, image in enumerate(rois[:, 0].astype(int)):
        found = region(maps[r][image], boxes[r, [1, 0, 3, 2]], cells, ratio, mean if average else highest)
        if found is not None:
            result[r] = found
    return result


def roi_align_types(x: TensorType, rois: TensorType, *, output_height: int, output_width: int, sampling_ratio: int,
                    mode: str, aligned: int, spatial_scale: float) -> TensorType:
    one_of("mode", mode, "avg", "max")
    one_of("aligned", aligned, 0, 1)
    return _region_types(rois, (x,), output_height, output_width, sampling_ratio)


def _region_types(rois: TensorType, maps: tuple[TensorType, ...], height: int, width: int, ratio: int) -> TensorType:
    for name, value, low in (("output_height", height, 1), ("output_width", width, 1), ("sampling_ratio", ratio, 0)):
        at_least(name, value, low)
    float32("rois and maps", rois, *maps)
    dims_are("rois", rois, None, 5)
    for t in maps:
        ranks("a feature map", t, 4)
    agree("channels of the maps", *(t.shape[1] for t in maps))
    return TensorType((rois.shape[0], maps[0].shape[1], height, width), DType.float32)


def multilevel_roi_align(rois: np.ndarray, *maps: np.ndarray, output_height: int, output_width: int, pool_mode: int,
                         sampling_ratio: int, featmap_strides: tuple[float, ...], roi_scale_factor: float,
                         finest_scale: int, aligned: int) -> np.ndarray:
    """rois (R, 5) of (image, x1, y1, x2, y2), maps (N, C, H, W), finest first → (R, C, output_height, output_width).

    finest_scale      regions up to twice this size come from the first map, up to four times from the second, …
    roi_scale_factor  above 0: regions are made so much larger, after their map is chosen
    """
    sides = rois[:, 3:] - rois[:, 1:3]
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.floor(np.log2(np.sqrt(sides[:, 0] * sides[:, 1]) / np.float32(finest_scale) + np.float32(1e-6)))
    level = np.clip(np.nan_to_num(level, neginf=0), 0, len(maps) - 1).astype(int)
    if roi_scale_factor > 0:
        center = (rois[:, 1:3] + rois[:, 3:]) * np.float32(0.5)
        half = (sides + 1) * np.float32(roi_scale_factor * 0.5) - np.float32(0.5)
        rois = np.concatenate([rois[:, :1], center - half, center + half], 1)
    scales = 1 / np.array(featmap_strides, np.float32)[level]
    found = _regions(rois, [maps[k] for k in level], scales, (output_height, output_width), sampling_ratio,
                     pool_mode == 1, bool(aligned))
    return found if len(rois) else np.zeros((0, maps[0].shape[1], output_height, output_width), np.float32)


def multilevel_roi_align_types(rois: TensorType, *maps: TensorType, output_height: int, output_width: int,
                               pool_mode: int, sampling_ratio: int, featmap_strides: tuple[float, ...],
                               finest_scale: int, aligned: int, **_: Any) -> TensorType:
    one_of("pool_mode", pool_mode, 0, 1)
    one_of("aligned", aligned, 0, 1)
    at_least("finest_scale", finest_scale, 1)
    length("featmap_strides", featmap_strides, len(maps))
    return _region_types(rois, maps, output_height, output_width, sampling_ratio)


def modulated_conv(x: np.ndarray, offset: np.ndarray, mask: np.ndarray, weight: np.ndarray,
                   bias: np.ndarray | None = None, *, groups: int, deform_groups: int, **others: Any) -> np.ndarray:
    """As ModulatedDeformConv2d: x (N, C, H, W), offset, mask, weight (K, C/groups, R, S), bias (K,) → (N, K, P, Q)."""
    return modulated_deform_conv(x, offset, mask, weight, bias, group=groups, deformable_group=deform_groups, **others)


def modulated_conv_types(*inputs: TensorType, groups: int, deform_groups: int, **others: Any) -> TensorType:
    return modulated_deform_conv_types(*inputs, group=groups, deformable_group=deform_groups, **others)


def deform_conv(x: np.ndarray, offset: np.ndarray, weight: np.ndarray, *, groups: int, deform_groups: int,
                **others: Any) -> np.ndarray:
    """As MMCVModulatedDeformConv2d, without mask and bias."""
    mask = np.ones((len(x), offset.shape[1] // 2, *offset.shape[2:]), x.dtype)
    return modulated_deform_conv(x, offset, mask, weight, None, group=groups, deformable_group=deform_groups, **others)


def deform_conv_types(x: TensorType, offset: TensorType, weight: TensorType, *, groups: int, deform_groups: int,
                      **others: Any) -> TensorType:
    ranks("offset", offset, 4)
    mask = TensorType((offset.shape[0], offset.shape[1] // 2, *offset.shape[2:]), x.dtype)
    return modulated_deform_conv_types(x, offset, mask, weight, group=groups, deformable_group=deform_groups, **others)


def attention(*inputs: np.ndarray) -> np.ndarray:
    """As MultiscaleDeformableAttnPlugin_TRT, with the heads of a query as one row: (N, Q, M·D)."""
    y = deformable_attention(*inputs)
    return y.reshape(*y.shape[:2], -1)


def attention_types(*inputs: TensorType) -> TensorType:
    N, Q, M, D = deformable_attention_types(*inputs).shape
    return TensorType((N, Q, M * D), inputs[0].dtype)


def instance_norm(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float) -> Any:
    """x (N, C, …), scale and bias (C,) → x, each map of mean 0 and deviation 1, times scale, plus bias."""
    return ops.InstanceNormalization(x, scale, bias, epsilon=epsilon)


def instance_norm_types(x: TensorType, scale: TensorType, bias: TensorType, *, epsilon: float) -> TensorType:
    floating("inputs", x, scale, bias)
    ranks("x", x, 3, 4, 5)
    dims_are("scale", scale, x.shape[1])
    dims_are("bias", bias, x.shape[1])
    return x


#: Numbers of modes → ONNX's names.
MODES, BORDERS = ("linear", "nearest", "cubic"), ("zeros", "border", "reflection")


def grid_sampler(x: Tensor, grid: Tensor, *, interpolation_mode: int, padding_mode: int, align_corners: int) -> Any:
    """x (N, C, H, W), grid (N, P, Q, 2) of (x, y) from -1 to 1 → (N, C, P, Q); the same with a third spatial axis."""
    return ops.GridSample(x, grid, mode=MODES[interpolation_mode], padding_mode=BORDERS[padding_mode],
                          align_corners=align_corners)


def grid_sampler_types(x: TensorType, grid: TensorType, *, interpolation_mode: int, padding_mode: int,
                       align_corners: int) -> TensorType:
    one_of("interpolation_mode", interpolation_mode, 0, 1, *([2] if len(x.shape) == 4 else []))
    one_of("padding_mode", padding_mode, 0, 1, 2)
    one_of("align_corners", align_corners, 0, 1)
    floating("x and grid", x, grid)
    ranks("x", x, 4, 5)
    dims_are("grid", grid, x.shape[0], *(None,) * (len(x.shape) - 2), len(x.shape) - 2)
    return TensorType((*x.shape[:2], *grid.shape[1:-1]), x.dtype)


def gather_rows(x: Tensor, indices: Tensor) -> Any:
    """x (…, B, rest), indices int32 (…, K) → (…, K, rest): of each batch the rows that its indices name."""
    last = len(indices.shape) - 1
    places = ops.Unsqueeze(ops.Cast(indices, to=DType.int64), np.array([last + 1]))
    return ops.GatherND(x, places, batch_dims=last)


def gather_rows_types(x: TensorType, indices: TensorType) -> TensorType:
    whole("indices", indices)
    count = len(indices.shape)
    if not 1 <= count <= len(x.shape):
        raise InputError(f"indices are {indices}, x is {x}: they have 1 to {len(x.shape)} axes")
    for i in range(count - 1):
        agree(f"axis {i} of x and indices", x.shape[i], indices.shape[i])
    return TensorType((*indices.shape, *x.shape[count:]), x.dtype)


def grid_priors(anchors: Tensor, rows: Tensor, columns: Tensor, *, stride_h: int, stride_w: int) -> Any:
    """anchors (A, 4), and two tensors of which only the sizes H and W count → (H·W·A, 4): moved to each cell."""
    H, W = size(rows, 0), size(columns, 0)
    y, x = (ops.CastLike(ramp(n) * stride, anchors) for n, stride in ((H, stride_h), (W, stride_w)))
    y, x = ops.Reshape(y, np.array([-1, 1, 1, 1])), ops.Reshape(x, np.array([1, -1, 1, 1]))
    moved = ops.Concat(x + 0 * y, y + 0 * x, x + 0 * y, y + 0 * x, axis=3)                       # (H, W, 1, 4)
    return ops.Reshape(moved + anchors, np.array([-1, 4]))


def grid_priors_types(anchors: TensorType, rows: TensorType, columns: TensorType, *, stride_h: int, stride_w: int
                      ) -> TensorType:
    floating("anchors", anchors)
    dims_are("anchors", anchors, None, 4)
    if not rows.shape or not columns.shape:
        raise InputError(f"rows are {rows} and columns {columns}: their first sizes are those of the map")
    return TensorType((rows.shape[0] * columns.shape[0] * anchors.shape[0], 4), anchors.dtype)


def bicubic(x: Tensor, *, scale_factor: tuple[float, ...], align_corners: int) -> Any:
    """x (N, C, H, W) → (N, C, ⌊H·first⌋, ⌊W·second⌋), by cubic polynomials with the coefficient -0.75."""
    scales = np.array([1, 1, *scale_factor], np.float32)
    return ops.Resize(x, None, scales, mode="cubic", cubic_coeff_a=-0.75,
                      coordinate_transformation_mode="align_corners" if align_corners else "half_pixel")


def bicubic_types(x: TensorType, *, scale_factor: tuple[float, ...], align_corners: int) -> TensorType:
    one_of("align_corners", align_corners, 0, 1)
    length("scale_factor", scale_factor, 2)
    if min(scale_factor) <= 0:
        raise InputError(f"attribute 'scale_factor' is {scale_factor}; factors above 0 are needed")
    floating("x", x)
    ranks("x", x, 4)
    exact = [Fraction(float(np.float32(s))) for s in scale_factor]
    return TensorType((*x.shape[:2], *(d * f.numerator // f.denominator for d, f in zip(x.shape[2:], exact,
                                                                                     strict=True))), x.dtype)


_CONV = {"stride": default((1, 1)), "padding": default((0, 0)), "dilation": default((1, 1)), "groups": default(1),
         "deform_groups": default(1)}
library("TRTBatchedNMS", batched_nms, batched_nms_types, {
    "background_label_id": INT, "num_classes": INT, "topk": INT, "keep_topk": INT, "score_threshold": FLOAT,
    "iou_threshold": FLOAT, "is_normalized": default(1), "clip_boxes": default(1), "return_index": default(0)}, (2, 2))
library("MMCVRoiAlign", roi_align, roi_align_types, {
    "output_height": INT, "output_width": INT, "spatial_scale": FLOAT, "sampling_ratio": default(0),
    "mode": Attribute("str", "avg"), "aligned": default(1)}, (2, 2))
library("MMCVMultiLevelRoiAlign", multilevel_roi_align, multilevel_roi_align_types, {
    "output_height": INT, "output_width": INT, "pool_mode": INT, "sampling_ratio": default(0),
    "featmap_strides": FLOATS, "roi_scale_factor": default(-1.0), "finest_scale": INT, "aligned": default(1)},
    (2, None))
library("MMCVModulatedDeformConv2d", modulated_conv, modulated_conv_types, _CONV, (4, 5))
library("MMCVDeformConv2d", deform_conv, deform_conv_types, _CONV, (3, 3))
library("MMCVMultiScaleDeformableAttention", attention, attention_types, {}, (5, 5))
expression("TRTInstanceNormalization", instance_norm, instance_norm_types, {"epsilon": default(1e-5)}, (3, 3))
expression("grid_sampler", grid_sampler, grid_sampler_types, {
    "interpolation_mode": INT, "padding_mode": INT, "align_corners": INT}, (2, 2))
expression("GatherTopk", gather_rows, gather_rows_types, {}, (2, 2))
expression("GridPriorsTRT", grid_priors, grid_priors_types, {"stride_h": INT, "stride_w": INT}, (3, 3))
expression("TRTBicubicInterpolate", bicubic, bicubic_types, {"scale_factor": FLOATS, "align_corners": INT}, (1, 1))
