"""Timing launches on the team, as a network runs them: inside native code, one after the other, with the barriers."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from .program import Call, Table


def time_calls(calls: Sequence[Call], threads: int = 1, budget: float = 0.02, at_least: int = 3) -> np.ndarray:
    """Seconds of each call: the minimum over runs of the whole sequence, for about `budget` seconds.

    To time a launch with cold weights, give copies of it, each with weights of its own, and take the median.
    """
    table = Table(calls, threads)
    best, end, turn = table.time(), time.perf_counter() + budget, 1
    while turn < at_least or time.perf_counter() < end:
        best, turn = np.minimum(best, table.time()), turn + 1
    return best
