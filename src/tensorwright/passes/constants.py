"""Constant folding, and tensors without elements."""

from __future__ import annotations

import numpy as np

from ..dtypes import DType
from ..ir import Layer, TensorType
from ..ir.refittable import plain
from ..ops import Concat, Expand, Fill, Host, Iota
from .graph import Graph, is_static_layer
from .report import Report

#: Folded results of operators that only repeat elements stay below this many bytes.
REPEATED_LIMIT = 1 << 20
#: Other folded results stay below this many bytes, or below GROWTH times what they are computed from.
LIMIT, GROWTH = 1 << 24, 8


def fold_constants(graph: Graph, report: Report) -> None:
    """op(constants) → its result, computed by the operator's reference; a value without elements → an empty constant"""
    for layer in graph.execution_order():
        if layer.name not in graph.layers:
            continue
        layer = graph.layers[layer.name]
        is_constant = all(i is None or i in graph.constants for i in layer.inputs)
        if layer.op.has_effect:
            if is_constant:                      # what it does, it does now: an assertion holds, or the build fails
                layer.op.reference(*(graph.constants[i] for i in layer.inputs if i))
                graph.drop(layer)
                report.fire("fold constants", layer.name)
        elif is_constant:
            _fold(graph, layer, report)
        elif all(_is_empty(graph, o) for o in layer.outputs if o):
            for o in filter(None, layer.outputs):
                t = graph.tensor(o)
                assert t is not None
                graph.become_constant(o, np.zeros(t.shape, t.dtype.numpy))  # type: ignore[arg-type]
            report.fire("fold empty tensor", layer.name)


def _is_empty(graph: Graph, value: str) -> bool:
    t = graph.tensor(value)
    return t is not None and t.is_static and t.size == 0 and t.dtype is not DType.string


def _fold(graph: Graph, layer: Layer, report: Report) -> None:
    reason = _obstacle(graph, layer)
    graph.constants.touched = False
    if reason is not None:
        if reason:
            report.decline("fold constants", layer.name, reason)
        return
    results = layer.op.reference(*(None if i is None else plain(graph.constants[i]) for i in layer.inputs))
    arrays = results if isinstance(results, (tuple, list)) else (results,)
    names = [o for o in layer.outputs if o]
    if isinstance(layer.op, Host):               # computes named outputs only
        arrays = arrays[: len(names)]
    elif len(arrays) != len(names):
        arrays = [a for a, o in zip(arrays, layer.outputs, strict=True) if o]
    if not all(isinstance(a, (np.ndarray, np.generic)) for a in arrays):
        report.decline("fold constants", layer.name, "the result is not a tensor")
        return
    for o, a in zip(names, arrays, strict=True):
        t = graph.types[o]
        if graph.constants.touched and not isinstance(t, TensorType):
            report.decline("fold constants", layer.name, "its shape depends on weights that may be refitted")
            return
        a = np.asarray(a)
        if isinstance(t, TensorType) and (t.shape != a.shape or t.dtype.numpy != a.dtype):
            report.decline("fold constants", layer.name, f"{o} would be {a.dtype} {a.shape} and not {t}")
            return
    for o, a in zip(names, arrays, strict=True):
        graph.become_constant(o, freeze(np.asarray(a)))
    report.fire("fold constants", layer.name)


def freeze(array: np.ndarray) -> np.ndarray:
    """array, dense in C order and read-only; copied only when it is not."""
    array = array if array.flags.c_contiguous else array.copy("C")
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def _obstacle(graph: Graph, layer: Layer) -> str | None:
    """Why a layer of constants should not be computed now ("": nothing to tell), or None."""
    if layer.op.symbols():
        return ""
    if not layer.op.repeatable:
        return "its results differ from run to run"
    if layer.op.types_are_given:
        return None
    if not is_static_layer(graph, layer):
        return ""
    before = sum(graph.constants[i].nbytes for i in layer.inputs if i is not None)
    after = sum(t.size * t.dtype.itemsize for o in layer.outputs if o and (t := graph.tensor(o)))  # type: ignore[misc]
    limit = max(before, REPEATED_LIMIT) if isinstance(layer.op, (Expand, Fill, Iota)) else max(LIMIT, GROWTH * before)
    if isinstance(after, int) and after > limit:
        return f"the result would take {after} bytes, the operands take {before}"
    return None


def drop_empty_operands(graph: Graph, report: Report) -> None:
    """concat(x, empty, y) → concat(x, y)"""
    for layer in graph.ordered():
        if isinstance(layer.op, Concat) and len(layer.inputs) > 1:
            kept = [i for i in layer.inputs if not (i and (t := graph.tensor(i)) and t.shape[layer.op.axis] == 0)]
            if kept and len(kept) < len(layer.inputs):
                graph.swap(layer, Layer(layer.op, tuple(kept), layer.outputs, layer.name, layer.origin))
                report.fire("drop empty operand", layer.name)
