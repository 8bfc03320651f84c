"""wright onnx rename: other names for tensors, inputs, outputs and nodes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console, UsageError
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "rename tensors, inputs, outputs, nodes"
DESCRIPTION = """Rename tensors (inputs, outputs and weights are tensors) everywhere: in the nodes that read them, in
subgraphs, value infos and quantisation annotations. Several pairs change at once, so names can be swapped. With
--regex every name in which OLD occurs is changed as Python's re.sub does."""
EPILOG = """examples:
  wright onnx rename model.onnx x image y scores -o new.onnx
  wright onnx rename model.onnx --regex '^/backbone/' 'b.' --in-place
  wright onnx rename model.onnx --nodes Conv_0 stem -o new.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("names", nargs="+", metavar="OLD NEW", help="pairs of names")
    parser.add_argument("--nodes", action="store_true", help="rename nodes instead of tensors")
    parser.add_argument("--regex", action="store_true", help="OLD is a regular expression, NEW may refer to its groups")


def run(options: argparse.Namespace, console: Console) -> int:
    if len(options.names) % 2:
        raise UsageError("names come in pairs: OLD NEW")
    pairs = dict(zip(options.names[::2], options.names[1::2], strict=True))

    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        done: dict[str, str] = {}
        with onnx.editing(model):
            if options.regex:
                for expression, replacement in pairs.items():
                    done |= onnx.rename_by(model, expression, replacement, tensors=not options.nodes,
                                           nodes=options.nodes)
            else:
                (onnx.rename_nodes if options.nodes else onnx.rename_tensors)(model, pairs)
                done = pairs
        for old, new in list(done.items())[:20]:
            console.say(f"{old} -> {new}")
        if len(done) > 20:
            console.say(f"and {len(done) - 20} more")
        return {"renamed": done}
    return change(options, console, edit)
