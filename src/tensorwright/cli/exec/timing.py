"""Queries one after the other, on one or several streams, and when each began and ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How long to measure. Seconds, except for the least number of queries per stream. duration -1: endlessly."""

    iterations: int = 10
    duration: float = 3.0
    warmup: float = 0.2
    sleep: float = 0.0
    idle: float = 0.0


@dataclass(frozen=True)
class Trace:
    """samples: (begin, end) of each query in seconds, by begin. Those of the warm-up are counted only."""

    samples: tuple[tuple[float, float], ...]
    warmups: int = 0
    warmup: float = 0.0

    def relative(self) -> list[tuple[float, float]]:
        """(begin, end) in seconds since the first query began."""
        first = self.samples[0][0]
        return [(begin - first, end - first) for begin, end in self.samples]

    @property
    def latencies(self) -> list[float]:
        """Milliseconds of each query, in order."""
        return [(end - begin) * 1e3 for begin, end in self.samples]

    @property
    def wall(self) -> float:
        """Seconds from the first begin to the last end."""
        return max(end for _, end in self.samples) - self.samples[0][0]


def measure(queries: Sequence[Callable[[], None]], pace: Pace) -> Trace:
    """Run each query again and again, each on a thread of its own when there are several.

    A query that begins within the warm-up does not count. At least one does. An interrupt ends an endless measurement
    well, and breaks off any other.
    """
    stop, errors = threading.Event(), []
    found: list[tuple[list[tuple[float, float]], int]] = [([], 0)] * len(queries)
    time.sleep(pace.sleep)
    begin = time.perf_counter()

    def work(number: int) -> None:
        try:
            found[number] = loop(queries[number], pace, begin, stop)
        except BaseException as error:
            errors.append(error)
            stop.set()

    if len(queries) == 1:
        work(0)
    else:
        team = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(len(queries))]
        for thread in team:
            thread.start()
        try:
            for thread in team:
                thread.join()
        except KeyboardInterrupt:
            stop.set()
            for thread in team:
                thread.join()
            if pace.duration >= 0:
                raise
    if errors:
        raise errors[0]
    samples = tuple(sorted(sample for some, _ in found for sample in some))
    if not samples:
        raise KeyboardInterrupt
    return Trace(samples, sum(n for _, n in found), samples[0][0] - begin)


def loop(query: Callable[[], None], pace: Pace, begin: float, stop: threading.Event
         ) -> tuple[list[tuple[float, float]], int]:
    """(samples, number of queries before them) of one stream."""
    clock, samples, warmups = time.perf_counter, [], 0
    last = float("inf") if pace.duration < 0 else begin + pace.warmup + pace.duration
    try:
        while not stop.is_set():
            before = clock()
            query()
            after = clock()
            if before - begin < pace.warmup:
                warmups += 1
            else:
                samples.append((before, after))
                if len(samples) >= pace.iterations and after >= last:
                    break
            if pace.idle:
                time.sleep(pace.idle)
    except KeyboardInterrupt:
        if pace.duration >= 0:
            raise
    return samples, warmups
