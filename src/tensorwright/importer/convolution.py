"""Convolutions: forward, transposed, and on integers."""

from __future__ import annotations

from ..dims import Dim
from ..dtypes import DType
from ..errors import ModelError, ShapeError
from ..ops import Convolution, ConvTranspose
from . import scalar
from .node import Node
from .registry import operator
from .values import Decline, Value
from .windows import per_axis, spatial_rank, stored_pads, window_of


def filter_size(n: Node, w: Value) -> tuple[int, ...]:
    """The window's extents: the filter's own, which kernel_shape may repeat."""
    size = w.shape[2:]
    if not all(isinstance(d, int) for d in size):
        raise Decline("the filter's size depends on the input shapes")
    if n.has("kernel_shape") and n.ints("kernel_shape") != size:
        raise ShapeError(f"kernel_shape is {n.ints('kernel_shape')}, the filter is {w.type}")
    return size  # type: ignore[return-value]


def convolve(n: Node, x: Value, w: Value, b: Value | None) -> Value:
    if w.rank != x.rank:
        raise ShapeError(f"filter {w.type} has rank {w.rank}, the input {x.rank}")
    spatial_rank(x)
    window = window_of(n, x, filter_size(n, w), 0.0)
    op = Convolution(window.strides, window.pads, window.dilations, n.integer("group", 1))
    return n.add(op, window.x, w, b)


@operator("Conv")
def conv(n: Node) -> Value:
    return convolve(n, n[0], n[1], n.optional(2))


def exact_type(terms: Dim, a: DType, b: DType) -> DType:
    """A floating-point type in which a sum of `terms` products of 8-bit integers is exact."""
    largest = (128 if a.is_signed else 255) * (128 if b.is_signed else 255)
    return DType.float32 if isinstance(terms, int) and 2 * largest * terms <= 1 << 24 else DType.float64


def centered(n: Node, x: Value, zero: Value | None, dtype: DType, axis: int | None = None) -> Value:
    """x − zero in dtype; zero is a scalar, or one number per index of an axis."""
    if zero is None or (zero.array is not None and not zero.array.any()):
        return n.cast(x, dtype)
    zero = along(n, zero, x.rank, axis)
    return n.pointwise(lambda e, z: scalar.sub(scalar.cast(e, dtype), scalar.cast(z, dtype)), x, zero)


def along(n: Node, v: Value, rank: int, axis: int | None) -> Value:
    """A vector laid along one axis of a tensor of some rank; scalars and one-element vectors become scalars."""
    if v.rank == 0 or axis is None or (v.rank == 1 and v.shape[0] == 1):
        return n.reshape(v, ()) if v.rank == 1 and v.shape[0] == 1 else v
    return n.reshape(v, [v.shape[0] if i == axis else 1 for i in range(rank)])


def convolve_integers(n: Node, x: Value, x_zero: Value | None, w: Value, w_zero: Value | None) -> Value:
    """Σ (x − x_zero)·(w − w_zero) as int32, computed in a floating-point type that holds every partial sum exactly."""
    terms: Dim = 1
    for d in w.shape[1:]:
        terms = terms * d
    kind = exact_type(terms, x.dtype, w.dtype)
    y = convolve(n, centered(n, x, x_zero, kind), centered(n, w, w_zero, kind, 0), None)
    return n.cast(y, DType.int32)


@operator("ConvInteger")
def conv_integer(n: Node) -> Value:
    return convolve_integers(n, n[0], n.optional(2), n[1], n.optional(3))


@operator("ConvTranspose")
def conv_transpose(n: Node) -> Value:
    """Padding comes from pads, from output_shape, or from auto_pad (output = input · stride)."""
    x, w, b = n[0], n[1], n.optional(2)
    spatial = spatial_rank(x)
    size = filter_size(n, w)
    strides, dilations = per_axis(n, "strides", spatial, 1), per_axis(n, "dilations", spatial, 1)
    extra = n.ints("output_padding", (0,) * spatial)
    if len(extra) != spatial or len(size) != spatial:
        raise ShapeError(f"output_padding {extra} and filter {w.type} do not fit {spatial} spatial axes")
    auto = n.text("auto_pad", "NOTSET")
    if auto == "VALID" and not n.has("output_shape"):
        pads: tuple[tuple[int, int], ...] = ((0, 0),) * spatial
    elif n.has("output_shape") or auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted: tuple[Dim, ...] = n.ints("output_shape", ()) or tuple(
            d * s for d, s in zip(x.shape[2:], strides, strict=True))
        wanted = wanted[-spatial:]
        if len(wanted) != spatial:
            raise ShapeError(f"output_shape {wanted} does not fit {spatial} spatial axes")
        found = []
        for d, out, s, r, dil, op in zip(x.shape[2:], wanted, strides, size, dilations, extra, strict=True):
            total = (d - 1) * s + op + (r - 1) * dil + 1 - out
            if not isinstance(total, int):
                raise Decline("the padding depends on the input's size")
            half = total // 2
            found.append((half, total - half) if auto == "SAME_UPPER" else (total - half, half))
        pads = tuple(found)
    elif auto in ("NOTSET", ""):
        pads = stored_pads(n, spatial)
    else:
        raise ModelError(f"auto_pad is {auto!r}", try_="NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    return n.add(ConvTranspose(strides, pads, dilations, n.integer("group", 1), extra), x, w, b)
