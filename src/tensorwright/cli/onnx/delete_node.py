"""wright onnx delete-node: take nodes out and join what they joined."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "delete nodes, reconnecting their edges"
DESCRIPTION = """Delete nodes; what read a node's result reads its input instead: the one that is not constant, or that
has the result's type and shape. Where that does not decide, --through names the input. Outputs of the graph keep their
names."""
EPILOG = """examples:
  wright onnx delete-node model.onnx dropout_1 dropout_2 -o new.onnx
  wright onnx delete-node model.onnx add_3 --through relu_2_out --in-place"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("nodes", nargs="+", metavar="NODE", help="the node's name, or that of a tensor it makes")
    parser.add_argument("--through", metavar="TENSOR", help="the input that takes the result's place")


def run(options: argparse.Namespace, console: Console) -> int:
    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        with onnx.editing(model):
            for node in [model.node(name) for name in options.nodes]:
                onnx.delete_node(model, node, through=options.through)
        console.say(f"deleted {', '.join(options.nodes)}")
        return {"deleted": options.nodes}
    return change(options, console, edit)
