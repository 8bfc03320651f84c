"""wright onnx remove-output: fewer outputs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "remove outputs, and what only they need"
DESCRIPTION = """Remove outputs of the model, with the nodes and weights that only they needed (--keep-nodes keeps
those). --order puts the outputs that stay into the order in which they are named."""
EPILOG = """examples:
  wright onnx remove-output model.onnx aux_scores -o new.onnx
  wright onnx remove-output model.onnx --order boxes,scores --in-place"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("names", nargs="*", metavar="OUTPUT", help="outputs to remove")
    parser.add_argument("--keep-nodes", action="store_true", help="remove nothing else")
    parser.add_argument("--order", metavar="NAMES", help="the outputs that stay, in this order, with commas")


def run(options: argparse.Namespace, console: Console) -> int:
    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        with onnx.editing(model):
            for name in options.names:
                onnx.remove_output(model, name, prune=not options.keep_nodes)
            if options.order:
                onnx.reorder_outputs(model, options.order.split(","))
        left = [v.name for v in model.outputs]
        console.say(f"outputs: {', '.join(map(str, left))}")
        return {"outputs": left}
    return change(options, console, edit)
