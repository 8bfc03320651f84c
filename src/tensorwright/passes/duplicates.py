"""Dead code, and values computed twice."""

from __future__ import annotations

import numpy as np

from ..ir import Layer, TensorType
from ..ir.refittable import Refittable
from ..ops import Host
from .graph import Graph
from .report import Report

#: Constants up to this many bytes are compared by content, larger ones by where they lie in memory.
COMPARED = 1 << 12


def drop_dead(graph: Graph, report: Report) -> None:
    """Layers whose results nobody reads go; outputs of several that nobody reads lose their name."""
    for layer in reversed(graph.ordered()):
        if layer.name not in graph.layers:
            continue
        if layer.op.has_effect:
            continue
        dead = [o for o in layer.outputs if o and graph.is_dead(o)]
        if len(dead) == len([o for o in layer.outputs if o]):
            before = len(graph.layers)
            graph.drop(layer)
            report.fire("drop dead layer", layer.name, before - len(graph.layers))
        elif dead and not isinstance(layer.op, Host):
            outputs = tuple("" if o in dead else o for o in layer.outputs)
            graph.swap(layer, Layer(layer.op, layer.inputs, outputs, layer.name, layer.origin))
            report.fire("drop unused output", layer.name, len(dead))


def merge_duplicates(graph: Graph, report: Report) -> None:
    """y = f(x), z = f(x) → y, with readers of z reading y; equal constants become one"""
    _merge_constants(graph, report)
    seen: dict[tuple, Layer] = {}
    for layer in graph.execution_order():
        if layer.name not in graph.layers:
            continue
        layer = graph.layers[layer.name]
        if not layer.op.repeatable:
            continue
        value = repr(getattr(layer.op, "value", None))        # 0.0 == -0.0, yet they differ
        key = (type(layer.op), layer.op, value, layer.inputs, tuple(bool(o) for o in layer.outputs))
        first = seen.get(key)
        if first is None or first.name not in graph.layers:
            seen[key] = layer
            continue
        first = graph.layers[first.name]
        if any(graph.is_output(o) for o in layer.outputs) and \
                (len(layer.outputs) > 1 or graph.is_output(first.outputs[0])):
            report.decline("merge duplicates", layer.name, f"it and {first.name} are both network outputs")
        elif all(isinstance(graph.types[o], TensorType) for o in layer.outputs if o):
            graph.alias(layer, first)
            report.fire("merge duplicates", layer.name)


def _merge_constants(graph: Graph, report: Report) -> None:
    first: dict[tuple, str] = {}
    for name, array in list(graph.constants.items()):
        if graph.is_dead(name):
            continue
        kept = name if isinstance(array, Refittable) else first.setdefault(_identity(array), name)
        if kept != name and not graph.is_output(name):
            graph.redirect(name, kept)
            report.fire("merge equal constants", kept)


def _identity(array: np.ndarray) -> tuple:
    if array.nbytes <= COMPARED and not array.dtype.hasobject:
        return array.dtype.str, str(array.dtype), array.shape, array.tobytes()
    interface = array.__array_interface__
    return array.dtype.str, str(array.dtype), array.shape, array.strides, interface["data"][0]
