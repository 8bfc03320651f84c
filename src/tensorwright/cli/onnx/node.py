"""wright onnx node: one node and its neighbours."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ...errors import ModelError
from ..console import OK, Console

HELP = "one node: attributes, inputs, outputs, neighbours, where it comes from"
DESCRIPTION = """Show one node: its attributes (with the operator's defaults), its inputs with the nodes that make them,
its outputs with the nodes that read them, and what the exporter left about it, such as the line of the Python program
it comes from. Give the node's name, or the name of a tensor that it makes."""
EPILOG = """examples:
  wright onnx node model.onnx /layer1/conv1/Conv
  wright onnx node model.onnx conv1_output --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("node", help="name of a node, or of a tensor it makes")


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    model = onnx.load(options.model)
    try:
        onnx.infer(model)
    except ModelError as error:
        console.note(f"note: types are those the file gives: {error.what}")
    found = onnx.describe(model, model.node(options.node))
    since = f", defined by version {found.since}" if found.since else ", not a standard operator"
    console.say(f"{found.operator} {found.name!r}{since}")
    for text in (found.summary, found.doc_url, found.doc):
        if text:
            console.say(f"  {text if len(text) < 300 else text[:297] + '...'}")
    if found.attributes:
        console.say("attributes")
        rows: list[Sequence[str]] = [("name", "value", "")]
        console.table([*rows, *((a.name, a.value, "" if a.given else "default") for a in found.attributes)])
    for title, ends, other in (("inputs", found.inputs, "made by"), ("outputs", found.outputs, "read by")):
        if ends:
            console.say(title)
            console.table([("", "tensor", "type", "", other), *(
                (e.role, e.name or "-", e.type, e.kind, ", ".join(e.others)) for e in ends)])
    if found.metadata:
        console.say("the exporter says")
        for key, value in found.metadata.items():
            console.say(f"  {key}:")
            for line in value.splitlines():
                console.say(f"    {line}")
    console.result(**asdict(found))
    return OK
