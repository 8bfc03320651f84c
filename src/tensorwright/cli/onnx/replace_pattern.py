"""wright onnx replace-pattern: other nodes in the place of those that a pattern finds."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "replace nodes found by a pattern"
DESCRIPTION = """Replace every match of a pattern by a replacement, both in the pattern language (docs/onnx_toolkit.md).
Matches whose inner tensors are needed elsewhere are left alone and listed. It is an error when nothing is replaced.
With --node, PATTERN is the name of one node, and the replacement speaks of its operands by the schema's names."""
EPILOG = """examples:
  wright onnx replace-pattern model.onnx 'Mul(x, Sigmoid(x))' 'Swish(x)' -o new.onnx
  wright onnx replace-pattern model.onnx 'LeakyRelu(x, alpha=a)' 'Relu(x)' --in-place
  wright onnx replace-pattern model.onnx --node relu_1 'Clip(X, 0, 6)' -o new.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("pattern", help="in the pattern language, or a node with --node")
    parser.add_argument("replacement", help="in the pattern language")
    parser.add_argument("--node", action="store_true", help="replace the one node of this name")


def run(options: argparse.Namespace, console: Console) -> int:
    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        from ...errors import ModelError
        if options.node:
            onnx.replace_node(model, options.pattern, options.replacement)
            console.say(f"replaced {options.pattern}")
            return {"replaced": [options.pattern], "refused": {}}
        report = onnx.replace_pattern(model, options.pattern, options.replacement)
        if not report:
            raise ModelError("nothing was replaced: " + str(report).split("\n", 1)[-1], at=model.label)
        console.say(str(report))
        return {"replaced": list(report.done), "refused": dict(report.refused)}
    return change(options, console, edit)
