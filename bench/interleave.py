"""Fair timing: contestants take turns in short bursts; what is compared is the ratio within a round."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass
class Result:
    """milliseconds: best burst minimum per contestant. ratio: median over rounds of (peer / first), per peer."""

    milliseconds: dict[str, float]
    ratio: dict[str, float]
    rounds: int


def interleave(contestants: Mapping[str, Callable[[], object]], seconds: float = 4.0, burst: int = 5) -> Result:
    """The first contestant is the one the others are compared with. A burst's figure is its minimum."""
    names = list(contestants)
    for run in contestants.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in names}
    end, turn = time.perf_counter() + seconds, 0
    while turn < 3 or time.perf_counter() < end:
        for name in names if turn % 2 == 0 else reversed(names):
            run, best = contestants[name], float("inf")
            run()  # wakes threads, warms caches after the others
            for _ in range(burst):
                begin = time.perf_counter()
                run()
                best = min(best, time.perf_counter() - begin)
            times[name].append(best)
        turn += 1
    first = names[0]
    ratio = {n: median(b / a for a, b in zip(times[first], times[n], strict=True)) for n in names[1:]}
    return Result({n: min(t) * 1e3 for n, t in times.items()}, ratio, turn)
