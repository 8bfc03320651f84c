"""Plans become engines: once, or many times to measure how long that takes."""

from __future__ import annotations

import time
from pathlib import Path

from ...errors import PlanError, UnsupportedError
from ...trt import ICudaEngine, Runtime
from .flags import Asked
from .log import Log
from .weights import Source, again


def runtime(asked: Asked, log: Log) -> Runtime:
    if asked["useRuntime"] != "full":
        raise UnsupportedError(f"--useRuntime={asked['useRuntime']}: there is one runtime", try_="leave it out")
    made = Runtime(log)
    if asked["tempdir"] is not None:
        made.temporary_directory = str(asked["tempdir"])
    return made


def engine_of(plan: Source, asked: Asked, log: Log) -> ICudaEngine:
    begin = time.perf_counter()
    engine = runtime(asked, log).deserialize_cuda_engine(again(plan))
    if engine is None:
        raise PlanError("the engine could not be loaded: the log above says why",
                        at=str(asked["loadEngine"] or asked["onnx"]))
    if engine.has_implicit_batch_dimension:
        raise UnsupportedError("engines with an implicit batch dimension cannot be measured here",
                               try_="build it from ONNX, with the batch in its shapes")
    log.info(f"Engine deserialized in {time.perf_counter() - begin:g} sec.")
    return engine


def time_loading(plan: Source, asked: Asked, log: Log) -> None:
    """--timeDeserialize: the first time, and the mean of 20 more after two that are not counted."""
    def once() -> float:
        begin = time.perf_counter()
        if runtime(asked, log).deserialize_cuda_engine(again(plan)) is None:
            raise PlanError("the engine could not be loaded: the log above says why")
        return time.perf_counter() - begin
    first = once()
    once()
    mean = sum(once() for _ in range(20)) / 20
    log.info(f"First deserialization time = {first * 1e3:g} ms.")
    log.info(f"Average deserialization time = {mean * 1e3:g} ms over 20 iterations, "
             f"{len(plan) / mean / 1e9:g} GB/s.")
    if first > 2 * mean:
        log.warning("the first time is more than twice the average")


def version_of(path: Path) -> str:
    """What made a plan: a plan keeps the fingerprint of its kernels' generators, which decides whether it is tuned anew
    elsewhere, and not the version of the package."""
    from ...builder.cache import generator_version
    from ...runtime import store
    made, here = store.load(path).provenance.get("generators", "unknown"), generator_version()
    return f"kernel generators {made}, {'as here' if made == here else f'here they are {here}'}"
