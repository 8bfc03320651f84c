"""wright onnx prepend: put pre-processing before a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import Console, UsageError
from .change import add_files, change
from .merge import add_connections, connections, interface, say_interface

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "put pre-processing before a model: another model, or ready-made for images"
DESCRIPTION = """Put another model before this one (--model), or make it take images as cameras and decoders give them:
(batch, height, width, channels), normalised, and resized where asked."""
EPILOG = """examples:
  wright onnx prepend model.onnx --model pre.onnx -o whole.onnx
  wright onnx prepend resnet.onnx --image uint8 --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225 -o whole.onnx
  wright onnx prepend yolo.onnx --image uint8 --bgr --resize -o whole.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", dest="pre", type=Path, metavar="PRE", help="ONNX file to put before the model")
    what.add_argument("--image", choices=("uint8", "float16", "float32"), help="take images of this element type")
    add_connections(parser)
    image = parser.add_argument_group("images")
    image.add_argument("--input", metavar="NAME", help="the input they are for (default: the only one)")
    image.add_argument("--scale", type=float, metavar="X", help="pixels are multiplied by it first (default: 1/255)")
    image.add_argument("--mean", type=float, nargs="+", metavar="X", help="subtracted then: one, or one per channel")
    image.add_argument("--std", type=float, nargs="+", metavar="X", help="divided by last: one, or one per channel")
    image.add_argument("--bgr", action="store_true", help="reverse the channels: BGR images for an RGB network, or "
                       "the other way round")
    image.add_argument("--resize", nargs="?", const="own", metavar="HxW", help="resize images of any size to what the "
                       "network takes, or to HxW when that is dynamic; no letterbox")
    image.add_argument("--source", metavar="HxW", help="with --resize: the images always have this size")
    image.add_argument("--interpolation", choices=("linear", "nearest", "cubic"), help="of --resize (default: linear)")
    image.add_argument("--antialias", action="store_true", help="of --resize: average when images get smaller")
    image.add_argument("--layout", choices=("NCHW", "NHWC"), help="of the network (default: where its channels are)")


def size(text: str) -> tuple[int, int]:
    height, x, width = text.lower().partition("x")
    if not (x and height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise UsageError(f"a size is HEIGHTxWIDTH, as 480x640, not {text!r}")
    return int(height), int(width)


def image_options(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments for pieces.image: those that were given."""
    given = {name: getattr(options, name) for name in ("input", "scale", "mean", "std", "interpolation", "layout")
             if getattr(options, name) is not None}
    given |= {name: True for name, option in (("swap", options.bgr), ("antialias", options.antialias)) if option}
    if options.resize is not None:
        given["resize"] = True if options.resize == "own" else size(options.resize)
    if options.source is not None:
        given["source"] = size(options.source)
    return given


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    from ...onnx import pieces
    given, how = image_options(options), connections(options)
    if options.pre is not None and given:
        raise UsageError(f"--{next(iter(given)).replace('swap', 'bgr')} is for --image")
    if options.pre is None and (how["connect"] or how["keep"]):
        raise UsageError("--connect and --keep are for --model; --input names the input that takes images")
    if options.pre is None and options.resize is None and (given.keys() & {"source", "interpolation", "antialias"}):
        raise UsageError("--source, --interpolation and --antialias are for --resize")

    def edit(model: Model) -> dict[str, Any]:
        pre = onnx.load(options.pre) if options.pre is not None else \
            pieces.image(model, dtype=options.image, **given)
        onnx.prepend(model, pre, **how)
        say_interface(model, console)
        return interface(model)
    return change(options, console, edit)
