"""Products of one tensor with several constant matrices become one product, of which the others are slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ir import Layer
from ..ops import Attention, MatMul, Pointwise, Reshape, Slice, Transpose
from ..ops.expr import Apply, In
from .constants import freeze
from .graph import Graph, merged_origin
from .report import Report

NAME = "merge parallel products"
#: Operators that read a slice of a larger tensor as well as a tensor of its own.
READERS = (Reshape, Transpose, Slice, Attention)


@dataclass(frozen=True)
class Part:
    """product: the MatMul. weights (K, N). bias (N,), added by layer `last`; None when the product itself is last."""

    product: Layer
    last: Layer
    weights: np.ndarray
    bias: np.ndarray | None


def merge_parallel_products(graph: Graph, report: Report) -> None:
    """x @ a + s, x @ b + t → slices of x @ [a b] + [s t], for results that are only rearranged (queries, keys, values)

    Results with element-wise readers stay apart: those are worth more as epilogues.
    """
    groups: dict[str, list[Part]] = {}
    for layer in graph.ordered():
        if isinstance(layer.op, MatMul) and layer.inputs[0] is not None:
            part = _part(graph, layer)
            if isinstance(part, Part):
                groups.setdefault(layer.inputs[0], []).append(part)
            elif part is not None and _products(graph, layer.inputs[0]) > 1:
                report.decline(NAME, layer.name, part)
    for x, parts in groups.items():
        if len(parts) > 1:
            _merge(graph, x, parts)
            report.fire(NAME, parts[0].last.name, len(parts))


def _products(graph: Graph, x: str) -> int:
    return sum(isinstance(r.op, MatMul) for r in graph.readers(x))


def _part(graph: Graph, layer: Layer) -> Part | str | None:
    """One product that can be joined with others; a reason; or None when it is of another kind."""
    x, w = layer.inputs
    weights, t, y = graph.constants.get(w or ""), graph.tensor(layer.outputs[0]), layer.outputs[0]
    if weights is None or weights.ndim != 2 or x in graph.constants or t is None or t.rank < 2:
        return None
    if len(graph.readers(w or "")) > 1:
        return "another layer reads the weights"
    last, bias = layer, None
    readers = graph.readers(y)
    if len(readers) == 1 and isinstance(readers[0].op, Pointwise) and not graph.is_output(y):
        bias = _bias(graph, readers[0], y, weights.shape[1])
        if bias is None:
            return "its result has an element-wise reader other than a bias"
        last = readers[0]
    z = last.outputs[0]
    if graph.is_output(z) or not all(isinstance(r.op, READERS) for r in graph.readers(z)):
        return "its result is read by more than movements"
    return Part(layer, last, weights, bias)


def _bias(graph: Graph, layer: Layer, y: str, n: int) -> np.ndarray | None:
    """The vector that a layer adds to y."""
    assert isinstance(layer.op, Pointwise)
    e, others = layer.op.expr, [i for i in layer.inputs if i != y]
    if not (isinstance(e, Apply) and e.fn == "add" and all(isinstance(a, In) for a in e.args) and len(others) == 1):
        return None
    array = graph.constants.get(others[0] or "")
    if array is None or array.size != n or array.shape[-1] != n or len({a.index for a in e.args}) != 2:  # type: ignore[union-attr]
        return None
    return array.reshape(n)


def _merge(graph: Graph, x: str, parts: list[Part]) -> None:
    first = min((p.product for p in parts), key=graph.place)
    origin = merged_origin(*(p.product for p in parts), *(p.last for p in parts))
    weights = graph.constant(freeze(np.concatenate([p.weights for p in parts], 1)), f"{first.inputs[1]}.joined")
    y = graph.insert(MatMul(), (x, weights), first, f"{first.outputs[0]}.joined", origin=origin)
    t = graph.tensor(y)
    assert t is not None
    if any(p.bias is not None for p in parts):
        zeros = [np.zeros(p.weights.shape[1], t.dtype.numpy) if p.bias is None else p.bias for p in parts]
        bias = graph.constant(freeze(np.concatenate(zeros)), f"{first.outputs[0]}.bias")
        add = Pointwise(Apply("add", (In(0, t.dtype), In(1, t.dtype)), t.dtype))
        y = graph.insert(add, (y, bias), first, f"{first.outputs[0]}.biased", t, origin)
    offset = 0
    for p in parts:
        n = p.weights.shape[1]
        cut = Slice((*(0,) * (t.rank - 1), offset), (*t.shape[:-1], n), (1,) * t.rank)
        old = graph.layers[p.last.name]
        graph.swap(old, Layer(cut, (y,), old.outputs, old.name, merged_origin(p.product, old)))
        for name in old.inputs:
            graph.prune(name)
        offset += n
