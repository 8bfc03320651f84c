"""wright onnx fold: compute what does not depend on the inputs, and store it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "compute constant parts, and store the results"
DESCRIPTION = """Compute all nodes whose results do not depend on the model's inputs, and store the results as weights;
shape computations on known dimensions among them, and If nodes whose condition is known. A fold that would make the
file larger stays undone."""
EPILOG = """examples:
  wright onnx fold model.onnx -o folded.onnx
  wright onnx fold model.onnx --in-place --exclude 'Range' --exclude '/decoder/*'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("--largest", type=int, default=1024, metavar="BYTES",
                        help="a result may need more room than the constants it replaces up to this size (1024)")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN",
                        help="leave nodes of this name, operator or result alone (* and ? allowed; repeatable)")


def run(options: argparse.Namespace, console: Console) -> int:
    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        report = onnx.fold(model, largest=options.largest, exclude=options.exclude)
        console.say(f"{len(report.folded)} nodes folded, {len(report.flattened)} Ifs flattened, "
                    f"{len(report.declined)} constant nodes left")
        for name, why in report.declined.items():
            console.say(f"  {name}: {why}")
        return {"folded": report.folded, "flattened": report.flattened, "declined": report.declined}
    return change(options, console, edit)
