"""Candidates timed against each other, in turns, so that whatever disturbs the machine disturbs all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

#: Seconds of launches per candidate that stays in the race, and the fewest and the most launches for its time.
BUDGET, FEWEST, MOST = 0.008, 6, 400
#: Seconds of one turn.
TURN = 0.0007
#: Candidates that were never faster than this, relative to the best, leave: after their second turn, and later.
HOPELESS, BEATEN = 1.8, 1.1


class Runner(Protocol):
    def sample(self, threads: int, count: int) -> np.ndarray:
        """Seconds of up to `count` launches."""


@dataclass
class InTurn:
    """Several launches that together do what one candidate does alone."""

    runners: Sequence[Runner]

    def sample(self, threads: int, count: int) -> np.ndarray:
        times = [runner.sample(threads, count) for runner in self.runners]
        shortest = min(map(len, times))
        return np.sum([t[:shortest] for t in times], axis=0)


def race(runners: Sequence[Runner], threads: int, end: float | None = None, least: int = 0) -> list[float]:
    """Seconds of a launch of each runner: the lower quartile of its launches, which forgives disturbances.

    A candidate that leaves early is given the final time of the best times the ratio it left with.
    end: time.perf_counter() after which nothing is done more than once. least: launches of each one that stays.
    """
    samples: list[list[float]] = [[] for _ in runners]
    for runner, mine in zip(runners, samples, strict=True):
        runner.sample(threads, 1)                                         # code and operands arrive
        mine += runner.sample(threads, 2).tolist()
    left = list(range(len(runners)))
    behind: dict[int, float] = {}
    turn = 0
    while end is None or time.perf_counter() < end:
        scores = {k: max(_score(samples[k]), 1e-9) for k in left}
        best = min(scores.values())
        limit = HOPELESS if turn == 1 else BEATEN if turn >= 4 else float("inf")
        behind.update({k: min(samples[k]) / best for k in left if min(samples[k]) > limit * best})
        left = [k for k in left if k not in behind]
        hungry = [k for k in left if len(samples[k]) < max(MOST, least)
                  and (len(samples[k]) < max(FEWEST, least) or sum(samples[k]) < BUDGET)]
        if not hungry:
            break
        for k in hungry if turn % 2 else reversed(hungry):
            samples[k] += runners[k].sample(threads, max(1, int(TURN / scores[k]))).tolist()
        turn += 1
    final = {k: _score(samples[k]) for k in left}
    best = min(final.values())
    return [final[k] if k in final else best * behind[k] for k in range(len(runners))]


def _score(samples: list[float]) -> float:
    return float(np.quantile(samples, 0.25))
