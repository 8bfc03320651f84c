"""Every tactic of matrix products against numpy.matmul: layouts of B, batches, symbols, tails, vectors, types."""

from __future__ import annotations

import random

import numpy as np
import pytest
from contraction_cases import HERE, check, compiles_everywhere, dense, fuse, output_shape, swapped

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.kernels.cpu.matmul import DotProducts, tactics
from tensorwright.kernels.cpu.repack import transpose
from tensorwright.kernels.llvm import Function, module
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import MatMul


def problem_of(a: Operand, b: Operand, extras: int = 0, gap: int = 0) -> Problem:
    shape = output_shape(MatMul(), (a, b))
    y = dense((*shape[:-1], shape[-1] + gap) if shape else (), a.dtype)
    y = Operand(tuple(shape), y.strides, y.dtype)
    bias = Operand(tuple(shape), (*(0,) * (len(shape) - 1), 1)[:len(shape)], y.dtype)
    scalar = Operand(tuple(shape), (0,) * len(shape), y.dtype)
    return fuse(MatMul(), (a, b), y, [y, bias, scalar][:extras])


def drawn(seed: int) -> Problem:
    r = random.Random(seed)
    m, k, n = (r.choice([1, 2, 3, 5, 13, 16, 17, 40, 65]) for _ in range(3))
    leading = r.choice([(), (), (2,), (3, 2)])
    a = dense((*leading, m, k + r.choice([0, 3])))
    a = Operand((*leading, m, k), a.strides, a.dtype)
    if r.random() < 0.2:
        a = swapped(a)
    constant = r.random() < 0.4
    b_leading = leading if r.random() < 0.6 else tuple(r.choice([1, d]) for d in leading)[r.randint(0, len(leading)):]
    b = dense((*b_leading, k, n), constant=constant)
    if r.random() < 0.4 and not constant:
        b = swapped(b)
    return problem_of(a, b, r.randint(0, 3), r.choice([0, 7]))


@pytest.mark.parametrize("seed", range(30))
def test_random_problems(seed: int) -> None:
    assert check(drawn(seed), tactics, seed=seed)


@pytest.mark.parametrize("seed", range(200, 206))
def test_random_problems_on_narrower_vectors(seed: int) -> None:
    assert check(drawn(seed), tactics, cpus=HERE[1:], seed=seed)


EMPTY = [((0, 5), (5, 6)), ((4, 0), (0, 6)), ((4, 5), (5, 0)), ((0, 4, 5), (0, 5, 6))]


@pytest.mark.parametrize("a, b", EMPTY, ids=str)
def test_empty(a, b) -> None:
    for constant in (False, True):
        assert check(problem_of(dense(a), dense(b, constant=constant), 2), tactics)


def test_vectors() -> None:
    for a, b in [((30,), (30, 19)), ((4, 30), (30,)), ((30,), (30,)), ((2, 5, 30), (30,)), ((30,), (3, 30, 4))]:
        for constant in (False, True):
            assert check(problem_of(dense(a), dense(b, constant=constant)), tactics)


S, T = symbol("s0"), symbol("s1")


@pytest.mark.parametrize("sizes", [(1, 1), (5, 37), (16, 64), (29, 3), (0, 5), (5, 0)], ids=str)
@pytest.mark.parametrize("form", ["scores", "values", "rows", "batched rows"])
def test_symbolic(form: str, sizes: tuple[int, int]) -> None:
    problem = {
        "scores": lambda: problem_of(dense((3, S, 24)), swapped(dense((3, 24, T))), 1),
        "values": lambda: problem_of(dense((3, S, T)), dense((3, T, 24)), 1),
        "rows": lambda: problem_of(dense((S, 20)), dense((20, 50), constant=True), 2),
        "batched rows": lambda: problem_of(dense((S, T, 20)), dense((20, 50), constant=True), 2),
    }[form]()
    problem = Problem(problem.op, problem.inputs, problem.outputs, (("s0", 32), ("s1", 32)))
    assert check(problem, tactics, env={"s0": sizes[0], "s1": sizes[1]})


@pytest.mark.parametrize("dtype", ["float64", "int32", "int64", "int8", "uint8"])
def test_other_types(dtype: str) -> None:
    for b in (dense((21, 37), dtype, True), dense((21, 37), dtype), swapped(dense((21, 37), dtype))):
        assert check(problem_of(dense((9, 21), dtype), b), tactics, tolerance=1e-12)


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_blocks_are_transposed_in_registers(lanes: int) -> None:
    import ctypes

    from tensorwright.device import cpu as device
    f, type_ = Function("turn", x="ptr", y="ptr"), f"<{lanes} x float>"
    rows = [f.load(type_, f.at(f.x, i * lanes * 4)) for i in range(lanes)]
    for i, row in enumerate(transpose(f, type_, rows)):
        f.store(type_, row, f.at(f.y, i * lanes * 4))
    library = device.load([device.compile(module(f), HERE[0])])
    x, y = np.arange(lanes * lanes, dtype=np.float32).reshape(lanes, lanes), np.zeros((lanes, lanes), np.float32)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address("turn"))(x.ctypes.data, y.ctypes.data)
    np.testing.assert_array_equal(y, x.T)


def test_blocked_products_need_dense_columns() -> None:
    a, b = dense((4, 5)), swapped(dense((5, 6)))
    y = Operand((4, 6), (1, 4), DType.float32)
    found = check(Problem(MatMul(), (a, b), (y,)), tactics)
    assert found and all(isinstance(t, DotProducts) for t in found)
    assert not list(tactics(Problem(MatMul(), (a, dense((5, 6))), (y,)), HERE[0]))


def test_compiles_for_other_machines() -> None:
    compiles_everywhere(problem_of(dense((3, 9, 21)), swapped(dense((3, 21, 37))), 2), tactics)
    compiles_everywhere(problem_of(dense((9, 21)), dense((21, 37), constant=True), 2), tactics)
