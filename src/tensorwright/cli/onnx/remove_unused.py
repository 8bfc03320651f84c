"""wright onnx remove-unused: nodes, weights, functions and inputs that nothing needs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "remove nodes, weights, functions nothing needs"
DESCRIPTION = """Remove nodes whose results nothing reads, weights nothing reads, functions nothing calls; with --inputs
also inputs nothing reads: all, or the ones named, which is an error when they are read."""
EPILOG = """examples:
  wright onnx remove-unused model.onnx -o new.onnx
  wright onnx remove-unused model.onnx --inputs mask --in-place"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("--inputs", nargs="*", metavar="NAME", help="remove inputs, too: these, or all that are unused")


def run(options: argparse.Namespace, console: Console) -> int:
    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        with onnx.editing(model):
            removed = onnx.remove_unused(model)
            inputs = () if options.inputs is None else onnx.remove_inputs(model, options.inputs or None)
        removed = onnx.Removed(removed.nodes, removed.weights, removed.functions, inputs)
        console.say(str(removed))
        return {"nodes": removed.nodes, "weights": removed.weights, "functions": removed.functions, "inputs": inputs}
    return change(options, console, edit)
