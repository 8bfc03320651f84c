"""Small programs written by hand, with kernels of a few lines: what the runtime is tested with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from tensorwright.device import cpu
from tensorwright.dims import Dim, symbol
from tensorwright.dtypes import DType
from tensorwright.ir import Op
from tensorwright.kernels.llvm import Function, arg, entry, module
from tensorwright.plan.records import (
    Buffer,
    HostStep,
    Kernel,
    Launch,
    LayerInfo,
    Plan,
    Profile,
    Program,
    TensorInfo,
    View,
)

N = symbol("N")
F32 = DType.float32


def _map(name: str, reads: int, body) -> Function:
    """y[i] = body(f, values): values are x0[i], x1[i], ... of float32; y is the last argument."""
    f = entry(name)
    pointers = [arg(f, k) for k in range(reads + 1)]
    with f.loop("i", f.begin, f.end) as i:
        at = f.op("mul", "i64", i, "4")
        f.store("float", body(f, [f.load("float", f.at(p, at)) for p in pointers[:-1]]), f.at(pointers[-1], at))
    return f


@cache
def kernels() -> dict[str, Kernel]:
    """add3: y = a + b + c. double: y = 2x. window: y[i] = x[i-1] + x[i] + x[i+1]. fail is never launched."""
    add3 = _map("add3", 3, lambda f, v: f.op("fadd", "float", f.op("fadd", "float", v[0], v[1]), v[2]))
    double = _map("double", 1, lambda f, v: f.op("fadd", "float", v[0], v[0]))
    window = entry("window")
    x, y = arg(window, 0), arg(window, 1)
    with window.loop("i", window.begin, window.end) as i:
        at = window.op("mul", "i64", i, "4")
        here = window.at(x, at)
        a, b, c = (window.load("float", window.at(here, k)) for k in (-4, 0, 4))
        window.store("float", window.op("fadd", "float", window.op("fadd", "float", a, b), c), window.at(y, at))
    spec = cpu.describe()
    return {f.name: Kernel(f.name, (f.name,), cpu.compile(module(f), spec)) for f in (add3, double, window)}


@dataclass(frozen=True)
class Reverse(Op):
    """Host operator: the elements in reverse order, times a dimension."""

    times: Dim = 1

    def reference(self, x):
        return x[::-1] * np.float32(self.times)


@dataclass(frozen=True)
class NonZero(Op):
    """Host operator with a data-dependent result."""

    def reference(self, x):
        return np.nonzero(x)[0]


@dataclass(frozen=True)
class Failing(Op):
    def reference(self, *inputs):
        raise ValueError("the data are not to my liking")


def vector(buffer: int, n: Dim = N, offset: Dim = 0, dtype: DType = F32) -> View:
    return View(buffer, offset, (n,), (1,), dtype)


def info(name: str, n: Dim | None = N, dtype: DType | None = F32) -> TensorInfo:
    return TensorInfo(name, None if n is None else (n,), dtype)


def plan_of(buffers, steps, inputs, outputs, values, *, offsets=None, arena=0, weights=None, threads=1,
            ranges=(("N", (1, 8, 1000)),), name="hand-made", layers=()) -> Plan:
    used = {s.kernel for s in steps if isinstance(s, Launch)}
    program = Program(Profile(tuple(ranges)), cpu.describe().key, tuple(buffers), tuple(offsets or [-1] * len(buffers)),
                      arena, tuple(steps), tuple(k for k in kernels().values() if k.id in used), tuple(inputs),
                      tuple(outputs), tuple(values), tuple(layers), threads)
    return Plan(name, (program,), "{}", weights or {})


def add3(threads: int = 1) -> Plan:
    """y = a + b + c"""
    buffers = [Buffer("input", 4 * N, "a"), Buffer("input", 4 * N, "b"), Buffer("input", 4 * N, "c"),
               Buffer("output", 4 * N, "y")]
    step = Launch("sum", "add3", tuple(vector(i) for i in range(4)), (), (N,))
    return plan_of(buffers, [step], [info("a"), info("b"), info("c")], [info("y")], [3], threads=threads,
                   layers=[LayerInfo("sum", "Pointwise", ("Sum_0",), "Plain()", 2e-6, 2000, 16000)])


def chain(threads: int = 2) -> Plan:
    """t = 2·x; w = window of t with zeros outside; y = w + bias + x. Arena, zero border, constants, several steps."""
    buffers = [Buffer("input", 4 * N, "x"), Buffer("arena", 4 * N + 8, zero=True), Buffer("arena", 4 * N),
               Buffer("constant", 4000, "packed/bias"), Buffer("output", 4 * N, "y")]
    steps = [Launch("twice", "double", (vector(0), vector(1, offset=4)), (), (N,)),
             Launch("window", "window", (vector(1, offset=4), vector(2)), (), (N,)),
             Launch("sum", "add3", (vector(2), vector(3), vector(0), vector(4)), (), (N,), serial=True)]
    return plan_of(buffers, steps, [info("x")], [info("y")], [4], offsets=[-1, 0, 4096, -1, -1], arena=8192,
                   weights={"packed/bias": np.arange(1000, dtype=np.float32)}, threads=threads)


def chain_reference(x: np.ndarray) -> np.ndarray:
    t = np.pad(2 * x, 1)
    return t[:-2] + t[1:-1] + t[2:] + np.arange(len(x), dtype=np.float32) + x


def hosted() -> Plan:
    """t = 2·x; r = reverse(t)·N; y = 2·r; where = nonzero(x): host steps between launches, an opaque output."""
    buffers = [Buffer("input", 4 * N, "x"), Buffer("arena", 4 * N), Buffer("arena", 4 * N),
               Buffer("output", 4 * N, "y")]
    steps = [Launch("twice", "double", (vector(0), vector(1)), (), (N,)),
             HostStep("turn", Reverse(N), (vector(1),), (vector(2),), "a test"),
             Launch("again", "double", (vector(2), vector(3)), (), (N,)),
             HostStep("where", NonZero(), (vector(0),), ("found",), "the size depends on the data")]
    return plan_of(buffers, steps, [info("x")], [info("y"), info("where", None, DType.int64)], [3, "found"],
                   offsets=[-1, 0, 4096, -1], arena=8192)


def with_program(plan: Plan, **changes) -> Plan:
    return replace(plan, programs=(replace(plan.programs[0], **changes),))
