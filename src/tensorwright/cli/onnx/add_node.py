"""wright onnx add-node: a new node beside the others."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "add a node; --promote makes its results outputs"
DESCRIPTION = """Add a node that reads tensors of the model. Its results are read by nothing yet: --promote makes them
outputs of the model, set-input connects them to nodes."""
EPILOG = """examples:
  wright onnx add-node model.onnx ArgMax --input scores --result best --set axis=1 --promote -o new.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from .words import add_node_arguments
    add_files(parser)
    add_node_arguments(parser)
    parser.add_argument("--input", action="append", default=[], metavar="TENSOR", dest="inputs",
                        help="an operand: a tensor, a number, a list, FILE.npy, none (repeatable)")
    parser.add_argument("--result", action="append", default=[], metavar="NAME", help="name of a result (repeatable)")
    parser.add_argument("--promote", action="store_true", help="make the results outputs of the model")


def run(options: argparse.Namespace, console: Console) -> int:
    from .words import node_arguments, operand

    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        with onnx.editing(model):
            node = onnx.add_node(model, inputs=[operand(text) for text in options.inputs],
                                 outputs=options.result or None, **node_arguments(model, options))
            onnx.infer(model)
            for value in node.outputs if options.promote else ():
                onnx.add_output(model, value)
        made = [v.name for v in node.outputs]
        console.say(f"added {node.op_type} {node.name!r}, which makes {', '.join(map(repr, made))}")
        return {"node": node.name, "results": made}
    return change(options, console, edit)
