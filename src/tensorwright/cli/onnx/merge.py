"""wright onnx merge: two models become one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import OK, Console, UsageError

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "two models become one: outputs of the first feed inputs of the second"
DESCRIPTION = """Write one model in which outputs of A feed inputs of B. Element types and shapes are checked where they
meet, dimensions are unified, and the operator sets are brought to one version. Unconnected inputs and outputs of both
stay inputs and outputs."""
EPILOG = """examples:
  wright onnx merge first.onnx second.onnx -o both.onnx
  wright onnx merge detector.onnx tracker.onnx -o both.onnx --connect boxes=detections --connect image=frame"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="A", help="ONNX file, first")
    parser.add_argument("second", type=Path, metavar="B", help="ONNX file, second")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", required=True, help="write the merged model there")
    parser.add_argument("--external", action=argparse.BooleanOptionalAction, default=None,
                        help="keep weights in a file of their own, or in the model file (default: as those of A are)")
    parser.add_argument("--side-by-side", action="store_true", help="connect nothing")
    add_connections(parser)


def add_connections(parser: argparse.ArgumentParser) -> None:
    """--connect, --prefix, --keep: what `connections` reads."""
    parser.add_argument("--connect", action="append", metavar="OUT=IN", help="output OUT of the first (or one of its "
                        "inputs, for both to read) feeds input IN of the second; several times. Default: the only "
                        "output and the only input, or equal names")
    parser.add_argument("--prefix", metavar="TEXT", help="before all names of the model that is added (default: only "
                        "before those that clash)")
    parser.add_argument("--keep", action="append", default=[], metavar="OUT", help="a connected output that stays an "
                        "output; several times")


def connections(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments for merge, prepend and append."""
    connect: dict[str, list[str]] | None = None
    for pair in options.connect or ():
        out, equals, taken = pair.partition("=")
        if not (out and equals and taken):
            raise UsageError(f"--connect takes OUTPUT=INPUT, not {pair!r}")
        connect = connect or {}
        connect.setdefault(out, []).append(taken)
    return {"connect": connect, "prefix": options.prefix, "keep": options.keep}


def interface(model: Model) -> dict[str, Any]:
    """Inputs and outputs for the JSON result."""
    from ...onnx.seam import described
    return {kind: {v.name: described(v) for v in values}
            for kind, values in (("inputs", model.inputs), ("outputs", model.outputs))}


def say_interface(model: Model, console: Console) -> None:
    for kind, values in interface(model).items():
        for name, described in values.items():
            console.say(f"{kind[:-1]:<7}{name}  {described}")


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    if options.output.suffix == ".plan":
        raise UsageError("-o names an ONNX file here; `wright build` makes plans")
    how = connections(options)
    if options.side_by_side:
        if how["connect"]:
            raise UsageError("--side-by-side connects nothing, and --connect is given")
        how["connect"] = {}
    merged = onnx.merge(onnx.load(options.model), onnx.load(options.second), **how)
    path = onnx.save(merged, options.output, external=options.external)
    say_interface(merged, console)
    console.say(f"wrote {path}")
    console.result(output=str(path), **interface(merged))
    return OK
