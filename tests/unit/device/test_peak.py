"""Roofs: plausible numbers, and code that does the work it claims."""

from __future__ import annotations

import pytest

from tensorwright.device import cpu, peak
from tensorwright.device.peak import Level, Roofs, fma_loop, peak_flops, read_bandwidth, read_loop, roofs
from tensorwright.targets import CpuSpec


@pytest.mark.parametrize("threads", [1, 2])
def test_roofs_are_plausible(threads):
    assert 1e9 < peak_flops(threads, 0.02) < threads * 1e12
    assert 1e8 < read_bandwidth(threads, 0.02) < 4e12
    assert 1e8 < read_bandwidth(threads, 0.02, 16384) < 4e13


def test_threads_that_share_a_core_for_a_while_are_measured_later(monkeypatch):
    """The first measurement of two threads sees half of it; where there is one core nothing is hoped."""
    seen: list[tuple[int, float]] = []

    def shortest(table: object, budget: float, enough: float = 0.0) -> float:
        seen.append((table.threads, enough))                                      # type: ignore[attr-defined]
        return 2.0 if len(seen) == 1 else 1.0
    monkeypatch.setattr(peak, "_shortest", shortest)
    spec = cpu.describe()
    one = peak_flops(1) * 2
    assert [threads for threads, _ in seen] == [1]
    seen.clear()
    found = peak_flops(2)
    patient = spec.cores > 1
    assert [threads for threads, _ in seen] == ([2, 1, 2] if patient else [2, 1])
    assert found == pytest.approx(2 * one if patient else one)
    seen[:] = [(0, 0.0)]
    assert peak_flops(2) == pytest.approx(2 * one) and len(seen) == 3             # all there at once: no more waiting


def test_levels_are_in_order_and_measured_once():
    found, spec = roofs(2), cpu.describe()
    assert found is roofs(2) and found.threads == 2 and found.flops > 1e9
    capacities = [level.capacity for level in found.levels]
    assert capacities == sorted(capacities) and capacities[0] == 2 * spec.l1 and capacities[-1] == float("inf")
    assert found.levels[0].bandwidth > found.levels[-1].bandwidth    # a cache beats memory anywhere


def test_a_bound_is_the_longer_of_arithmetic_and_traffic():
    roof = Roofs(1, 100.0, (Level("L1", 10, 50.0), Level("memory", float("inf"), 5.0)))
    assert roof.bound(1000, 10) == (10.0, "FMA") and roof.bound(10, 10) == (0.2, "L1")
    assert roof.bound(10, 20) == (4.0, "memory") and roof.bound(0, 0) == (0.0, "FMA")


def test_loops_keep_their_work():
    spec = cpu.describe()
    count = cpu.assembly(fma_loop(spec), spec).count("fmadd" if spec.fma else "mulps")
    assert count >= (24 if spec.vector_registers == 32 else 12)
    arm = CpuSpec("neoverse-n1", "+neon", "aarch64-unknown-linux-gnu", 128, 32, True)
    assert "fmla" in cpu.assembly(fma_loop(arm), arm) and cpu.compile(read_loop(arm), arm)
    old = CpuSpec("x86-64", "", "x86_64-unknown-linux-gnu", 128, 16, False)
    assert "mulps" in cpu.assembly(fma_loop(old), old) and "pxor" in cpu.assembly(read_loop(old), old)
