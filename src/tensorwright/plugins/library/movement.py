"""Elements moved, chosen and bounded: small plugins that are a few standard operators each.

Source: plugins Clip_TRT, LReLU_TRT, ResizeNearest_TRT, FlattenConcat_TRT, SpecialSlice_TRT, BatchTilePlugin_TRT,
CoordConvAC, Split, ScatterND and TopkLastDim (version 1 each), Reorg_TRT and ScatterElements (1 and 2) of
github.com/NVIDIA/TensorRT.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ...dims import product
from ...dtypes import DType
from ...errors import InputError, ShapeError, UnsupportedError
from ...ir import TensorType
from ..attributes import Attribute
from ..graph import Tensor, ops
from .expressions import divided, expression, ramp, shape, size
from .rules import FLOAT, INT, INTS, agree, at_least, default, dims_are, floating, one_of, ranks, whole


def clip(x: Tensor, *, clipMin: float, clipMax: float) -> Any:
    """x, no element below clipMin or above clipMax."""
    return np.minimum(np.maximum(x, clipMin), clipMax)


def clip_types(x: TensorType, *, clipMin: float, clipMax: float) -> TensorType:
    if clipMin > clipMax:
        raise InputError(f"attribute 'clipMin' is {clipMin}, which is above clipMax, {clipMax}")
    return x


def leaky_relu(x: Tensor, *, negSlope: float) -> Any:
    """x where it is positive, else x · negSlope."""
    return ops.LeakyRelu(x, alpha=negSlope)


def leaky_relu_types(x: TensorType, *, negSlope: float) -> TensorType:
    floating("x", x)
    return x


def resize_nearest(x: Tensor, *, scale: float) -> Any:
    """x (…, H, W) → (…, ⌊H·scale⌋, ⌊W·scale⌋): element (i, j) is that at (⌊i / scale⌋, ⌊j / scale⌋)."""
    scales = np.array([1] * (len(x.shape) - 2) + [scale, scale], np.float32)
    return ops.Resize(x, None, scales, mode="nearest", coordinate_transformation_mode="asymmetric",
                      nearest_mode="floor")


def resize_nearest_types(x: TensorType, *, scale: float) -> TensorType:
    floating("x", x)
    ranks("x", x, 3, 4)
    if not scale > 0:
        raise InputError(f"attribute 'scale' is {scale}; it is greater than 0")
    exact = Fraction(float(np.float32(scale)))
    return TensorType((*x.shape[:-2], *(d * exact.numerator // exact.denominator for d in x.shape[-2:])), x.dtype)


def flatten_concat(*inputs: Tensor, axis: int, ignoreBatch: int) -> Any:
    """Any number of (N, C, H, W), each as (N, C·H·W, 1, 1), one behind the other."""
    flat = [ops.Flatten(x, axis=1) for x in inputs]
    return ops.Unsqueeze(ops.Concat(*flat, axis=1), np.array([2, 3]))


def flatten_concat_types(*inputs: TensorType, axis: int, ignoreBatch: int) -> TensorType:
    one_of("axis", axis, 1)
    one_of("ignoreBatch", ignoreBatch, 0)
    floating("inputs", *inputs)
    agree("batch", *(t.shape[0] for t in inputs))
    total = sum((product(t.shape[1:]) for t in inputs[1:]), product(inputs[0].shape[1:]))
    return TensorType((inputs[0].shape[0], total, 1, 1), inputs[0].dtype)


def special_slice(x: Tensor) -> Any:
    """Detections (N, R, 6) of (y1, x1, y2, x2, class, score) → their boxes (N, R, 4)."""
    return ops.Slice(x, np.array([0]), np.array([4]), np.array([2]))


def special_slice_types(x: TensorType) -> TensorType:
    dims_are("x", x, None, None, 6)
    return TensorType((*x.shape[:2], 4), x.dtype)


def batch_tile(images: Tensor, x: Tensor) -> Any:
    """images (N, …) and x (1, C, H, W) → x N times, (N, C, H, W)."""
    return ops.Expand(x, shape(size(images, 0), 1, 1, 1))


def batch_tile_types(images: TensorType, x: TensorType) -> TensorType:
    dims_are("x", x, 1, None, None, None)
    if not images.shape:
        raise ShapeError(f"images are {images}: they have no batch axis")
    return TensorType((images.shape[0], *x.shape[1:]), x.dtype)


def coordinates(x: Tensor) -> Any:
    """x (N, C, H, W) → (N, C + 2, H, W): behind it the row and the column of each place, from −1 to 1."""
    N, _, H, W = (size(x, i) for i in range(4))
    maps = []
    for axis, extent in ((2, H), (3, W)):
        at = ops.CastLike(ramp(extent), x) * (ops.CastLike(np.array(2.0), x) / ops.CastLike(shape(extent) - 1, x)) - 1.0
        wide = ops.Reshape(at, np.array([-1 if a == axis else 1 for a in range(4)]))
        maps.append(ops.Expand(wide, shape(N, 1, H, W)))
    return ops.Concat(x, *maps, axis=1)


def coordinates_types(x: TensorType) -> TensorType:
    floating("x", x)
    ranks("x", x, 4)
    N, C, H, W = x.shape
    if 1 in (H, W):
        raise ShapeError(f"x is {x}: coordinates from −1 to 1 need two rows and columns at least")
    return TensorType((N, C + 2, H, W), x.dtype)


def split(x: Tensor, *, axis: int, output_lengths: tuple[int, ...]) -> Any:
    """x in parts of these lengths along an axis."""
    return ops.Split(x, np.array(output_lengths), axis=axis, outputs=len(output_lengths))


def split_types(x: TensorType, *, axis: int, output_lengths: tuple[int, ...]) -> tuple[TensorType, ...]:
    one_of("axis", axis, *range(-len(x.shape), len(x.shape)))
    if not output_lengths or min(output_lengths) < 1:
        raise InputError(f"attribute 'output_lengths' is {output_lengths}; at least one length, from 1 on, is needed")
    agree("elements of the axis, and the sum of output_lengths", x.shape[axis], sum(output_lengths))
    axis %= len(x.shape)
    return tuple(TensorType((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in output_lengths)


def reorg(x: Tensor, *, stride: int) -> Any:
    """x (N, C, H, W) → (N, C·s², H / s, W / s) in the order of darknet's reorg layer.

    The memory of an image counts as a map (C / s², H·s, W·s); its places (i, j) of each square of s·s become a channel.
    """
    C, H, W = (size(x, i) for i in (1, 2, 3))
    fine = ops.Reshape(x, shape(0, divided(C, stride ** 2), H, stride, W, stride))
    channels = ops.Transpose(fine, perm=[0, 3, 5, 1, 2, 4])
    return ops.Reshape(channels, shape(0, C * stride ** 2, divided(H, stride), divided(W, stride)))


def reorg_types(x: TensorType, *, stride: int) -> TensorType:
    at_least("stride", stride, 1)
    floating("x", x)
    ranks("x", x, 4)
    N, C, H, W = x.shape
    if not isinstance(C, int):
        raise UnsupportedError(f"x is {x}: the number of channels must be known")
    if C % stride ** 2 or any(isinstance(d, int) and d % stride for d in (H, W)):
        raise ShapeError(f"x is {x}: its channels are no multiple of {stride ** 2}, or its sides none of {stride}")
    return TensorType((N, C * stride ** 2, H // stride, W // stride), x.dtype)


def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor) -> Any:
    """x, with updates at the places that the last axis of indices names."""
    return ops.ScatterND(x, ops.Cast(indices, to=DType.int64), updates)


def scatter_nd_types(x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
    whole("indices", indices)
    last = indices.shape[-1] if indices.shape else 0
    if not isinstance(last, int) or not 1 <= last <= len(x.shape):
        raise ShapeError(f"indices are {indices}: their last axis names places in {x}")
    dims_are("updates", updates, *indices.shape[:-1], *x.shape[last:])
    return x


def scatter_elements(x: Tensor, indices: Tensor, updates: Tensor, *, axis: int, reduction: str) -> Any:
    """x, each update added to, multiplied with, or compared with the element that its index names along the axis."""
    return ops.ScatterElements(x, indices, updates, axis=axis, reduction=reduction)


def scatter_elements_types(x: TensorType, indices: TensorType, updates: TensorType, *, axis: int, reduction: str
                           ) -> TensorType:
    one_of("reduction", reduction, "add", "mul", "max", "min")
    one_of("axis", axis, *range(-len(x.shape), len(x.shape)))
    whole("indices", indices)
    ranks("indices", indices, len(x.shape))
    dims_are("updates", updates, *indices.shape)
    return x


def top_k(x: Tensor, *, k: int, is_largest: int, axis: int, type_id: int) -> Any:
    """The k largest (or smallest) elements of each row along the axis, best first, and their places as int32."""
    values, places = ops.TopK(x, np.array([k]), axis=axis, largest=is_largest, outputs=2)
    return values, ops.Cast(places, to=DType.int32)


#: type_id → element type.
KINDS = {0: DType.float32, 1: DType.float16, 3: DType.int32}


def top_k_types(x: TensorType, *, k: int, is_largest: int, axis: int, type_id: int) -> tuple[TensorType, TensorType]:
    one_of("type_id", type_id, *KINDS)
    one_of("is_largest", is_largest, 0, 1)
    one_of("axis", axis, *range(-len(x.shape), len(x.shape)))
    if x.dtype != KINDS[type_id]:
        raise InputError(f"attribute 'type_id' is {type_id}, {KINDS[type_id]}, and x is {x}")
    axis %= len(x.shape)
    extent = x.shape[axis]
    if k < 1 or (isinstance(extent, int) and k > extent):
        raise InputError(f"attribute 'k' is {k}; 1 to {extent} are supported")
    found = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return TensorType(found, x.dtype), TensorType(found, DType.int32)


expression("Clip_TRT", clip, clip_types, {"clipMin": FLOAT, "clipMax": FLOAT}, (1, 1))
expression("LReLU_TRT", leaky_relu, leaky_relu_types, {"negSlope": FLOAT}, (1, 1))
expression("ResizeNearest_TRT", resize_nearest, resize_nearest_types, {"scale": FLOAT}, (1, 1))
expression("FlattenConcat_TRT", flatten_concat, flatten_concat_types, {"axis": default(1), "ignoreBatch": default(0)},
           (1, None))
expression("SpecialSlice_TRT", special_slice, special_slice_types, {}, (1, 1))
expression("BatchTilePlugin_TRT", batch_tile, batch_tile_types, {}, (2, 2))
expression("CoordConvAC", coordinates, coordinates_types, {}, (1, 1))
expression("Split", split, split_types, {"axis": INT, "output_lengths": INTS}, (1, 1))
expression("Reorg_TRT", reorg, reorg_types, {"stride": INT}, (1, 1), "12")
expression("ScatterND", scatter_nd, scatter_nd_types, {}, (3, 3))
expression("ScatterElements", scatter_elements, scatter_elements_types, {
    "reduction": Attribute("str"), "axis": default(0)}, (3, 3), "12")
expression("TopkLastDim", top_k, top_k_types, {
    "type_id": INT, "k": INT, "is_largest": INT, "axis": default(-1)}, (1, 1))
