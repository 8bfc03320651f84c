"""wright demo: all of it at work, on a trained model and on ResNet-50."""

from __future__ import annotations

import argparse
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bench import faster
from .console import FAILED, OK, Console, ms
from .values import whole

if TYPE_CHECKING:
    from ..plan.records import Plan
    from ..runtime import Engine

HELP = "build, check and measure two models; takes less than a minute"
DESCRIPTION = """Build an engine from a small trained network that ships with the package, run it on held-out images,
and show accuracy, latency, what was fused and which tactic each layer got. Then make a ResNet-50 with random weights,
build it, and show its time, its share of the machine's measured peak, and ONNX Runtime beside it if installed."""
EPILOG = """With --keep DIR the models, data and plans stay there, for trying the other commands on them."""

#: Seconds of tuning for ResNet-50, so that the demo ends within a minute on a slow machine too.
TUNE_BUDGET = 20.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave models, data and plans in this folder")
    parser.add_argument("--threads", type=whole(1), metavar="N", help="threads to run on (default: all cores)")
    parser.add_argument("--digits-only", action="store_true", help="without ResNet-50")


def run(options: argparse.Namespace, console: Console) -> int:
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    accurate = digits(options, console)
    if not options.digits_only:
        console.say()
        resnet50(options, console)
    console.say()
    farewell(options, console)
    return OK if accurate else FAILED


def digits(options: argparse.Namespace, console: Console) -> bool:
    """The trained model: accuracy, latency, fusions, tactics. False when its accuracy is not what training gave."""
    import numpy as np

    from ..api import compile_plan
    from ..runtime import Engine
    data = resources.files("tensorwright") / "data"
    model = (data / "digits.onnx").read_bytes()
    with (data / "digits_test.npz").open("rb") as file:
        test = dict(np.load(file))
    console.say("Handwritten digits: a residual network trained by this project")
    begin = time.perf_counter()
    with console.progress("digits") as progress:
        plan = compile_plan(model, shapes={"image": ((1, 1, 8, 8), (1, 1, 8, 8), (450, 1, 8, 8))},
                            threads=options.threads, progress=progress, name="digits")
    took = time.perf_counter() - begin
    engine = Engine(plan, threads=options.threads)
    guesses = engine(test["image"]).argmax(axis=1)
    accuracy = float((guesses == test["label"]).mean())
    one = median_seconds(engine, {"image": test["image"][:1]})
    every = median_seconds(engine, {"image": test["image"]})
    console.say(f"  built, tuned and verified in {took:.1f} s; largest error against the reference "
                f"{plan.verification.get('largest error', 0):.1e}")
    console.say(f"  accuracy {accuracy:.2%} on {len(guesses)} held-out images")
    console.say(f"  latency  {ms(one)} for one image, {ms(every)} for all {len(guesses)} "
                f"({ms(every / len(guesses))} each)")
    tactics(engine, {"image": test["image"][:1]}, console)
    console.result(digits={"accuracy": accuracy, "build_seconds": took, "seconds": one, "seconds_all": every,
                           "steps": len(plan.programs[0].steps)})
    keep(options, {"digits.onnx": model}, {"digits.plan": plan}, {"digits_images.npy": test["image"]})
    return accuracy > 0.98


def tactics(engine: Engine, feeds: Any, console: Console) -> None:
    """Each step: the model's nodes it took in, the kernel chosen for it, and its time."""
    program, times = engine.plan.programs[0], dict(engine.profile(feeds, repeats=100))
    nodes = node_count(engine.plan)
    console.say(f"  {nodes} nodes of the model became {len(program.steps)} steps:")
    rows = [("step", "made of", "tactic", "time")]
    for info in program.layers:
        made_of = " + ".join(node.partition(" ")[0] for node in info.origin)
        rows.append((info.name[:28], made_of if info.kind != "Copy" else "change of layout",
                     cut(info.tactic, 56) or "host", ms(times[info.name]) if info.name in times else ""))
    console.table(rows, right=(3,))


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length - 1] + "…"


def node_count(plan: Plan) -> int:
    """How many nodes of the model the plan's steps do the work of."""
    return len({node for info in plan.programs[0].layers for node in info.origin})


def resnet50(options: argparse.Namespace, console: Console) -> None:
    """ResNet-50: build time, latency, share of the peak, and ONNX Runtime beside it."""
    import numpy as np

    from ..api import compile_plan
    from ..errors import UnsupportedError
    from ..runtime import Engine
    from . import rivals, roofline
    from .resnet50 import resnet
    console.say("ResNet-50, random weights, batch 1, float32")
    model = resnet().SerializeToString()
    begin = time.perf_counter()
    with console.progress("resnet50") as progress:
        plan = compile_plan(model, threads=options.threads, tune_budget=TUNE_BUDGET, progress=progress, name="resnet50")
    took = time.perf_counter() - begin
    engine = Engine(plan, threads=options.threads)
    program = plan.programs[0]
    feeds = {"image": np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype=np.float32)}
    nodes = node_count(plan)
    console.say(f"  built, tuned and verified in {took:.1f} s: {nodes} nodes became {len(program.steps)} steps")
    contenders: list[Any] = [lambda: engine.run(feeds)]
    other = None
    try:
        other = rivals.load("onnxruntime", model, feeds, engine.threads)
        contenders.append(other.run)
    except UnsupportedError:
        pass
    timings = rivals.interleaved(contenders, 6.0 if other else 3.0)
    ours = timings[0].median
    share = roofline.share(engine, 0, ours)
    console.say(f"  {ms(ours)} on {engine.threads} thread{'s' if engine.threads != 1 else ''}"
                + (f": {share['gflops']:.4g} GFLOP/s, {share['share']:.0%} of the measured peak of {share['peak']:.4g}"
                   if share else ""))
    result: dict[str, Any] = {"build_seconds": took, "seconds": ours, "steps": len(program.steps), **(share or {})}
    if other is not None:
        ratio, error = timings[0].ratio(timings[1]), rivals.disagreement(engine.run(feeds), other.outputs())
        console.say(f"  onnxruntime {other.version}: {ms(timings[1].median)}; tensorwright is {faster(ratio)}, "
                    f"outputs differ by {error:.1e}")
        result["onnxruntime"] = {"version": other.version, "seconds": timings[1].median, "ratio": ratio,
                                 "difference": error}
    else:
        console.say("  onnxruntime is not installed: pip install onnxruntime to compare")
    console.result(resnet50=result)
    keep(options, {"resnet50.onnx": model}, {"resnet50.plan": plan}, {"photo.npy": feeds["image"]})


def median_seconds(engine: Engine, feeds: Any) -> float:
    from .rivals import interleaved
    return interleaved([lambda: engine.run(feeds)], 0.5)[0].median


def keep(options: argparse.Namespace, models: dict[str, bytes], plans: dict[str, Plan], arrays: dict[str, Any]) -> None:
    if options.keep is None:
        return
    import numpy as np

    from ..runtime.store import save
    for name, content in models.items():
        (options.keep / name).write_bytes(content)
    for name, plan in plans.items():
        save(plan, options.keep / name)
    for name, array in arrays.items():
        np.save(options.keep / name, array)


def farewell(options: argparse.Namespace, console: Console) -> None:
    """What to try next."""
    console.say("Try next:")
    where = options.keep
    if where is None:
        console.say("  wright demo --keep demo               leaves models, plans and data in demo/, to try these on:")
        where = Path("demo")
    for command in (f"wright inspect {where}/resnet50.plan",
                    f"wright run {where}/resnet50.plan --input image={where}/photo.npy",
                    f"wright bench {where}/resnet50.onnx --vs onnxruntime --layers",
                    f"wright verify {where}/digits.plan",
                    "wright build YOUR_MODEL.onnx -o YOUR_MODEL.plan"):
        console.say(f"  {command}")
