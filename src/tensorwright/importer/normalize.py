"""Normalisations and softmax: Normalize or Softmax layers with scale and shift as pointwise layers of their own."""

from __future__ import annotations

import numpy as np

from ..dims import product
from ..dtypes import DType
from ..errors import ModelError, ShapeError
from ..ir.refittable import is_free
from ..ops import ArgReduce, Iota, Normalize, Pool, Reduce, Softmax
from ..ops.expr import Expr
from . import scalar
from .convolution import along
from .node import Node
from .registry import operator
from .scalar import add, call, div, mul, sub, where
from .values import Decline, Value, axis_of


@operator("BatchNormalization")
def batch_normalization(n: Node) -> Value:
    """x·a + b with a = scale / √(var + ε), b = bias − mean·a; computed here in float64 when all four are constants."""
    x, parameters = n[0], [n[i] for i in range(1, 5)]
    if n.flag("training_mode") or (n.since < 7 and not n.flag("is_test")) or any(n.wants(i) for i in range(1, 5)):
        raise Decline("training mode computes the statistics of the batch")
    if x.rank < 2:
        raise ShapeError(f"input {x.type} has no channels")
    epsilon = n.number("epsilon", 1e-5)
    per_channel = n.since >= 9 or n.flag("spatial", True)

    def placed(v: Value) -> Value:
        return along(n, v, x.rank, 1) if per_channel else v
    arrays = [v.array for v in parameters]
    if any(is_free(a) for a in arrays) and all(a is not None for a in arrays):
        wide = [n.cast(v, DType.float64) for v in parameters]
        scale_ = n.pointwise(lambda k, v: div(k, call("sqrt", add(v, epsilon))), wide[0], wide[3])
        shift = n.pointwise(lambda c, m, k: sub(c, mul(m, k)), wide[1], wide[2], scale_)
        return n.pointwise(lambda e, k, c: add(mul(e, k), c), x, placed(n.cast(scale_, x.dtype)),
                           placed(n.cast(shift, x.dtype)))
    if all(a is not None for a in arrays):
        scale, bias, mean, var = (np.asarray(a, np.float64) for a in arrays)
        with np.errstate(all="ignore"):
            a = scale / np.sqrt(var + epsilon)
            b = bias - mean * a
        return n.pointwise(lambda e, k, c: add(mul(e, k), c), x, placed(n.constant(a.astype(x.dtype.numpy))),
                           placed(n.constant(b.astype(x.dtype.numpy))))
    scale_, bias_, mean_, var_ = (placed(n.cast(v, x.dtype)) for v in parameters)
    return n.pointwise(lambda e, k, c, m, v: add(mul(sub(e, m), div(k, call("sqrt", add(v, epsilon)))), c),
                       x, scale_, bias_, mean_, var_)


@operator("InstanceNormalization")
def instance_normalization(n: Node) -> Value:
    x = n[0]
    if x.rank < 3:
        raise ShapeError(f"input {x.type} has no spatial axes")
    y = n.add(Normalize(tuple(range(2, x.rank)), n.number("epsilon", 1e-5)), x)
    return scaled(n, y, along(n, n[1], x.rank, 1), along(n, n[2], x.rank, 1))


def scaled(n: Node, y: Value, scale: Value, shift: Value | None) -> Value:
    scale = n.cast(scale, y.dtype)
    if shift is None:
        return n.pointwise(mul, y, scale)
    return n.pointwise(lambda e, k, c: add(mul(e, k), c), y, scale, n.cast(shift, y.dtype))


@operator("LayerNormalization")
def layer_normalization(n: Node) -> Value | tuple[Value | None, ...]:
    """Mean and inverse deviation, where wanted, are computed by layers of their own."""
    x, epsilon = n[0], n.number("epsilon", 1e-5)
    axes = tuple(range(axis_of(n.integer("axis", -1), x.rank), x.rank))
    y = scaled(n, n.add(Normalize(axes, epsilon), x), n[1], n.optional(2))
    if not (n.wants(1) or n.wants(2)):
        return y
    stash = DType.float32 if n.integer("stash_type", 1) == 1 else x.dtype
    wide = n.cast(x, stash)
    mean = n.add(Reduce("mean", axes, True), wide)
    squares = n.pointwise(lambda e, m: mul(sub(e, m), sub(e, m)), wide, mean)
    variance = n.add(Reduce("mean", axes, True), squares)
    return y, mean, n.pointwise(lambda v: call("recip", call("sqrt", add(v, epsilon))), variance)


@operator("RMSNormalization")
def rms_normalization(n: Node) -> Value:
    x = n[0]
    axes = tuple(range(axis_of(n.integer("axis", -1), x.rank), x.rank))
    y = n.add(Normalize(axes, n.number("epsilon", 1e-5), center=False), x)
    return scaled(n, y, n[1], None)


@operator("GroupNormalization")
def group_normalization(n: Node) -> Value:
    """Scale and bias are per group in version 18, per channel since 21."""
    x, groups = n[0], n.integer("num_groups")
    if x.rank < 2 or groups < 1:
        raise ShapeError(f"{groups} groups of channels in {x.type}")
    N, C, *rest = x.shape
    if isinstance(C, int) and C % groups:
        raise ShapeError(f"{C} channels are not {groups} groups", x=x.type)
    flat = n.reshape(x, (N, groups, product([C // groups, *rest])))
    y = n.add(Normalize((2,), n.number("epsilon", 1e-5)), flat)
    if n.since < 21:
        y = scaled(n, y, along(n, n[1], 3, 1), along(n, n[2], 3, 1))
        return n.reshape(y, x.shape)
    y = n.reshape(y, x.shape)
    return scaled(n, y, along(n, n[1], x.rank, 1), along(n, n[2], x.rank, 1))


@operator("MeanVarianceNormalization")
def mean_variance_normalization(n: Node) -> Value:
    """(x − mean) / (deviation + 1e-9): the constant only guards against a deviation of 0."""
    x = n[0]
    axes = tuple(sorted(axis_of(a, x.rank) for a in n.ints("axes", (0, 2, 3))))
    return n.add(Normalize(axes, 1e-18), x)


@operator("LpNormalization")
def lp_normalization(n: Node) -> Value:
    """x / ‖x‖ₚ along an axis; 0 where the norm is 0."""
    x, p = n[0], n.integer("p", 2)
    axis = axis_of(n.integer("axis", -1), x.rank)
    if p not in (1, 2):
        raise ModelError(f"p is {p}, 1 or 2 is needed")
    powers = n.pointwise(lambda e: call("abs", e) if p == 1 else mul(e, e), x)
    norm = n.add(Reduce("sum", (axis,), True), powers)

    def build(e: Expr, s: Expr) -> Expr:
        s = s if p == 1 else call("sqrt", s)
        return where(call("eq", s, 0.0), 0.0, div(e, s))
    return n.pointwise(build, x, norm)


@operator("LRN")
def local_response_normalization(n: Node) -> Value:
    """x / (bias + alpha · mean of x² over `size` channels around)^beta, channels beyond the ends counting as 0."""
    x, size = n[0], n.integer("size")
    if x.rank < 3 or size < 1:
        raise ShapeError(f"a window of {size} channels of {x.type}")
    alpha, beta, bias = n.number("alpha", 1e-4), n.number("beta", 0.75), n.number("bias", 1.0)
    N, C, *rest = x.shape
    squares = n.reshape(n.pointwise(lambda e: mul(e, e), x), (N, 1, C, product(rest)))
    before = (size - 1) // 2
    pool = Pool("average", (size, 1), (1, 1), ((before, size - 1 - before), (0, 0)), (1, 1), True, False)
    means = n.reshape(n.add(pool, squares), x.shape)

    def power(e: Expr) -> Expr:
        if beta != 0.75:
            return call("pow", e, beta)
        root = call("sqrt", e)                                  # the usual exponent, in two square roots
        return mul(root, call("sqrt", root))

    return n.pointwise(lambda e, m: div(e, power(add(mul(m, alpha), bias))), x, means)


@operator("Softmax", "LogSoftmax", "Hardmax")
def softmax(n: Node) -> Value:
    """Before version 13 the input is a matrix: axes from `axis` on are one."""
    x = n[0]
    if n.since >= 13:
        return peak(n, x, axis_of(n.integer("axis", -1), x.rank))
    axis = axis_of(n.integer("axis", 1), x.rank) if n.integer("axis", 1) != x.rank else x.rank
    if axis == x.rank - 1:
        return peak(n, x, axis)
    flat = n.reshape(x, (product(x.shape[:axis]), product(x.shape[axis:])))
    return n.reshape(peak(n, flat, 1), x.shape)


def peak(n: Node, x: Value, axis: int) -> Value:
    if n.op_type != "Hardmax":
        return n.add(Softmax(axis, n.op_type == "LogSoftmax"), x)
    best = n.add(ArgReduce("max", axis, True), x)
    place = n.add(Iota(tuple(d if i == axis else 1 for i, d in enumerate(x.shape)), axis, DType.int64))
    return n.pointwise(lambda a, b: scalar.cast(call("eq", a, b), x.dtype), best, place)
