"""The short door: a model in, an engine out.

Imports happen inside the functions: reading this file must cost nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union

from .errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from .builder.options import Progress
    from .builder.profiles import ShapeRange
    from .ir import Network
    from .plan.records import Plan
    from .runtime import Engine

    Model = Union[str, os.PathLike[str], bytes, onnx.ModelProto, Network]

def build(model: Model, *, shapes: Mapping[str, ShapeRange] | None = None, precision: str = "fp32", device: str = "cpu",
          threads: int | None = None, tune_budget: float | None = None, verify: bool = True,
          timing_cache: str | Path | bool | None = None, progress: Progress | None = None,
          name: str | None = None, **options: Any) -> Engine:
    """Compile a model for this machine, tune it, verify it.

    model          an ONNX file's path, its bytes, a ModelProto, or a `Network`
    shapes         input → shape; or → (min, opt, max) shapes; or → a list of such triples, one profile each.
                   A dynamic dimension may be given by its name: {"batch": 4} or {"batch": (1, 4, 8)}.
                   Dynamic dimensions left out get a default: axis 0 from 1 to 8 tuned for 1, other axes from 1 to 512
                   tuned for 64; the log says so
    precision      "fp32", the only one in this version
    device         "cpu", the only one in this version
    threads        size of the team the engine runs on; None: all usable cores
    tune_budget    seconds to spend on timing kernels; None: no bound, 0: none, take the analytical model's choice
    verify         compare with the reference before returning (VerificationError when they differ too much)
    timing_cache   file that keeps timings; None: one in the user's cache folder; False: none
    progress       called with (phase, fraction done, seconds left or None)
    name           of the engine; None: the file's without its suffix, or the graph's
    options        any other field of `builder.BuildOptions`: tolerance, seed, replay, feeds

    Raises ModelError, UnsupportedError, InputError (shapes), BuildError, VerificationError.
    """
    return _engine(compile_plan(model, shapes=shapes, precision=precision, device=device, threads=threads,
                                tune_budget=tune_budget, verify=verify, timing_cache=timing_cache, progress=progress,
                                name=name, **options), threads)


def compile_plan(model: Model, *, shapes: Mapping[str, ShapeRange] | None = None, precision: str = "fp32",
                 device: str = "cpu", **options: Any) -> Plan:
    """What `build` makes an engine of: the plan, as data. The same parameters."""
    supported(precision, device)
    known_options(options)
    from pathlib import Path

    from . import builder
    from .builder.profiles import fixed_shapes, names_dimensions, profiles_of
    from .dims import identifier
    from .ir import Network
    if shapes is not None and not isinstance(shapes, Mapping):
        raise InputError(f"shapes is a {type(shapes).__name__}, not a mapping from inputs to shapes",
                         given=repr(shapes)[:80], try_='shapes={"image": (1, 3, 224, 224)}')
    shapes = dict(shapes or {})
    if isinstance(model, Network):
        network = model
    else:
        from . import importer
        inputs = model_inputs(model) if names_dimensions(shapes) else None
        fixed = fixed_shapes(shapes, inputs)
        network = importer.load(model, fixed)
        if inputs is not None:                           # dimensions that have become numbers need no range
            named = {d for dims in inputs.values() for d in dims if isinstance(d, str)}
            gone = {d for d in named if identifier(d) not in network.symbols()}
            shapes = {n: given for n, given in shapes.items() if n in inputs or n not in gone}
    if isinstance(model, (str, os.PathLike)) and not options.get("name"):
        options["name"] = Path(model).stem
    profiles = profiles_of(network, shapes)
    return builder.build(network, builder.BuildOptions(profiles=profiles, **options))


def known_options(options: Mapping[str, Any]) -> None:
    """InputError for keywords that `build` does not have, with the nearest one that it has."""
    from dataclasses import fields
    from difflib import get_close_matches

    from .builder import BuildOptions
    names = ["shapes", "precision", "device", *(f.name for f in fields(BuildOptions) if f.name != "profiles")]
    for name in options:
        if name not in names:
            near = get_close_matches(name, names, 1)
            raise InputError(f"build has no option {name!r}", options=", ".join(names),
                             try_=f"{near[0]}={options[name]!r}" if near else "leave it out")


def model_inputs(model: str | os.PathLike[str] | bytes | onnx.ModelProto) -> dict[str, list[int | str | None]]:
    """Sizes and names of the dimensions of a model's inputs."""
    from .importer.source import load_model
    graph = load_model(model).proto.graph
    stored = {t.name for t in graph.initializer}
    return {info.name: [d.dim_param or (d.dim_value if d.HasField("dim_value") else None)
                        for d in info.type.tensor_type.shape.dim]
            for info in graph.input if info.name not in stored}


def load(path: str | os.PathLike[str], *, strict: bool = False, threads: int | None = None,
         streams: int | None = None) -> Engine:
    """The engine of a plan file.

    strict    refuse (PlanError) a plan made on another kind of machine or by another version. Otherwise such a plan is
              tuned again, which takes as long as a build, and a warning says so
    threads   size of the team; None: as the plan was tuned for
    streams   for throughput: so many runs at once, each on its caller's thread alone (see `Engine`)

    Raises PlanError for damaged files.
    """
    return _engine(load_plan(path, strict=strict), threads, streams)


def load_plan(path: str | os.PathLike[str], *, strict: bool = False) -> Plan:
    """The plan of a file, made fit for this machine."""
    from .device.cpu import describe
    from .plan.keys import why_rebuild
    from .runtime import store
    plan = store.load(path, strict)
    if why_rebuild(plan, describe(), strict) is None:
        return plan                                      # the compiler is not imported: that takes longer than loading
    from .builder.fit import fit
    return fit(plan, strict=strict, label=os.fspath(path))


def supported(precision: str, device: str) -> None:
    """UnsupportedError for what this version cannot do."""
    if precision.lower() not in ("fp32", "float32"):
        raise UnsupportedError(f"precision {precision!r} is not in this version",
                               try_='precision="fp32"; float16 and bfloat16 models run, computed in float32')
    if device.lower() != "cpu":
        raise UnsupportedError(f"device {device!r} is not in this version", try_='device="cpu"')


def _engine(plan: Plan, threads: int | None, streams: int | None = None) -> Engine:
    from .runtime import Engine
    return Engine(plan, threads=threads, streams=streams)
