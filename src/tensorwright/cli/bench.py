"""wright bench: how fast is it, and how fast are others?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .console import FAILED, OK, Console, UsageError, ms
from .values import (
    add_build_arguments,
    fitting,
    is_model,
    load_inputs,
    plan_of,
    random_inputs,
    seconds,
    whole,
)

HELP = "measure a model, beside other runtimes"
DESCRIPTION = """Measure how long one inference takes: median over short bursts. With --vs, other runtimes run the same
model on the same inputs with the same number of threads, in turns with ours; the figure given for each is the median of
the ratios of neighbouring bursts, so that a machine that slows down slows all of them. Outputs are compared too; the
exit code is 1 when they disagree.

With --layers, each layer is shown beside its roofline: the time that the arithmetic of the plain algorithm takes at the
measured peak, or its operands take from the nearest cache that holds them all, whichever is longer. Winograd's
algorithm needs less arithmetic and may exceed 100 %."""
EPILOG = """examples:
  wright bench resnet50.onnx --vs onnxruntime,openvino
  wright bench bert.onnx --shapes ids=1x128,mask=1x128 --threads 2 --layers 20
  wright bench resnet50.plan --vs onnxruntime --model resnet50.onnx"""

#: Outputs further apart than this, relative to their largest value, count as disagreement.
DISAGREE = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="ONNX file, or plan")
    parser.add_argument("--vs", default="", metavar="NAMES", help="runtimes to compare with: onnxruntime, openvino")
    parser.add_argument("--model", type=Path, metavar="ONNX", help="the model the others run, when FILE is a plan")
    parser.add_argument("--seconds", type=seconds, default=5.0, metavar="S",
                        help="time to measure for, in all (default 5)")
    parser.add_argument("--batch", type=whole(1), metavar="N", help="size of axis 0 of all inputs, where it is dynamic")
    parser.add_argument("-i", "--input", action="append", default=[], metavar="NAME=FILE",
                        help="array for an input (default: random)")
    parser.add_argument("--profile", type=whole(0), default=0, metavar="K",
                        help="profile whose usual shapes are measured")
    parser.add_argument("--layers", type=whole(1), nargs="?", const=0, metavar="N",
                        help="also the slowest N layers (all without N) beside what the machine could do at best")
    add_build_arguments(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    from ..runtime import Engine
    from . import rivals, roofline
    names = [n.strip() for n in options.vs.split(",") if n.strip()]
    model = options.file if is_model(options.file) else options.model
    if names and model is None:
        raise UsageError("--vs needs the model that the plan was built from: --model FILE.onnx")
    for name in names:
        rivals.check_installed(name)                     # before the build, which takes longer
    if options.batch is not None:
        options.shapes = [*options.shapes, *batch_shapes(options)]
    plan = plan_of(options.file, options, console)
    engine = Engine(plan, threads=options.threads)
    if options.profile >= len(engine.profiles):
        raise UsageError(f"--profile {options.profile}: there are {len(engine.profiles)}")
    given = fitting(load_inputs(options.input), engine.inputs, console)
    feeds = random_inputs(plan, engine.profiles[options.profile], options.seed, given)
    others = []
    for name in names:
        console.note(f"loading {name}")
        others.append(rivals.load(name, str(model), feeds, engine.threads))
    results = engine.run(feeds)
    timings = rivals.interleaved([lambda: engine.run(feeds), *(other.run for other in others)], options.seconds)
    ours = timings[0]
    at_optimum = not given
    report: dict[str, Any] = {"seconds": ours.median, "threads": engine.threads, "bursts": len(ours.bursts),
                              "inputs": {n: list(a.shape) for n, a in feeds.items()}, "vs": {}}
    shown = ", ".join(f"{n} {'x'.join(map(str, a.shape)) or 'scalar'}" for n, a in list(feeds.items())[:4])
    shown += f" and {len(feeds) - 4} more" if len(feeds) > 4 else ""
    console.say(f"{engine.name}: {shown}; {engine.threads} thread{'s' if engine.threads != 1 else ''}, "
                f"{len(ours.bursts)} bursts each")
    rows = [("", "median", "per second", "tensorwright is", "outputs differ by")]
    rows.append(("tensorwright", ms(ours.median), f"{1 / ours.median:.4g}", "", ""))
    worst = 0.0
    for other, timing in zip(others, timings[1:], strict=True):
        error, ratio = rivals.disagreement(results, other.outputs()), ours.ratio(timing)
        worst = max(worst, error)
        took = timing.median
        rows.append((f"{other.name} {other.version}", ms(took), f"{1 / took:.4g}", faster(ratio), f"{error:.1e}"))
        report["vs"][other.name] = {"version": other.version, "seconds": took, "ratio": ratio, "difference": error}
    console.table(rows, right=(1, 2, 3, 4))
    if at_optimum and (share := roofline.share(engine, options.profile, ours.median)) is not None:
        console.say(f"  {share['gflops']:.4g} GFLOP/s, {share['share']:.0%} of this machine's measured peak of "
                    f"{share['peak']:.4g} GFLOP/s")
        report.update(share)
    if options.layers is not None:
        if at_optimum:
            report.update(roofline.report(engine, options.profile, feeds, options.layers, console))
        else:
            console.note("--layers: the work of a layer is known at the profile's usual shapes only: leave -i out")
    if worst > DISAGREE:
        console.say(f"  the outputs disagree by {worst:.1e}, more than {DISAGREE:.0e}")
    console.result(**report)
    return FAILED if worst > DISAGREE else OK


def batch_shapes(options: argparse.Namespace) -> list[str]:
    """--batch as --shapes, for the inputs of the model that --shapes does not name."""
    if not is_model(options.file):
        raise UsageError("--batch goes with a model; of a plan the profile decides")
    import onnx
    proto = onnx.load(options.file, load_external_data=False)
    stored = {t.name for t in proto.graph.initializer}
    named = {part.rpartition("=")[0] for text in options.shapes for part in text.split(",")}
    found = []
    for info in proto.graph.input:
        dims = info.type.tensor_type.shape.dim
        if info.name in stored or info.name in named or not dims or dims[0].HasField("dim_value"):
            continue
        sizes = [str(d.dim_value) if d.HasField("dim_value") else "" for d in dims]
        if any(s == "" for s in sizes[1:]):
            raise UsageError(f"input {info.name} has more dynamic dimensions than the batch: use --shapes")
        found.append(f"{info.name}={'x'.join([str(options.batch), *sizes[1:]])}")
    if not found:
        raise UsageError("--batch: no input has a dynamic first axis")
    return found


def faster(ratio: float) -> str:
    return f"{ratio:.2f} x faster" if ratio >= 1 else f"{1 / ratio:.2f} x slower"
