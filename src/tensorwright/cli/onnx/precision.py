"""wright onnx precision: float16 and bfloat16 and back; float64 and int64 out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..console import Console, UsageError
from .change import add_files, change

if TYPE_CHECKING:
    from ...onnx import Model

HELP = "compute in float16, bfloat16 or float32; float64 and int64 out"
DESCRIPTION = """Convert weights and computation to another floating-point type. Inputs and outputs keep theirs, with
Casts behind them, unless --boundary; operators without a form in the new type, and those you keep, stay as they are."""
EPILOG = """examples:
  wright onnx precision model.onnx -o half.onnx --to float16 --keep Softmax --keep '/head/*'
  wright onnx precision half.onnx -o full.onnx --to float32
  wright onnx precision model.onnx -o lean.onnx --no-float64 --no-int64"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument("--to", choices=("float16", "bfloat16", "float32"), help="the type to compute in")
    parser.add_argument("--keep", action="append", default=[], metavar="PATTERN",
                        help="nodes, operators or tensors that keep their type (* and ? allowed; repeatable)")
    parser.add_argument("--boundary", action="store_true", help="convert inputs and outputs of the model, too")
    parser.add_argument("--overflow", choices=("clamp", "keep", "refuse"), default="clamp",
                        help="weights beyond the new range: clamp them, keep the nodes that read them, or refuse")
    parser.add_argument("--no-float64", action="store_true", help="float64 becomes float32")
    parser.add_argument("--no-int64", action="store_true", help="int64 weights become int32 where that is the same")


def run(options: argparse.Namespace, console: Console) -> int:
    if not (options.to or options.no_float64 or options.no_int64):
        raise UsageError("say what to convert: --to, --no-float64 or --no-int64")

    def edit(model: Model) -> dict[str, Any]:
        from ... import onnx
        facts: dict[str, Any] = {}
        more = {"keep": options.keep, "boundary": options.boundary, "overflow": options.overflow}
        with onnx.editing(model):
            if options.no_float64:
                tell(console, onnx.remove_doubles(model, **more), facts)
            if options.to:
                tell(console, onnx.set_precision(model, options.to, **more), facts)
            if options.no_int64:
                facts["int32"] = onnx.narrow_integers(model)
                console.say(f"{len(facts['int32'])} weights are int32 now")
        return facts
    return change(options, console, edit)


def tell(console: Console, report: Any, facts: dict[str, Any]) -> None:
    console.say(f"{report.converted} nodes converted, {len(report.kept)} kept, {report.casts} Casts")
    for name, why in report.kept.items():
        console.say(f"  {name}: {why}")
    for name, count in report.overflow.items():
        console.say(f"  {name}: {count} elements beyond the range")
    for name, count in report.underflow.items():
        console.say(f"  {name}: {count} elements became 0")
    facts.update(converted=report.converted, kept=report.kept, casts=report.casts, overflow=report.overflow,
                 underflow=report.underflow)
