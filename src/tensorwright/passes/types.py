"""Half-precision values: float16 and bfloat16 are stored and moved as they are, computed with in float32."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..dtypes import DType
from ..ir import Layer, Op, TensorType
from ..ops import (
    Concat,
    Expand,
    Fill,
    Gather,
    GatherElements,
    GatherND,
    Iota,
    Pad,
    Pointwise,
    Reshape,
    ScatterElements,
    ScatterND,
    Slice,
    Transpose,
)
from ..ops.expr import Apply, Const, Expr, In
from .constants import freeze
from .graph import Graph
from .pointwise import functions
from .report import Report

HALVES = frozenset({DType.float16, DType.bfloat16})
MOVES: tuple[type[Op], ...] = (Transpose, Reshape, Expand, Slice, Concat, Pad, Gather, GatherElements, GatherND)


def widen_halves(graph: Graph, report: Report) -> None:
    """op(x16) → cast16(op(cast32(x16)))

    An operator that reads another's half-precision result reads it before it is rounded, also when it has been moved in
    between: rounding happens at network outputs and where the model casts.
    """
    wide: dict[str, str] = {}
    computed: set[str] = set()
    for layer in graph.ordered():
        halves = [v for v in (*layer.inputs, *layer.outputs) if v and _is_half(graph, v)]
        if not halves or layer.op.on_host:
            continue
        if _moves(layer.op):
            moved = [v for v in layer.inputs if v in halves and v not in graph.constants]
            if not moved or not computed.issuperset(moved):
                continue                         # stored in half precision: moved as it is
        op = layer.op
        if isinstance(op, Pointwise):
            if all(f.fn == "cast" for f in functions(op.expr)):
                continue                         # a conversion is one already
            op = Pointwise(widened(op.expr))
        elif isinstance(op, (Fill, Iota)):
            op = replace(op, dtype=DType.float32)
        inputs = tuple(_wide(graph, layer, v, wide) if v and _is_half(graph, v) else v for v in layer.inputs)
        _rewrite(graph, layer, op, inputs, wide)
        computed.update(o for o in layer.outputs if o in wide)
        report.fire("widen halves", layer.name)


def _moves(op: Op) -> bool:
    """Whether an operator moves elements without computing with them."""
    return isinstance(op, MOVES) or (isinstance(op, (ScatterElements, ScatterND)) and op.reduction == "none")


def _is_half(graph: Graph, value: str) -> bool:
    t = graph.tensor(value)
    return t is not None and t.dtype in HALVES


def _wide(graph: Graph, reader: Layer, value: str, wide: dict[str, str]) -> str:
    """The float32 value behind a half-precision one."""
    if value not in wide:
        array, t = graph.constants.get(value), graph.tensor(value)
        assert t is not None
        if array is not None:
            wide[value] = graph.constant(freeze(array.astype(np.float32)), f"{value}.float32")
        else:
            cast = Pointwise(Apply("cast", (In(0, t.dtype),), DType.float32))
            wide[value] = graph.insert(cast, (value,), reader, f"{value}.float32")
    return wide[value]


def _rewrite(graph: Graph, layer: Layer, op: Op, inputs: tuple[str | None, ...], wide: dict[str, str]) -> None:
    """Put op over the wide inputs in the place of layer, and casts from its wide outputs to the halves it wrote."""
    outputs = list(layer.outputs)
    for i, y in enumerate(layer.outputs):
        if y and _is_half(graph, y):
            t = graph.tensor(y)
            assert t is not None
            outputs[i] = wide[y] = graph.fresh(f"{y}.float32")
            graph.types[outputs[i]] = TensorType(t.shape, DType.float32)
    graph.swap(layer, Layer(op, inputs, tuple(outputs), layer.name, layer.origin))
    for y, y32 in zip(layer.outputs, outputs, strict=True):
        if y != y32:
            t = graph.tensor(y)
            assert t is not None
            cast = Pointwise(Apply("cast", (In(0, DType.float32),), t.dtype))
            graph.add_after(graph.layers[layer.name], cast, (y32,), y)


def widened(e: Expr) -> Expr:
    """e with half-precision arithmetic done in float32; explicit casts to halves still round."""
    memo: dict[int, Expr] = {}

    def walk(n: Expr) -> Expr:
        if id(n) not in memo:
            half, new = n.dtype in HALVES, n
            if isinstance(n, Apply):
                args = tuple(map(walk, n.args))
                if half and n.fn == "cast":
                    args = (Apply("cast", args, n.dtype),)
                new = Apply(n.fn, args, DType.float32 if half else n.dtype)
            elif half and isinstance(n, In):
                new = In(n.index, DType.float32)
            elif half and isinstance(n, Const):
                new = Const(float(np.asarray(n.value, n.dtype.numpy).astype(np.float64)), DType.float32)
            memo[id(n)] = new
        return memo[id(n)]

    return walk(e)
