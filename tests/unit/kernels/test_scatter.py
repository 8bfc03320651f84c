"""Writing by index against the operators' NumPy meaning, with repeated and negative indices, and every reduction."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases import judge, operand

from tensorwright.dims import symbol
from tensorwright.kernels.cpu.scatter import tactics
from tensorwright.ops import ScatterElements, ScatterND

REDUCTIONS = ("none", "add", "mul", "max", "min")


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "float64"])
def test_elements(reduction: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for axis, shape in ((0, (9, 4, 21)), (1, (3, 11, 40)), (2, (5, 6, 2))):
        size = (5, 6, 40)
        index = rng.integers(-size[axis], size[axis], shape)
        for order in (None, (2, 1, 0)):
            inputs = [operand(size, dtype, order), operand(shape, "int64", order), operand(shape, dtype, None, 2)]
            assert judge(ScatterElements(axis, reduction), inputs, tactics, arrays={1: index}, order=order,  # type: ignore[arg-type]
                         compile_only=axis == 1)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_slices(reduction: str) -> None:
    rng, size = np.random.default_rng(1), (4, 5, 6, 33)
    for n, lead in ((1, (7,)), (2, (3, 4)), (3, (9,)), (4, (50,)), (1, ())):
        index = np.stack([rng.integers(-d, d, lead) for d in size[:n]], -1)
        for order, dtype in ((None, "float32"), ((3, 2, 1, 0), "int32"), (None, "int8")):
            shape = lead + size[n:]
            inputs = [operand(size, dtype, order), operand(index.shape, "int32"), operand(shape, dtype, None, 1)]
            assert judge(ScatterND(reduction), inputs, tactics, arrays={1: index.astype("int32")}, order=order)  # type: ignore[arg-type]


def test_booleans_and_long_slices() -> None:
    rng = np.random.default_rng(2)
    index = rng.integers(0, 10, (40, 1))
    for reduction in REDUCTIONS[:1]:
        inputs = [operand((10, 1300), "bool"), operand((40, 1), "int64"), operand((40, 1300), "bool")]
        assert judge(ScatterND(reduction), inputs, tactics, arrays={1: index})  # type: ignore[arg-type]


def test_symbols() -> None:
    s, t = symbol("s0"), symbol("s1")
    for env in ({"s0": 6, "s1": 9}, {"s0": 1, "s1": 0}, {"s0": 3, "s1": 1}):
        index = np.random.default_rng(3).integers(0, env["s0"], (env["s1"], 1))
        inputs = [operand((s, 40)), operand((t, 1), "int64"), operand((t, 40))]
        assert judge(ScatterND("add"), inputs, tactics, env=env, arrays={1: index}, compile_only=True)  # type: ignore[arg-type]
        wide = np.random.default_rng(3).integers(0, env["s0"], (env["s1"], 12))
        inputs = [operand((s, 40)), operand((t, 12), "int64"), operand((t, 12))]
        assert judge(ScatterElements(0, "none"), inputs, tactics, env=env, arrays={1: wide})  # type: ignore[arg-type]
