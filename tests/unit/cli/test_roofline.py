"""Rows of the roofline table: bounds by threads, host steps without one, what counts as lost."""

from __future__ import annotations

import pytest

from tensorwright.builder import BuildOptions, build
from tensorwright.cli import roofline
from tensorwright.cli.roofline import Row
from tensorwright.device import peak
from tensorwright.device.peak import Level, Roofs
from tensorwright.plan.records import LayerInfo

from ..builder.networks import residual


def test_a_row_says_what_is_lost() -> None:
    info = LayerInfo("conv", "Convolution", flops=2000, bytes=100)
    row = Row(info, 4e-6, 3e-6, "FMA")
    assert row.share == pytest.approx(0.75) and row.lost == pytest.approx(1e-6)
    told = row.to_json()
    assert told["gflops"] == pytest.approx(0.5) and told["gbytes"] == pytest.approx(0.025) and told["limit"] == "FMA"
    assert Row(info, 2e-6, 3e-6, "FMA").lost == 0 and Row(info, 2e-6, 3e-6, "FMA").share > 1       # Winograd
    assert Row(info, 4e-6).to_json()["roofline"] is None                                            # on the host


def test_every_step_is_compared_with_its_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def roofs(threads: int) -> Roofs:
        asked.append(threads)
        return Roofs(threads, 1e9 * threads, (Level("L1", 0, 1.0), Level("memory", float("inf"), 1e15)))
    monkeypatch.setattr(peak, "roofs", roofs)
    program = build(residual(1), BuildOptions(tune_budget=0, verify=False, timing_cache=False)).programs[0]
    found = roofline.rows(program, [(info.name, 1.0) for info in program.layers], 3)
    assert [r.info for r in found] == list(program.layers)
    for step, row in zip(program.steps, found, strict=True):
        assert row.bound == pytest.approx(row.info.flops / (1e9 if step.serial else 3e9)) or row.limit == "memory"
    assert set(asked) <= {1, 3} and asked
