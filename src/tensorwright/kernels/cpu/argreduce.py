"""Index reductions: the place of the greatest or least element, in vectors of values and of places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...dims import Dim
from ...dtypes import NATIVE, DType
from ...ops.expr import Expr, In, operands
from ...ops.fused import Fused
from ...ops.reduce import ArgReduce
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, module, vector
from ..problem import Phase, Problem, Source, Tactic
from .access import lanes_for, load, masks_are_cheap, store, types_in
from .pointwise_form import vector_loop
from .pointwise_printer import emit
from .reduce_form import divided_axes, vector_last
from .reductions import neutral
from .space import Axis, Walk, arranged, chunk_size, split, tuned

Best = tuple[str, str]                           # value, place (i32)


@dataclass(frozen=True)
class Order:
    """Which of two candidates wins: the greater (less) one, NaN above all, then the first (last) one."""

    f: Function
    kind: str
    last: bool
    dtype: DType

    def wins(self, lanes: int, x: str, best: str, strictly: bool) -> str:
        """Flags: x beats best; if not strictly, also where they are equal or both NaN."""
        f, t, flag = self.f, vector(SCALAR[self.dtype], lanes), vector("i1", lanes)
        how = ("g" if self.kind == "max" else "l") + ("t" if strictly else "e")
        if not self.dtype.is_float:
            return f.set(f"icmp {'s' if self.dtype.is_signed else 'u'}{how} {t} {x}, {best}")
        nan = f.set(f"fcmp uno {t} {x}, {x}")
        if strictly:
            nan = f.op("and", flag, nan, f.set(f"fcmp ord {t} {best}, {best}"))
        return f.op("or", flag, f.set(f"fcmp o{how} {t} {x}, {best}"), nan)

    def later(self, lanes: int, x: str, place: str, best: Best, mask: str = "") -> Best:
        """The better of best and of x, which comes after it."""
        win = self.wins(lanes, x, best[0], strictly=not self.last)
        return self._choose(lanes, self.f.op("and", vector("i1", lanes), win, mask) if mask else win, (x, place), best)

    def either(self, lanes: int, a: Best, b: Best) -> Best:
        """The better of two whose places are in no known order."""
        f, flag = self.f, vector("i1", lanes)
        earlier = f.set(f"icmp {'sgt' if self.last else 'slt'} {vector('i32', lanes)} {b[1]}, {a[1]}")
        tie = f.op("and", flag, self.wins(lanes, b[0], a[0], strictly=False), earlier)
        return self._choose(lanes, f.op("or", flag, self.wins(lanes, b[0], a[0], strictly=True), tie), b, a)

    def _choose(self, lanes: int, flag: str, yes: Best, no: Best) -> Best:
        return (self.f.select(flag, vector(SCALAR[self.dtype], lanes), yes[0], no[0]),
                self.f.select(flag, vector("i32", lanes), yes[1], no[1]))


@dataclass(frozen=True)
class Places:
    """across: vectors hold kept elements, else elements of the reduced axis. Places are 32-bit until stored."""

    across: bool

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        op, x, y = problem.op, problem.inputs[0], problem.outputs[0]
        core = op.core if isinstance(op, Fused) else op
        assert isinstance(core, ArgReduce) and x is not None
        extras = [e for e in problem.inputs[1:] if e is not None]
        kept_, (axis,) = divided_axes(x, (core.axis,), core.keepdims, (y, *extras))
        kept = vector_last(arranged(problem, kept_, 0))
        epilogue: Expr = op.epilogue if isinstance(op, Fused) else In(0, DType.int64)
        f, order_ = entry(symbol), list[Dim]()
        writer = _Writer(f, cpu, Order(f, core.kind, core.select_last, x.dtype), axis, epilogue,
                         [x.dtype, y.dtype, *(e.dtype for e in extras)], order_)
        start = [arg(f, k) for k in (0, len(problem.inputs), *range(1, len(problem.inputs)))]
        row = kept[-1] if self.across and kept else Axis(1, (1,) * len(start))
        outer = kept[:-1] if self.across else kept
        cut = split(problem, outer, row.size, chunk_size(problem, x.shape, cpu), weight=axis.size)
        w = writer.w
        with f.loop("chunk", f.begin, f.end) as chunk, cut.walk(w, start, chunk) as pointers:
            if self.across:
                writer.across(pointers, row)
            else:
                writer.finish(writer.along(pointers[0]), pointers[1:], row.strides[1:], 1)
        return Source(module(f), (Phase(symbol, cut.chunks),), tuple(order_))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is packed")


class _Writer:
    def __init__(self, f: Function, cpu: CpuSpec, order: Order, axis: Axis, epilogue: Expr, dtypes: list[DType],
                 dims: list[Dim]) -> None:
        self.f, self.cpu, self.order, self.axis, self.epilogue, self.dtypes = f, cpu, order, axis, epilogue, dtypes
        self.d = Dims(f, dims)
        self.w = Walk(f, self.d, [t.itemsize for t in dtypes])
        self.lanes = lanes_for(cpu, [dtypes[0], DType.int32])
        self.none = neutral(order.kind, order.dtype)

    def _read(self, pointer: str, i: str, stride: Dim, lanes: int, mask: str = "") -> str:
        here = self.w.step([pointer], self.axis, i)[0]
        return load(self.f, self.d, self.dtypes[0], here, stride, lanes, mask)

    def _loop(self, lanes: int, begin: str, end: str, best: Best, along: bool, pointer: str) -> Best:
        """The best of positions begin .. end: a vector of them a turn, or one for every lane."""
        f, i32 = self.f, vector("i32", lanes)
        carried = [(vector(SCALAR[self.dtypes[0]], lanes), best[0]), (i32, best[1])]
        steps = f"<{', '.join(f'i32 {k}' for k in range(lanes))}>" if along and lanes > 1 else ""
        with f.reduce_loop("k", begin, end, carried, lanes if along else 1) as (i, now, after):
            x = self._read(pointer, i, self.axis.strides[0], lanes)
            place = f.splat(i32, f.set(f"trunc i64 {i} to i32"))
            if steps:
                place = f.op("add", i32, place, steps)
            after += self.order.later(lanes, x, place, (now[0], now[1]))
        return now[0], now[1]

    def along(self, pointer: str) -> str:
        """One result: lane by lane, then the lanes against each other."""
        f, lanes, scalar = self.f, self.lanes, SCALAR[self.dtypes[0]]
        end = self.d(self.axis.size)
        stop = f.sub(end, f.remainder(end, lanes))
        first = -1 if self.order.last else 0                     # -1 never wins a tie against a real place
        places = "<" + ", ".join(f"i32 {-1 if self.order.last else k}" for k in range(lanes)) + ">"
        value, place = self._loop(lanes, "0", stop, (f.const(vector(scalar, lanes), self.none), places), True, pointer)
        best: Best = self._joined(value, place)
        rest = self._loop(1, stop, end, (f.const(scalar, self.none), str(first)), True, pointer)
        empty = f.set(f"icmp eq i64 {stop}, 0")                  # lanes that saw nothing must not win
        joined = self.order.either(1, best, rest)
        return f.select(empty, "i32", rest[1], joined[1])

    def _joined(self, value: str, place: str) -> Best:
        f, lanes, scalar = self.f, self.lanes, SCALAR[self.dtypes[0]]
        while lanes > 1:
            half = lanes // 2
            halves = []
            for first in (0, half):
                picked = f"<{half} x i32> <{', '.join(f'i32 {first + k}' for k in range(half))}>"
                parts = []
                for s, v in ((scalar, value), ("i32", place)):
                    t = vector(s, lanes)
                    parts.append(f.set(f"extractelement {t} {v}, i64 {first}") if half == 1 else
                                 f.set(f"shufflevector {t} {v}, {t} poison, {picked}"))
                halves.append((parts[0], parts[1]))
            lanes = half
            value, place = self.order.either(lanes, *halves)
        return value, place

    def across(self, pointers: list[str], row: Axis) -> None:
        f, scalar = self.f, SCALAR[self.dtypes[0]]

        def step(at: Sequence[str], n: int, mask: str = "") -> None:
            for here in [self.w.step(pointers, row, i) for i in at]:
                i32, t = vector("i32", n), vector(scalar, n)
                carried = [(t, f.const(t, self.none)), (i32, f.const(i32, 0))]
                with f.reduce_loop("k", 0, self.d(self.axis.size), carried) as (k, now, after):
                    x = self._read(here[0], k, row.strides[0], n, mask)
                    place = f.splat(i32, f.set(f"trunc i64 {k} to i32"))
                    after += self.order.later(n, x, place, (now[0], now[1]))
                self.finish(now[1], here[1:], row.strides[1:], n, mask)

        unit = row.strides[1] == 1
        masked = unit and masks_are_cheap(self.cpu, self.dtypes)
        vector_loop(f, "0", self.d(row.size), self.lanes, 1, step, masked, unit)

    def finish(self, place: str, pointers: Sequence[str], strides: Sequence[Dim], lanes: int, mask: str = "") -> None:
        f = self.f
        wide = f.set(f"sext {vector('i32', lanes)} {place} to {vector('i64', lanes)}")
        values = [wide, *("" for _ in self.dtypes[2:])]
        used = {x.index for x in operands(self.epilogue)}
        for k, t in enumerate(self.dtypes[2:], 1):
            if k in used:
                values[k] = load(f, self.d, t, pointers[k], strides[k], lanes, "" if strides[k] == 0 else mask)
        y = emit(f, self.epilogue, values, lanes, self.cpu)
        store(f, self.d, self.dtypes[1], y, pointers[0], strides[0], lanes, mask)


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Tactic]:
    op, x, y = problem.op, problem.inputs[0], problem.outputs[0]
    core = op.core if isinstance(op, Fused) else op
    assert isinstance(core, ArgReduce) and x is not None
    types = types_in(op.epilogue) if isinstance(op, Fused) else {DType.int64}
    size = x.shape[core.axis]
    if not {x.dtype, *types} <= NATIVE or any(e is None or e.shape != y.shape for e in problem.inputs[1:]):
        return
    if isinstance(size, int) and size >= 1 << 31:
        return
    contiguous, length = x.strides[core.axis] == 1, tuned(problem, size)
    yield Places(across=len(x.shape) > 1 and (not contiguous or length < 8))
    if len(x.shape) > 1 and contiguous and length < 64:
        yield Places(across=length >= 8)
