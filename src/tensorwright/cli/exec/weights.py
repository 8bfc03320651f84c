"""What a command line asks of an engine's weights: refit, plans without them, streaming, and how plans are read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Union

from ...errors import InputError, ModelError, PlanError, UnsupportedError
from ...plan.refit import Hollow
from ...trt import (
    BuilderFlag,
    IBuilderConfig,
    ICudaEngine,
    IStreamReaderV2,
    OnnxParserRefitter,
    Refitter,
    SeekPosition,
)
from .flags import Asked
from .log import Log
from .syntax import AUTOMATIC, DISABLED

MIB = 1 << 20
#: Refits that --timeRefit takes the mean of, after one that is not counted.
REFITS = 10


class PlanFile(IStreamReaderV2):
    """A plan that is read in pieces, --asyncFileReader: `len` is its size."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        try:
            self.file = open(path, "rb")
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}",
                             try_="check the path of --loadEngine") from None

    def __len__(self) -> int:
        return self.path.stat().st_size

    def read(self, num_bytes: int, stream: int) -> bytes:
        return self.file.read(num_bytes)

    def seek(self, offset: int, where: SeekPosition) -> bool:
        self.file.seek(offset, int(where))
        return True

    def __del__(self) -> None:
        if hasattr(self, "file"):
            self.file.close()


Source = Union[bytes, PlanFile]


def again(source: Source) -> Source:
    """The source from its beginning."""
    return PlanFile(source.path) if isinstance(source, PlanFile) else source


def set_flags(asked: Asked, config: IBuilderConfig) -> None:
    for name, flags in (("refit", (BuilderFlag.REFIT,)), ("stripWeights", (BuilderFlag.STRIP_PLAN,)),
                        ("stripAllWeights", (BuilderFlag.REFIT, BuilderFlag.STRIP_PLAN)),
                        ("allowWeightStreaming", (BuilderFlag.WEIGHT_STREAMING,))):
        if asked[name]:
            for flag in flags:
                config.set_flag(flag)


def lacks_weights(engine: ICudaEngine) -> bool:
    return isinstance(engine._plan.weights, Hollow)


def prepare(engine: ICudaEngine, asked: Asked, log: Log) -> None:
    """Weights from the model, the report on what can be replaced, the time that takes, and the budget."""
    if asked["refitFromOnnx"]:
        begin = time.perf_counter()
        give(Refitter(engine, log), asked["onnx"], log)
        log.info(f"Engine refitted from {asked['onnx']} in {time.perf_counter() - begin:g} sec.")
    if asked["dumpRefit"]:
        dump(engine, log)
    if asked["timeRefit"]:
        measure(engine, asked, log)
    if asked["weightStreamingBudget"] is not None:
        set_budget(engine, asked["weightStreamingBudget"], log)


def give(refitter: Refitter, model: Path, log: Log) -> None:
    """The model's weights to the engine. PlanError, ModelError when that fails."""
    if not OnnxParserRefitter(refitter, log).refit_from_file(str(model)):
        raise ModelError("its weights do not fit the engine: the log above says why", at=str(model))
    if not refitter.refit_cuda_engine():
        raise PlanError("the engine could not be refitted: the log above says why")


def refittable(engine: ICudaEngine, flag: str, log: Log) -> Refitter:
    if not engine.refittable:
        raise UnsupportedError(f"--{flag}: the engine cannot be refitted", try_="build it with --refit")
    return Refitter(engine, log)


def dump(engine: ICudaEngine, log: Log) -> None:
    log.info("Refittable layers and weights:")
    layers, roles = refittable(engine, "dumpRefit", log).get_all()
    for layer, role in zip(layers, roles, strict=True):
        log.info(f"{layer}: {role.name}")


def measure(engine: ICudaEngine, asked: Asked, log: Log) -> None:
    """The mean time of refits: with the weights of --onnx where it is given, else with those the engine has."""
    refitter = refittable(engine, "timeRefit", log)

    def once() -> float:
        begin = time.perf_counter()
        if asked["onnx"] is not None:
            give(refitter, asked["onnx"], log)
        elif not refitter.refit_cuda_engine():
            raise PlanError("the engine could not be refitted: the log above says why")
        return time.perf_counter() - begin
    once()
    mean = sum(once() for _ in range(REFITS)) / REFITS
    log.info(f"Refit took {mean * 1e3:g} ms in average over {REFITS} iterations.")


def set_budget(engine: ICudaEngine, wanted: Any, log: Log) -> None:
    whole = engine.streamable_weights_size
    if not whole:
        raise UnsupportedError("--weightStreamingBudget: the engine's weights cannot be streamed",
                               try_="build it with --allowWeightStreaming")
    size_ = whole if wanted == DISABLED else engine.get_weight_streaming_automatic_budget() if wanted == AUTOMATIC \
        else wanted(whole) if callable(wanted) else wanted
    engine.weight_streaming_budget_v2 = size_
    log.info(f"Weight streaming has budget {engine.weight_streaming_budget_v2 / MIB:g} MiB of {whole / MIB:g} MiB, and "
             f"{engine.weight_streaming_scratch_memory_size / MIB:g} MiB of scratch memory")
