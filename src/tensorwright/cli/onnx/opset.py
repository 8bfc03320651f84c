"""wright onnx opset: other versions of the operator set and of the file format."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console, UsageError
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "convert to another opset or IR version"
DESCRIPTION = """Convert the model to another version of ONNX's operator set, up or down, with onnx's converter and
without touching the weights; and set the version of the file format (IR), which old runtimes may ask for. Where a node
cannot be converted, nothing is written and the error names it."""
EPILOG = """examples:
  wright onnx opset model.onnx -o new.onnx --to 21
  wright onnx opset model.onnx -o old.onnx --to 17 --ir 8"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("--to", type=int, metavar="VERSION", help="version of the default operator set")
    parser.add_argument("--ir", type=int, metavar="VERSION", help="version of the file format")


def run(options: argparse.Namespace, console: Console) -> int:
    if options.to is None and options.ir is None:
        raise UsageError("say which version: --to, or --ir")

    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        before = model.opset, model.ir.ir_version
        with onnx.editing(model):
            if options.to is not None:
                onnx.set_opset(model, options.to)
            if options.ir is not None:
                onnx.set_ir_version(model, options.ir)
        console.say(f"opset {before[0]} → {model.opset}, IR version {before[1]} → {model.ir.ir_version}")
        return {"opset": model.opset, "ir_version": model.ir.ir_version}
    return change(options, console, edit)
