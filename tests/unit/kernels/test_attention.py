"""Fused attention against the definition in float64: sizes, masks, layouts, broadcasting, symbols, blocks of keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from kernel_cases import judge, operand

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.kernels.cpu.attention import Flash, tactics
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Attention
from tensorwright.ops.expr import Apply, In
from tensorwright.ops.fused import Fused


def attended(op: Attention, q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    s = op.scale * (q.astype("float64") @ np.swapaxes(k, -1, -2).astype("float64"))
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    if op.causal:
        S, T = s.shape[-2:]
        s = np.where(np.arange(T) <= np.arange(S)[:, None] + T - S, s, -np.inf)
    top = s.max(-1, keepdims=True, initial=-np.inf)
    e = np.exp(s - np.where(np.isneginf(top), 0, top))
    total = e.sum(-1, keepdims=True)
    with np.errstate(all="ignore"):
        return (e / (np.where(total == 0, 1, total) if op.zeros else total)) @ v.astype("float64")


def check(op: Attention, shapes: list, dtype: str = "float32", mask: np.ndarray | None = None,
          orders: tuple = (None,) * 3, order: tuple | None = None, compile_only: bool = False) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(dtype) for s in shapes]
    inputs: list[Operand | None] = [operand(s, dtype, o) for s, o in zip(shapes, orders, strict=True)]
    inputs.append(None if mask is None else operand(mask.shape, DType.of(mask)))
    feeds = dict(enumerate(arrays)) | ({} if mask is None else {3: mask})
    assert judge(op, inputs, tactics, arrays=feeds, expected=[attended(op, *arrays, mask)], order=order,
                 compile_only=compile_only)


@pytest.mark.parametrize("S, T, D, E", [
    (1, 1, 1, 1), (7, 5, 16, 16), (20, 33, 64, 64), (2, 70, 24, 40), (197, 197, 64, 64), (13, 600, 33, 17),
    (3, 1100, 80, 128), (50, 50, 40, 96), (1, 130, 64, 64)])
def test_sizes(S: int, T: int, D: int, E: int) -> None:
    check(Attention(D ** -0.5), [(2, 3, S, D), (2, 3, T, D), (2, 3, T, E)], compile_only=S in (20, 1))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("S, T", [(30, 70), (3, 20), (70, 30), (25, 700)])
def test_masks(S: int, T: int, causal: bool) -> None:
    rng = np.random.default_rng(1)
    shapes = [(2, 3, S, 32), (2, 3, T, 32), (2, 3, T, 48)]
    check(Attention(0.3, causal), shapes)
    every = ((S, T), (2, 1, 1, T), (2, 3, S, T), (1, T), (T,), (S, 1), ())
    for shape in every if S == 30 else every[:2]:
        keep = rng.random(shape) < 0.5
        check(Attention(0.3, causal), shapes, mask=keep)
        check(Attention(0.3, causal), shapes, mask=rng.standard_normal(shape).astype("float32"))
    check(Attention(0.3, causal), shapes, mask=np.zeros((2, 1, 1, T), bool))
    blocked = np.zeros((S, T), "float32")
    blocked[::3] = -np.inf
    check(Attention(0.3, causal), shapes, mask=blocked)
    check(Attention(0.3, causal, zeros=False), shapes, mask=blocked)


def test_layouts_and_broadcasting() -> None:
    heads = (0, 2, 1, 3)                                     # stored (batch, position, head, channel)
    check(Attention(0.2), [(2, 4, 21, 32), (2, 4, 37, 32), (2, 4, 37, 32)], orders=(heads,) * 3, order=heads)
    flipped = (0, 1, 3, 2)
    check(Attention(0.2), [(2, 2, 21, 32), (2, 2, 37, 32), (2, 2, 37, 32)], orders=(flipped,) * 3, order=flipped)
    check(Attention(0.2), [(2, 2, 2, 32), (2, 2, 37, 32), (2, 2, 37, 32)], orders=(flipped,) * 3, order=flipped)
    check(Attention(0.2), [(2, 4, 9, 32), (1, 1, 37, 32), (4, 37, 32)])
    check(Attention(0.2), [(9, 20), (11, 20), (11, 20)])


def test_float64() -> None:
    check(Attention(0.2), [(2, 9, 20), (2, 300, 20), (2, 300, 13)], "float64")


def test_symbols_blocks_and_epilogue() -> None:
    S, T, D, E = (symbol(f"s{i}") for i in range(4))
    core = Attention(0.25)
    op = Fused(core, Apply("add", (In(0, DType.float32), In(1, DType.float32)), DType.float32), 4)
    rng = np.random.default_rng(2)
    for env in ({"s0": 31, "s1": 29, "s2": 20, "s3": 37}, {"s0": 5, "s1": 1050, "s2": 16, "s3": 16},
                {"s0": 0, "s1": 4, "s2": 3, "s3": 3}, {"s0": 4, "s1": 0, "s2": 3, "s3": 3},
                {"s0": 1, "s1": 90, "s2": 8, "s3": 5}):
        s, t, d, e = env.values()
        shapes = ((2, s, d), (2, t, d), (2, t, e), (2, s, e))
        q, k, v, extra = (rng.standard_normal(x).astype("float32") for x in shapes)
        inputs = [operand((2, S, D)), operand((2, T, D)), operand((2, T, E)), None, operand((2, S, E))]
        judge(op, inputs, tactics, env=env, arrays={0: q, 1: k, 2: v, 4: extra},
              expected=[attended(core, q, k, v) + extra], compile_only=s == 31)


def test_small_blocks() -> None:
    def small(problem: Problem, cpu: object) -> list[Flash]:
        first = next(iter(tactics(problem, cpu)))  # type: ignore[arg-type]
        return [replace(first, keys=16, queries=12), replace(first, keys=48, queries=6)]

    rng = np.random.default_rng(3)
    q, k, v = (rng.standard_normal((3, n, 32)).astype("float32") for n in (40, 77, 77))
    for causal in (False, True):
        op = Attention(0.3, causal)
        judge(op, [*(operand(x.shape) for x in (q, k, v)), None], small, arrays={0: q, 1: k, 2: v},
              expected=[attended(op, q, k, v)])
