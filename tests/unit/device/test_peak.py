"""Roofs: plausible numbers, and code that does the work it claims."""

from __future__ import annotations

import pytest

from tensorwright.device import cpu
from tensorwright.device.peak import fma_loop, peak_flops, read_bandwidth, read_loop
from tensorwright.targets import CpuSpec


@pytest.mark.parametrize("threads", [1, 2])
def test_roofs_are_plausible(threads):
    assert 1e9 < peak_flops(threads, 0.02) < threads * 1e12
    assert 1e8 < read_bandwidth(threads, 0.02) < 4e12


def test_loops_keep_their_work():
    spec = cpu.describe()
    count = cpu.assembly(fma_loop(spec), spec).count("fmadd" if spec.fma else "mulps")
    assert count >= (24 if spec.vector_registers == 32 else 12)
    arm = CpuSpec("neoverse-n1", "+neon", "aarch64-unknown-linux-gnu", 128, 32, True)
    assert "fmla" in cpu.assembly(fma_loop(arm), arm) and cpu.compile(read_loop(arm), arm)
    old = CpuSpec("x86-64", "", "x86_64-unknown-linux-gnu", 128, 16, False)
    assert "mulps" in cpu.assembly(fma_loop(old), old) and "pxor" in cpu.assembly(read_loop(old), old)
