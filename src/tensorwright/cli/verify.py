"""wright verify: is a plan right?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .console import FAILED, OK, Console
from .values import add_build_arguments, network_of, plan_of

if TYPE_CHECKING:
    from ..plan.records import Plan

HELP = "compare a plan with the reference evaluator"
DESCRIPTION = """Run a plan and the reference evaluator on the same random inputs, at the smallest, the usual and the
largest shapes of each profile, and compare. With --model, the reference evaluates that model; otherwise the network
stored in the plan. The exit code is 1 when an output differs by more than the tolerance."""
EPILOG = """examples:
  wright verify resnet50.plan
  wright verify resnet50.plan --model resnet50.onnx --tolerance 1e-5"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", type=Path, help="plan, or ONNX file")
    parser.add_argument("--model", type=Path, metavar="ONNX",
                        help="judge by this model instead of the plan's own network")
    add_build_arguments(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    from .. import importer
    from ..builder import BuildOptions
    from ..builder.check import check_program
    from ..builder.verify import Report, tolerance_of
    plan = plan_of(options.plan, options, console)
    network = importer.load(options.model, shapes_of(plan)) if options.model else network_of(plan)
    tolerance = tolerance_of(network, options.tolerance)
    report = Report()
    with console.progress(options.plan.name) as progress:
        for program in plan.programs:
            check_program(network, plan, program.profile, BuildOptions(threads=options.threads, seed=options.seed),
                          tolerance, report, progress)
    rows = [("output", "input shapes", "error", "allowed", "")]
    for f in report.findings:
        shown = ", ".join(f"{name} {'x'.join(map(str, s)) or 'scalar'}" for name, s in f.shapes.items())
        rows.append((f.output, shown, f"{f.error:.1e}", f"{f.tolerance:.0e}", "ok" if f.ok else f"WRONG {f.note}"))
    console.table(rows, right=(2, 3))
    for text in report.skipped:
        console.say(f"  skipped: {text}")
    ok = report.ok and bool(report.findings)
    console.say("  the plan agrees with the reference" if ok else
                "  the plan does NOT agree with the reference" if report.findings else "  nothing could be compared")
    console.result(**{**report.to_json(), "ok": ok})
    return OK if ok else FAILED


def shapes_of(plan: Plan) -> dict[str, list[int | str]]:
    """The plan's input shapes as the importer takes them: sizes where they are fixed, names of symbols elsewhere."""
    return {info.name: [d if isinstance(d, int) else str(d) for d in info.shape]
            for info in plan.programs[0].inputs if info.shape is not None}
