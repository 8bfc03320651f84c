"""wright onnx boundary: element types and axis orders of inputs and outputs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console, UsageError
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "element type and layout of inputs and outputs"
DESCRIPTION = """Give inputs and outputs the element type and the order of axes that their user has: a Cast (and Mul,
Add) or a Transpose joins them to the model, which stays as it is."""
EPILOG = """examples:
  wright onnx boundary model.onnx -o m.onnx --type image=uint8 --scale image=0.00392156862745098
  wright onnx boundary model.onnx -o m.onnx --layout image=NHWC
  wright onnx boundary model.onnx -o m.onnx --type classes=int32"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("--type", action="append", default=[], metavar="NAME=TYPE", help="element type (repeatable)")
    parser.add_argument("--scale", action="append", default=[], metavar="NAME=NUMBER",
                        help="the model reads the input times this")
    parser.add_argument("--offset", action="append", default=[], metavar="NAME=NUMBER",
                        help="the model reads the (scaled) input plus this")
    parser.add_argument("--layout", action="append", default=[], metavar="NAME=AXES",
                        help="order of axes, like NHWC (repeatable)")
    parser.add_argument("--current", default="NCHW", metavar="AXES", help="the order of axes the model has (NCHW)")


def run(options: argparse.Namespace, console: Console) -> int:
    types, layouts = pairs("--type", options.type), pairs("--layout", options.layout)
    scales, offsets = numbers("--scale", options.scale), numbers("--offset", options.offset)
    if not (types or layouts or scales or offsets):
        raise UsageError("say what to change: --type, --scale, --offset or --layout")

    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        from ...onnx.boundary import place
        with onnx.editing(model):
            for name in dict.fromkeys([*types, *scales, *offsets]):
                value, _ = place(model, name)
                dtype = types.get(name) or str(value.dtype.numpy() if value.dtype is not None else "")
                onnx.set_type(model, name, dtype, scale=scales.get(name), offset=offsets.get(name))
            for name, layout in layouts.items():
                onnx.set_layout(model, name, layout, current=options.current)
        for value in (*model.inputs, *model.outputs):
            said = value.dtype.name.lower() if value.dtype is not None else "?"
            console.say(f"  {value.name}  {said}  {value.shape}")
        return {"changed": sorted({*types, *scales, *offsets, *layouts})}
    return change(options, console, edit)


def pairs(option: str, given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, said = text.rpartition("=")
        if not equals or not name or not said:
            raise UsageError(f"{option} takes NAME=VALUE, not {text!r}")
        found[name] = said
    return found


def numbers(option: str, given: list[str]) -> dict[str, float]:
    try:
        return {name: float(said) for name, said in pairs(option, given).items()}
    except ValueError:
        raise UsageError(f"{option} takes NAME=NUMBER, not {given}") from None
