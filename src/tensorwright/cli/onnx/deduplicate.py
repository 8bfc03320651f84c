"""wright onnx deduplicate: equal weights once, equal nodes once."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "merge equal weights, and nodes that compute the same"
DESCRIPTION = "Merge initialisers of equal content, then nodes with the same operator, attributes and operands."
EPILOG = """examples:
  wright onnx deduplicate model.onnx -o smaller.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        merged = onnx.deduplicate(model)
        console.say(f"{len(merged)} weights and nodes merged into others")
        return {"merged": merged}
    return change(options, console, edit)
