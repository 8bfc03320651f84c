"""Reductions and index reductions: every tactic, any axes and strides, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases import judge, operand

from tensorwright.device import cpu as device
from tensorwright.dims import symbol
from tensorwright.dtypes import NATIVE, DType
from tensorwright.kernels.cpu import tactics
from tensorwright.kernels.cpu.reduce import Reduction
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import ArgReduce, Fused, Reduce
from tensorwright.ops.expr import Apply, Const, In

F32, BOOL = DType.float32, DType.bool
KINDS = ("sum", "mean", "max", "min", "prod")


def every_form(problem: Problem, cpu):
    """The tactics offered, and both forms with and without parts even where they are not."""
    forms = [*tactics(problem, cpu), Reduction(False), Reduction(True), Reduction(False, 3), Reduction(True, 3)]
    yield from dict.fromkeys(forms)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (3,), (1, 2), (2, 3), (0, 3), (0, 2, 3), (0, 1, 2, 3), ()], ids=str)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 0, 1, 2)], ids=str)
def test_axes_and_layouts(axes, order):
    for n, shape in enumerate([(2, 5, 7, 9), (3, 70, 1, 17), (1, 3, 33, 40)]):
        x = operand(shape, "float32", order, gap=n)
        assert judge(Reduce("sum" if n else "max", axes, bool(n % 2)), [x], tactics) >= 1
    assert judge(Reduce("mean", axes, False), [operand((2, 19, 5, 21), "float32", order)], every_form) >= 4


@pytest.mark.parametrize("dtype", sorted(NATIVE, key=str), ids=str)
def test_types(dtype):
    rng = np.random.default_rng(0)
    for kind in KINDS:
        if dtype is BOOL and kind not in ("max", "min"):
            continue
        for axes in ((0,), (1,)):
            arrays = {0: rng.integers(0, 5, (21, 83)).astype(dtype.numpy)} if kind == "mean" else {}
            assert judge(Reduce(kind, axes), [operand((21, 83), dtype)], tactics, tolerance=1e-4, arrays=arrays) >= 1


def test_long_sums_stay_accurate():
    rng = np.random.default_rng(0)
    for shape, axes in (((1, 300_001), (1,)), ((100_003, 3), (0,)), ((40_000, 20), (0,))):
        x = (rng.random(shape) + 1).astype(np.float32)
        judge(Reduce("sum", axes), [operand(shape)], every_form, arrays={0: x}, tolerance=5e-7)


def test_global_average_pool_of_channels_last_is_cut_in_parts():
    x = operand((1, 64, 56, 56), "float32", (0, 2, 3, 1))
    assert judge(Reduce("mean", (2, 3)), [x], tactics, tolerance=2e-6) >= (2 if device.describe().cores > 1 else 1)


def test_nan_and_infinity():
    for value in (np.nan, np.inf, -np.inf):
        x = np.full((37, 37), -np.inf if value != -np.inf else 0.5, np.float32)
        for place in (0, 13, 36):
            x[place, 20] = x[20, place] = value
        for kind in KINDS[:4]:                                    # (products depend on where they underflow)
            for axes in ((0,), (1,)):
                judge(Reduce(kind, axes), [operand((37, 37))], tactics, arrays={0: x})


@pytest.mark.parametrize("sizes", [(0, 5, 6), (4, 5, 0), (3, 70, 33), (2, 9, 2000)], ids=str)
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (1, 2)], ids=str)
def test_symbolic_sizes(sizes, axes):
    shape = tuple(symbol(s) for s in ("s0", "s1", "s2"))
    env = dict(zip(("s0", "s1", "s2"), sizes, strict=True))
    for order in ((0, 1, 2), (0, 2, 1)):
        assert judge(Reduce("mean", axes, False), [operand(shape, "float32", order)], every_form, env=env) >= 1


def test_any_strides():
    for strides in ((900, 2), (1, -30)):
        x = Operand((30, 29), strides, F32)
        for axes in ((1,), (0, 1)):
            judge(Reduce("sum", axes), [x], every_form)
            out = [1 if k in axes else n for k, n in enumerate((30, 29))]
            judge(Reduce("max", axes), [x], tactics, outputs=[Operand(tuple(out), (100, 3), F32)])


def test_epilogue():
    scale = Operand((4, 1, 33), (0, 0, 1), F32)
    root = Apply("sqrt", (Apply("add", (Apply("mul", (In(0, F32), In(0, F32)), F32), Const(1.0, F32)), F32),), F32)
    e = Apply("add", (root, In(1, F32)), F32)
    s = np.broadcast_to(np.random.default_rng(0).standard_normal(33).astype(np.float32), (4, 1, 33))
    for order in ((0, 1, 2), (0, 2, 1)):
        op = Fused(Reduce("mean", (1,)), e, 1)
        assert judge(op, [operand((4, 50, 33), "float32", order), scale], every_form, arrays={1: s}) >= 1
    positive = Fused(Reduce("sum", (0,), False), Apply("gt", (In(0, F32), Const(0.0, F32)), BOOL), 1)
    assert judge(positive, [operand((50, 33))], every_form) >= 1


@pytest.mark.parametrize("dtype", [F32, DType.float64, DType.int8, DType.uint8, DType.int64, DType.uint64], ids=str)
@pytest.mark.parametrize("last", [False, True])
def test_index_reductions(dtype, last):
    rng = np.random.default_rng(0)
    for shape in ((3, 37), (2, 70, 17), (9, 1)):
        x = rng.integers(0, 9, shape).astype(dtype.numpy)
        for axis in range(len(shape)):
            for kind in ("max", "min"):
                for order in (tuple(range(len(shape))), tuple(reversed(range(len(shape))))):
                    op = ArgReduce(kind, axis, kind == "max", last)
                    assert judge(op, [operand(shape, dtype, order)], tactics, arrays={0: x}) >= 1


@pytest.mark.parametrize("last", [False, True])
def test_index_of_nan_and_of_equal_infinities(last):
    x = np.full((20, 37), -np.inf, np.float32)
    x[3, 5] = x[3, 30] = x[4, 36] = x[5, 0] = np.nan
    x[6, 7], x[7, :] = 2, np.inf
    for axis in (0, 1):
        for kind in ("max", "min"):
            assert judge(ArgReduce(kind, axis, True, last), [operand((20, 37))], tactics, arrays={0: x}) >= 1


def test_index_reduction_with_epilogue_and_symbols():
    n, c = symbol("s0"), symbol("s1")
    op = Fused(ArgReduce("max", 1, False), Apply("cast", (In(0, DType.int64),), DType.int32), 1)
    for env in ({"s0": 0, "s1": 4}, {"s0": 3, "s1": 1}, {"s0": 17, "s1": 100}):
        for order in ((0, 1), (1, 0)):
            assert judge(op, [operand((n, c), "float32", order)], tactics, env=env) >= 1


@pytest.mark.parametrize("name", ["avx2", "baseline"])
def test_lesser_processors_run(name, monkeypatch):
    monkeypatch.setenv("TENSORWRIGHT_CPU", name)
    for axes in ((0,), (1,)):
        for dtype in (F32, DType.int8, DType.int64):
            judge(Reduce("sum", axes), [operand((19, 37), dtype)], every_form)
            judge(ArgReduce("max", axes[0]), [operand((19, 37), dtype)], tactics)


def test_other_processors_compile():
    judge(Reduce("mean", (1,)), [operand((19, 37))], every_form, compile_only=True)
    judge(Reduce("max", (0,)), [operand((19, 37), DType.int8)], every_form, compile_only=True)
    judge(ArgReduce("max", 1), [operand((19, 37))], tactics, compile_only=True)
