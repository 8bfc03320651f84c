"""Pointwise fusion: chains and small graphs of element-wise layers become one layer, one pass over memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..dims import Dim
from ..dtypes import DType
from ..ir import Layer, Op
from ..ops import Attention, Convolution, ConvTranspose, MatMul, Normalize, Pointwise, Pool, Reduce
from ..ops.expr import Apply, Expr, In, operands, size, substitute
from .graph import Graph, merged_origin
from .report import Report
from .tidy import covers, tidy

#: One kernel reads at most this many tensors and applies at most this many functions per element.
MAX_OPERANDS, MAX_FUNCTIONS = 8, 60
#: An expression up to this size, without expensive functions, is computed again for each reader rather than stored.
CHEAP_SIZE = 3
#: Functions that cost about an addition each.
CHEAP = frozenset({"add", "sub", "mul", "min", "max", "neg", "abs", "eq", "ne", "lt", "le", "gt", "ge", "and", "or",
                   "xor", "not", "where", "cast", "bitand", "bitor", "bitxor", "bitnot"})
#: Types whose conversion is cheap enough to repeat for every element of a broadcast.
CHEAP_CASTS = frozenset({DType.bool, DType.int8, DType.uint8, DType.int32, DType.float16, DType.float32})
#: Operators that a Pointwise reader can become the epilogue of.
CORES: tuple[type[Op], ...] = (Convolution, ConvTranspose, MatMul, Attention, Pool, Reduce, Normalize)


def fuse_pointwise(graph: Graph, report: Report) -> None:
    """g(f(x, y), z) → (g∘f)(x, y, z), when f has no other reader, or is cheap and all its readers can take it in"""
    for layer in graph.ordered():
        while layer.name in graph.layers and isinstance(layer.op, Pointwise):
            merged = _merge_one(graph, layer, report)
            if merged is None:
                break
            layer = merged


def _merge_one(graph: Graph, layer: Layer, report: Report) -> Layer | None:
    for value in dict.fromkeys(layer.inputs):
        source = graph.producer(value) if value else None
        if source is None or not isinstance(source.op, Pointwise) or value is None:
            continue
        reason = _obstacle(graph, source, value, layer)
        if reason is None:
            merged = _compose(graph, source, layer)
            if merged is not None:
                report.fire("fuse pointwise", layer.name)
                return merged
            reason = f"with {source.name} it has more than {MAX_OPERANDS} operands or {MAX_FUNCTIONS} functions"
        report.decline("fuse pointwise", layer.name, reason)
    return None


def _obstacle(graph: Graph, source: Layer, value: str, reader: Layer) -> str | None:
    """Why `source` should not be merged into `reader`, or None."""
    assert isinstance(source.op, Pointwise)
    inner, outer = graph.tensor(value), graph.tensor(reader.outputs[0])
    if inner is None or outer is None:
        return "a shape is not known"
    if stripped(inner.shape) != stripped(outer.shape) and not _cheap_cast(source.op.expr):
        return f"{source.name} computes fewer elements {inner} than its reader {outer}"
    if graph.is_output(value):
        return f"{source.name} is a network output"
    readers = graph.readers(value)
    if len(readers) == 1:
        return None
    if not is_cheap(source.op.expr) or len(operands(source.op.expr)) > 2:
        return f"{source.name} has another reader and is not cheap enough to compute twice"
    if any(_is_core_result(graph, name, source) for name in source.inputs):
        return f"{source.name} has another reader and is the epilogue of its producer"
    if not all(isinstance(r.op, Pointwise) and (t := graph.tensor(r.outputs[0])) and t.shape == inner.shape
               for r in readers):
        return f"{source.name} has a reader that cannot take it in"
    return None


def _is_core_result(graph: Graph, value: str | None, reader: Layer) -> bool:
    """Whether reader is the only one of a value that comes from a core and could become its epilogue."""
    producer = graph.producer(value) if value else None
    return producer is not None and value is not None and isinstance(producer.op, CORES) \
        and not graph.is_output(value) and len(graph.readers(value)) == 1 \
        and graph.tensor(value) is not None and graph.types[value].shape == graph.types[reader.outputs[0]].shape  # type: ignore[union-attr]


def stripped(shape: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """shape without leading ones: what broadcasting makes of it."""
    start = next((i for i, d in enumerate(shape) if d != 1), len(shape))
    return shape[start:]


def is_cheap(e: Expr) -> bool:
    return size(e) <= CHEAP_SIZE and all(node.fn in CHEAP for node in functions(e))


def _cheap_cast(e: Expr) -> bool:
    return isinstance(e, Apply) and e.fn == "cast" and isinstance(e.args[0], In) \
        and {e.dtype, e.args[0].dtype} <= CHEAP_CASTS


def functions(e: Expr) -> Iterator[Apply]:
    """Every function application in e, each once."""
    seen: set[int] = set()
    stack: list[Expr] = [e]
    while stack:
        node = stack.pop()
        if isinstance(node, Apply) and id(node) not in seen:
            seen.add(id(node))
            yield node
            stack += node.args


def _compose(graph: Graph, source: Layer, reader: Layer) -> Layer | None:
    """Merge source's expression into reader's; None when the result would be too large."""
    assert isinstance(source.op, Pointwise) and isinstance(reader.op, Pointwise)
    (value,), out = source.outputs, graph.tensor(reader.outputs[0])
    assert out is not None
    names = [n for n in (*reader.inputs, *source.inputs) if n is not None and n != value]

    def read(name: str | None) -> In:
        t = graph.tensor(name or "")
        assert t is not None and name is not None
        return In(names.index(name), t.dtype)

    inner = substitute(source.op.expr, [read(n) for n in source.inputs])
    whole = substitute(reader.op.expr, [inner if n == value else read(n) for n in reader.inputs])
    e, kept = tidy(graph, whole, names, out.shape)
    if len(kept) > MAX_OPERANDS or size(e) > MAX_FUNCTIONS or not covers(graph, kept, out.shape):
        return None
    new = replace(reader, op=Pointwise(e), inputs=tuple(kept), origin=merged_origin(source, reader))
    graph.swap(reader, new)
    for name in reader.inputs:
        graph.prune(name)
    return new
