"""Epilogue fusion: element-wise work on a result is done before it is stored, by the layer that computes it."""

from __future__ import annotations

from ..dims import Dim
from ..dtypes import NATIVE
from ..ir import Layer, Op
from ..ops import Convolution, ConvTranspose, Fused, MatMul, Pointwise
from ..ops.expr import Expr, In, operands, size, substitute
from .graph import Graph, merged_origin
from .pointwise import CORES, MAX_FUNCTIONS, MAX_OPERANDS
from .report import Report
from .tidy import tidy

#: Cores that are worth most: their kernels are bound by arithmetic, an epilogue costs them nothing.
HEAVY: tuple[type[Op], ...] = (Convolution, ConvTranspose, MatMul)


def fuse_epilogues(graph: Graph, report: Report) -> None:
    """e(core(x, w), y) → Fused(core, e)(x, w, y)

    Of several operands that a core computes, the one computed last is chosen: the others are there by then.
    """
    for layer in graph.ordered():
        if not isinstance(layer.op, Pointwise) or graph.tensor(layer.outputs[0]) is None:
            continue
        best: tuple[bool, float] = (False, -1.0)
        chosen: str | None = None
        for value in dict.fromkeys(layer.inputs):
            source = graph.producer(value) if value else None
            if source is None or value is None or not isinstance(source.op, CORES):
                continue
            reason = _obstacle(graph, source, value, layer)
            rank = (isinstance(source.op, HEAVY), graph.place(source))
            if reason is not None:
                report.decline("fuse epilogue", layer.name, reason)
            elif rank > best:
                best, chosen = rank, value
        if chosen is not None:
            _attach(graph, chosen, layer, report)


def _obstacle(graph: Graph, source: Layer, value: str, reader: Layer) -> str | None:
    """Why `reader` cannot become the epilogue of `source`, or None."""
    result, wanted = graph.tensor(value), graph.tensor(reader.outputs[0])
    if result is None or wanted is None:
        return "a shape is not known"
    if len(graph.readers(value)) > 1 or graph.is_output(value):
        return f"the result of {source.name} has another reader"
    if result.shape != wanted.shape:
        return f"the result of {source.name} has shape {result}, the epilogue {wanted}"
    assert isinstance(reader.op, Pointwise)
    if not all(_fits(t.shape, wanted.shape) for v in reader.inputs if v and (t := graph.tensor(v))):
        return "an operand's shape is related to the result's in a way not known before shapes are set"
    types = [graph.tensor(v) for v in (*reader.inputs, *reader.outputs) if v]
    if any(t is None or t.dtype not in NATIVE for t in types):
        return "cores read and write native types only"
    if size(reader.op.expr) > MAX_FUNCTIONS or len(reader.inputs) - 1 > MAX_OPERANDS:
        return f"more than {MAX_FUNCTIONS} functions or {MAX_OPERANDS} operands"
    return None


def _fits(shape: tuple[Dim, ...], result: tuple[Dim, ...]) -> bool:
    """Whether every dimension is 1 or the result's."""
    return all(d in (1, r) for d, r in zip(reversed(shape), reversed(result), strict=False))


def _attach(graph: Graph, value: str, layer: Layer, report: Report) -> None:
    source = graph.producer(value)
    assert source is not None and isinstance(layer.op, Pointwise)
    result = graph.tensor(value)
    assert result is not None
    names = [value, *(i for i in layer.inputs if i is not None and i != value)]
    index = {name: i for i, name in enumerate(names)}
    parts: list[Expr] = [In(index[n], graph.types[n].dtype) for n in layer.inputs if n is not None]  # type: ignore[arg-type,union-attr]
    e, kept = tidy(graph, substitute(layer.op.expr, parts), names, result.shape, keep=1)
    if isinstance(e, In) or not any(x.index == 0 for x in operands(e)):
        return
    op = Fused(source.op, e, len(source.inputs))
    graph.merge([source, layer], Layer(op, (*source.inputs, *kept[1:]), layer.outputs, source.name,
                                       merged_origin(source, layer)))
    report.fire("fuse epilogue", layer.name)
