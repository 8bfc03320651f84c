"""Which module of the exported program a node is part of: from the exporter's metadata, else from the node's name."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir

#: Names of modules nested deeper than this are left out.
DEEPEST = 12


def scopes(node: onnx_ir.Node) -> list[str]:
    """Names of the modules around the node, outermost first: ["layers.1", "layers.1.1"]."""
    stored = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
    if 2 < len(stored) < 4096:
        try:
            names = ast.literal_eval(stored)
            if isinstance(names, list) and all(isinstance(n, str) for n in names):
                return [n for n in names[:-1] if n][:DEEPEST]
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            pass                                         # somebody else's metadata: the name tells too
    return [n for n in (node.name or "").split("/")[:-1] if n][:DEEPEST]
