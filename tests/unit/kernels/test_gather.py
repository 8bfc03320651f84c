"""Reading by index, padding, and tensors made of parameters, against NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from kernel_cases import judge, operand

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.kernels.cpu import fill, gather, pad
from tensorwright.ops import Fill, Gather, GatherElements, GatherND, Iota, Pad, ShapeVector

ORDERS = [None, "reversed", "swapped"]


def order_of(kind: str | None, rank: int) -> list[int] | None:
    axes = list(range(rank))
    return None if kind is None or rank < 2 else axes[::-1] if kind == "reversed" else [*axes[:-2], axes[-1], axes[-2]]


def gathered(data: np.ndarray, op: Gather, indices: np.ndarray) -> np.ndarray:
    return np.take(data, indices, axis=op.axis)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape, axis, count", [((37, 70), 0, (5, 3)), ((6, 9, 20), 1, (7,)), ((4, 5, 6), 2, (2, 19)),
                                                ((33,), 0, ()), ((50, 3, 4), 0, (11,)), ((3, 1), 1, (2,))])
@pytest.mark.parametrize("dtype, index", [("float32", "int64"), ("int8", "int32"), ("float64", "int64"),
                                          ("bool", "int32"), ("float16", "int64")])
def test_gather(order: str | None, shape: tuple, axis: int, count: tuple, dtype: str, index: str) -> None:
    op, rng = Gather(axis), np.random.default_rng(0)
    data = (rng.standard_normal(shape) * 50).astype(dtype)
    indices = rng.integers(-shape[axis], shape[axis], count).astype(index)
    rank = len(shape) + len(count) - 1
    assert judge(op, [operand(shape, dtype, order_of(order, len(shape)), 1), operand(count, index)], gather.tactics,
                 arrays={0: data, 1: indices}, order=order_of(order, rank), expected=[gathered(data, op, indices)])


@pytest.mark.parametrize("order", ORDERS)
def test_gather_elements(order: str | None) -> None:
    rng = np.random.default_rng(1)
    for axis, dtype in ((0, "float32"), (1, "int64"), (2, "uint16")):
        data = (rng.standard_normal((6, 7, 40)) * 100).astype(dtype)
        shape = [(9, 5, 33), (6, 20, 17), (5, 7, 61)][axis]
        indices = rng.integers(-data.shape[axis], data.shape[axis], shape)
        cut = data[tuple(slice(None) if a == axis else slice(n) for a, n in enumerate(shape))]
        expected = np.take_along_axis(cut, indices % data.shape[axis], axis)
        assert judge(GatherElements(axis), [operand(data.shape, dtype, order_of(order, 3)), operand(shape, "int64")],
                     gather.tactics, arrays={0: data, 1: indices}, order=order_of(order, 3), expected=[expected],
                     compile_only=axis == 2)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("batch, n, lead", [(0, 1, (5,)), (0, 2, (3, 4)), (0, 4, (30,)), (1, 2, (3, 7)),
                                            (2, 1, (3, 4, 6))])
def test_gather_nd(order: str | None, batch: int, n: int, lead: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    data = rng.standard_normal((3, 4, 5, 18)).astype("float32")
    indices = np.stack([rng.integers(-d, d, lead) for d in data.shape[batch:batch + n]], -1)
    where = tuple(np.ogrid[tuple(map(slice, lead[:batch]))])
    where = tuple(w.reshape(w.shape + (1,) * (len(lead) - batch)) for w in where)
    expected = data[(*where, *np.moveaxis(indices, -1, 0))]
    inputs = [operand(data.shape, "float32", order_of(order, 4)), operand(indices.shape, "int64")]
    assert judge(GatherND(batch), inputs, gather.tactics, arrays={0: data, 1: indices},
                 order=order_of(order, expected.ndim), expected=[expected])


def test_wrong_indices_stay_inside() -> None:
    data = np.arange(40, dtype="float32").reshape(5, 8)
    indices = np.array([-9, 4, 7, 1 << 40, -(1 << 60)])
    judge(Gather(0), [operand(data.shape), operand(indices.shape, "int64")], gather.tactics,
          arrays={0: data, 1: indices}, expected=[data[[0, 4, 4, 4, 0]]])


def test_symbolic_gather() -> None:
    s, t = symbol("s0"), symbol("s1")
    for env in ({"s0": 9, "s1": 4}, {"s0": 1, "s1": 17}, {"s0": 3, "s1": 0}):
        rng = np.random.default_rng(3)
        data = rng.standard_normal((env["s0"], 40)).astype("float32")
        indices = rng.integers(0, env["s0"], (2, env["s1"]))
        judge(Gather(0), [operand((s, 40)), operand((2, t), "int64")], gather.tactics, env=env,
              arrays={0: data, 1: indices}, expected=[data[indices]], compile_only=True)


def padded(op: Pad, x: np.ndarray) -> np.ndarray:
    cut = tuple(slice(max(-b, 0), n - max(-a, 0)) for (b, a), n in zip(op.pads, x.shape, strict=True))
    grow = [(max(b, 0), max(a, 0)) for b, a in op.pads]
    extra = {"constant_values": op.value} if op.mode == "constant" else {}
    return np.pad(x[cut], grow, op.mode, **extra)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pad(order: str | None, mode: str) -> None:
    rng = np.random.default_rng(4)
    cases: Sequence = [((2, 3, 20), ((0, 0), (1, 2), (3, 1))), ((4, 37), ((-1, 2), (5, -3))), ((9,), ((20, 19))),
                       ((1, 5), ((2, 0), (-2, 40))), ((3, 4, 2, 6), ((0, 0), (0, 0), (3, 3), (0, -1)))]
    for shape, pads in cases:
        pads = (pads,) if isinstance(pads[0], int) else pads
        for dtype in ("float32", "int8", "float64", "float16"):
            op = Pad(pads, mode, 7)
            x = (rng.standard_normal(shape) * 50).astype(dtype)
            rank = len(shape)
            assert judge(op, [operand(shape, dtype, order_of(order, rank), 2)], pad.tactics, arrays={0: x},
                         order=order_of(order, rank), expected=[padded(op, x)])


def test_symbolic_pad() -> None:
    s, p = symbol("s0"), symbol("s1")
    for mode in ("constant", "reflect"):
        for env in ({"s0": 5, "s1": 3}, {"s0": 33, "s1": -2}, {"s0": 4, "s1": 0}):
            op = Pad(((1, p), (p, 2)), mode, -1.5)
            x = np.random.default_rng(5).standard_normal((6, env["s0"])).astype("float32")
            judge(op, [operand((6, s))], pad.tactics, env=env, arrays={0: x}, compile_only=True,
                  expected=[padded(op.bind(env), x)])  # type: ignore[arg-type]


def test_fills_and_ramps() -> None:
    s = symbol("s0")
    for env in ({"s0": 3}, {"s0": 41}, {"s0": 0}):
        for order in (None, (1, 0)):
            for dtype in ("float32", "int64", "bool", "uint8", "float64"):
                assert judge(Fill((s, 21), True, DType.of(dtype)), [], fill.tactics, env=env, order=order)
            for axis in (0, 1):
                assert judge(Iota((s, 21), axis, DType.float32, -0.5, 0.1), [], fill.tactics, env=env, order=order)
                assert judge(Iota((21, s), axis, DType.int32, s, -3), [], fill.tactics, env=env, order=order)
        assert judge(Iota((9000,), 0, DType.int8, 5, 3), [], fill.tactics, env=env, compile_only=True)
        assert judge(ShapeVector((s, s * 2 + 1, 7)), [], fill.tactics, env=env)
        assert judge(Fill((), 2.5, DType.float32), [], fill.tactics, env=env)


