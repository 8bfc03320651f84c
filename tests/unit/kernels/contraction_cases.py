"""Convolutions and matrix products for kernel tests: awkward problems in awkward layouts, judged in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tensorwright.device import cpu as device
from tensorwright.device.harness import Prepared
from tensorwright.dims import Dim, evaluate
from tensorwright.dtypes import DType
from tensorwright.ir import TensorType
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Fused
from tensorwright.ops.expr import Apply, Const, Expr, In
from tensorwright.targets import CpuSpec

AVX2 = CpuSpec("x86-64-v3", "", device.describe().triple, 256, 16, True)
BASELINE = CpuSpec("x86-64", "", device.describe().triple, 128, 16, False)
NEON = CpuSpec("generic", "+neon", "aarch64-unknown-linux-gnu", 128, 32, True)
HERE = [device.describe(), *([AVX2] if device.describe().vector_bits == 512 else []), BASELINE]

Border = Sequence[tuple[int, int]]


def channels_last(shape: Sequence[Dim], dtype: DType | str = "float32", border: Border = (), pixel: int = 0) -> Operand:
    """(N, C, *D) stored N, *D, C with a zero border around D; pixel: elements per pixel when more than C."""
    border = tuple(border) or ((0, 0),) * (len(shape) - 2)
    step: Dim = pixel or shape[1]
    strides: list[Dim] = []
    for extent, (before, after) in zip(reversed(shape[2:]), reversed(border), strict=True):
        strides.insert(0, step)
        step = step * (extent + before + after)
    zero = ((0, 0), (0, 0), *border) if any(map(any, border)) else ()
    return Operand(tuple(shape), (step, 1, *strides), DType.of(dtype), border=zero)


def dense(shape: Sequence[Dim], dtype: DType | str = "float32", constant: bool = False, border: Border = ()) -> Operand:
    """C order; border: zeros around the trailing axes."""
    around = ((0, 0),) * (len(shape) - len(border)) + tuple(border)
    step: Dim = 1
    strides: list[Dim] = []
    for extent, (before, after) in zip(reversed(shape), reversed(around), strict=True):
        strides.insert(0, step)
        step = step * (extent + before + after)
    return Operand(tuple(shape), tuple(strides), DType.of(dtype), constant, around if border else ())


def swapped(x: Operand) -> Operand:
    """x with its last two axes stored the other way round."""
    other = dense((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype, x.constant)
    return Operand(x.shape, (*other.strides[:-2], other.strides[-1], other.strides[-2]), x.dtype, x.constant)


def relu_of_sum(extras: int, dtype: DType = DType.float32) -> Expr:
    """max(core + x1 · ½ + x2 · ½ ..., 0)"""
    total: Expr = In(0, dtype)
    for i in range(extras):
        total = Apply("add", (total, Apply("mul", (In(1 + i, dtype), Const(0.5, dtype)), dtype)), dtype)
    return Apply("max", (total, Const(0.0, dtype)), dtype)


def output_shape(op: Any, inputs: Sequence[Operand | None]) -> tuple[Dim, ...]:
    return op.infer(*(None if x is None else TensorType(x.shape, x.dtype) for x in inputs)).shape


def check(problem: Problem, tactics: Callable[..., Any], *, env: Mapping[str, int] | None = None,
          cpus: Sequence[CpuSpec] = tuple(HERE[:1]), tolerance: float = 3e-6, seed: int = 0) -> list[Any]:
    """Run every tactic on every CPU this machine can pretend to be; compare with the meaning in float64."""
    env, rng, found = dict(env or {}), np.random.default_rng(seed), []
    problem = Problem(problem.op, problem.inputs, problem.outputs, problem.tuned or tuple(env.items()))
    feeds = [None if x is None else _random(x, env, rng) for x in problem.inputs]
    wide = [f.astype(np.float64) if f is not None and f.dtype.kind == "f" else f for f in feeds]
    expected = problem.op.bind(env).reference(*wide)
    for cpu in cpus:
        for tactic in tactics(problem, cpu):
            source = tactic.source(problem, cpu, "kernel")
            library = device.load([device.compile(source.text, cpu)])
            got, = Prepared(source, problem, tactic, feeds, cpu, 3, env, 1, library).run()
            assert got.shape == expected.shape
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            limit = tolerance * scale * getattr(tactic, "error_factor", 1.0) if got.dtype.kind == "f" else 0
            error = float(np.abs(got - expected).max(initial=0))
            assert error <= limit, f"{tactic} on {cpu.name}: error {error:.2e}, allowed {limit:.2e}"
            found.append(tactic)
    return found


def _random(x: Operand, env: Mapping[str, int], rng: np.random.Generator) -> np.ndarray:
    """Random elements, equal along axes of stride 0."""
    shape = tuple(evaluate(d, env) for d in x.shape)
    stored = tuple(1 if s == 0 and d else d for d, s in zip(shape, x.strides, strict=True))
    low = -9 if x.dtype.is_signed else 0
    values = rng.standard_normal(stored) if x.dtype.is_float else rng.integers(low, 9, stored)
    return np.broadcast_to(values.astype(x.dtype.numpy), shape)


def compiles_everywhere(problem: Problem, tactics: Callable[..., Any]) -> None:
    for cpu in (AVX2, BASELINE, NEON):
        found = list(tactics(problem, cpu))
        assert found
        for tactic in found:
            assert device.compile(tactic.source(problem, cpu, "kernel").text, cpu)


def fuse(op: Any, inputs: Sequence[Operand | None], y: Operand, extras: Sequence[Operand]) -> Problem:
    """op with max(y + ½·extras, 0) as its epilogue when there are extras."""
    if not extras:
        return Problem(op, tuple(inputs), (y,))
    return Problem(Fused(op, relu_of_sum(len(extras)), len(inputs)), (*inputs, *extras), (y,))
