"""wright onnx simplify: a smaller model that computes the same."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "a smaller model that computes the same"
DESCRIPTION = """Fold constants, take out nodes that change nothing (Identity, Dropout, Casts and Transposes that
cancel, Reshapes to the same shape, ...), write known shapes as constants, merge duplicates, drop what nobody reads;
again, until nothing is found. Inputs and outputs stay as they are."""
EPILOG = """examples:
  wright onnx simplify model.onnx -o small.onnx
  wright onnx simplify model.onnx -o small.onnx --skip merge_duplicates --clean-names"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("--skip", action="append", default=[], metavar="STEP",
                        help="leave out: fold, constant_shapes, remove_identity, remove_casts, merge_transposes, "
                             "remove_reshapes, remove_slices, merge_initialisers, merge_duplicates, remove_unused")
    parser.add_argument("--largest", type=int, default=1024, metavar="BYTES",
                        help="a folded constant may need more room than what it replaces up to this size (1024)")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN",
                        help="do not fold nodes of this name, operator or result (* and ? allowed; repeatable)")
    parser.add_argument("--clean-names", action="store_true", help="give readable names to what has none")


def run(options: argparse.Namespace, console: Console) -> int:
    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        with onnx.editing(model):
            report = onnx.simplify(model, skip=options.skip, largest=options.largest, exclude=options.exclude)
            renamed = onnx.clean_names(model) if options.clean_names else {}
        console.say(f"{report.nodes_before} → {report.nodes_after} nodes")
        for name, gone in report.steps.items():
            console.say(f"  {name:<18} {len(gone)}")
        return {"nodes_before": report.nodes_before, "nodes_after": report.nodes_after, "steps": report.steps,
                "declined": report.declined, "renamed": renamed}
    return change(options, console, edit)
