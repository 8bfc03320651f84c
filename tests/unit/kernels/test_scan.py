"""Running sums and products, and the greatest elements, against NumPy: layouts, types, ties, NaN, symbols."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases import judge, operand

from tensorwright.dims import symbol
from tensorwright.kernels.cpu import scan, topk
from tensorwright.ops import CumProd, CumSum, TopK


@pytest.mark.parametrize("kind", [CumSum, CumProd])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
def test_running(kind: type, dtype: str) -> None:
    for order in (None, (2, 0, 1), (0, 2, 1)):
        for axis in range(3):
            op = kind(axis, exclusive=axis == 1, reverse=order is None)
            assert judge(op, [operand((4, 37, 21), dtype, order, 1)], scan.tactics, order=order, compile_only=axis == 0)
    assert judge(kind(0, True, True), [operand((9,), dtype)], scan.tactics)


def test_symbolic_scan() -> None:
    s, t = symbol("s0"), symbol("s1")
    for env in ({"s0": 3, "s1": 40}, {"s0": 0, "s1": 5}, {"s0": 7, "s1": 0}):
        assert judge(CumSum(0), [operand((s, t))], scan.tactics, env=env)
        assert judge(CumSum(1), [operand((s, t))], scan.tactics, env=env)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint8", "int32", "uint32", "int64", "uint64",
                                   "int16"])
@pytest.mark.parametrize("largest", [True, False])
def test_greatest(dtype: str, largest: bool) -> None:
    rng = np.random.default_rng(0)
    few = rng.integers(0, 9, (3, 50, 4)).astype(dtype)                   # many ties
    for order in (None, (1, 0, 2)):
        for axis, k in ((0, 2), (1, 1), (1, 7), (1, 50), (2, 3), (1, 0)):
            op = TopK(k, axis, largest)
            assert judge(op, [operand((3, 50, 4), dtype, order)], topk.tactics, order=order, compile_only=k == 7)
            assert judge(op, [operand((3, 50, 4), dtype, order)], topk.tactics, order=order, arrays={0: few})


@pytest.mark.parametrize("largest", [True, False])
def test_greatest_of_special_values(largest: bool) -> None:
    x = np.random.default_rng(1).standard_normal((2, 300)).astype("float32")
    x[:, ::7] = np.nan
    x[0, ::5], x[1, 3::5], x[:, 1::11], x[:, 2::11] = np.inf, -np.inf, 0.0, -0.0
    x[:, 4::13] = np.copysign(np.nan, -1)
    for k in (1, 20, 299, 300):
        assert judge(TopK(k, 1, largest), [operand(x.shape)], topk.tactics, arrays={0: x})


def test_symbolic_selection() -> None:
    k, n = symbol("s0"), symbol("s1")
    for env in ({"s0": 3, "s1": 1000}, {"s0": 0, "s1": 5}, {"s0": 5, "s1": 5}):
        assert judge(TopK(k, 1), [operand((2, n))], topk.tactics, env=env)
