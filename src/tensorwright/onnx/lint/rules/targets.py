"""Putting a constant in the place of a computed operand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...fold import stored
from ...rewire import Names, remove_unread

if TYPE_CHECKING:
    import onnx_ir

    from ..context import Context


def write(context: Context, node: onnx_ir.Node, index: int, content: Any, what: str) -> None:
    """Input `index` of the node becomes a new constant with this content, an array; what made the old one goes."""
    import onnx_ir
    old = node.inputs[index]
    name = Names(context.model).fresh(f"{node.name or node.outputs[0].name}_{what}")
    node.replace_input_with(index, stored(node.graph, node, name, onnx_ir.tensor(np.asarray(content), name=name)))
    if old is not None:
        drop(context, old)


def drop(context: Context, value: onnx_ir.Value) -> None:
    """Remove a tensor that may not be read any more: the nodes that make it, or the initialiser."""
    if (maker := value.producer()) is not None:
        remove_unread(context.model, [maker])
    elif value.is_initializer() and not (value.uses() or value.is_graph_output() or value.is_graph_input()):
        del value.graph.initializers[str(value.name)]  # type: ignore[union-attr]
