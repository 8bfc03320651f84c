"""Gathering, scattering, scans along an axis, and the largest elements."""

from __future__ import annotations

import numpy as np

from ..dtypes import DType
from ..errors import ModelError, ShapeError
from ..ops import CumProd, CumSum, Expand, Gather, GatherElements, GatherND, Iota, ScatterElements, ScatterND, TopK
from ..ops.expr import Expr
from . import scalar
from .node import Node
from .registry import operator
from .scalar import add, call, sub
from .values import Decline, Value, axis_of, constant

REDUCTIONS = ("none", "add", "mul", "max", "min")


def indices_of(n: Node, v: Value) -> Value:
    """Indices in a type that kernels take."""
    if v.dtype not in (DType.int32, DType.int64):
        raise ModelError(f"indices are {v.dtype}, int32 or int64 is needed")
    return v


@operator("Gather")
def gather(n: Node) -> Value:
    """One constant index is a slice; constant negative indices are made positive."""
    x, indices = n[0], indices_of(n, n[1])
    axis = axis_of(n.integer("axis", 0), x.rank)
    if x.rank == 0:
        raise ShapeError("a scalar has no axis to gather along")
    d = x.shape[axis]
    if indices.array is not None:
        a = indices.array
        if isinstance(d, int) and a.size and (a.min() < -d or a.max() >= d):
            raise ShapeError(f"indices {a.min()}..{a.max()} are outside axis {axis} of {x.type}")
        if a.size == 1:
            i = int(a.reshape(())[()])
            piece = n.take(x, axis, i if i >= 0 else d + i, 1)
            return n.reshape(piece, [*x.shape[:axis], *a.shape, *x.shape[axis + 1:]])
        if isinstance(d, int) and a.size and a.min() < 0:
            indices = constant(np.where(a < 0, a + d, a).astype(a.dtype), indices.hint)
    return n.add(Gather(axis), x, indices)


@operator("GatherElements")
def gather_elements(n: Node) -> Value:
    return n.add(GatherElements(axis_of(n.integer("axis", 0), n[0].rank)), n[0], indices_of(n, n[1]))


def tuples_of(n: Node, v: Value) -> Value:
    """Indices whose last axis holds coordinates: how many must be known."""
    if v.rank and not isinstance(v.shape[-1], int):
        raise Decline("the number of coordinates of an index is known at run time only")
    return indices_of(n, v)


@operator("GatherND")
def gather_nd(n: Node) -> Value:
    return n.add(GatherND(n.integer("batch_dims", 0)), n[0], tuples_of(n, n[1]))


def reduction(n: Node) -> str:
    kind = n.text("reduction", "none")
    if kind not in REDUCTIONS:
        raise ModelError(f"reduction is {kind!r}", try_=f"one of {', '.join(REDUCTIONS)}")
    return kind


@operator("ScatterElements", "Scatter")
def scatter_elements(n: Node) -> Value:
    op = ScatterElements(axis_of(n.integer("axis", 0), n[0].rank), reduction(n))
    return n.add(op, n[0], indices_of(n, n[1]), n[2])


@operator("ScatterND")
def scatter_nd(n: Node) -> Value:
    return n.add(ScatterND(reduction(n)), n[0], tuples_of(n, n[1]), n[2])


@operator("CumSum")
def cumsum(n: Node) -> Value:
    return n.add(CumSum(axis_of(n.whole(1)[0], n[0].rank), n.flag("exclusive"), n.flag("reverse")), n[0])


@operator("CumProd")
def cumprod(n: Node) -> Value:
    return n.add(CumProd(axis_of(n.whole(1)[0], n[0].rank), n.flag("exclusive"), n.flag("reverse")), n[0])


@operator("TopK")
def top_k(n: Node) -> tuple[Value, ...]:
    x = n[0]
    if x.rank == 0:
        raise Decline("the largest elements of a scalar")
    (k,) = (n.integer("k"),) if n.since < 10 else n.dims(1)
    axis = axis_of(n.integer("axis", -1), x.rank)
    return n.add_many(TopK(k, axis, n.flag("largest", True), n.flag("sorted", True)), x)


@operator("ReverseSequence")
def reverse_sequence(n: Node) -> Value:
    """The first `length` elements of every sequence in reverse: element t is taken from length − 1 − t."""
    x, lengths = n[0], n[1]
    time, batch = axis_of(n.integer("time_axis", 0), x.rank), axis_of(n.integer("batch_axis", 1), x.rank)
    if time == batch:
        raise ShapeError(f"time and batch are both axis {time}")
    steps = n.add(Iota(tuple(d if i == time else 1 for i, d in enumerate(x.shape)), time, DType.int64))
    ends = n.reshape(lengths, [d if i == batch else 1 for i, d in enumerate(x.shape)])

    def place(t: Expr, end: Expr) -> Expr:
        return scalar.where(call("lt", t, end), sub(sub(end, 1), t), t)
    places = n.pointwise(place, steps, n.cast(ends, DType.int64))
    return n.add(GatherElements(time), x, n.add(Expand(x.shape), places))


@operator("TensorScatter")
def tensor_scatter(n: Node) -> Value:
    """A cache with new elements written along an axis, from an index per batch entry on; circular: wrapping around."""
    cache, update, first = n[0], n[1], n.optional(2)
    axis = axis_of(n.integer("axis", -2), cache.rank)
    mode = n.text("mode", "linear")
    if mode not in ("linear", "circular") or axis == 0:
        raise ModelError(f"mode is {mode!r}, axis {axis}")
    places = n.add(Iota(tuple(d if i == axis else 1 for i, d in enumerate(update.shape)), axis, DType.int64))
    if first is not None:
        starts = n.reshape(first, [d if i == 0 else 1 for i, d in enumerate(update.shape)])
        places = n.pointwise(add, places, n.cast(starts, DType.int64))
    if mode == "circular":
        size = cache.shape[axis]
        if not isinstance(size, int):
            raise Decline("where to wrap around is known at run time only")
        places = n.pointwise(lambda e: call("mod", e, size), places)
    return n.add(ScatterElements(axis), cache, n.add(Expand(update.shape), places), update)
