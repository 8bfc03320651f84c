"""The race: who is fastest, under disturbances too, without losing time on the hopeless."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tensorwright.builder import race as module
from tensorwright.builder.race import InTurn, race


class Clock:
    """Runners that take time of this clock. disturbed: from launch a to launch b, over all runners, all take longer."""

    def __init__(self, disturbed: tuple[int, int] = (0, 0)) -> None:
        self.launches, self.disturbed = 0, disturbed

    def runner(self, seconds: float, noise: float = 0.05) -> Runner:
        return Runner(self, seconds, noise)


class Runner:
    def __init__(self, clock: Clock, seconds: float, noise: float) -> None:
        self.clock, self.seconds, self.noise, self.count = clock, seconds, noise, 0
        self.rng = np.random.default_rng(int(seconds * 1e9))

    def sample(self, threads: int, count: int) -> np.ndarray:
        found = []
        for _ in range(count):
            self.count += 1
            self.clock.launches += 1
            low, high = self.clock.disturbed
            slow = 2.0 if low <= self.clock.launches < high else 1.0
            found.append(self.seconds * slow * (1 + self.noise * self.rng.random()))
        return np.array(found)


@pytest.mark.parametrize("disturbed", [(0, 0), (3, 6), (4, 40), (20, 60), (30, 37)])
def test_the_fastest_wins_though_the_machine_is_disturbed(disturbed: tuple[int, int]) -> None:
    clock = Clock(disturbed)
    runners = [clock.runner(s) for s in (1.2e-4, 1.0e-4, 1.3e-4)]
    times = race(runners, 1)
    assert min(range(3), key=times.__getitem__) == 1
    assert times[1] == pytest.approx(1.02e-4, rel=0.05)
    assert times[0] / times[1] == pytest.approx(1.2, rel=0.1)


def test_the_hopeless_cost_little() -> None:
    clock = Clock()
    slow, fast, near = clock.runner(1e-2), clock.runner(1e-3), clock.runner(1.02e-3)
    times = race([slow, fast, near], 1)
    assert slow.count == 4 and fast.count >= module.FEWEST and near.count >= module.FEWEST
    assert times[0] > 5 * times[1] and np.isfinite(times).all()


def test_nothing_is_repeated_when_time_is_over() -> None:
    clock = Clock()
    runners = [clock.runner(1e-3), clock.runner(2e-3)]
    times = race(runners, 1, end=time.perf_counter())
    assert [r.count for r in runners] == [3, 3] and times[0] < times[1]


def test_parts_in_turn_take_the_time_of_all() -> None:
    clock = Clock()
    together, parts = clock.runner(2.5e-4), InTurn([clock.runner(1e-4), clock.runner(1.2e-4)])
    times = race([together, parts], 1)
    assert times[1] == pytest.approx(2.23e-4, rel=0.05) and times[0] > times[1]
