"""Putting a constant in the place of a computed operand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...fold import stored
from ...rewire import Names, drop

if TYPE_CHECKING:
    import onnx_ir

    from ..context import Context


def write(context: Context, node: onnx_ir.Node, index: int, content: Any, what: str) -> None:
    """Input `index` of the node becomes a new constant with this content, an array; what made the old one goes."""
    import onnx_ir
    old = node.inputs[index]
    name = Names(context.model).fresh(f"{node.name or node.outputs[0].name}_{what}")
    node.replace_input_with(index, stored(node.graph, node, name, onnx_ir.tensor(np.asarray(content), name=name)))
    drop(context.model, old)
