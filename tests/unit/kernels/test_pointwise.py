"""Pointwise kernels: every tactic, every layout, against NumPy."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from kernel_cases import judge as judge_exactly
from kernel_cases import operand, random_array

from tensorwright import ops
from tensorwright.device import cpu as device
from tensorwright.dims import symbol
from tensorwright.dtypes import NATIVE, DType
from tensorwright.ir import Op
from tensorwright.kernels.cpu import FAMILIES, tactics
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Pointwise
from tensorwright.ops.expr import Apply, Const, Expr, In

F32, BOOL = DType.float32, DType.bool
COPY = Pointwise(In(0, F32))
ADD = Pointwise(Apply("add", (In(0, F32), In(1, F32)), F32))


def judge(op: Pointwise, inputs: list[Operand], tactics, **how) -> int:
    """As kernel_cases.judge, where axes of stride 0 repeat one element."""
    rng, arrays = np.random.default_rng(1), dict(how.pop("arrays", {}))
    for i, x in enumerate(inputs):
        a = random_array(x, rng, how.get("env", {}))
        first = a[tuple(slice(0, 1) if s == 0 else slice(None) for s in x.strides)]
        arrays.setdefault(i, np.broadcast_to(first, a.shape))
    return judge_exactly(op, inputs, tactics, arrays=arrays, **how)


def gelu(x: Expr) -> Expr:
    t = Apply("erf", (Apply("mul", (x, Const(2 ** -0.5, F32)), F32),), F32)
    one = Apply("add", (t, Const(1.0, F32)), F32)
    return Apply("mul", (Apply("mul", (x, Const(0.5, F32)), F32), one), F32)


def expanded(shape: tuple, x: Operand) -> Operand:
    """x of the same rank with axes of size 1 broadcast to shape."""
    strides = tuple(0 if a == 1 and b != 1 else s for a, b, s in zip(x.shape, shape, x.strides, strict=True))
    return Operand(shape, strides, x.dtype)


@pytest.mark.parametrize("n", [0, 1, 5, 16, 17, 63, 64, 65, 200, 10_000, 40_003])
def test_lengths(n):
    assert judge(ADD, [operand((n,)), operand((n,))], tactics) >= 1
    assert judge(Pointwise(gelu(In(0, F32))), [operand((n,))], tactics) >= 1


@pytest.mark.parametrize("dtype", [F32, DType.float64, DType.int16, DType.uint8], ids=str)
@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0)], ids=str)
def test_permuted_copies(dtype, order):
    copy = Pointwise(In(0, dtype))
    for shape in ((3, 5, 7), (2, 33, 35), (4, 16, 48), (2, 3, 40), (2, 40, 3), (1, 2, 300)):
        assert judge(copy, [operand(shape, dtype, order, gap=3)], tactics, gap=1) >= 1
        assert judge(copy, [operand(shape, dtype)], tactics, order=order) >= 1


@pytest.mark.parametrize("dtype", sorted(NATIVE, key=str), ids=str)
def test_copies_of_every_type(dtype):
    for order in ((0, 1, 2), (0, 2, 1)):
        assert judge(Pointwise(In(0, dtype)), [operand((2, 33, 35), dtype, order)], tactics) >= 1


@pytest.mark.parametrize("shape", [(2, 3, 20, 21), (1, 3, 9, 100), (2, 19, 7, 33), (3, 64, 1, 50), (1, 8, 16, 16)])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2)], ids=str)
@pytest.mark.parametrize("out", [(0, 1, 2, 3), (0, 2, 3, 1)], ids=str)
def test_per_channel_scale_and_shift_with_layout_change(shape, order, out):
    scale = expanded(shape, operand((1, shape[1], 1, 1)))
    rest = expanded(shape, operand((shape[0], 1, *shape[2:])))
    e = Apply("add", (Apply("mul", (In(0, F32), In(1, F32)), F32), In(2, F32)), F32)
    e = Apply("max", (e, Const(0.0, F32)), F32)
    assert judge(Pointwise(e), [operand(shape, "float32", order), scale, rest], tactics, order=out) >= 1


def test_strided_views():
    x = Operand((5, 40), (160, 2), F32)                  # every second element
    for stride in (2, 3, 4, 5, -1, -2):
        x = Operand((5, 40), (300, stride), F32)
        assert judge(COPY, [x], tactics) >= 1
        assert judge(COPY, [operand((5, 40))], tactics, outputs=[Operand((5, 40), (300, stride), F32)]) >= 1
        b = Operand((7, 70), (400, stride), DType.int8)
        assert judge(Pointwise(In(0, DType.int8)), [b], tactics) >= 1


def test_mixed_types():
    shape = (6, 77)
    less = Apply("lt", (In(0, F32), In(1, F32)), BOOL)
    assert judge(Pointwise(less), [operand(shape), operand(shape, gap=3)], tactics) >= 1
    chosen = Apply("where", (In(0, BOOL), In(1, DType.int64), In(2, DType.int64)), DType.int64)
    whole = operand(shape, DType.int64)
    assert judge(Pointwise(chosen), [operand(shape, BOOL), whole, whole], tactics) >= 1
    wide = Apply("cast", (Apply("add", (In(0, DType.uint8), In(0, DType.uint8)), DType.uint8),), F32)
    assert judge(Pointwise(wide), [operand(shape, DType.uint8)], tactics, order=(1, 0)) >= 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_converted(dtype):
    t = DType.of(np.dtype(DType[dtype].numpy))
    for shape, order in (((300,), None), ((20, 33), (1, 0)), ((50, 3), (1, 0))):
        to, back = Apply("cast", (In(0, F32),), t), Apply("cast", (In(0, t),), F32)
        assert judge(Pointwise(back), [operand(shape, t, order)], tactics) >= 1
        assert judge(Pointwise(to), [operand(shape, "float32", order)], tactics, tolerance=0.01) >= 1


@pytest.mark.parametrize("sizes", [(0, 3, 5), (2, 0, 5), (2, 3, 0), (1, 1, 1), (3, 70, 33), (1, 20, 5000)], ids=str)
def test_symbolic_sizes(sizes):
    n, h, w = (symbol(s) for s in ("s0", "s1", "s2"))
    env = dict(zip(("s0", "s1", "s2"), sizes, strict=True))
    for order in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        assert judge(COPY, [operand((n, h, w), "float32", order)], tactics, env=env) >= 1
        bias = Operand((n, h, w), (0, 1, 0), F32)
        assert judge(ADD, [operand((n, h, w), "float32", order), bias], tactics, env=env) >= 1
    assert judge(COPY, [operand((n, h, 3), "float32", (0, 2, 1))], tactics, env=env) >= 1


def test_no_inputs_and_scalars():
    assert judge(Pointwise(Const(2.5, F32)), [], tactics, outputs=[operand(())], expected=[np.float32(2.5)]) >= 1
    assert judge(ADD, [operand(()), operand(())], tactics) >= 1


def test_sines_far_and_near():
    x = np.array([1e7, 0.5, -3e9, 2.0] * 9, np.float32)
    assert judge(Pointwise(Apply("sin", (In(0, F32),), F32)), [operand((36,))], tactics, arrays={0: x}) >= 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
def test_other_processors_compile(order):
    for dtype in (F32, DType.float64, DType.int8, BOOL):
        judge(Pointwise(In(0, dtype)), [operand((33, 37), dtype, order)], tactics, compile_only=True)
    judge(Pointwise(gelu(In(0, F32))), [operand((100, 3), "float32", order)], tactics, compile_only=True)


def test_families_name_operators_and_modules():
    for name, modules in FAMILIES.items():
        assert issubclass(getattr(ops, name), Op)
        assert all(callable(import_module(f"tensorwright.kernels.cpu.{m}").tactics) for m in modules)


def test_unsupported_types_have_no_tactic():
    x = operand((3,), DType.complex64)
    assert not list(tactics(Problem(Pointwise(In(0, DType.complex64)), (x,), (x,)), device.describe()))


@pytest.mark.parametrize("name", ["avx2", "baseline"])
def test_lesser_processors_run(name, monkeypatch):
    monkeypatch.setenv("TENSORWRIGHT_CPU", name)
    for order in ((0, 1), (1, 0)):
        for dtype in (F32, DType.int8, DType.int64):
            for shape in ((19, 37), (50, 3)):
                assert judge(Pointwise(In(0, dtype)), [operand(shape, dtype, order)], tactics) >= 1
    assert judge(Pointwise(gelu(In(0, F32))), [operand((5, 101))], tactics) >= 1


def random_operand(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Operand:
    """Any order of axes, gaps between rows, axes that repeat one element, axes walked backwards."""
    x = operand(shape, dtype, rng.permutation(len(shape)).tolist(), int(rng.integers(0, 3)))
    repeat = rng.random(len(shape)) < 0.15
    back = rng.random(len(shape)) < 0.1
    strides = [0 if r else -s if b else s for s, r, b in zip(x.strides, repeat, back, strict=True)]
    return Operand(shape, tuple(strides), dtype)


@pytest.mark.parametrize("seed", range(30))
def test_random_problems(seed):
    rng = np.random.default_rng(seed)
    for _ in range(2):
        shape = tuple(rng.choice([1, 1, 2, 3, 4, 7, 8, 16, 17, 33], int(rng.integers(1, 5))).tolist())
        dtype = rng.choice([F32, F32, DType.float64, DType.int8, DType.int32, BOOL])
        flag = random_operand(rng, shape, BOOL)
        a, b = random_operand(rng, shape, dtype), random_operand(rng, shape, dtype)
        e = Apply("where", (In(2, BOOL), Apply("max", (In(0, dtype), In(1, dtype)), dtype), In(0, dtype)), dtype)
        order = rng.permutation(len(shape)).tolist()
        assert judge(Pointwise(e), [a, b, flag], tactics, order=order, gap=int(rng.integers(0, 2)), seed=seed) >= 1
