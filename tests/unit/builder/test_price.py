"""Which tactic the tuner takes when all times are known: the fastest, unless one that keeps less is about as fast."""

from __future__ import annotations

import pytest

from tensorwright.builder.cache import TimingCache
from tensorwright.builder.options import BuildOptions
from tensorwright.builder.tune import PRICE, Tuner, price
from tensorwright.builder.work import load_of
from tensorwright.device import cpu
from tensorwright.dtypes import DType
from tensorwright.kernels.cpu import tactics
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Convolution

F = DType.float32
X = Operand((1, 256, 14, 14), (256 * 256, 1, 16 * 256, 256), F, border=((0, 0), (0, 0), (1, 1), (1, 1)))
W = Operand((256, 256, 3, 3), (2304, 9, 3, 1), F, True)
Y = Operand((1, 256, 14, 14), (196 * 256, 1, 14 * 256, 256), F)
PROBLEM = Problem(Convolution((1, 1), ((1, 1), (1, 1)), (1, 1)), (X, W, None), (Y,))
BYTES = 4 * 256 * 256 * 9


def growth(tactic: object) -> float:
    return getattr(tactic, "growth", 1.0)


def test_a_byte_has_its_price() -> None:
    found = {growth(t): price(PROBLEM, t) for t in tactics(PROBLEM, cpu.describe())}
    assert {1.0, 2.0, 4.0} <= set(found)
    assert all(paid == pytest.approx(PRICE * BYTES * kept) for kept, paid in found.items())


@pytest.mark.parametrize("saved, kept", [(0.5, 1.0), (2.0, 4.0)])
def test_small_weights_win_unless_large_ones_are_much_faster(saved: float, kept: float) -> None:
    """saved: by those with weights four times as large, as a multiple of what their size costs."""
    tuner = Tuner(cpu.describe(), 1, BuildOptions(), TimingCache(None, cpu.describe(), 1), 1e-3)
    for t in tactics(PROBLEM, tuner.cpu):
        seconds = 1.0 - saved * 3 * BYTES * PRICE if growth(t) == 4.0 else 1.0
        tuner.cache.add(PROBLEM, tuner._entry(t), seconds if growth(t) in (1.0, 4.0) else 2.0)
    task = tuner._task(PROBLEM, load_of(PROBLEM), None)
    assert not task.timed and [growth(t) for t in task.tactics] == [kept]
