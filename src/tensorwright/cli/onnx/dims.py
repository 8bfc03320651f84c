"""wright onnx dims: numbers ↔ names of input dimensions, with all that depends on them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console, UsageError
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model
    from ...onnx.dimensions import Redimensioned

HELP = "make dimensions of inputs dynamic, or fix them; set the batch"
DESCRIPTION = """Set dimensions of inputs: a number fixes one, a name makes it dynamic, - leaves it. All shapes are
refreshed. Constants that hold an old dimension (in Reshape, Expand, Resize, Slice, ...) are repaired; where one cannot
be, nothing is written and the error names the node."""
EPILOG = """examples:
  wright onnx dims model.onnx -o dynamic.onnx --batch batch
  wright onnx dims model.onnx -o fixed.onnx --batch 8
  wright onnx dims model.onnx -o dynamic.onnx --input image=batch,3,height,width
  wright onnx dims bert.onnx -o fixed.onnx --input ids=1,128 --input mask=1,128"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("--input", action="append", default=[], metavar="NAME=D,D,...",
                        help="an input's dimensions: numbers, names, or - for those that stay (repeatable)")
    parser.add_argument("--batch", metavar="D", help="the first dimension of all inputs that share it: number or name")


def run(options: argparse.Namespace, console: Console) -> int:
    if not options.input and options.batch is None:
        raise UsageError("say which dimensions: --batch, or --input NAME=D,D,...")
    wanted: dict[str, list[int | str | None]] = {}
    for text in options.input:
        name, equals, dims = text.rpartition("=")
        if not equals:
            raise UsageError(f"--input takes NAME=D,D,..., not {text!r}")
        wanted[name] = [dim(d.strip()) for d in dims.split(",")] if dims.strip() else []

    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        repaired: dict[str, str] = {}
        reports: list[Redimensioned] = []
        with onnx.editing(model):
            if wanted:
                reports.append(onnx.set_dims(model, wanted))
            if options.batch is not None:
                reports.append(onnx.set_batch(model, dim(options.batch) or ""))
        for report in reports:
            repaired.update(report.repaired)
        for name, shape in reports[-1].shapes.items():
            console.say(f"  {name}  {' × '.join(map(str, shape))}")
        for name, what in repaired.items():
            console.say(f"  repaired {name}: {what}")
        return {"shapes": reports[-1].shapes, "repaired": repaired}
    return change(options, console, edit)


def dim(text: str) -> int | str | None:
    if text == "-":
        return None
    return int(text) if text.lstrip("-").isdigit() else text
