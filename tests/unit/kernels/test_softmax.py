"""Softmax kernels: every tactic, any axis and strides, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases import judge, operand

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.kernels.cpu import tactics
from tensorwright.kernels.cpu.softmax import SoftmaxRows
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Fused, Softmax
from tensorwright.ops.expr import Apply, Const, In

F32, F64 = DType.float32, DType.float64


def every_form(problem: Problem, cpu):
    forms = [SoftmaxRows(across, keep) for across in (False, True) for keep in (False, True)]
    yield from dict.fromkeys([*tactics(problem, cpu), *forms])


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)], ids=str)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axes_and_layouts(axis, order, log):
    for shape in ((3, 70, 33), (5, 1, 16), (2, 100, 7)):
        x = operand(shape, "float32", order, gap=1)
        assert judge(Softmax(axis, log), [x], every_form if shape[0] == 3 else tactics) >= 1
        assert judge(Softmax(axis, log), [x], tactics, order=(1, 0, 2)) >= 1


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 64, 100, 197, 1000, 5003])
def test_lengths(n):
    for log in (False, True):
        assert judge(Softmax(1, log), [operand((3, n))], tactics, tolerance=2e-6) >= 1
    assert judge(Softmax(1), [operand((3, n), F64)], tactics, tolerance=1e-14) >= 1


def test_single_row_and_far_values():
    x = np.array([1e30, -1e30, 5, 88, 89, -200, 3e38, -3e38], np.float32)
    for scale in (1, 1e-3, 1e-37):
        judge(Softmax(0), [operand((8,))], every_form, arrays={0: x * np.float32(scale)})
        judge(Softmax(0, True), [operand((8,))], every_form, arrays={0: x * np.float32(scale)})


def test_nan_and_infinity_follow_numpy():
    x = np.random.default_rng(0).standard_normal((6, 40)).astype(np.float32)
    x[0], x[1, 3], x[2, 39], x[3, 20:] = -np.inf, np.nan, np.inf, -np.inf
    x[4, :39] = -np.inf
    for log in (False, True):
        for order in ((0, 1), (1, 0)):
            judge(Softmax(1, log), [operand((6, 40), "float32", order)], every_form, arrays={0: x})


@pytest.mark.parametrize("sizes", [(0, 5, 6), (4, 5, 0), (3, 70, 33), (2, 9, 2000)], ids=str)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_symbolic_sizes(sizes, axis):
    shape = tuple(symbol(s) for s in ("s0", "s1", "s2"))
    env = dict(zip(("s0", "s1", "s2"), sizes, strict=True))
    for order in ((0, 1, 2), (0, 2, 1)):
        assert judge(Softmax(axis), [operand(shape, "float32", order)], tactics, env=env) >= 1


def test_any_strides():
    for strides in ((900, 2), (-1, 40)):
        x = Operand((30, 29), strides, F32)
        for axis in (0, 1):
            judge(Softmax(axis), [x], every_form)
            judge(Softmax(axis), [x], tactics, outputs=[Operand((30, 29), (3, 100), F32)])


def test_epilogue():
    rng = np.random.default_rng(0)
    scale = Operand((4, 50, 33), (0, 0, 1), F32)
    s = np.broadcast_to(rng.standard_normal(33).astype(np.float32), (4, 50, 33))
    e = Apply("add", (Apply("mul", (In(0, F32), Const(8.0, F32)), F32), In(1, F32)), F32)
    near = Apply("cast", (Apply("round", (Apply("mul", (In(0, F32), Const(255.0, F32)), F32),), F32),), DType.uint8)
    large = Apply("gt", (In(0, F32), Const(0.5, F32)), DType.bool)
    for axis in (1, 2):
        for order in ((0, 1, 2), (0, 2, 1)):
            x = operand((4, 50, 33), "float32", order)
            assert judge(Fused(Softmax(axis), e, 1), [x, scale], tactics, arrays={1: s}) >= 1
    for out in (near, large):
        assert judge(Fused(Softmax(1), out, 1), [operand((9, 21))], tactics) >= 1


@pytest.mark.parametrize("name", ["avx2", "baseline"])
def test_lesser_processors_run(name, monkeypatch):
    monkeypatch.setenv("TENSORWRIGHT_CPU", name)
    for axis in (0, 1):
        judge(Softmax(axis), [operand((19, 37))], every_form)


def test_other_processors_compile():
    for axis in (0, 1):
        judge(Softmax(axis, bool(axis)), [operand((19, 37))], tactics, compile_only=True)
