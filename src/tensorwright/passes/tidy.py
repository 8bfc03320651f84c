"""The operands of an expression in their plainest form: each read once, none unread, scalars inside the expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from ..errors import ShapeError
from ..ir.refittable import Refittable
from ..ops import Pointwise
from ..ops.expr import Const, Expr, In, operands, substitute
from ..ops.rules import broadcast_shapes
from .graph import Graph
from .report import Report
from .simplify import simplify


def scalar(array: np.ndarray) -> Const | None:
    """A constant of one element as an expression; None for other constants and types."""
    if array.size != 1 or isinstance(array, Refittable):
        return None
    t = DType.of(array)
    if t.is_float:
        return Const(float(array.astype(np.float64).item()), t)
    return Const(array.item(), t) if array.dtype.kind in "iub" else None


def tidy(graph: Graph, e: Expr, names: Sequence[str], shape: tuple[Dim, ...],
         keep: int = 0) -> tuple[Expr, list[str]]:
    """(expression, operands) that compute the same from fewer operands.

    names   value of each In(i); the first `keep` stay where they are
    shape   of the result: operands that only make it larger stay, too
    """
    parts: list[Expr] = []
    for i, name in enumerate(names):
        array = graph.constants.get(name) if i >= keep else None
        const = scalar(array) if array is not None else None
        t = graph.tensor(name)
        assert t is not None
        parts.append(const or In(i if i < keep else max(keep, list(names).index(name)), t.dtype))
    e = simplify(substitute(e, parts))
    read = sorted({i for i in range(keep)} | {x.index for x in operands(e)})
    if not covers(graph, [names[i] for i in read], shape):
        read += [i for i in range(keep, len(names)) if i not in read]
    place: dict[str, int] = {}
    kept = [names[i] for i in range(keep)]
    target: list[Expr] = [In(0, DType.bool)] * len(names)
    for i in read:
        t = graph.tensor(names[i])
        assert t is not None
        if i >= keep and names[i] not in place:
            place[names[i]] = len(kept)
            kept.append(names[i])
        target[i] = In(i if i < keep else place[names[i]], t.dtype)
    return substitute(e, target), kept


def covers(graph: Graph, names: Sequence[str], shape: tuple[Dim, ...]) -> bool:
    """Whether the operands alone broadcast to this very shape."""
    shapes = [t.shape for n in names if (t := graph.tensor(n)) is not None]
    if shape in shapes and all(len(s) <= len(shape) for s in shapes):
        return True
    try:
        return bool(shapes) and broadcast_shapes(*shapes) == shape
    except ShapeError:
        return False


def simplify_expressions(graph: Graph, report: Report) -> None:
    """Pointwise(e)(x...) → Pointwise(simpler e)(fewer x)"""
    for layer in graph.ordered():
        if isinstance(layer.op, Pointwise):
            t = graph.tensor(layer.outputs[0])
            if t is None or any(i is None or graph.tensor(i) is None for i in layer.inputs):
                continue
            e, names = tidy(graph, layer.op.expr, [i for i in layer.inputs if i is not None], t.shape)
            if (e, tuple(names)) != (layer.op.expr, layer.inputs):
                graph.swap(layer, replace(layer, op=Pointwise(e), inputs=tuple(names)))
                report.fire("simplify expression", layer.name)
                for i in layer.inputs:
                    graph.prune(i)
