"""What is said about a trace: averages along it, and the performance summary."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .timing import Trace

if TYPE_CHECKING:
    from .log import Log
    from .profile import LayerTimes

#: Lines of a long trace that are shown at its begin and at its end.
SHOWN = 200

MEANINGS = """\
Throughput: queries per second of host wall time. A query is one run of the engine, whatever its batch.
Latency: time of one query: transfers and computation.
Enqueue Time: how long the call takes that submits a query. On a CPU it computes at once, so this is its computation.
H2D Latency, D2H Latency: transfers to and from the device. On a CPU there are none: 0 ms.
GPU Compute Time: time that the engine computes, here on the CPU; the name is what readers of this report expect.
Total Host Walltime: from the begin of the first query to the end of the last, warm-up apart.
Total GPU Compute Time: sum of all queries' computation."""


@dataclass(frozen=True)
class Figures:
    """Milliseconds: least, greatest, mean, median, and (p, value) of each percentile."""

    least: float
    most: float
    mean: float
    median: float
    percentiles: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, values: Sequence[float], percentiles: Sequence[float]) -> Figures:
        ordered = sorted(values)
        return cls(ordered[0], ordered[-1], statistics.fmean(ordered), statistics.median(ordered),
                   tuple((p, percentile(ordered, p)) for p in percentiles))

    def __str__(self) -> str:
        parts = [f"min = {self.least:g} ms", f"max = {self.most:g} ms", f"mean = {self.mean:g} ms",
                 f"median = {self.median:g} ms", *(f"percentile({p:g}%) = {v:g} ms" for p, v in self.percentiles)]
        return ", ".join(parts)

    def as_json(self) -> dict[str, Any]:
        return {"min": self.least, "max": self.most, "mean": self.mean, "median": self.median,
                "percentiles": {f"{p:g}": v for p, v in self.percentiles}}


def percentile(ordered: Sequence[float], p: float) -> float:
    """The element that floor((1 - p/100) n) of the n sorted values lie behind; the least for p = 0."""
    behind = math.floor(round((100 - p) * len(ordered) / 100, 9))
    return ordered[max(0, len(ordered) - 1 - behind)]


def details(trace: Trace, runs: int, log: Log) -> None:
    """One line per `runs` queries; of a long trace its begin and its end."""
    log.info(f"Warmup completed {trace.warmups} queries over {trace.warmup * 1e3:g} ms")
    log.info(f"Timing trace has {len(trace.samples)} queries over {trace.wall:g} s")
    log.info()
    log.section("Trace details")
    log.info(f"Trace averages of {runs} runs:")
    latencies = trace.latencies
    groups = [latencies[k:k + runs] for k in range(0, len(latencies), runs)]
    if len(groups) > 1 and len(groups[-1]) < runs:
        groups.pop()                                     # an average of fewer would stand beside the others
    for number, group in enumerate(groups):
        if SHOWN <= number < len(groups) - SHOWN:
            if number == SHOWN:
                log.info("...")
            continue
        mean = statistics.fmean(group)
        log.info(f"Average on {len(group)} runs - GPU latency: {mean:g} ms - Host latency: {mean:g} ms "
                 f"(enqueue {mean:g} ms)")


def summary(trace: Trace, streams: int, percentiles: Sequence[float], log: Log) -> dict[str, Any]:
    """Say the performance summary. The same as JSON."""
    compute = Figures.of(trace.latencies, percentiles)
    none = Figures.of([0.0], percentiles)
    busy = sum(trace.latencies) / 1e3
    throughput = len(trace.samples) / trace.wall
    log.info()
    log.section("Performance summary")
    log.info(f"Throughput: {throughput:g} qps")
    log.info(f"Latency: {compute}")
    log.info(f"Enqueue Time: {compute}")
    log.info(f"H2D Latency: {none}")
    log.info(f"GPU Compute Time: {compute}")
    log.info(f"D2H Latency: {none}")
    log.info(f"Total Host Walltime: {trace.wall:g} s")
    log.info(f"Total GPU Compute Time: {busy:g} s")
    warnings(trace, compute, streams, log)
    log.info("Explanations of the performance metrics are printed in the verbose logs.")
    log.verbose("=== Explanations of the performance metrics ===")
    for line in MEANINGS.splitlines():
        log.verbose(line)
    return {"throughput_qps": throughput, "queries": len(trace.samples), "seconds": trace.wall,
            "latency_ms": compute.as_json()}


def warnings(trace: Trace, compute: Figures, streams: int, log: Log) -> None:
    """What makes the figures doubtful."""
    variance = statistics.fmean((ms - compute.mean) ** 2 for ms in trace.latencies)
    spread = math.sqrt(variance) / compute.mean if compute.mean else 0.0
    if spread > 0.025:
        log.warning(f"* Compute time is unstable, with coefficient of variation = {spread:.4%}: other processes may "
                    "share the machine. Measure on a quiet one.")
    if streams > 1:
        log.warning("* Throughput is that of all streams; latencies are those of queries that share the cores. "
                    "Use --infStreams=1 to measure latency.")


def layer_table(layers: LayerTimes, log: Log) -> None:
    log.info()
    log.section(f"Profile ({layers.count} iterations )")
    log.info(f"{'Time(ms)':>12} {'Avg.(ms)':>12} {'Median(ms)':>12} {'Time(%)':>8}   Layer")
    rows = layers.rows()
    count = max(1, layers.count)
    for row in rows:
        log.info(f"{row.total:12.2f} {row.total / count:12.4f} {row.median:12.4f} {row.percentage:8.1f}   {row.name}")
    total, medians = sum(row.total for row in rows), sum(row.median for row in rows)
    log.info(f"{total:12.2f} {total / count:12.4f} {medians:12.4f} {100.0 if rows else 0.0:8.1f}   Total")
    log.info()
