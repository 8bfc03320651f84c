"""Pooling: maximum or average over windows, 1 to 3 spatial dimensions, any strides, with an epilogue.

Rows run along the channels when both tensors have stride 1 there (channels last), else along a spatial axis: one where
both have stride 1, the last one otherwise.
Windows that lie inside the input are unrolled without checks; the others loop over the taps that exist, so nothing
outside the operand is read. Maxima ignore padding and keep NaN, as numpy.maximum does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, prod

import numpy as np

from ...dims import Dim
from ...dtypes import NATIVE, DType
from ...ops.fused import Fused
from ...ops.pool import Pool
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, lanes_of, module, vector
from ..problem import Operand, Phase, Problem, Source
from .rows import Rows, load_strided, natural_lanes, offset, unfuse

_UNROLL = 64                                        # taps of an interior window that are unrolled


@dataclass(frozen=True)
class Window:
    """along: "channels" or "width" (a spatial axis), what vectors run along. wide: native vectors per step."""

    along: str
    wide: int = 1

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        dims: list[Dim] = []
        problem = problem if self.along == "channels" else unit_axis_last(problem)
        x, y = problem.inputs[0], problem.outputs[0]
        assert x is not None
        lanes = natural_lanes(cpu, x.dtype, y.dtype) * self.wide
        rows = Rows(problem, cpu, symbol, dims, 1 if self.along == "channels" else len(y.shape) - 1, lanes=lanes)
        _Printer(problem, rows).print(self.along)
        return Source(module(rows.f), (Phase(symbol, rows.chunks),), tuple(dims))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("pooling packs nothing")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Window]:
    op, _, _ = unfuse(problem)
    assert isinstance(op, Pool)
    x, y = problem.inputs[0], problem.outputs[0]
    if x is None or x.dtype not in NATIVE or (op.kind == "average" and x.dtype not in (DType.float32, DType.float64)):
        return
    if x.strides[1] == 1 and y.strides[1] == 1:
        lanes = natural_lanes(cpu, x.dtype, y.dtype)
        channels = x.shape[1]
        even = [wide for wide in (4, 2) if isinstance(channels, int) and channels % (wide * lanes) == 0]
        yield from (Window("channels", wide) for wide in (*even[:1], 1))
    else:
        yield Window("width")


def unit_axis_last(problem: Problem) -> Problem:
    """The same pooling with its spatial axes in another order, so that neighbours along the last lie side by side."""
    op, _, _ = unfuse(problem)
    x, y = problem.inputs[0], problem.outputs[0]
    assert isinstance(op, Pool) and x is not None
    spatial = range(2, len(y.shape))
    unit = [a for a in spatial if x.strides[a] == 1 and y.strides[a] == 1 and y.shape[a] != 1]
    if not unit or unit[-1] == spatial[-1]:
        return problem
    order = [*(a for a in spatial if a != unit[-1]), unit[-1]]

    def moved(o: Operand) -> Operand:
        shape, strides = ((*v[:2], *(v[a] for a in order)) for v in (o.shape, o.strides))
        return replace(o, shape=shape, strides=strides, border=tuple(o.border_of(a) for a in (0, 1, *order)))

    window, strides, dilations = (tuple(v[a - 2] for a in order) for v in (op.window, op.strides, op.dilations))
    core = replace(op, window=window, strides=strides, dilations=dilations, pads=tuple(op.pads[a - 2] for a in order))
    return replace(problem, op=replace(problem.op, core=core) if isinstance(problem.op, Fused) else core,
                   inputs=tuple(None if o is None else moved(o) for o in problem.inputs), outputs=(moved(y),))


Range = tuple[str, str]


class _Printer:
    """One kernel being written: x at output coordinates, the taps of a window, their maximum or mean."""

    def __init__(self, problem: Problem, rows: Rows) -> None:
        op, _, _ = unfuse(problem)
        assert isinstance(op, Pool) and problem.inputs[0] is not None
        self.op, self.x, self.rows = op, problem.inputs[0], rows
        self.f: Function = rows.f
        self.d: Dims = rows.d
        self.scalar = SCALAR[self.x.dtype]
        self.source = arg(self.f, 0)
        self.full: list[Range] = [("0", str(r)) for r in op.window]

    def bytes_of(self, axis: int) -> str:
        """Distance of neighbours along spatial axis number `axis`."""
        return self.d(self.x.strides[2 + axis] * self.x.dtype.itemsize)

    def start(self, axis: int, position: str) -> str:
        """Input coordinate of the window's first tap; may be negative."""
        return self.f.sub(self.f.mul(position, self.op.strides[axis]), self.op.pads[axis][0])

    def taps(self, axis: int, start: str) -> Range:
        """The taps lo ≤ r < hi that lie inside the input."""
        f, step = self.f, self.op.dilations[axis]
        low = f.divide(f.maximum(f.sub(step - 1, start), 0), step)
        return low, f.maximum(low, self.upper(axis, start, self.d(self.x.shape[2 + axis])))

    def upper(self, axis: int, start: str, size: str) -> str:
        """min(R, number of taps before coordinate `size`)."""
        f, step = self.f, self.op.dilations[axis]
        room = f.maximum(f.add(f.sub(size, start), step - 1), 0)
        return f.minimum(f.divide(room, step), self.op.window[axis])

    def inside(self, ranges: Sequence[Range]) -> str:
        """i1: every tap of every axis exists."""
        f, all_in = self.f, "true"
        for axis, (low, high) in enumerate(ranges):
            if (low, high) != self.full[axis]:
                a, b = f.set(f"icmp eq i64 {low}, 0"), f.set(f"icmp eq i64 {high}, {self.op.window[axis]}")
                all_in = f.op("and", "i1", all_in, f.op("and", "i1", a, b))
        return all_in

    def divisor(self, ranges: Sequence[Range], starts: Sequence[str | None]) -> str:
        """Elements the average counts: a number, or a scalar of the element type. start None: all taps are inside."""
        f, count = self.f, "1"
        for axis, ((low, high), start) in enumerate(zip(ranges, starts, strict=True)):
            if self.op.include_pad and start is not None:
                size = f.add(self.d(self.x.shape[2 + axis]), self.op.pads[axis][1])
                count = f.mul(count, self.upper(axis, start, size))
            else:
                count = f.mul(count, f.sub(high, low))
        if not count.startswith("%"):
            return count
        return f.set(f"sitofp i64 {count} to {self.scalar}")

    # one window -------------------------------------------------------------------------------------------------------
    def pool(self, base: str, stride: str, ranges: Sequence[Range], lanes: int, mask: str | None, divisor: str) -> str:
        """Maximum or mean of the window whose first tap is at base, for lanes `stride` bytes apart."""
        f, vec = self.f, vector(self.scalar, lanes)
        if list(ranges) == self.full and prod(self.op.window) <= _UNROLL:
            offsets = ["0"]
            for axis, size in enumerate(self.op.window):
                steps = [f.mul(r * self.op.dilations[axis], self.bytes_of(axis)) for r in range(size)]
                offsets = [f.add(o, s) for o in offsets for s in steps]
            values = [load_strided(f, self.scalar, f.at(base, o), stride, lanes, mask) for o in offsets]
            result = self.largest(vec, values) if self.op.kind == "max" else self.total(vec, values)
        else:
            first = f.const(vec, least(self.x.dtype) if self.op.kind == "max" else 0)
            result = self.loops(base, stride, ranges, lanes, mask, first)
        if self.op.kind == "average":
            if divisor.startswith("%"):
                return f.op("fdiv", vec, result, f.splat(vec, divisor))
            return f.op("fmul", vec, result, f.const(vec, 1 / int(divisor)))
        return result

    def loops(self, base: str, stride: str, ranges: Sequence[Range], lanes: int, mask: str | None, first: str) -> str:
        vec = vector(self.scalar, lanes)

        def nest(axis: int, pointer: str, acc: str) -> str:
            if axis == len(ranges):
                value = load_strided(self.f, self.scalar, pointer, stride, lanes, mask)
                if self.op.kind == "average":
                    return self.f.op("fadd", vec, acc, value)
                return self.larger(vec, acc, value)
            low, high = ranges[axis]
            step = self.f.mul(self.op.dilations[axis], self.bytes_of(axis))
            with self.f.reduce_loop("tap", low, high, [(vec, acc)]) as (r, (current,), following):
                following.append(nest(axis + 1, self.f.at(pointer, self.f.mul(r, step)), current))
            return current

        return nest(0, base, first)

    def larger(self, vec: str, a: str, b: str) -> str:
        f = self.f
        if self.scalar in ("float", "double"):
            m = f.select(f.set(f"fcmp ogt {vec} {a}, {b}"), vec, a, b)            # b when b is NaN
            return f.select(f.set(f"fcmp uno {vec} {a}, {a}"), vec, a, m)
        return f.intrinsic("smax" if self.x.dtype.is_signed else "umax", vec, a, b)

    def largest(self, vec: str, values: list[str]) -> str:
        """Maximum of all; for floats NaN where any is NaN: two operands per test, cheaper than `larger` one by one."""
        f = self.f
        if self.scalar not in ("float", "double"):
            return _tree(values, lambda a, b: self.larger(vec, a, b))
        best = _tree(values, lambda a, b: f.select(f.set(f"fcmp ogt {vec} {a}, {b}"), vec, a, b))
        pairs = [f.set(f"fcmp uno {vec} {values[k]}, {values[min(k + 1, len(values) - 1)]}")
                 for k in range(0, len(values), 2)]
        unordered = _tree(pairs, lambda a, b: f.op("or", vector("i1", lanes_of(vec)), a, b))
        return f.select(unordered, vec, f.const(vec, float("nan")), best)

    def total(self, vec: str, values: list[str]) -> str:
        return _tree(values, lambda a, b: self.f.op("fadd", vec, a, b))

    # the whole kernel -------------------------------------------------------------------------------------------------
    def print(self, along: str) -> None:
        with self.rows.each() as coords:
            if along == "channels":
                self.channels(coords)
            else:
                self.width(coords)

    def channels(self, coords: dict[int, str]) -> None:
        """One output position: vectors along the channels."""
        f, rank = self.f, len(self.op.window)
        starts = [self.start(a, coords[2 + a]) for a in range(rank)]
        ranges = [self.taps(a, s) for a, s in enumerate(starts)]
        base = f.at(self.source, offset(f, self.d, self.x, {0: coords[0]}))
        for a, s in enumerate(starts):
            base = f.at(base, f.mul(s, self.bytes_of(a)))
        size = self.x.dtype.itemsize

        def write(ranges: Sequence[Range], divisor: str) -> None:
            self.rows.write(coords, "0", self.rows.length, lambda c, lanes, mask: self.pool(
                f.at(base, f.mul(c, size)), str(size), ranges, lanes, mask, divisor))

        yes, no, done = f.new_label("inside"), f.new_label("edge"), f.new_label("next")
        f.branch(self.inside(ranges), yes, no)
        f.label(yes)
        write(self.full, self.divisor(self.full, [None] * rank))
        f.br(done)
        f.label(no)
        write(ranges, self.divisor(ranges, list(starts)) if self.op.kind == "average" else "")
        f.br(done)
        f.label(done)

    def width(self, coords: dict[int, str]) -> None:
        """One row of outputs: edges one by one, the interior as vectors with the input's stride."""
        f, last = self.f, len(self.op.window) - 1
        starts: list[str | None] = [self.start(a, coords[2 + a]) for a in range(last)]
        ranges = [self.taps(a, s) for a, s in enumerate(starts) if s is not None]
        base = f.at(self.source, offset(f, self.d, self.x, {0: coords[0], 1: coords[1]}))
        for a, s in enumerate(starts):
            assert s is not None
            base = f.at(base, f.mul(s, self.bytes_of(a)))
        step, (before, _), length = self.op.strides[last], self.op.pads[last], self.rows.length
        span = self.op.dilations[last] * (self.op.window[last] - 1)
        low = f.minimum(str(-(-before // step)), length)                      # q·step − before ≥ 0
        room = f.sub(self.d(self.x.shape[2 + last]), span + 1 - before)       # q·step − before + span < W
        high = f.select(f.set(f"icmp slt i64 {room}, 0"), "i64", low,
                        f.maximum(low, f.minimum(f.add(f.divide(f.maximum(room, 0), step), 1), length)))
        width = self.bytes_of(last)

        def edge(q: str, lanes: int, mask: str | None) -> str:
            start = self.start(last, q)
            everywhere = [*ranges, self.taps(last, start)]
            divisor = self.divisor(everywhere, [*starts, start]) if self.op.kind == "average" else ""
            return self.pool(f.at(base, f.mul(start, width)), "0", everywhere, lanes, mask, divisor)

        def interior(rows_inside: bool) -> Callable[[str, int, str | None], str]:
            taps = self.full if rows_inside else [*ranges, self.full[last]]
            starts_or_none = [*(starts if not rows_inside else [None] * last), None]
            divisor = self.divisor(taps, starts_or_none) if self.op.kind == "average" else ""
            stride = f.mul(step, width)
            return lambda q, lanes, mask: self.pool(
                f.at(base, f.mul(self.start(last, q), width)), stride, taps, lanes, mask, divisor)

        write = self.rows.write
        write(coords, "0", low, edge, lanes=1)
        write(coords, high, length, edge, lanes=1)
        if last == 0:
            write(coords, low, high, interior(True))
            return
        yes, no, done = f.new_label("inside"), f.new_label("edge"), f.new_label("next")
        f.branch(self.inside([*ranges, self.full[last]]), yes, no)
        f.label(yes)
        write(coords, low, high, interior(True))
        f.br(done)
        f.label(no)
        write(coords, low, high, interior(False))
        f.br(done)
        f.label(done)


def _tree(values: list[str], combine: Callable[[str, str], str]) -> str:
    while len(values) > 1:
        values = [combine(*values[k:k + 2]) if k + 1 < len(values) else values[k] for k in range(0, len(values), 2)]
    return values[0]


def least(t: DType) -> float | int:
    """The neutral element of a maximum."""
    if t.is_float:
        return -inf
    return 0 if t is DType.bool else int(np.iinfo(t.numpy).min)
