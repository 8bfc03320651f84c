"""wright build: a model becomes a plan."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from .console import OK, Console, UsageError, size
from .values import add_build_arguments, build_options, folder_for

HELP = "compile, tune and verify a model; write a plan"
DESCRIPTION = """Compile an ONNX model for this machine. Kernels for its layers are generated and timed, the fastest are
kept, the result is compared with a reference, and everything is written to one plan file."""
EPILOG = """examples:
  wright build resnet50.onnx -o resnet50.plan
  wright build bert.onnx -o bert.plan --shapes ids=1x8:1x128:8x512,mask=1x8:1x128:8x512
  wright build model.onnx -o quick.plan --tune-budget 0 --no-verify"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("-o", "--output", type=Path, metavar="PLAN",
                        help="plan to write (default: the model's name, .plan)")
    parser.add_argument("--name", help="name of the engine (default: the model's)")
    add_build_arguments(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    from ..api import compile_plan
    from ..runtime.store import save
    output = options.output or options.model.with_suffix(".plan")
    if output.is_dir():
        raise UsageError(f"--output {output} is a folder: give the plan's file name, {output / 'model.plan'}")
    folder_for(output.parent, "make the folder, or give another place with -o")
    begin = time.perf_counter()
    with console.progress(options.model.name) as progress:
        plan = compile_plan(options.model, progress=progress, name=options.name, **build_options(options))
    save(plan, output)
    took = time.perf_counter() - begin
    program, verification = plan.programs[0], plan.verification
    host = [info for info in program.layers if not info.tactic and info.note]
    console.say(f"{output}: {size(output.stat().st_size)}, built in {took:.1f} s")
    console.say(f"  {len(program.steps)} steps of {len(program.kernels)} kernels, {program.threads} threads, "
                f"{len(plan.programs)} profile{'s' if len(plan.programs) != 1 else ''}")
    if verification.get("ok"):
        error, allowed = verification.get("largest error") or 0.0, verification.get("tolerance") or 0.0
        checks = verification.get("checks")
        console.say(f"  verified: largest error {error:.1e} of {allowed:.0e} allowed, "
                    f"{checks} comparison{'s' if checks != 1 else ''}")
        for text in verification.get("skipped", ()):  # type: ignore[attr-defined]
            console.say(f"  {text}")
    elif skipped := verification.get("skipped"):
        console.say(f"  not verified: {'; '.join(map(str, skipped))}")  # type: ignore[call-overload]
    else:
        console.say("  not verified, as asked")
    for info in host:
        console.say(f"  host step {info.name}: {info.note}")
    console.result(plan=str(output), bytes=output.stat().st_size, seconds=took, steps=len(program.steps),
                   kernels=len(program.kernels), threads=program.threads, profiles=len(plan.programs),
                   verification=dict(verification), host_steps=[{"name": i.name, "why": i.note} for i in host])
    return OK
