"""wright onnx check: is the file a valid model?"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..console import FAILED, OK, Console

HELP = "is the file a valid model?"
DESCRIPTION = """Run onnx's checker and strict type and shape inference, without reading the weights. The exit code is 1
when the model is not valid."""
EPILOG = """examples:
  wright onnx check model.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    model = onnx.load(options.model)
    problem = onnx.problem(model)
    console.say(f"{options.model}: " + (f"not valid: {problem}" if problem else f"valid, opset {model.opset}"))
    console.result(valid=problem is None, problem=problem, opset=model.opset)
    return FAILED if problem else OK
