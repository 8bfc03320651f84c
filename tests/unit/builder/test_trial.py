"""Trials: the operands a kernel finds, and that what readies them changes nothing."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from tensorwright.builder import trial as module
from tensorwright.builder.trial import Memory, Trial
from tensorwright.device import cpu
from tensorwright.device.operands import reach, scatter, strided
from tensorwright.dtypes import DType
from tensorwright.kernels.cpu import tactics
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Convolution

F = DType.float32


def convolution(c: int = 8, k: int = 24, size: int = 9) -> Problem:
    """3×3 over a bordered input, channels last, filters constant."""
    wide = size + 2
    x = Operand((1, c, size, size), (c * wide * wide, 1, c * wide, c), F, border=((0, 0), (0, 0), (1, 1), (1, 1)))
    w = Operand((k, c, 3, 3), (c * 9, 9, 3, 1), F, constant=True)
    y = Operand((1, k, size, size), (k * size * size, 1, k * size, k), F)
    return Problem(Convolution((1, 1), ((1, 1), (1, 1)), (1, 1), 1), (x, w), (y,))


@pytest.mark.parametrize("size", [(8, 24, 9), (128, 256, 7)])                # weights that stay in the cache, and not
def test_every_tactic_gets_the_same_operands(size: tuple[int, int, int]) -> None:
    problem, spec = convolution(*size), cpu.describe()
    trial = Trial(problem, spec, 2, Memory(spec))
    x, w = trial.values
    expected = problem.op.reference(x, w)
    for tactic in tactics(problem, spec):
        source = tactic.source(problem, spec, "k")
        launch = trial.launch(source, tactic, cpu.load([cpu.compile(source.text, spec)]))
        y, = launch.results()
        np.testing.assert_allclose(y, expected, atol=2e-4 * np.abs(expected).max(), err_msg=repr(tactic))
        for threads in (1, 2):
            times = launch.sample(threads, 3)
            assert 1 <= len(times) <= 3 and (times > 0).all() and times.max() < 1.0
        assert np.array_equal(trial._input(0).view, x)                       # written again, and the same
        assert any(np.any(place[0].view) for place in trial.places[1:])      # timed launches write elsewhere


def test_cold_weights_change_places(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = cpu.describe()
    memory = Memory(spec)
    warm, cold = Trial(convolution(), spec, 1, memory), Trial(convolution(128, 256, 7), spec, 1, memory)
    small, large = np.zeros(2304, np.float32), np.zeros(294912, np.float32)
    assert len({here[1] for here in warm._cycle({1: small})}) == 1
    places = sorted(here[1] for here in cold._cycle({1: large}))
    assert len(places) * large.nbytes >= min(spec.l3, 40 << 20) and min(np.diff(places)) >= large.nbytes
    assert places[-1] + large.nbytes <= places[0] + len(memory.weights(large.nbytes))


def test_weights_stay_when_a_later_tactic_needs_more_room() -> None:
    problem, spec = convolution(), cpu.describe()
    memory = Memory(spec)
    trial = Trial(problem, spec, 1, memory)
    tactic = next(t for t in tactics(problem, spec) if t.source(problem, spec, "k").packed)
    source = tactic.source(problem, spec, "k")
    launch = trial.launch(source, tactic, cpu.load([cpu.compile(source.text, spec)]))
    region = weakref.ref(memory.weights(0))
    memory.weights(4 << 20)
    assert region() is not None, "timed launches would read memory that is no longer there"
    assert (launch.sample(1, 3) > 0).all()


def test_memory_is_shared_and_what_does_not_fit_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARED_BYTES", 1 << 16)
    memory = Memory(cpu.describe())
    a, b, big = memory.take(100), memory.take(100), memory.take(1 << 20)
    assert not np.may_share_memory(a, b) and len(big) == 1 << 20 and not big.any()
    a[...] = 7
    memory.reset()
    again = memory.take(100)
    assert np.may_share_memory(a, again) and not again.any()


def test_reach_and_views_of_strides_of_either_sign() -> None:
    assert reach((2, 3), (3, 1)) == (0, 5) and reach((2, 3), (-3, 1)) == (-3, 2)
    assert reach((4,), (2,), ((1, 2),)) == (-2, 10)
    raw = np.zeros(24, np.uint8)
    view = strided(raw, 12, (2, 3), (-12, 4), np.dtype(np.float32))
    scatter(view, np.arange(6).reshape(2, 3))
    assert raw.view(np.float32).tolist() == [3, 4, 5, 0, 1, 2]
    assert strided(raw, 0, (0, 3), (12, 4), np.dtype(np.float32)).shape == (0, 3)
