"""Nodes that change nothing: each function takes one kind out, and returns the names of the nodes that went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir import TensorType
from .edit import edit
from .meaning import STANDARD, Meaning
from .model import Model
from .rewire import label, take_over

if TYPE_CHECKING:
    import onnx_ir

# Where a function takes a `meaning`, it is one that has read the model as it is, or less simplified.
#: Of these, a result of the operand's type and shape is the operand: they only arrange elements anew, or repeat them.
RESHAPING = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile"})
#: And these keep the elements in order.
ORDERED = RESHAPING - {"Expand", "Tile"}
#: Of one operand, these are the operand.
OF_ONE = frozenset({"Concat", "Sum", "Max", "Min", "Mean"})
#: Element types that hold every value of the key.
WIDER = {"FLOAT16": {"FLOAT", "DOUBLE"}, "BFLOAT16": {"FLOAT", "DOUBLE"}, "FLOAT": {"DOUBLE"},
         "INT32": {"INT64", "DOUBLE"}, "INT16": {"INT32", "INT64", "FLOAT", "DOUBLE"},
         "INT8": {"INT16", "INT32", "INT64", "FLOAT16", "BFLOAT16", "FLOAT", "DOUBLE"},
         "UINT8": {"UINT16", "INT16", "UINT32", "INT32", "UINT64", "INT64", "FLOAT16", "BFLOAT16", "FLOAT", "DOUBLE"},
         "UINT16": {"UINT32", "INT32", "UINT64", "INT64", "FLOAT", "DOUBLE"}, "UINT32": {"UINT64", "INT64", "DOUBLE"},
         "BOOL": {"INT8", "UINT8", "INT16", "INT32", "INT64", "UINT16", "UINT32", "UINT64", "FLOAT16", "BFLOAT16",
                  "FLOAT", "DOUBLE"}}


def bypass(model: Model, useless: Callable[[onnx_ir.Node], Any]) -> list[str]:
    """Delete every node for which `useless` names the tensor that its readers may read instead of its first result."""
    gone = []
    for node in model.all_nodes():
        if node.graph is None or node.domain not in STANDARD or not node.outputs:
            continue
        value = useless(node)
        if value is None or any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
            continue
        if take_over(node, value):
            node.graph.remove(node, safe=True)
            gone.append(label(node))
    return gone


@edit
def remove_identity(model: Model) -> list[str]:
    """Identity, and Dropout that does not train."""
    def useless(node: onnx_ir.Node) -> Any:
        if node.op_type == "Identity" or (node.op_type == "Dropout" and not trains(node)):
            return node.inputs[0]
        return None
    return bypass(model, useless)


def trains(node: onnx_ir.Node) -> bool:
    """Whether a Dropout may drop: version 12 and later take training_mode as an input, version 6 is_test."""
    if (test := node.attributes.get("is_test")) is not None:
        return not test.as_int()
    mode = node.inputs[2] if len(node.inputs) > 2 else None
    content = None if mode is None else content_of(mode)
    return mode is not None and (content is None or bool(content.any()))


@edit
def remove_casts(model: Model) -> list[str]:
    """Casts to the type a tensor has, and pairs of Casts to a wider type and back."""
    def useless(node: onnx_ir.Node) -> Any:
        x = node.inputs[0] if node.op_type == "Cast" else None
        if x is None:
            return None
        to = node.attributes["to"].as_int()
        if x.dtype is not None and int(x.dtype) == to:
            return x
        first = x.producer()
        if first is None or first.op_type != "Cast" or first.domain not in STANDARD:
            return None
        source = first.inputs[0]
        if source is None or source.dtype is None or x.dtype is None or int(source.dtype) != to:
            return None
        return source if x.dtype.name in WIDER.get(source.dtype.name, ()) and may_read(node, source) else None
    return bypass(model, useless)


@edit
def merge_transposes(model: Model) -> list[str]:
    """Transpose of a Transpose becomes one; those that leave the axes in order go."""
    import onnx_ir

    def useless(node: onnx_ir.Node) -> Any:
        if node.op_type != "Transpose" or (x := node.inputs[0]) is None:
            return None
        order = permutation(node)
        first = x.producer()
        if order is not None and first is not None and first.op_type == "Transpose" and first.domain in STANDARD and \
                (below := permutation(first)) is not None and len(below) == len(order) and \
                first.inputs[0] is not None and may_read(node, first.inputs[0]):
            order = [below[i] for i in order]
            node.replace_input_with(0, first.inputs[0])
            node.attributes["perm"] = onnx_ir.AttrInt64s("perm", order)
            merged.append(label(node))
        return node.inputs[0] if order is not None and list(order) == list(range(len(order))) else None

    merged: list[str] = []
    gone = bypass(model, useless)
    return list(dict.fromkeys([*gone, *merged]))


def permutation(node: onnx_ir.Node) -> Sequence[int] | None:
    if (given := node.attributes.get("perm")) is not None and not given.is_ref():
        return list(given.as_ints())
    x = node.inputs[0]
    return None if given is not None or x is None or x.shape is None else list(reversed(range(len(x.shape))))


@edit
def remove_reshapes(model: Model, *, meaning: Meaning | None = None) -> list[str]:
    """Reshape, Flatten, Squeeze, Unsqueeze, Expand and Tile to the shape a tensor has; of two Reshapes, the first."""
    known = meaning or Meaning(model).walk()

    def useless(node: onnx_ir.Node) -> Any:
        if node.op_type not in RESHAPING or (x := node.inputs[0]) is None:
            return None
        if same_type(known, x, node.outputs[0]):
            return x
        first = x.producer()
        if first is None or first.domain not in STANDARD or not {first.op_type, node.op_type} <= ORDERED or \
                (below := first.inputs[0]) is None or not may_read(node, below):
            return None
        if same_type(known, below, node.outputs[0]):
            return below
        if node.op_type == "Reshape" and (shape := content_of(node.inputs[1])) is not None and not (shape == 0).any():
            node.replace_input_with(0, below)
            merged.append(label(first))
        return None

    merged: list[str] = []
    gone = bypass(model, useless)
    return [*gone, *merged]


@edit
def remove_slices(model: Model, *, meaning: Meaning | None = None) -> list[str]:
    """Slices of everything, Pads by nothing, Concat and Sum of one tensor, Split into one part."""
    known = meaning or Meaning(model).walk()

    def useless(node: onnx_ir.Node) -> Any:
        x = node.inputs[0] if node.inputs else None
        if x is None:
            return None
        if node.op_type in OF_ONE and len(node.inputs) == 1:
            return x
        if node.op_type == "Split" and len(node.outputs) == 1:
            return x
        if node.op_type == "Pad":
            given = node.attributes.get("pads")
            pads = np.array(given.as_ints()) if given is not None else \
                content_of(node.inputs[1]) if len(node.inputs) > 1 else None
            return x if pads is not None and not pads.any() else None
        if node.op_type == "Slice":
            steps = content_of(node.inputs[4]) if len(node.inputs) > 4 and node.inputs[4] is not None else np.ones(1)
            return x if steps is not None and (steps == 1).all() and same_type(known, x, node.outputs[0]) else None
        return None
    return bypass(model, useless)


def same_type(meaning: Meaning, a: onnx_ir.Value, b: onnx_ir.Value) -> bool:
    """Whether two tensors have the same element type and, whatever is fed, the same shape."""
    x, y = meaning.of(a).type, meaning.of(b).type
    return isinstance(x, TensorType) and x == y


def content_of(value: onnx_ir.Value | None) -> np.ndarray | None:
    """The elements of a small constant."""
    from .meaning import array_of, constant_tensor
    tensor = None if value is None else constant_tensor(value)
    return array_of(tensor) if tensor is not None and tensor.size <= 4096 else None


def may_read(node: onnx_ir.Node, value: onnx_ir.Value) -> bool:
    """Whether the value is of the node's own graph (or an input or weight of it)."""
    return value.graph is node.graph
