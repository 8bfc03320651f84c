"""wright onnx diff: what differs between two models."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import FAILED, OK, Console
from ..values import tolerance, whole
from .show import plural

if TYPE_CHECKING:
    from ...onnx.look.diff import Change

HELP = "what differs between two models: structure and weights"
DESCRIPTION = """Compare two models: operator sets, inputs and outputs, nodes, attributes, edges, shapes, weights. Nodes
are matched by name and by structure, so renamed models compare as the same. Names of nodes and inner tensors, the form
weights are stored in, and metadata are noted, and make no difference. The exit code is 1 when the models differ."""
EPILOG = """examples:
  wright onnx diff before.onnx after.onnx
  wright onnx diff before.onnx after.onnx --tolerance 1e-6 --limit 20
  wright onnx diff before.onnx after.onnx --json | jq '.changes[] | select(.kind == "weight")'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", type=Path, metavar="A", help="ONNX file")
    parser.add_argument("b", type=Path, metavar="B", help="ONNX file to compare it with")
    parser.add_argument("--tolerance", type=tolerance, default=0.0, metavar="X",
                        help="weights this near, relative to their largest value, are the same (default 0)")
    parser.add_argument("--limit", type=whole(1), metavar="N", help="print so many of a kind (default: all)")
    parser.add_argument("--notes", action="store_true", help="also list what makes no difference")


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    found = onnx.diff(onnx.load(options.a), onnx.load(options.b), tolerance=options.tolerance)
    console.say(f"{options.a.name} and {options.b.name}: {plural(found.matched, 'node')} matched, "
                + ("the models are the same" if found.same else plural(len(found.changes), "difference")))
    listed(found.changes, options.limit, console)
    counts: dict[str, int] = {}
    for note in found.notes:
        counts[note.kind] = counts.get(note.kind, 0) + 1
    if counts:
        console.say("  no difference: " + ", ".join(f"{kind} {n}" for kind, n in counts.items())
                    + ("" if options.notes else "; --notes lists them"))
    if options.notes:
        listed(found.notes, options.limit, console)
    console.result(same=found.same, matched=found.matched, changes=[asdict(c) for c in found.changes],
                   notes=[asdict(c) for c in found.notes])
    return OK if found.same else FAILED


def listed(changes: tuple[Change, ...], limit: int | None, console: Console) -> None:
    """By kind, in the order in which kinds were met."""
    kinds: dict[str, list[Change]] = {}
    for change in changes:
        kinds.setdefault(change.kind, []).append(change)
    for kind, found in kinds.items():
        for change in found[:limit]:
            console.say(f"  {kind:<12} {line(change)}")
        if limit is not None and len(found) > limit:
            console.say(f"  {kind:<12} and {len(found) - limit} more")


def line(change: Change) -> str:
    if change.kind in ("node added", "node removed"):
        return change.where
    if not change.numbers or change.a != change.b:
        text = f"{change.where}: {change.a or 'nothing'} → {change.b or 'nothing'}"
    else:
        text = f"{change.where}: {change.a}"
    if change.numbers:
        text += (f", {plural(int(change.numbers['elements']), 'element')} differ, by at most "
                 f"{change.numbers['largest']:.4g} ({change.numbers['relative']:.2g} of the largest value)")
    return text
