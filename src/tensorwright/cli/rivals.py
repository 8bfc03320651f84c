"""Other runtimes to compare with, when they are installed, and the comparison itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InputError, UnsupportedError

Run = Callable[[], Any]


@dataclass
class Rival:
    """A runtime with the model loaded. run: one inference on the fixed inputs; outputs: its results by name."""

    name: str
    version: str
    run: Run
    outputs: Callable[[], dict[str, np.ndarray]]


def onnxruntime(model: bytes | str, feeds: Mapping[str, np.ndarray], threads: int) -> Rival:
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    fed = dict(feeds)
    return Rival("onnxruntime", ort.__version__, lambda: session.run(None, fed),
                 lambda: dict(zip(names, session.run(None, fed), strict=True)))


def openvino(model: bytes | str, feeds: Mapping[str, np.ndarray], threads: int) -> Rival:
    import openvino as ov
    core = ov.Core()
    loaded = core.read_model(model)
    loaded.reshape({name: list(array.shape) for name, array in feeds.items()})
    compiled = core.compile_model(loaded, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                                                  "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    for name, array in feeds.items():
        request.set_tensor(name, ov.Tensor(array))

    def outputs() -> dict[str, np.ndarray]:
        request.infer()
        return {name: request.get_tensor(o).data.copy() for o in compiled.outputs for name in o.names}
    return Rival("openvino", ov.__version__.split("-")[0], request.infer, outputs)


RIVALS: dict[str, Callable[[Any, Mapping[str, np.ndarray], int], Rival]] = {
    "onnxruntime": onnxruntime, "openvino": openvino}


def check_installed(name: str) -> None:
    """InputError for a runtime nobody has heard of, UnsupportedError for one that is not installed."""
    from importlib.util import find_spec
    if name not in RIVALS:
        raise InputError(f"nothing is known of a runtime {name!r}", known=", ".join(RIVALS))
    if find_spec(name) is None:
        raise UnsupportedError(f"{name} is not installed", try_=f"pip install {name}")


def load(name: str, model: bytes | str, feeds: Mapping[str, np.ndarray], threads: int) -> Rival:
    """UnsupportedError when it is not installed, or refuses the model."""
    check_installed(name)
    try:
        return RIVALS[name](model, feeds, threads)
    except ImportError:
        raise UnsupportedError(f"{name} is not installed", try_=f"pip install {name}") from None
    except Exception as error:
        raise UnsupportedError(f"{name} refuses the model: {type(error).__name__}: {str(error)[:300]}") from None


@dataclass
class Timing:
    """Seconds per run: the median of each burst, in the order of the bursts."""

    bursts: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.bursts)

    def ratio(self, other: Timing) -> float:
        """Median over bursts of other / self: how many times faster this one is, as the same machine saw both."""
        return statistics.median(b / a for a, b in zip(self.bursts, other.bursts, strict=True))


def interleaved(runs: Sequence[Run], seconds: float, burst: float = 0.1) -> list[Timing]:
    """Short bursts of each in turn, so that all see the same machine; at least 3 rounds, about `seconds` in all."""
    timings = [Timing() for _ in runs]
    for run in runs:
        run()
    begin = time.perf_counter()
    rounds = 0
    while rounds < 3 or time.perf_counter() - begin < seconds:
        order = range(len(runs)) if rounds % 2 == 0 else reversed(range(len(runs)))
        for k in order:
            time.sleep(0.005)                            # idle threads of the one before stop spinning
            runs[k]()
            samples: list[float] = []
            stop = time.perf_counter() + burst
            while len(samples) < 3 or (time.perf_counter() < stop and len(samples) < 10000):
                start = time.perf_counter()
                runs[k]()
                samples.append(time.perf_counter() - start)
            timings[k].bursts.append(statistics.median(samples))
        rounds += 1
    return timings


def disagreement(ours: Mapping[str, Any], theirs: Mapping[str, np.ndarray]) -> float:
    """Largest difference over largest magnitude, over all our outputs; infinite when one of them is not theirs."""
    from ..builder.verify import compare
    if not ours.keys() <= theirs.keys():
        return float("inf")
    return max((compare(np.asarray(ours[name]), np.asarray(theirs[name]))[0] for name in ours), default=0.0)
