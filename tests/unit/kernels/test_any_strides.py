"""Random problems in random layouts: each has a tactic, for strides of any order, sign and size, and broadcasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from kernel_cases import judge, operand, random_array

from tensorwright.dtypes import DType
from tensorwright.ir import Op, TensorType
from tensorwright.kernels import cpu
from tensorwright.kernels.problem import Operand
from tensorwright.ops import (
    Attention,
    CumSum,
    Fill,
    Gather,
    GatherElements,
    GatherND,
    Iota,
    Pad,
    Pool,
    Recurrent,
    Resize,
    ScatterElements,
    ScatterND,
    TopK,
)

DTYPES = ("float32", "int8", "int64", "float64", "uint16")
REDUCTIONS = ("none", "add", "mul", "max", "min")


class Draw:
    """Random numbers, choices and operands."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    def one(self, *items: str) -> str:
        return str(self.rng.choice(items))

    def shape(self, low: int, high: int, largest: int) -> list[int]:
        return [self.number(1, largest) for _ in range(self.number(low, high))]

    def operand(self, shape: Sequence[int], dtype: str = "float32", output: bool = False) -> Operand:
        order = [int(o) for o in self.rng.permutation(len(shape))]
        dense = operand(shape, dtype, order, self.number(0, 3))
        strides = [int(s) for s in dense.strides]  # type: ignore[call-overload]
        for axis in range(len(shape)):
            what = self.rng.random()
            if what < 0.15:
                strides[axis] = -strides[axis]
            elif what < 0.25 and not output:
                strides[axis] = 0
            elif what < 0.3:
                strides = [2 * s for s in strides]
        return Operand(dense.shape, tuple(strides), dense.dtype)

    def check(self, op: Op, *inputs: Operand | None, arrays: Mapping[int, np.ndarray] | None = None) -> None:
        feeds = {i: random_array(x, self.rng, {}) for i, x in enumerate(inputs) if x is not None} | dict(arrays or {})
        for i, a in feeds.items():                       # equal along axes of stride 0
            x = inputs[i]
            assert x is not None
            feeds[i] = np.broadcast_to(a[tuple(slice(0, 1) if s == 0 else slice(None) for s in x.strides)], a.shape)
        types = op.infer(*(None if x is None else TensorType(x.shape, x.dtype) for x in inputs))
        outputs = [self.operand(t.shape, str(t.dtype), output=True)  # type: ignore[union-attr, arg-type]
                   for t in (types if isinstance(types, tuple) else (types,))]
        assert judge(op, inputs, cpu.tactics, arrays=feeds, outputs=outputs, tolerance=1e-4), op


def pooling(r: Draw) -> None:
    n, kind = r.number(1, 4), r.one("max", "average")
    window = tuple(r.number(1, 4) for _ in range(n))
    strides, dilations = (tuple(r.number(1, 3) for _ in window) for _ in range(2))
    pads = tuple((r.number(0, 3), r.number(0, 3)) for _ in window)
    op = Pool(kind, window, strides, pads, dilations, bool(r.number(0, 2)), bool(r.number(0, 2)))
    shape = (r.number(1, 3), r.number(1, 40), *(r.number(6, 12) for _ in window))
    r.check(op, r.operand(shape, "float64" if kind == "average" else r.one(*DTYPES)))


def padding(r: Draw) -> None:
    shape = [n + 2 for n in r.shape(1, 5, 8)]
    pads = tuple((r.number(-1, 4), r.number(-1, 6)) for _ in shape)
    r.check(Pad(pads, r.one("constant", "edge", "reflect", "wrap"), 3), r.operand(shape, r.one(*DTYPES)))


def reading(r: Draw) -> None:
    shape, dtype = r.shape(1, 4, 20), r.one(*DTYPES)
    axis = r.number(0, len(shape))
    extent, count = shape[axis], r.shape(0, 3, 9)
    index = r.rng.integers(-extent, extent, count)
    r.check(Gather(axis), r.operand(shape, dtype), r.operand(count, "int64"), arrays={1: index})
    lines = [r.number(1, n + 1) for n in shape]
    lines[axis] = r.number(1, 30)
    named = {1: r.rng.integers(-extent, extent, lines).astype("int32")}
    r.check(GatherElements(axis), r.operand(shape, dtype), r.operand(lines, "int32"), arrays=named)
    r.check(ScatterElements(axis, r.one(*REDUCTIONS)), r.operand(shape, dtype), r.operand(lines, "int32"),
            r.operand(lines, dtype), arrays=named)


def slices(r: Draw) -> None:
    shape, lead, dtype = r.shape(1, 4, 20), r.shape(0, 3, 7), r.one(*DTYPES)
    n = r.number(1, len(shape) + 1)
    index = np.stack([r.rng.integers(-d, d, lead) for d in shape[:n]], -1)
    x, i = r.operand(shape, dtype), operand(index.shape, "int64")
    r.check(GatherND(0), x, i, arrays={1: index})
    r.check(ScatterND(r.one(*REDUCTIONS)), x, i, r.operand(lead + shape[n:], dtype), arrays={1: index})


def resizing(r: Draw) -> None:
    mode, lead = r.one("nearest", "linear", "cubic"), (r.number(1, 4), r.number(1, 20))
    op = Resize((*lead, r.number(1, 30), r.number(1, 30)), mode, r.one("half_pixel", "align_corners", "asymmetric"),
                antialias=mode != "nearest" and bool(r.number(0, 2)))
    r.check(op, r.operand((*lead, r.number(1, 9), r.number(1, 9)), "float32" if mode != "nearest" else r.one(*DTYPES)))


def scanning(r: Draw) -> None:
    shape = r.shape(1, 4, 40)
    axis = r.number(0, len(shape))
    r.check(CumSum(axis, bool(r.number(0, 2)), bool(r.number(0, 2))), r.operand(shape, r.one(*DTYPES)))
    k = r.number(0, shape[axis] + 1)
    r.check(TopK(k, axis, bool(r.number(0, 2))), r.operand(shape, r.one(*DTYPES)))


def attending(r: Draw) -> None:
    S, T, D, E = (r.number(1, 70) for _ in range(4))
    lead, dtype = r.shape(0, 3, 3), r.one("float32", "float64")
    mask = r.operand((S, T), r.one(dtype, "bool")) if r.number(0, 2) else None
    r.check(Attention(0.3, bool(r.number(0, 2))), r.operand([*lead, S, D], dtype), r.operand([*lead, T, D], dtype),
            r.operand([*lead, T, E], dtype), mask)


def recurring(r: Draw) -> None:
    kind, direction = r.one("lstm", "gru", "rnn"), r.one("forward", "reverse", "bidirectional")
    G, D = {"lstm": 4, "gru": 3, "rnn": 1}[kind], 2 if direction == "bidirectional" else 1
    H, T, N, I = r.number(1, 40), r.number(1, 5), r.number(1, 9), r.number(1, 20)
    shapes = [(T, N, I), (D, G * H, I), (D, G * H, H), (D, 2 * G * H), (N,), (D, N, H)]
    shapes += [(D, N, H), (D, 3 * H)] if kind == "lstm" else []
    inputs = [r.operand(s, "int32" if len(s) == 1 else "float32") for s in shapes]
    arrays = {i: 0.4 * r.rng.standard_normal(shapes[i]).astype("float32") for i in (1, 2, 3)}
    arrays[4] = r.rng.integers(0, T + 1, (N,)).astype("int32")
    r.check(Recurrent(kind, H, direction, linear_before_reset=bool(r.number(0, 2))), *inputs, arrays=arrays)


def creating(r: Draw) -> None:
    shape, dtype = tuple(r.shape(1, 4, 40)), DType.of(r.one(*DTYPES))
    r.check(Iota(shape, r.number(0, len(shape)), dtype, 2, 3))
    r.check(Fill(shape, 3, dtype))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("draw", [pooling, padding, reading, slices, resizing, scanning, attending, recurring,
                                  creating])
def test_every_layout_has_a_kernel(draw: Callable[[Draw], None], seed: int) -> None:
    draw(Draw(seed))
