"""wright onnx extract: a part of a model as a model of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..console import OK, Console

HELP = "cut a part out by the names of its tensors"
DESCRIPTION = """Write the part of a model that computes some tensors from others as a model of its own. Without
--inputs: from those inputs of the model that it needs. When --inputs is not enough, the error names what is missing."""
EPILOG = """examples:
  wright onnx extract model.onnx --outputs layer4_out -o backbone.onnx
  wright onnx extract model.onnx --inputs layer4_out --outputs scores,boxes -o head.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("--inputs", metavar="NAMES", help="tensors that the user feeds, with commas")
    parser.add_argument("--outputs", metavar="NAMES", required=True, help="tensors to compute, with commas")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", required=True, help="write the part there")
    parser.add_argument("--external", action=argparse.BooleanOptionalAction, default=None,
                        help="keep weights in a file of their own, or in the model file (default: as they are)")


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    inputs = None if options.inputs is None else [n for n in options.inputs.split(",") if n]
    part = onnx.extract(onnx.load(options.model), inputs, options.outputs.split(","))
    path = onnx.save(part, options.output, external=options.external)
    names = [v.name for v in part.inputs], [v.name for v in part.outputs]
    console.say(f"{len(part.nodes)} nodes, from {', '.join(map(str, names[0]))} to {', '.join(map(str, names[1]))}")
    console.say(f"wrote {path}")
    console.result(output=str(path), nodes=len(part.nodes), inputs=names[0], outputs=names[1])
    return OK
