"""wright onnx add-output: make a tensor an output."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "make tensors outputs of the model"
DESCRIPTION = """Make tensors outputs, after those the model has. NAME=TENSOR gives the output a name of its own: inputs
and weights need that."""
EPILOG = """examples:
  wright onnx add-output model.onnx layer3_out features=layer4_out -o new.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("tensors", nargs="+", metavar="[NAME=]TENSOR", help="tensors of the main graph")
    parser.add_argument("--dtype", metavar="TYPE", help="the element type, where inference does not know it")
    parser.add_argument("--shape", metavar="SIZES", help="the shape alike, such as batch,3,?")


def run(options: argparse.Namespace, console: Console) -> int:
    shape = None if options.shape is None else [
        int(d) if d.isdecimal() else None if d == "?" else d for d in options.shape.split(",") if d]

    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        known = model.values()
        with onnx.editing(model):
            for text in options.tensors:
                name, equals, tensor = text.partition("=")
                alone = text in known or not equals
                onnx.add_output(model, text if alone else tensor, name=None if alone else name, dtype=options.dtype,
                                shape=shape)
        made = [v.name for v in model.outputs]
        console.say(f"outputs: {', '.join(map(str, made))}")
        return {"outputs": made}
    return change(options, console, edit)
