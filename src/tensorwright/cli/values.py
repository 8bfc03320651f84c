"""What users write on the command line: shapes, inputs, build options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .console import Console, UsageError

if TYPE_CHECKING:
    import numpy as np

    from ..builder.profiles import ShapeRange
    from ..plan.records import Plan, Profile, TensorInfo

SHAPES_HELP = """NAME=SHAPE or NAME=MIN:OPT:MAX, several with commas: image=1x3x224x224, or
tokens=1x16:4x64:8x256,mask=1x16:4x64:8x256. NAME is an input, or a dynamic dimension: batch=4,length=16:64:256.
Given again for a name, it makes another profile"""


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that all commands that compile have."""
    group = parser.add_argument_group("building")
    group.add_argument("--shapes", action="append", default=[], metavar="SHAPES", help=SHAPES_HELP)
    group.add_argument("--threads", type=whole(1), metavar="N",
                       help="threads to tune for and run on (default: all cores)")
    group.add_argument("--tune-budget", type=seconds, metavar="SECONDS",
                       help="stop timing kernels after this long; 0 takes the model's first guess (default: no limit)")
    group.add_argument("--timing-cache", type=Path, metavar="FILE",
                       help="keep timings there instead of the user's cache")
    group.add_argument("--no-timing-cache", action="store_true", help="neither use nor keep timings")
    group.add_argument("--no-verify", action="store_true", help="do not compare the result with the reference")
    group.add_argument("--tolerance", type=tolerance, metavar="X",
                       help="largest error allowed, relative to each output's largest value (default: by precision)")
    group.add_argument("--precision", default="fp32", help="fp32, the only one in this version")
    group.add_argument("--device", default="cpu", help="cpu, the only one in this version")
    group.add_argument("--seed", type=whole(0), default=0, help="of the random inputs used for tuning and verification")


def build_options(options: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments for api.compile_plan."""
    if options.no_timing_cache and options.timing_cache:
        raise UsageError("--timing-cache and --no-timing-cache exclude each other")
    return {"shapes": shapes(options.shapes), "precision": options.precision, "device": options.device,
            "threads": options.threads, "tune_budget": options.tune_budget, "verify": not options.no_verify,
            "tolerance": options.tolerance, "seed": options.seed,
            "timing_cache": False if options.no_timing_cache else options.timing_cache}


def whole(low: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError(f"{value} is less than {low}")
        return value
    parse.__name__ = "number"
    return parse


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time in seconds")
    return value


def tolerance(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not an error that can be allowed")
    return value


def folder_for(folder: Path, try_: str) -> None:
    """InputError unless files can be written there. To be asked before the work, not after it."""
    what = "is not there" if not folder.exists() else "is not a folder" if not folder.is_dir() else \
        "cannot be written to" if not os.access(folder, os.W_OK | os.X_OK) else ""
    if what:
        raise InputError(f"the folder for the result {what}", at=str(folder), try_=try_)


def shapes(given: Iterable[str]) -> dict[str, ShapeRange]:
    """{input: [(min, opt, max), ...]}, a triple per profile."""
    found: dict[str, list[tuple[tuple[int, ...], ...]]] = {}
    for part in (part for text in given for part in text.split(",")):
        name, equals, ranges = part.rpartition("=")
        if not equals or not name:
            raise UsageError(f"--shapes {part!r}: expected NAME=SHAPE, for instance image=1x3x224x224")
        triple = tuple(shape(text, part) for text in ranges.split(":"))
        if len(triple) not in (1, 3):
            raise UsageError(f"--shapes {part!r}: expected one shape, or MIN:OPT:MAX")
        found.setdefault(name, []).append(triple * 3 if len(triple) == 1 else triple)
    return dict(found)


def shape(text: str, context: str) -> tuple[int, ...]:
    try:
        return tuple(int(d) for d in text.split("x")) if text else ()
    except ValueError:
        raise UsageError(f"--shapes {context!r}: {text!r} is not a shape like 1x3x224x224") from None


def is_model(path: str | os.PathLike[str]) -> bool:
    """Whether the file is a model rather than a plan: by its suffix."""
    return Path(path).suffix.lower() in (".onnx", ".pb")


def plan_of(path: Path, options: argparse.Namespace, console: Console, *, strict: bool = False) -> Plan:
    """The plan in a file, or the one built from the model in it."""
    from ..api import compile_plan, load_plan, supported
    if not is_model(path):
        supported(options.precision, options.device)
        judging = () if options.command == "verify" else ("tolerance",)
        for name in ("shapes", "tune_budget", "timing_cache", "no_timing_cache", "no_verify", *judging):
            given = getattr(options, name)
            if given is not None and given is not False and given != []:
                raise UsageError(f"--{name.replace('_', '-')} is for building, and {path} is a plan already")
        return load_plan(path, strict=strict)
    with console.progress(path.name) as progress:
        return compile_plan(path, progress=progress, **build_options(options))


def load_inputs(given: Iterable[str]) -> dict[str, np.ndarray]:
    """Arrays from NAME=FILE.npy, or FILE.npz with arrays by name."""
    import numpy as np
    arrays: dict[str, np.ndarray] = {}
    for part in given:
        name, equals, file = part.rpartition("=")
        path = Path(file)
        try:
            content = np.load(path, allow_pickle=False)
        except OSError as error:
            raise InputError(f"cannot read the array: {error.strerror or error}", at=str(path),
                             try_="check the path after --input") from None
        except (ValueError, EOFError) as error:
            raise InputError(f"{path} holds no NumPy array: {error}",
                             try_="save it with numpy.save or numpy.savez") from None
        if isinstance(content, np.ndarray):
            if not equals:
                raise UsageError(f"--input {part}: say which input it is for: NAME={part}")
            arrays[name] = content
        else:
            with content:
                members = {k: content[k] for k in content.files}
            if name and name not in members:
                raise InputError(f"{path} has no array {name!r}", arrays=", ".join(members))
            arrays.update({name: members[name]} if name else members)
    return arrays


def fitting(arrays: Mapping[str, np.ndarray], inputs: Sequence[TensorInfo], console: Console) -> dict[str, np.ndarray]:
    """The arrays as the engine takes them: float64 to float32 and other exact conversions, with a note."""
    import numpy as np
    fitted = dict(arrays)
    if unknown := [name for name in arrays if all(info.name != name for info in inputs)]:
        raise InputError(f"there is no input {unknown[0]!r}", inputs=", ".join(info.name for info in inputs),
                         try_="give --input the name of one of these")
    for info in inputs:
        array = fitted.get(info.name)
        if array is None or info.dtype is None or array.dtype == info.dtype.numpy or array.dtype.kind in "OUS":
            continue
        wanted = info.dtype.numpy
        exact = np.array_equal(array.astype(wanted).astype(array.dtype), array)
        if exact or (array.dtype.kind == "f" and info.dtype.is_float):
            console.note(f"note: input {info.name!r} is converted from {array.dtype} to {info.dtype}")
            fitted[info.name] = array.astype(wanted)
    return fitted


def random_inputs(plan: Plan, profile: Profile, seed: int, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Random data at the usual shapes of a profile, for the inputs that `given` lacks."""
    from ..builder.verify import random_feeds
    from ..runtime.shapes import bind
    env = {**profile.optimum(), **bind(plan.programs[0].inputs, {name: a.shape for name, a in given.items()})}
    return {**random_feeds(network_of(plan), env, seed), **given}


def network_of(plan: Plan) -> Any:
    """The network that the plan computes, after passes."""
    import json

    from ..ir.network_codec import decode_network
    from ..plugins.records import REGISTRY
    constants = {n.removeprefix("network/"): a for n, a in plan.weights.items() if n.startswith("network/")}
    return decode_network(json.loads(plan.network), constants, REGISTRY)
