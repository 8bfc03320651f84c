"""The stand-alone kernel harness: layouts, guards, splitting, timing."""

from __future__ import annotations

import numpy as np
import pytest

from tensorwright.device import cpu, harness
from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.errors import DeviceError
from tensorwright.ir import Op
from tensorwright.kernels.llvm import Dims, arg, entry, module
from tensorwright.kernels.problem import Operand, Phase, Problem, Source, Workspace

N = symbol("s0")


class Nothing:
    def pack(self, problem, cpu, index, array):
        return array * 2


def add_kernel(beyond: int = 0) -> Source:
    """y[i] = a[i] + b[0], n elements split by chunks; `beyond` elements too many."""
    f, order = entry("add"), []
    n = Dims(f, order)(N)
    a, b, y = (arg(f, i) for i in range(3))
    with f.loop("i", f.begin, f.add(f.end, beyond)) as i:
        at = f.op("mul", "i64", i, "4")
        v = f.op("fadd", "float", f.load("float", f.at(a, at)), f.load("float", b))
        f.store("float", v, f.at(y, at))
    assert n
    return Source(module(f), (Phase("add", N),), tuple(order))


def vector(n, stride=1, **more) -> Operand:
    return Operand((n,), (stride,), DType.float32, **more)


def problem(**b) -> Problem:
    return Problem(Op(), (vector(N), vector(N, 0, **b)), (vector(N),), (("s0", 11),))


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("n", [0, 1, 11, 100])
def test_runs_split_and_unaligned(threads, offset, n):
    a = np.arange(n, dtype=np.float32)
    b = np.full((1,), 3, np.float32)
    y, = harness.run_kernel(add_kernel(), problem(), Nothing(), [a, b], cpu.describe(), threads, {"s0": n}, offset)
    np.testing.assert_array_equal(y, a + 3)


def test_packs_constants():
    source = add_kernel()
    source = Source(source.text, source.phases, source.dims, packed=(1,))
    y, = harness.run_kernel(source, problem(constant=True), Nothing(), [np.zeros(11, "f"), np.ones(1, "f")],
                            cpu.describe())
    np.testing.assert_array_equal(y, np.full(11, 2, "f"))


def test_reports_writes_outside_the_output():
    with pytest.raises(DeviceError, match=r"wrote outside output 0: .* the first at byte 44"):
        harness.run_kernel(add_kernel(beyond=1), problem(), Nothing(), [np.zeros(11, "f"), np.ones(1, "f")],
                           cpu.describe())


def test_borders_are_zero_and_gaps_are_poison():
    f = entry("edges")                          # y[0] = x[-1], y[1] = x[2], y[2] = the gap between rows
    x, y = arg(f, 0), arg(f, 1)
    for k, offset in enumerate((-4, 8, 12)):
        f.store("float", f.load("float", f.at(x, offset)), f.at(y, 4 * k))
    operand = Operand((2, 2), (5, 1), DType.float32, border=((0, 0), (1, 1)))
    p = Problem(Op(), (operand,), (vector(3),))
    y, = harness.run_kernel(Source(module(f), (Phase("edges", 1),)), p, Nothing(), [np.ones((2, 2), "f")],
                            cpu.describe())
    assert y[0] == 0 and y[1] == 0 and np.isnan(y[2])


def test_workspaces_have_a_slice_per_thread():
    f = entry("ws")                             # each thread counts its chunks in its slice, then writes the count
    y, ws = arg(f, 0), arg(f, 1)
    slot = f.at(ws, f.op("mul", "i64", "%thread", "8"))
    f.store("i64", "0", slot)
    with f.loop("i", f.begin, f.end):
        f.store("i64", f.add(f.load("i64", slot), 1), slot)
    f.store("i64", f.load("i64", slot), f.at(y, f.op("mul", "i64", "%thread", "8")))
    p = Problem(Op(), (), (Operand((3,), (1,), DType.int64),))
    source = Source(module(f), (Phase("ws", 8),), workspaces=(Workspace(8, True),))
    y, = harness.run_kernel(source, p, Nothing(), [], cpu.describe(), threads=3)
    assert list(y) == [2, 3, 3]


def test_times_a_kernel():
    a, b = np.zeros(100000, "f"), np.ones(1, "f")
    seconds = harness.time_kernel(add_kernel(), problem(), Nothing(), [a, b], cpu.describe(), {"s0": 100000}, 0.005)
    assert 1e-6 < seconds < 1e-1
