"""Reductions, and the index of the extreme."""

from __future__ import annotations

from ..errors import ModelError
from ..ops import ArgReduce, Reduce
from ..ops.expr import Expr
from .node import Node
from .registry import operator
from .scalar import add, call, mul, sub, where
from .values import Value, axis_of

KINDS = {"ReduceSum": "sum", "ReduceMean": "mean", "ReduceMax": "max", "ReduceMin": "min", "ReduceProd": "prod",
         "ReduceL1": "sum", "ReduceL2": "sum", "ReduceLogSum": "sum", "ReduceLogSumExp": "sum",
         "ReduceSumSquare": "sum"}


def reduced_axes(n: Node, rank: int) -> tuple[int, ...]:
    """The axes to reduce: all when none are given, unless noop_with_empty_axes says none."""
    axes = n.axes(rank)
    if axes:
        return axes
    return () if n.flag("noop_with_empty_axes") else tuple(range(rank))


@operator(*KINDS)
def reduction(n: Node) -> Value:
    """A sum or extreme, with what is done to each element before and to the result after."""
    x, keep = n[0], n.flag("keepdims", True)
    axes = reduced_axes(n, x.rank)
    if not axes and n.op_type not in ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceSumSquare", "ReduceLogSumExp"):
        return x
    if n.op_type == "ReduceLogSumExp":
        return log_sum_exp(n, x, axes, keep)
    if n.op_type == "ReduceL1" and x.dtype.is_signed:
        x = n.pointwise(lambda e: call("abs", e), x)
    elif n.op_type in ("ReduceL2", "ReduceSumSquare"):
        x = n.pointwise(lambda e: mul(e, e), x)
    y = n.add(Reduce(KINDS[n.op_type], axes, keep), x) if axes else x
    after = {"ReduceL2": "sqrt", "ReduceLogSum": "log"}.get(n.op_type)
    return n.pointwise(lambda e: call(after, e), y) if after else y


def log_sum_exp(n: Node, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    """m + log Σ exp(x − m), where m is the maximum, or 0 when that is infinite"""
    top = n.add(Reduce("max", axes, True), x) if axes else x

    def finite(e: Expr) -> Expr:
        return where(call("isinf", e), 0.0, e)
    shifted = n.pointwise(lambda e, m: call("exp", sub(e, finite(m))), x, top)
    total = n.add(Reduce("sum", axes, True), shifted) if axes else shifted
    y = n.pointwise(lambda s, m: add(call("log", s), finite(m)), total, top)
    return y if keep else n.reshape(y, [d for i, d in enumerate(y.shape) if i not in axes])


@operator("ArgMax", "ArgMin")
def arg_reduction(n: Node) -> Value:
    x = n[0]
    if x.rank == 0:
        raise ModelError("the index of an extreme needs an axis, the input is a scalar")
    kind = "max" if n.op_type == "ArgMax" else "min"
    axis = axis_of(n.integer("axis", 0), x.rank)
    return n.add(ArgReduce(kind, axis, n.flag("keepdims", True), n.flag("select_last_index")), x)
