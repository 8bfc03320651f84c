"""wright onnx clean-names: readable names for nodes and tensors."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "readable names for nodes and tensors that have none"
DESCRIPTION = """Give readable, unique names to nodes without one and to tensors called 127 or onnx::Conv_127: conv_3,
conv_3.weight. The names of the model's inputs and outputs stay."""
EPILOG = """examples:
  wright onnx clean-names model.onnx -o named.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("--every", action="store_true", help="rename all nodes and tensors, not only the ugly ones")


def run(options: argparse.Namespace, console: Console) -> int:
    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        renamed = onnx.clean_names(model, every=options.every)
        console.say(f"{len(renamed)} tensors renamed")
        return {"renamed": renamed}
    return change(options, console, edit)
