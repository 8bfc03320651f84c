"""Moving readers from one tensor to another, and dropping what nobody reads: steps that all simplifications share."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .model import Model, subgraphs
from .structure.walk import Names as Names

if TYPE_CHECKING:
    import onnx_ir


def take_over(node: onnx_ir.Node, new: onnx_ir.Value, index: int = 0) -> bool:
    """All readers of an output of `node` read `new` instead; the node then has no reader there.

    An output of a graph keeps its name: `new` is renamed, where it may be. False, and nothing changed, where it may
    not: it is an input or initialiser, an output itself, or belongs to an outer graph.
    """
    old = node.outputs[index]
    if old.is_graph_output():
        maker = new.producer()
        if maker is None or maker.graph is not node.graph or new.is_graph_output():
            return False
        name, old.name = old.name, None
        new.name = name
        if new.shape is None or (old.shape is not None and known_dims(old) > known_dims(new)):
            new.shape = old.shape
        new.type = new.type or old.type
    elif new.shape is None and new.producer() is not None:
        new.shape, new.type = old.shape, new.type or old.type
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    return True


def known_dims(value: onnx_ir.Value) -> int:
    return sum(isinstance(d, int) for d in value.shape or ())


def remove_unread(model: Model, nodes: Iterable[onnx_ir.Node] | None = None) -> list[str]:
    """Delete nodes whose results nobody reads, and initialisers alike. Returns their names.

    nodes   only these, and what only they read; None: all of the model
    """
    gone: list[str] = []
    waiting = list(reversed(model.all_nodes())) if nodes is None else list(nodes)
    everything = nodes is None
    sources: dict[Any, None] = {}
    while waiting:
        node = waiting.pop(0) if everything else waiting.pop()
        if node.graph is None or any(v.uses() or v.is_graph_output() for v in node.outputs):
            continue
        feeders = [v for n in inside(node) for v in n.inputs if v is not None]
        node.graph.remove(node, safe=True)
        for n in inside(node):
            for i in range(len(n.inputs)):
                n.replace_input_with(i, None)
        gone.append(label(node))
        for value in feeders:
            maker = value.producer()
            if maker is not None:
                waiting.append(maker)
            else:
                sources[value] = None
    for graph in model.graphs() if everything else ():
        sources.update(dict.fromkeys(getattr(graph, "initializers", {}).values()))
    for value in sources:
        if value.is_initializer() and not (value.uses() or value.is_graph_output() or value.is_graph_input()):
            del value.graph.initializers[value.name]
            gone.append(str(value.name))
    return gone


def drop(model: Model, value: onnx_ir.Value | None) -> None:
    """Delete a constant that nobody reads any more, and the nodes that made it."""
    maker = None if value is None else value.producer()
    if maker is not None:
        remove_unread(model, [maker])
    elif value is not None and value.is_initializer() and not (
            value.uses() or value.is_graph_output() or value.is_graph_input()):
        del value.graph.initializers[str(value.name)]  # type: ignore[union-attr]


def inside(node: onnx_ir.Node) -> list[onnx_ir.Node]:
    """The node and all nodes of its bodies."""
    return [node, *(n for g in subgraphs(node) for inner in g for n in inside(inner))]


def label(node: onnx_ir.Node) -> str:
    """A node's name, or its first tensor's."""
    return node.name or next((v.name for v in node.outputs if v.name), node.op_type)


def matches(node: onnx_ir.Node, patterns: Iterable[str]) -> bool:
    """Whether a pattern (fnmatch: * and ?) is the node's name, its operator, or a tensor it makes."""
    names = [node.name or "", node.op_type, *(v.name or "" for v in node.outputs)]
    return any(name == p or fnmatch.fnmatchcase(name, p) for p in patterns for name in names)
