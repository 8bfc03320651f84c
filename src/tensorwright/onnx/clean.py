"""Readable names: nodes without one, tensors called 127 or onnx::Conv_127, get names that say what they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .edit import edit
from .model import Model
from .rewire import Names

if TYPE_CHECKING:
    import onnx_ir

#: Names that say nothing: numbers, with or without the mark of an exporter, and very long ones.
UGLY = re.compile(r"(onnx::|aten::|prim::|tensor|t|val|var|node|n|x|v|%)?[_:.]*\d*(_\d+)*|onnx::.*|.{120,}")


@edit
def clean_names(model: Model, *, every: bool = False) -> dict[str, str]:
    """Give readable, unique names to nodes and tensors that have none or ugly ones. Returns old → new tensor names.

    Nodes are called after their operator, results after their node, weights after their role: conv_3, conv_3.weight.
    Names of inputs and outputs of the model stay. every: rename all others, not only the ugly ones.
    """
    from .structure.rename import rename_nodes, rename_tensors
    names = Names(model)
    nodes: dict[Any, str] = {}
    seen: set[str] = set()
    counts: dict[str, int] = {}
    for node in model.all_nodes():
        op = snake(node.op_type)
        number = counts[op] = counts.get(op, -1) + 1
        if every or not node.name or node.name in seen or UGLY.fullmatch(node.name):
            nodes[node] = names.fresh(f"{op}_{number}")
        seen.add(nodes.get(node, node.name or ""))
    kept = {v.name for v in (*model.graph.inputs, *model.graph.outputs)}
    tensors: dict[Any, str] = {}
    for graph in model.graphs():
        for value in getattr(graph, "initializers", {}).values():
            if value.name not in kept and wanted(value.name, every):
                tensors[value] = names.fresh(role(value, nodes) or "weight")
        for node in graph:
            for i, value in enumerate(node.outputs):
                if value.name and value.name not in kept and wanted(value.name, every):
                    name = nodes.get(node, node.name or snake(node.op_type))
                    tensors[value] = names.fresh(f"{name}.out" + (str(i) if len(node.outputs) > 1 else ""))
    old = {str(value.name): name for value, name in tensors.items()}
    rename_tensors(model, tensors)
    rename_nodes(model, nodes)
    return old


def wanted(name: str | None, every: bool) -> bool:
    return every or not name or UGLY.fullmatch(name) is not None


def snake(op_type: str) -> str:
    """BatchNormalization → batch_normalization, MatMul → mat_mul, LSTM → lstm"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", op_type).lower()


def role(value: onnx_ir.Value, nodes: dict[Any, str]) -> str | None:
    """A weight's name from its first reader: conv_3.weight, conv_3.bias, reshape_1.shape."""
    import onnx
    for node, index in value.uses():
        name = nodes.get(node, node.name or snake(node.op_type))
        if not onnx.defs.has(node.op_type, node.domain):
            return f"{name}.weight"
        formal = onnx.defs.get_schema(node.op_type, node.domain).inputs
        said = formal[min(index, len(formal) - 1)].name.lower() if formal else "weight"
        words = {"w": "weight", "b": "bias" if index > 1 else "weight", "c": "bias", "r": "recurrence"}
        return f"{name}.{words.get(said, said)}"
    return None
