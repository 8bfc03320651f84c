"""Quantisation: to and from 8- and 16-bit integers, and the QLinear operators."""

from __future__ import annotations

from ..dtypes import DType
from ..errors import ShapeError
from ..ops.expr import Expr
from . import scalar
from .convolution import along, convolve_integers
from .host import dtype_of
from .matmul import multiply_integers
from .movement import expanded
from .node import Node
from .registry import operator
from .scalar import add, call, clamp, div, mul, sub
from .values import Decline, Value, axis_of

RANGES = {DType.int8: (-128, 127), DType.uint8: (0, 255), DType.int16: (-32768, 32767), DType.uint16: (0, 65535)}


def laid_out(n: Node, v: Value, x: Value, axis: int, block: int) -> Value:
    """Scales or zero points as x broadcasts them: one for all, one per index of an axis, or one per block along it."""
    if v.rank == 0 or (v.rank == 1 and v.shape[0] == 1) or (v.rank <= 1 and not block):
        return along(n, v, x.rank, axis)
    if v.rank != x.rank:
        raise ShapeError(f"scale {v.type} does not fit {x.type}")
    if not block:
        return v
    shape = list(v.shape)
    wide = n.reshape(v, [*shape[: axis + 1], 1, *shape[axis + 1:]])
    wide = expanded(n, wide, (*shape[: axis + 1], block, *shape[axis + 1:]))
    wide = n.reshape(wide, [*shape[:axis], shape[axis] * block, *shape[axis + 1:]])
    return n.take(wide, axis, 0, x.shape[axis])


def stored(e: Expr, zero: Expr | None, dtype: DType) -> Expr:
    """round(e) + zero, saturated to dtype; e is a floating-point expression"""
    low, high = RANGES[dtype]
    rounded = call("round", e)
    if zero is not None:
        rounded = add(rounded, scalar.cast(zero, e.dtype))
    return scalar.cast(clamp(rounded, float(low), float(high)), dtype)


@operator("QuantizeLinear")
def quantize_linear(n: Node) -> Value:
    x, scale, zero = n[0], n[1], n.optional(2)
    axis, block = axis_of(n.integer("axis", 1), max(x.rank, 2)), n.integer("block_size", 0)
    to = zero.dtype if zero is not None else (dtype_of(n.integer("output_dtype", 0)) or DType.uint8)
    if to not in RANGES:
        raise Decline(f"no kernel writes {to}")
    kind = DType.float64 if x.dtype is DType.float64 else DType.float32
    given = [laid_out(n, v, x, axis, block) for v in (scale, zero) if v is not None]

    def build(e: Expr, s: Expr, z: Expr | None = None) -> Expr:
        return stored(div(scalar.cast(e, kind), scalar.cast(s, kind)), z, to)
    return n.pointwise(build, x, *given)


@operator("DequantizeLinear")
def dequantize_linear(n: Node) -> Value:
    """(x − zero) · scale, subtracted as integers where a float could not hold x"""
    x, scale, zero = n[0], n[1], n.optional(2)
    axis, block = axis_of(n.integer("axis", 1), max(x.rank, 2)), n.integer("block_size", 0)
    to = dtype_of(n.integer("output_dtype", 0)) or scale.dtype
    if to not in (DType.float32, DType.float16, DType.bfloat16):
        raise Decline(f"no kernel writes {to}")
    inner = DType.float32 if x.dtype in RANGES else x.dtype
    given = [laid_out(n, v, x, axis, block) for v in (scale, zero) if v is not None]

    def build(e: Expr, s: Expr, z: Expr | None = None) -> Expr:
        e = scalar.cast(e, inner)
        if z is not None:
            e = sub(e, scalar.cast(z, inner))
        return scalar.cast(mul(scalar.cast(e, DType.float32), scalar.cast(s, DType.float32)), to)
    return n.pointwise(build, x, *given)


def requantized(n: Node, y: Value, scales: tuple[Value, Value, Value], zero: Value) -> Value:
    """int32 sums y as stored integers: y · a · b / c"""
    if zero.dtype not in RANGES:
        raise Decline(f"no kernel writes {zero.dtype}")

    def build(e: Expr, a: Expr, b: Expr, c: Expr, z: Expr) -> Expr:
        wide = DType.float32
        ratio = div(mul(scalar.cast(a, wide), scalar.cast(b, wide)), scalar.cast(c, wide))
        return stored(mul(scalar.cast(e, wide), ratio), z, zero.dtype)
    return n.pointwise(build, y, *scales, zero)


@operator("QLinearMatMul")
def qlinear_matmul(n: Node) -> Value:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (n[i] for i in range(8))
    y = multiply_integers(n, a, a_zero, b, b_zero)
    rows, columns = along(n, a_scale, y.rank, y.rank - 2), along(n, b_scale, y.rank, y.rank - 1)
    return requantized(n, y, (rows, columns, along(n, y_scale, y.rank, y.rank - 2)),
                       along(n, y_zero, y.rank, y.rank - 2))


@operator("QLinearConv")
def qlinear_conv(n: Node) -> Value:
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = (n[i] for i in range(8))
    y = convolve_integers(n, x, x_zero, w, w_zero)
    if (bias := n.optional(8)) is not None:
        y = n.pointwise(add, y, along(n, bias, y.rank, 1))
    return requantized(n, y, (along(n, x_scale, y.rank, None), along(n, w_scale, y.rank, 1),
                              along(n, y_scale, y.rank, None)), along(n, y_zero, y.rank, None))
