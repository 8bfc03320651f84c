"""wright onnx set-attribute: change a node's attributes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console, UsageError
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "set or delete attributes of a node"
DESCRIPTION = """Set attributes of a node, as the operator's schema has them: unknown names and values of another type
are refused. Lists are written 1,2 or [1,2]; element types by name (to=float16); tensors as .npy files."""
EPILOG = """examples:
  wright onnx set-attribute model.onnx conv1 strides=2,2 auto_pad=SAME_UPPER -o new.onnx
  wright onnx set-attribute model.onnx conv1 --delete dilations --in-place"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("node", help="the node's name, or that of a tensor it makes")
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE", help="attributes to set")
    parser.add_argument("--delete", action="append", default=[], metavar="NAME",
                        help="let the default hold (repeatable)")


def run(options: argparse.Namespace, console: Console) -> int:
    from .words import assignments, attribute
    if not options.values and not options.delete:
        raise UsageError("nothing to change: give NAME=VALUE or --delete NAME")

    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        node = model.node(options.node)
        with onnx.editing(model):
            for name in options.delete:
                onnx.delete_attribute(model, node, name)
            for name, text in assignments(options.values).items():
                value = attribute(model, node.op_type, node.domain, name, text, node.graph)
                onnx.set_attribute(model, node, name, value)
        now = {k: str(v) for k, v in onnx.get_attributes(model, node).items()}
        console.say(f"{node.op_type} {node.name or options.node}: " + ", ".join(f"{k}={v}" for k, v in now.items()))
        return {"attributes": now}
    return change(options, console, edit)
