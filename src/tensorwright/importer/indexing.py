"""Gathering, scattering, scans along an axis, and the largest elements."""

from __future__ import annotations

import numpy as np

from ..dtypes import DType
from ..errors import ModelError, ShapeError
from ..ops import CumProd, CumSum, Gather, GatherElements, GatherND, ScatterElements, ScatterND, TopK
from .node import Node
from .registry import operator
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
