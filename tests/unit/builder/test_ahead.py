"""Which launch fetches what for those that follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tensorwright.builder import BuildOptions, build
from tensorwright.builder.ahead import BOUND, HORIZON, LEAST, ROOM, Station, fetch_ahead
from tensorwright.ir import NetworkEditor, TensorType
from tensorwright.ops import MatMul, Reduce
from tensorwright.ops.evaluate import evaluate
from tensorwright.plan.file import read, write
from tensorwright.plan.records import Launch, View
from tensorwright.runtime import Engine

from .networks import F, conv, weight

MB = 1 << 20


def schedule(*stations: Station) -> list[tuple[int, int, int] | None]:
    """(buffer, first byte, bytes) that each launch fetches."""
    steps: list = [Launch(f"layer {s.step}", "kernel", (), (), (1,)) for s in stations]
    fetch_ahead(steps, stations)
    found: list[tuple[int, int, int] | None] = []
    for s, step in zip(stations, steps, strict=True):
        assert len(step.args) == (2 if s.fetches else 0)
        views = [v for v in step.args if isinstance(v, View)]
        found.append((views[0].buffer, views[0].offset, views[1].offset - views[0].offset + 1) if views else None)
    return found


def computes(step: int, room: int, seconds: float = 1e-4) -> Station:
    return Station(step, True, int(room / ROOM) + 1, 10 ** 8, seconds, ((100 + step, 10_000),))


def reads(step: int, buffer: int, size: int) -> Station:
    return Station(step, False, 0, size // 2, 1e-5, ((buffer, size),))


def test_the_nearest_launches_fetch_the_end_first() -> None:
    assert schedule(computes(0, MB), computes(1, MB), reads(2, 7, 2 * MB)) == [(7, 0, MB), (7, MB, MB), None]


def test_every_byte_is_fetched_once_and_only_before_its_use() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        stations = [computes(i, int(rng.integers(1, 900_000))) if rng.random() < 0.6 else
                    reads(i, i, int(rng.integers(1, 3 * MB))) for i in range(12)]
        seen: dict[int, list[tuple[int, int]]] = {}
        for station, found in zip(stations, schedule(*stations), strict=True):
            if found is not None:
                buffer, begin, size = found
                assert buffer > station.step and begin % 64 == 0 and size <= station.room
                assert begin + size <= stations[buffer].weights[0][1]
                seen.setdefault(buffer, []).append((begin, begin + size))
        for pieces in seen.values():
            assert all(a[1] <= b[0] for a, b in zip(sorted(pieces), sorted(pieces)[1:], strict=False))


def test_not_too_early() -> None:
    stations = [computes(0, MB), *(computes(i, LEAST // 2, HORIZON / 3) for i in range(1, 5)), reads(5, 7, MB)]
    assert schedule(*stations) == [None] * 6


def test_only_for_layers_that_wait_for_memory() -> None:
    busy = Station(1, False, 0, BOUND * MB, 1e-5, ((7, MB),))
    assert schedule(computes(0, MB), busy) == [None, None]
    assert schedule(computes(0, MB), reads(1, 7, LEAST - 1)) == [None, None]


def test_nothing_for_who_cannot() -> None:
    assert schedule(replace(computes(0, MB), fetches=False), reads(1, 7, MB)) == [None, None]


def test_a_build(tmp_path: Path) -> None:
    """A convolution fetches the classifier's packed weights; the file of the plan says so too."""
    e = NetworkEditor("classifier")
    y = conv(e, e.input("x", TensorType((1, 64, 14, 14), F)), 128, 1)
    mean = e.add(Reduce("mean", (2, 3), False), y)
    e.outputs = [e.add(MatMul(), mean, weight(e, 128, 300), name="scores")]  # type: ignore[list-item, arg-type]
    network = e.finish()
    plan = build(network, BuildOptions(timing_cache=False, tune_budget=0))
    write(plan, tmp_path / "a.plan")
    for each in (plan, read(tmp_path / "a.plan")):
        program, = each.programs
        first, last = (step for step in program.steps if step.layer in ("conv", "scores"))
        assert isinstance(first, Launch) and isinstance(last, Launch)
        begin, end = first.args[-2:]
        assert begin is not None and end is not None and last.args[1] is not None
        assert begin.buffer == end.buffer == last.args[1].buffer and begin.offset == 0
        assert end.offset == program.buffers[end.buffer].bytes - 1  # type: ignore[operator]
        x = np.random.default_rng(0).standard_normal((1, 64, 14, 14), np.float32)
        got, expected = (next(iter(r.values())) for r in (Engine(each).run({"x": x}), evaluate(network, {"x": x})))
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
