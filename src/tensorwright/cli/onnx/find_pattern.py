"""wright onnx find-pattern: where do these nodes occur?"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..console import FAILED, OK, Console

HELP = "find nodes by a pattern"
DESCRIPTION = """Find groups of nodes, written in the pattern language (docs/onnx_toolkit.md). The exit code is 1 when
there is none."""
EPILOG = """examples:
  wright onnx find-pattern model.onnx 'Conv(x, w, ?b) -> Relu'
  wright onnx find-pattern model.onnx 'Mul(x, Sigmoid(x))'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("pattern", help="in the pattern language")


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    model = onnx.load(options.model)
    matches = onnx.find_pattern(model, options.pattern)
    for match in matches:
        console.say(str(match) + (f" (cannot be replaced: {match.blocked})" if match.blocked else ""))
    console.say(f"{len(matches)} match{'es' * (len(matches) != 1)}")
    console.result(matches=[{
        "nodes": [n.name or n.outputs[0].name for n in m.nodes],
        "tensors": {k: v.name if v is not None else None for k, v in m.values.items()},
        "attributes": {k: str(v) for k, v in m.attributes.items()},
        "results": [v.name for v in m.results], "blocked": m.blocked} for m in matches])
    return OK if matches else FAILED
