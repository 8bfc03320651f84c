"""Pooling over windows and over whole images."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ShapeError
from ..ops import Pool, Reduce
from ..ops.expr import Expr
from . import scalar
from .node import Node
from .registry import operator
from .scalar import call
from .values import Decline, Value
from .windows import window_of


@operator("MaxPool")
def max_pool(n: Node) -> Value:
    x = n[0]
    if n.wants(1):
        raise Decline("the indices of the maxima are wanted")
    lowest = float("-inf") if x.dtype.is_float else None
    w = window_of(n, x, n.ints("kernel_shape"), lowest)
    return n.add(Pool("max", w.size, w.strides, w.pads, w.dilations, False, n.flag("ceil_mode")), w.x)


@operator("AveragePool")
def average_pool(n: Node) -> Value:
    include = n.flag("count_include_pad")
    w = window_of(n, n[0], n.ints("kernel_shape"), 0.0 if include else None)
    return n.add(Pool("average", w.size, w.strides, w.pads, w.dilations, include, n.flag("ceil_mode")), w.x)


def power_sum(n: Node, x: Value, p: int, total: Callable[[Value], Value]) -> Value:
    """(Σ |x|ᵖ)^(1/p), where total sums a value."""
    def raised(e: Expr) -> Expr:
        return call("abs", e) if p == 1 else scalar.mul(e, e) if p == 2 else call("pow", call("abs", e), float(p))

    def root(e: Expr) -> Expr:
        return e if p == 1 else call("sqrt", e) if p == 2 else call("pow", e, 1 / p)
    return n.pointwise(root, total(n.pointwise(raised, x)))


@operator("LpPool")
def lp_pool(n: Node) -> Value:
    """Padding counts as zero, so the sum is the average over all of the window times its size."""
    if n.flag("ceil_mode"):
        raise Decline("ceil_mode leaves partial windows, whose average is not their sum over a constant")
    if n.since < 2:
        raise Decline("p is a fraction before version 2")
    w = window_of(n, n[0], n.ints("kernel_shape"), 0.0)
    count = 1
    for r in w.size:
        count *= r
    pool = Pool("average", w.size, w.strides, w.pads, w.dilations, True, False)

    def total(v: Value) -> Value:
        return n.pointwise(lambda e: scalar.mul(e, float(count)), n.add(pool, v))
    return power_sum(n, w.x, n.integer("p", 2), total)


def spatial_axes(x: Value) -> tuple[int, ...]:
    if x.rank < 3:
        raise ShapeError(f"input {x.type} has no spatial axes; (N, C, ...) is needed")
    return tuple(range(2, x.rank))


@operator("GlobalAveragePool", "GlobalMaxPool")
def global_pool(n: Node) -> Value:
    kind = "mean" if n.op_type == "GlobalAveragePool" else "max"
    return n.add(Reduce(kind, spatial_axes(n[0])), n[0])


@operator("GlobalLpPool")
def global_lp_pool(n: Node) -> Value:
    if n.since < 2:
        raise Decline("p is a fraction before version 2")
    reduce = Reduce("sum", spatial_axes(n[0]))
    return power_sum(n, n[0], n.integer("p", 2), lambda v: n.add(reduce, v))
