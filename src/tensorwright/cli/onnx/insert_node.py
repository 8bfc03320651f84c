"""wright onnx insert-node: a new node on an edge of the graph."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "insert a node after, before or between others"
DESCRIPTION = """Insert a node: after a tensor or node (all readers see the new result; an output of the graph keeps its
name), before a node (one of its inputs), or between two. Its other operands are tensors' names, numbers, lists or .npy
files. Operator, attributes and operands are checked against the schema."""
EPILOG = """examples:
  wright onnx insert-node model.onnx Softmax --after logits --set axis=-1 -o new.onnx
  wright onnx insert-node model.onnx Mul --before conv1 --input 0.0039 -o new.onnx
  wright onnx insert-node model.onnx Clip --between conv1 pool1 --input 0 --input 6 --in-place"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from .words import add_node_arguments
    add_files(parser)
    add_node_arguments(parser)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--after", metavar="TENSOR", help="a tensor, or a node with one result")
    place.add_argument("--before", metavar="NODE", help="a node: its one input that is not constant, or --of")
    place.add_argument("--between", nargs=2, metavar=("FROM", "TO"), help="a node or tensor, and a node that reads it")
    parser.add_argument("--of", metavar="TENSOR", help="with --before: the input of the node to insert into")
    parser.add_argument("--input", action="append", default=[], metavar="TENSOR", dest="inputs",
                        help="a further operand: a tensor, a number, a list, FILE.npy, none (repeatable)")
    parser.add_argument("--at", type=int, default=0, metavar="K", help="the operand that the tensor becomes (0)")


def run(options: argparse.Namespace, console: Console) -> int:
    from .words import node_arguments, operand

    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        described = node_arguments(model, options)
        more = {"inputs": [operand(text) for text in options.inputs], "at": options.at, **described}
        if options.after is not None:
            node = onnx.insert_after(model, options.after, **more)
        elif options.before is not None:
            node = onnx.insert_before(model, options.before, input=options.of, **more)
        else:
            node = onnx.insert_between(model, *options.between, **more)
        console.say(f"inserted {node.op_type} {node.name!r}, which makes {node.outputs[0].name!r}")
        return {"node": node.name, "result": node.outputs[0].name}
    return change(options, console, edit)
