"""wright onnx get-attributes: a node's attributes and their defaults."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..console import OK, Console

HELP = "list a node's attributes and defaults"
DESCRIPTION = """The attributes of a node, and the defaults of those that it does not set."""
EPILOG = """examples:
  wright onnx get-attributes model.onnx conv1"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("node", help="the node's name, or that of a tensor it makes")


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    model = onnx.load(options.model)
    node = model.node(options.node)
    own, all_ = onnx.get_attributes(model, node), onnx.get_attributes(model, node, defaults=True)
    console.say(f"{node.op_type} {node.name or options.node}")
    console.table([["attribute", "value", ""], *([k, str(v), "" if k in own else "default"] for k, v in all_.items())])
    console.result(op_type=node.op_type, attributes={k: str(v) for k, v in own.items()},
                   defaults={k: str(v) for k, v in all_.items() if k not in own})
    return OK
