"""Inserting nodes: before, after and between others; adding nodes and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ModelError
from ..edit import edit, settle_later
from ..model import Model
from . import schema as schemas
from .build import Builder
from .settle import typed
from .tensors import constant
from .walk import named, node_of, readers, value_of

if TYPE_CHECKING:
    import onnx_ir

    from .build import Operand
    from .walk import NodeKey, TensorKey


@edit
def insert_after(model: Model, where: NodeKey | TensorKey, op_type: str,
                 attributes: Mapping[str, Any] | None = None, *,
                 inputs: Sequence[Operand] = (), at: int = 0, domain: str = "",
                 name: str | None = None) -> onnx_ir.Node:
    """Put a node behind a tensor: it reads the tensor, and whoever read the tensor reads its first result.

    where        a tensor or its name; a node or its name when it has one result
    attributes   checked against the operator's schema
    inputs, at   the node's other operands, and the place among them that the tensor takes
    If the tensor is an output of the graph, the node's result takes its name and place.
    """
    value = _result(model, where)
    return _insert(model, value, value.uses(), True, op_type, attributes, inputs, at, domain, name)


@edit
def insert_before(model: Model, node: NodeKey, op_type: str, attributes: Mapping[str, Any] | None = None, *,
                  input: int | str | None = None, inputs: Sequence[Operand] = (), at: int = 0, domain: str = "",
                  name: str | None = None) -> onnx_ir.Node:
    """Put a node in front of another (given itself, by name, or by a tensor it makes), into one of its inputs.

    input    that input, by its place or the tensor's name. None: the one that is not constant
    Other arguments are those of `insert_after`. Other readers of the tensor are not touched.
    """
    node = node_of(model, node)
    value, places = _operand(model, node, input)
    return _insert(model, value, [(node, k) for k in places], False, op_type, attributes, inputs, at, domain, name)


@edit
def insert_between(model: Model, producer: NodeKey | TensorKey, consumer: NodeKey, op_type: str,
                   attributes: Mapping[str, Any] | None = None, *, inputs: Sequence[Operand] = (), at: int = 0,
                   domain: str = "", name: str | None = None) -> onnx_ir.Node:
    """Put a node onto the edge from a node (or tensor) to a node that reads it; other edges stay as they are."""
    reader = node_of(model, consumer)
    values = _results(model, producer)
    edges = [v for v in dict.fromkeys(reader.inputs) if v is not None and v in values]
    if len(edges) != 1:
        shown = " and ".join(repr(v.name) for v in edges)
        raise ModelError(f"{named(reader)} reads {shown} of it: which one?" if edges else
                         f"{named(reader)} does not read " + " or ".join(repr(v.name) for v in values), at=model.label,
                         try_="name the tensor instead of the node" if edges else "; ".join(map(readers, values)))
    places = [k for k, v in enumerate(reader.inputs) if v is edges[0]]
    return _insert(model, edges[0], [(reader, k) for k in places], False, op_type, attributes, inputs, at, domain, name)


@edit
def add_node(model: Model, op_type: str, inputs: Sequence[Operand] = (), attributes: Mapping[str, Any] | None = None, *,
             outputs: int | Sequence[str] | None = None, domain: str = "", name: str | None = None) -> onnx_ir.Node:
    """Add a node to the main graph; nothing reads its results yet (`set_input`, `replace_tensor`, `add_output`).

    inputs    tensors, their names, arrays and numbers (new constants), None for absent ones
    outputs   names of its results, or how many
    """
    build = Builder(model, model.graph)
    node = build.node(op_type, list(inputs), attributes, domain=domain, outputs=outputs, name=name)
    model.graph.extend(build.nodes)
    settle_later(model)
    return node


@edit
def add_weight(model: Model, name: str, values: Any) -> onnx_ir.Value:
    """Add an initialiser to the main graph. ModelError when there is a tensor of this name."""
    if not name or name in model.values():
        raise ModelError(f"there is a tensor {name!r} already" if name else "a weight needs a name", at=model.label,
                         try_="set_weight() changes it")
    return Builder(model, model.graph).weight(np.asarray(values), name)


def _insert(model: Model, value: onnx_ir.Value, uses: Any, output: bool, op_type: str,
            attributes: Mapping[str, Any] | None, inputs: Sequence[Operand], at: int, domain: str, name: str | None,
            ) -> onnx_ir.Node:
    """A node that reads `value` at operand `at`; the uses (node, place) read it instead, so does the graph's output."""
    made = value.producer()
    graph = value.graph
    reader = next((u for u, _ in uses), None)
    if made is None and reader is not None and not output:
        graph = reader.graph                             # in front of a node inside a subgraph: there, not outside
    assert graph is not None
    output = output and value.is_graph_output()
    if output and (made is None or value.is_graph_input()):
        raise ModelError(f"{value.name!r} is an output of the graph that no node makes: nothing can come between",
                         at=model.label)
    if not 0 <= at <= len(inputs):
        raise ModelError(f"the tensor cannot be operand {at} of {len(inputs) + 1}", at=model.label)
    build = Builder(model, graph)
    node = build.node(op_type, [*inputs[:at], value, *inputs[at:]], attributes, domain=domain, name=name)
    if not node.outputs:
        raise ModelError(f"{op_type} has no result to pass on", at=model.label)
    new = node.outputs[0]
    if schemas.schema(model, op_type, domain, graph) is None:
        typed(model)
        new.type, new.shape = value.type, value.shape    # nobody can infer what a custom operator makes
    for user, index in list(uses):
        user.replace_input_with(index, new)
    if output:
        label = str(value.name)
        value.name = build.names.tensor(f"{label}_before_{node.name}")
        new.name = label
        for k, other in enumerate(graph.outputs):
            if other is value:
                graph.outputs[k] = new
    if made is not None and made.graph is graph:
        made.append(build.nodes)
    elif len(graph):
        graph.insert_before(graph[0], build.nodes)
    else:
        graph.extend(build.nodes)
    settle_later(model)
    return node


def _results(model: Model, key: NodeKey | TensorKey) -> list[onnx_ir.Value]:
    """A tensor, or the results of a node. A string names a tensor, or else a node."""
    import onnx_ir
    if isinstance(key, onnx_ir.Value) or (isinstance(key, str) and key in model.values()):
        return [value_of(model, key)]
    return list(node_of(model, key).outputs)


def _result(model: Model, key: NodeKey | TensorKey) -> onnx_ir.Value:
    values = _results(model, key)
    used = [v for v in values if v.uses() or v.is_graph_output()] if len(values) > 1 else values
    if len(used) != 1:
        raise ModelError(f"{named(node_of(model, key))} has {len(values)} results: after which one?", at=model.label,  # type: ignore[arg-type]
                         try_=" or ".join(repr(v.name) for v in values))
    return used[0]


def _operand(model: Model, node: onnx_ir.Node, key: int | str | None) -> tuple[onnx_ir.Value, list[int]]:
    """An input of a node, and the places where the node reads it."""
    present = {k: v for k, v in enumerate(node.inputs) if v is not None}
    listed = " or ".join(f"input={str(v.name)!r}" for v in present.values()) or None
    if key is None:
        data = list(dict.fromkeys(v for v in present.values() if constant(v) is None))
        if len(data) != 1:
            raise ModelError(f"{named(node)} has {len(data)} inputs that are not constant: before which one?"
                             if data else f"{named(node)} has no input that is not constant", at=model.label,
                             try_=listed)
        return data[0], [k for k, v in present.items() if v is data[0]]
    if isinstance(key, int):
        if key not in present:
            raise ModelError(f"{named(node)} has no input {key}", at=model.label, try_=listed)
        return present[key], [key]
    places = [k for k, v in present.items() if v.name == key]
    if not places:
        raise ModelError(f"{named(node)} does not read {key!r}", at=model.label, try_=listed)
    return present[places[0]], places
