"""wright run: a plan computes outputs from arrays."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ..errors import InputError
from .console import OK, Console, UsageError, ms
from .values import add_build_arguments, fitting, folder_for, load_inputs, plan_of, random_inputs, whole

HELP = "run a plan or a model on arrays"
DESCRIPTION = """Run a plan (or a model, which is built first) on arrays from files, and show or save what comes out."""
EPILOG = """examples:
  wright run resnet50.plan --input image=photo.npy --output-dir results
  wright run model.plan --input batch.npz          arrays by input name
  wright run model.plan --random                   random data at the usual shapes"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", type=Path, help="plan, or ONNX file")
    parser.add_argument("-i", "--input", action="append", default=[], metavar="NAME=FILE",
                        help="array for an input, from .npy or .npz; an .npz without NAME gives arrays by name")
    parser.add_argument("--random", action="store_true", help="random data for inputs that are not given")
    parser.add_argument("-o", "--output-dir", type=Path, metavar="DIR", help="write each output there, as NAME.npy")
    parser.add_argument("--profile", type=whole(0), default=0, metavar="K",
                        help="profile whose usual shapes --random takes")
    parser.add_argument("--strict", action="store_true", help="refuse a plan made for another machine or version")
    add_build_arguments(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    import numpy as np

    from ..runtime import Engine
    if options.output_dir is not None:
        make_folder(options.output_dir)
    plan = plan_of(options.plan, options, console, strict=options.strict)
    engine = Engine(plan, threads=options.threads)
    if options.profile >= len(engine.profiles):
        raise UsageError(f"--profile {options.profile}: there are {len(engine.profiles)}")
    feeds = fitting(load_inputs(options.input), engine.inputs, console)
    missing = [info.name for info in engine.inputs if info.name not in feeds]
    if missing and not options.random:
        raise UsageError(f"no array is given for input {missing[0]}: --input {missing[0]}=FILE.npy, or --random")
    if missing:
        feeds = random_inputs(plan, engine.profiles[options.profile], options.seed, feeds)
    engine.run(feeds)                                    # the first run touches all memory; time the second
    begin = time.perf_counter()
    results = engine.run(feeds)
    took = time.perf_counter() - begin
    rows = [("output", "type", "shape", "min", "mean", "max")]
    shown = {}
    for name, value in results.items():
        array = value if isinstance(value, np.ndarray) else None
        rows.append((name, *describe(value)))
        shown[name] = {"type": None if array is None else str(array.dtype),
                       "shape": None if array is None else list(array.shape)}
        if options.output_dir is not None:
            if array is None:
                console.note(f"note: output {name!r} is not an array and is not saved")
                continue
            file = options.output_dir / f"{name.replace('/', '_')}.npy"
            np.save(file, array)
            shown[name]["file"] = str(file)
    console.table(rows, right=(3, 4, 5))
    console.say(f"  {ms(took)} on {engine.threads} thread{'s' if engine.threads != 1 else ''}")
    console.result(outputs=shown, seconds=took, threads=engine.threads)
    return OK


def make_folder(folder: Path) -> None:
    """So that a place that cannot be written to is known before anything runs."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder for the outputs: {error.strerror or error}", at=str(folder),
                         try_="give another folder with --output-dir") from None
    folder_for(folder, "give another folder with --output-dir")


def describe(value: object) -> tuple[str, str, str, str, str]:
    """Type, shape, least, mean and greatest element."""
    import numpy as np
    if not isinstance(value, np.ndarray):
        return type(value).__name__, f"({len(value)},)" if isinstance(value, list) else "", "", "", ""
    if not value.size or value.dtype.kind in "OUS":
        return str(value.dtype), str(value.shape), "", "", ""
    numbers = value.astype(np.float64) if value.dtype.kind not in "c" else np.abs(value)
    least, mean, most = (f"{x:.6g}" for x in (numbers.min(), numbers.mean(), numbers.max()))
    return str(value.dtype), str(value.shape), least, mean, most
