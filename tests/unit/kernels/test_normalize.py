"""Normalisation kernels: every tactic, any axes and strides, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases import judge, operand

from tensorwright.device import cpu as device
from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.kernels.cpu import tactics
from tensorwright.kernels.cpu.normalize import NormalizeRows
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Fused, Normalize
from tensorwright.ops.expr import Apply, In

F32, F64 = DType.float32, DType.float64
SCALE_SHIFT = Apply("add", (Apply("mul", (In(0, F32), In(1, F32)), F32), In(2, F32)), F32)


def every_form(problem: Problem, cpu):
    yield from dict.fromkeys([*tactics(problem, cpu), *(NormalizeRows(a, p) for a in (False, True) for p in (1, 3))])


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 2, 0)], ids=str)
@pytest.mark.parametrize("axes", [(3,), (1,), (2, 3), (1, 2, 3), (0, 2, 3), (0, 1, 2, 3)], ids=str)
def test_axes_and_layouts(axes, order, center):
    for shape in ((2, 19, 5, 6), (3, 5, 1, 37)):
        x = operand(shape, "float32", order, gap=1)
        assert judge(Normalize(axes, 1e-5, center), [x], every_form if shape[0] == 2 else tactics) >= 1


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 64, 100, 768, 5003])
def test_layer_norm_with_scale_and_shift(n):
    rng = np.random.default_rng(0)
    params = [Operand((3, 7, n), (0, 0, 1), F32)] * 2
    arrays = {k: np.broadcast_to(rng.standard_normal(n).astype(np.float32), (3, 7, n)) for k in (1, 2)}
    op = Fused(Normalize((2,), 1e-5), SCALE_SHIFT, 1)
    assert judge(op, [operand((3, 7, n)), *params], tactics, arrays=arrays, tolerance=3e-6) >= 1
    assert judge(Normalize((1,), 1e-12), [operand((3, n), F64)], tactics, tolerance=1e-12) >= 1


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1)], ids=str)
def test_instance_norm_with_scale_and_shift_of_both_layouts(order):
    rng, shape = np.random.default_rng(0), (2, 21, 7, 9)
    params = [Operand(shape, (0, 1, 0, 0), F32)] * 2
    arrays = {k: np.broadcast_to(rng.standard_normal((21, 1, 1)).astype(np.float32), shape) for k in (1, 2)}
    op = Fused(Normalize((2, 3), 1e-5), SCALE_SHIFT, 1)
    assert judge(op, [operand(shape, "float32", order), *params], every_form, arrays=arrays, order=order) >= 1


def test_group_norm_of_both_layouts():
    x = operand((2, 4, 8, 5, 7))
    assert judge(Normalize((2, 3, 4), 1e-5), [x], every_form) >= 1
    x = Operand((2, 4, 8, 5, 7), (32 * 35, 8, 1, 7 * 32, 32), F32)
    assert judge(Normalize((2, 3, 4), 1e-5), [x], every_form, outputs=[x]) >= 1


def test_few_long_rows_are_cut_in_parts():
    many = device.describe().cores > 1
    for order in ((0, 1, 2, 3), (0, 2, 3, 1)):
        x = operand((1, 16, 70, 71), "float32", order)
        assert judge(Normalize((1, 2, 3), 1e-5), [x], tactics, order=order) >= 1 + many
        assert judge(Normalize((2, 3), 1e-5, False), [x], every_form, order=order) >= 4


def test_a_large_mean_does_not_cancel_the_variance():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((40, 3000)) + 1000).astype(np.float32)
    for axis in (0, 1):
        judge(Normalize((axis,), 0.0), [operand((40, 3000))], every_form, arrays={0: x}, tolerance=2e-4)


def test_nan_stays_in_its_row():
    x = np.random.default_rng(0).standard_normal((5, 40)).astype(np.float32)
    x[1, 3], x[2, 39], x[3] = np.nan, np.inf, 0
    for order in ((0, 1), (1, 0)):
        judge(Normalize((1,), 1e-5), [operand((5, 40), "float32", order)], every_form, arrays={0: x})


@pytest.mark.parametrize("sizes", [(0, 5, 6), (4, 5, 0), (3, 70, 33), (2, 9, 2000)], ids=str)
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (1, 2)], ids=str)
def test_symbolic_sizes(sizes, axes):
    shape = tuple(symbol(s) for s in ("s0", "s1", "s2"))
    env = dict(zip(("s0", "s1", "s2"), sizes, strict=True))
    for order, forms in (((0, 1, 2), every_form), ((0, 2, 1), tactics)):
        assert judge(Normalize(axes, 1e-5), [operand(shape, "float32", order)], forms, env=env) >= 1


def test_any_strides():
    for strides in ((900, 2), (1, 30), (-1, 40)):
        x = Operand((30, 29), strides, F32)
        for axis in (0, 1):
            judge(Normalize((axis,), 1e-5), [x], every_form)
            judge(Normalize((axis,), 1e-5), [x], tactics, outputs=[Operand((30, 29), (3, 100), F32)])


@pytest.mark.parametrize("name", ["avx2", "baseline"])
def test_lesser_processors_run(name, monkeypatch):
    monkeypatch.setenv("TENSORWRIGHT_CPU", name)
    for axis in (0, 1):
        judge(Normalize((axis,), 1e-5), [operand((19, 37))], every_form)


def test_other_processors_compile():
    for axis in (0, 1):
        judge(Normalize((axis,), 1e-5), [operand((19, 37))], tactics, compile_only=True)
