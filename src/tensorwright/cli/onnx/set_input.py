"""wright onnx set-input: connect an operand to another tensor."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "connect a node's operand to another tensor"
DESCRIPTION = """Connect an operand of a node to a tensor, or to a new constant. OPERAND is its place, its name in the
operator's schema, or the tensor that is there; "*" for NODE lets every reader of the tensor OPERAND read TENSOR."""
EPILOG = """examples:
  wright onnx set-input model.onnx add_1 1 bias -o new.onnx
  wright onnx set-input model.onnx clip_1 max 6.0 -o new.onnx
  wright onnx set-input model.onnx '*' old_scores new_scores --in-place"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("node", help="the node's name, or that of a tensor it makes, or *")
    parser.add_argument("operand", help="place, schema name or tensor")
    parser.add_argument("tensor", help="a tensor, a number, a list, FILE.npy; none: left out")


def run(options: argparse.Namespace, console: Console) -> int:
    from .words import operand

    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        if options.node == "*":
            onnx.replace_tensor(model, options.operand, options.tensor)
        else:
            place = int(options.operand) if options.operand.isdecimal() else options.operand
            onnx.set_input(model, options.node, place, operand(options.tensor))
        console.say(f"{options.node} reads {options.tensor} as {options.operand}")
        return {"node": options.node, "operand": options.operand, "tensor": options.tensor}
    return change(options, console, edit)
