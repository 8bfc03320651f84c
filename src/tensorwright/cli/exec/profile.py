"""The time of each layer, over many queries."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from ...errors import TensorwrightError
from ...trt import IProfiler
from .data import Stream
from .timing import Pace, measure


@dataclass(frozen=True)
class Row:
    """Milliseconds of one layer over all queries, and its share of their sum."""

    name: str
    total: float
    median: float
    percentage: float


class LayerTimes(IProfiler):
    """Collects what a context reports: the same layers at every query, in the same order."""

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] = []
        self._times: list[list[float]] = []
        self._next = 0
        self.count = 0

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        if self.count == 0:
            self._names.append(layer_name)
            self._times.append([])
        self._times[self._next].append(ms)
        self._next += 1

    def end_query(self) -> None:
        self.count, self._next = self.count + 1, 0

    def rows(self) -> list[Row]:
        whole = sum(map(sum, self._times)) or 1.0
        return [Row(name, sum(ms), statistics.median(ms), 100 * sum(ms) / whole)
                for name, ms in zip(self._names, self._times, strict=True)]


def profiled(stream: Stream, pace: Pace) -> LayerTimes:
    """Layers are timed in a run of their own: timing them costs time."""
    layers = LayerTimes()
    stream.context.profiler = layers

    def query() -> None:
        if not stream.context.report_to_profiler():
            raise TensorwrightError("the layers could not be timed: the log above says why")
        layers.end_query()
    try:
        measure([query], pace)
    finally:
        stream.context.profiler = None
    return layers
