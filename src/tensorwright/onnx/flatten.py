"""An If whose condition is constant becomes the branch that is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .rewire import Names, inside
from .structure.walk import detach

if TYPE_CHECKING:
    import onnx_ir


def flatten_if(node: onnx_ir.Node, condition: bool, names: Names) -> None:
    """Move the branch's nodes and initialisers to the place of the node, under names that are new to the model."""
    import onnx_ir

    graph: Any = node.graph
    branch = node.attributes["then_branch" if condition else "else_branch"].as_graph()
    for value in list(branch.initializers.values()):
        tensor = value.const_value
        del branch.initializers[str(value.name)]
        value.name = names.fresh(str(value.name))
        if tensor is not None:
            value.const_value = tensor
        graph.register_initializer(value)
    moved = list(branch)
    results = list(branch.outputs)
    for step in moved:
        for inner in inside(step):
            inner.name = names.fresh(inner.name or inner.op_type)
            for value in inner.outputs:
                if value.name:
                    value.name = names.fresh(value.name)
    branch.outputs.clear()
    branch.remove(moved)
    graph.insert_after(node, moved)
    last = moved[-1] if moved else node
    for old, new in zip(node.outputs, results, strict=True):
        name = old.name
        if old.is_graph_output() and (new.producer() not in moved or new.is_graph_output()):
            identity = onnx_ir.Node("", "Identity", [new], name=names.fresh(f"{node.name or 'If'}_result"),
                                    num_outputs=1)
            graph.insert_after(last, identity)
            last, made = identity, identity.outputs[0]
            made.shape, made.type = old.shape, old.type
        else:
            made = new
            made.shape, made.type = made.shape or old.shape, made.type or old.type
        was_output = old.is_graph_output()
        old.name = None
        old.replace_all_uses_with(made, replace_graph_outputs=True)
        if was_output:
            made.name = name
    detach(node)                                         # what the other branch reads is not read by it any more
    graph.remove(node, safe=True)
