"""Problems for kernel tests: operands in awkward layouts, and every tactic judged against a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tensorwright.device import cpu as device
from tensorwright.device.harness import run_kernel
from tensorwright.dims import Dim, evaluate, mul
from tensorwright.dtypes import DType
from tensorwright.ir import Op, TensorType
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Fused
from tensorwright.targets import CpuSpec

OTHERS = (CpuSpec("x86-64-v3", "", "x86_64-unknown-linux-gnu", 256, 16, True),
          CpuSpec("x86-64", "", "x86_64-unknown-linux-gnu", 128, 16, False),
          CpuSpec("generic", "+neon", "aarch64-unknown-linux-gnu", 128, 32, True))


def operand(shape: Sequence[Dim], dtype: DType | str = "float32", order: Sequence[int] | None = None, gap: int = 0,
            constant: bool = False) -> Operand:
    """order: axes from the slowest to the fastest in memory (default C). gap: unused elements after each row."""
    strides: list[Dim] = [0] * len(shape)
    step: Dim = 1
    for count, axis in enumerate(reversed(order if order is not None else range(len(shape)))):
        strides[axis] = step
        step = mul(step, shape[axis]) + (gap if count == 0 else 0)
    return Operand(tuple(shape), tuple(strides), DType.of(dtype), constant)


def random_array(x: Operand, rng: np.random.Generator, env: Mapping[str, int]) -> np.ndarray:
    shape = [evaluate(d, env) for d in x.shape]
    if x.dtype is DType.bool:
        return rng.integers(0, 2, shape).astype(bool)
    if x.dtype.is_float:
        return rng.standard_normal(shape).astype(x.dtype.numpy)
    info = np.iinfo(x.dtype.numpy)
    return rng.integers(info.min, info.max, shape, dtype=x.dtype.numpy, endpoint=True)


def judge(op: Op, inputs: Sequence[Operand | None], tactics: Callable[..., Any], *,
          env: Mapping[str, int] | None = None, arrays: Mapping[int, np.ndarray] | None = None,
          outputs: Sequence[Operand] | None = None, order: Sequence[int] | None = None, gap: int = 0,
          tolerance: float = 2e-5, seed: int = 0, compile_only: bool = False,
          expected: Sequence[np.ndarray] | None = None) -> int:
    """Run every tactic that takes the problem, on this machine; compile it for the others. How many there were."""
    env = dict(env or {})
    if outputs is None:
        types = op.infer(*(None if x is None else TensorType(x.shape, x.dtype) for x in inputs))
        outputs = [operand(t.shape, t.dtype, order, gap) for t in (types if isinstance(types, tuple) else (types,))]
    problem = Problem(op, tuple(inputs), tuple(outputs), tuple(env.items()))
    rng = np.random.default_rng(seed)
    feeds = [None if x is None else (arrays or {}).get(i, None) for i, x in enumerate(inputs)]
    feeds = [random_array(x, rng, env) if a is None and x is not None else a
             for x, a in zip(inputs, feeds, strict=True)]
    if expected is None:
        with np.errstate(all="ignore"):
            result = op.bind(env).reference(*feeds)
        expected = result if isinstance(result, tuple) else (result,)
    cpu, found = device.describe(), list(tactics(problem, device.describe()))
    for tactic in found:
        source = tactic.source(problem, cpu, "k")
        got = run_kernel(source, problem, tactic, feeds, cpu, threads=3, env=env, offset=1)
        for g, e in zip(got, expected, strict=True):
            e = np.asarray(e)
            assert g.shape == e.shape, f"{tactic}: {g.shape} {e.shape}"
            if g.dtype.kind == "f":
                scale = np.max(np.abs(e[np.isfinite(e)]), initial=1.0)
                np.testing.assert_allclose(g, e, rtol=tolerance, atol=tolerance * scale, err_msg=str(tactic))
            else:
                np.testing.assert_array_equal(g, e, err_msg=str(tactic))
    if compile_only:
        for other in OTHERS:
            for tactic in tactics(problem, other):
                assert device.compile(tactic.source(problem, other, "k").text, other)
    return len(found)


__all__ = ["Fused", "judge", "operand", "random_array"]
