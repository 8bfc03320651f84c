"""Pooling kernels against plain loops: strides, pads, dilations, ceil, layouts, types, NaN, symbols, epilogues."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from kernel_cases import judge, operand

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.ir import TensorType
from tensorwright.kernels.cpu.pool import tactics
from tensorwright.ops import Pool
from tensorwright.ops.expr import Apply, In
from tensorwright.ops.fused import Fused

LAST = (0, 2, 3, 1)


def pooled(op: Pool, x: np.ndarray) -> np.ndarray:
    """The definition, one window at a time."""
    out = op.infer(TensorType(x.shape, DType.of(x))).shape
    y = np.zeros(out, x.dtype)
    spans = [(w - 1) * d + 1 for w, d in zip(op.window, op.dilations, strict=True)]
    padded = np.pad(np.ones(x.shape[2:]), [(b, a + s) for (b, a), s in zip(op.pads, spans, strict=True)])
    covered = [d + b + a for d, (b, a) in zip(x.shape[2:], op.pads, strict=True)]
    within = np.pad(np.ones(covered), [(0, s) for s in spans])
    filled = np.pad(x, [(0, 0), (0, 0), *[(b, a + s) for (b, a), s in zip(op.pads, spans, strict=True)]])
    for p in itertools.product(*map(range, out[2:])):
        window = tuple(slice(i * st, i * st + sp, d) for i, st, sp, d in
                       zip(p, op.strides, spans, op.dilations, strict=True))
        inside = padded[window].astype(bool)
        values = filled[(slice(None), slice(None), *window)][..., inside]
        if op.kind == "max":
            lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
            y[(..., *p)] = np.max(values, axis=-1, initial=lowest)
        else:
            count = within[window].sum() if op.include_pad else inside.sum()
            y[(..., *p)] = values.sum(-1) / count if count else np.nan
    return y


CASES = [
    Pool("max", (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    Pool("max", (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), ceil=True),
    Pool("max", (3, 2), (1, 3), ((2, 0), (1, 1)), (2, 3), ceil=True),
    Pool("max", (9, 9), (1, 1), ((4, 4), (4, 4)), (1, 1)),
    Pool("average", (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    Pool("average", (3, 3), (2, 2), ((1, 1), (1, 0)), (1, 1), include_pad=True, ceil=True),
    Pool("average", (3, 3), (2, 2), ((0, 0), (0, 0)), (1, 1), include_pad=True, ceil=True),
    Pool("average", (2, 3), (3, 2), ((1, 0), (0, 2)), (2, 1), ceil=True),
    Pool("average", (7, 9), (1, 1), ((3, 3), (4, 4)), (1, 1), include_pad=True),
]


@pytest.mark.parametrize("op", CASES, ids=str)
@pytest.mark.parametrize("order", [None, LAST, (3, 1, 0, 2), (0, 1, 3, 2)])
def test_two_dimensions(op: Pool, order: tuple[int, ...] | None) -> None:
    x = np.random.default_rng(1).standard_normal((2, 35, 11, 20)).astype("float32")
    expected = [pooled(op, x)]
    assert judge(op, [operand(x.shape, order=order, gap=3)], tactics, arrays={0: x}, order=order, expected=expected,
                  compile_only=op is CASES[0] or op is CASES[-1])


@pytest.mark.parametrize("kind", ["max", "average"])
def test_one_and_three_dimensions(kind: str) -> None:
    rng = np.random.default_rng(2)
    line = Pool(kind, (3,), (2,), ((1, 2),), (1,), ceil=True)
    x = rng.standard_normal((2, 5, 40)).astype("float64")
    for order in (None, (0, 2, 1)):
        assert judge(line, [operand(x.shape, "float64", order)], tactics, arrays={0: x}, order=order,
                     expected=[pooled(line, x)])
    volume = Pool(kind, (2, 3, 2), (2, 1, 2), ((0, 1), (1, 1), (1, 0)), (1, 1, 2))
    x = rng.standard_normal((1, 64, 5, 6, 7)).astype("float32")
    for order in (None, (0, 2, 3, 4, 1), (0, 1, 3, 4, 2)):
        assert judge(volume, [operand(x.shape, "float32", order)], tactics, arrays={0: x}, order=order,
                     expected=[pooled(volume, x)])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint32", "int16"])
@pytest.mark.parametrize("order", [None, LAST])
def test_maximum_of_integers(dtype: str, order: tuple[int, ...] | None) -> None:
    info = np.iinfo(dtype)
    x = np.random.default_rng(3).integers(info.min, info.max, (1, 70, 9, 8), dtype=dtype, endpoint=True)
    for op in CASES[:3]:
        judge(op, [operand(x.shape, dtype, order)], tactics, arrays={0: x}, order=order, expected=[pooled(op, x)])


@pytest.mark.parametrize("order", [None, LAST])
def test_nan_and_infinity_stay(order: tuple[int, ...] | None) -> None:
    x = np.random.default_rng(4).standard_normal((1, 33, 12, 12)).astype("float32")
    x[0, ::5, 3::4, 2::5] = np.nan
    x[0, ::3, 5::6, :] = -np.inf
    for op in (CASES[0], CASES[3]):
        judge(op, [operand(x.shape, order=order)], tactics, arrays={0: x}, order=order, expected=[pooled(op, x)])


@pytest.mark.parametrize("order", [None, LAST, (0, 1, 3, 2)])
def test_symbols_and_epilogue(order: tuple[int, ...] | None) -> None:
    n, h, w = symbol("s0"), symbol("s1"), symbol("s2")
    core = Pool("average", (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    e = Apply("max", (Apply("mul", (In(0, DType.float32), In(1, DType.float32)), DType.float32), In(2, DType.float32)),
              DType.float32)
    op = Fused(core, e, 1)
    shape = (n, 24, h, w)
    x, full = operand(shape, order=order), operand(shape, order=order)
    channel = operand(shape)
    channel = type(channel)(shape, (0, 1, 0, 0), DType.float32)
    for env in ({"s0": 2, "s1": 5, "s2": 33}, {"s0": 1, "s1": 1, "s2": 1}, {"s0": 0, "s1": 4, "s2": 4}):
        rng = np.random.default_rng(5)
        sizes = (env["s0"], 24, env["s1"], env["s2"])
        a, c, b = (rng.standard_normal(s).astype("float32") for s in (sizes, (1, 24, 1, 1), sizes))
        expected = np.maximum(pooled(core, a) * c, b)
        judge(op, [x, channel, full], tactics, env=env, order=order, expected=[expected],
              arrays={0: a, 1: np.broadcast_to(c, sizes), 2: b}, compile_only=True)


def test_an_empty_window_gives_the_least_value() -> None:
    op = Pool("max", (2, 2), (1, 1), ((3, 3), (0, 0)), (1, 1))
    x = np.random.default_rng(6).standard_normal((1, 16, 4, 4)).astype("float32")
    for order in (None, LAST):
        judge(op, [operand(x.shape, order=order)], tactics, arrays={0: x}, order=order, expected=[pooled(op, x)])
