"""Parts of reductions: how two values combine, and how a vector or a nest of loops becomes one value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...dtypes import DType
from ...targets import CpuSpec
from ..llvm import SCALAR, Function, lanes_of, scalar_of, vector
from .access import shuffle
from .lanes import Lanes
from .space import Axis, Walk

#: turns of a summing loop before its accumulators are added to the total: errors grow with the turns, not the length
BLOCK = 512


def neutral(kind: str, dtype: DType) -> float | int:
    """What leaves other values alone."""
    if kind in ("sum", "mean", "prod"):
        return int(kind == "prod")
    if dtype.is_float:
        return -np.inf if kind == "max" else np.inf
    if dtype is DType.bool:
        return int(kind == "min")
    info = np.iinfo(dtype.numpy)
    return int(info.min if kind == "max" else info.max)


def combine(f: Function, kind: str, dtype: DType, type_: str, a: str, b: str) -> str:
    """a and b as one; bools as bytes. max and min are NaN when either is."""
    if kind in ("sum", "mean", "prod"):
        return f.op(("f" if dtype.is_float else "") + ("mul" if kind == "prod" else "add"), type_, a, b)
    if not dtype.is_float:
        return f.intrinsic(f"{'s' if dtype.is_signed else 'u'}{kind}", type_, a, b)
    flag = vector("i1", lanes_of(type_))
    better = f.set(f"fcmp {'ogt' if kind == 'max' else 'olt'} {type_} {a}, {b}")
    unordered = f.set(f"fcmp uno {type_} {a}, {a}")
    return f.select(f.op("or", flag, better, unordered), type_, a, b)


def across_lanes(f: Function, type_: str, value: str, fold: Callable[[str, str, str], str]) -> str:
    """All lanes as one scalar; fold(type, a, b) joins two. Lanes must be a power of two."""
    lanes, scalar = lanes_of(type_), scalar_of(type_)
    while lanes > 1:
        half = vector(scalar, lanes // 2)
        if lanes == 2:
            return fold(scalar, *(f.set(f"extractelement {type_} {value}, i64 {k}") for k in range(2)))
        low, high = (shuffle(f, type_, value, value, list(range(first, first + lanes // 2)))
                     for first in (0, lanes // 2))
        value, type_, lanes = fold(half, low, high), half, lanes // 2
    return value


def nest(w: Walk, axes: Sequence[Axis], pointers: list[str], carried: list[tuple[str, str]],
         body: Callable[[list[str], list[str]], list[str]], ends: Sequence[str]) -> list[str]:
    """Loops over axes with carried (type, value) pairs: body(pointers, current) → next. The final values.

    ends: trip counts, one per axis (more are ignored).
    """
    if not axes:
        return body(pointers, [value for _, value in carried])
    with w.f.reduce_loop("r", 0, ends[0], carried) as (i, current, following):
        inner = [(t, c) for (t, _), c in zip(carried, current, strict=True)]
        following += nest(w, axes[1:], w.step(pointers, axes[0], i), inner, body, ends[1:])
    return current


class Fold:
    """Accumulators along rows: WAYS vectors, and a scalar for what no vector holds.

    scalar   LLVM type of an element
    start    the value that leaves others alone
    join     (type, a, b) → a and b as one
    masked   a row's rest is one masked vector; otherwise it goes element by element
    """

    WAYS = 4

    def __init__(self, f: Function, scalar: str, lanes: int, start: float | int, masked: bool,
                 join: Callable[[str, str, str], str]) -> None:
        self.f, self.lanes, self.masked, self.join = f, lanes, masked, join
        self.t, self.one = vector(scalar, lanes), scalar
        self.none = f.const(self.t, start)
        self.carried = [(self.t, self.none)] * self.WAYS + [(self.one, f.const(self.one, start))]

    def row(self, end: str, current: list[str], value: Callable[[str, int, str], str]) -> list[str]:
        """current with the elements 0 .. end joined in; value(position, lanes, mask) gives elements."""
        f, lanes, t, done = self.f, self.lanes, self.t, "0"
        for times in (self.WAYS, 1):
            stop = f.sub(end, f.remainder(end, lanes * times))
            if stop != done:
                carried = [(t, s) for s in current[:times]]
                with f.reduce_loop("v", done, stop, carried, lanes * times) as (i, now, after):
                    elements = [value(f.add(i, k * lanes), lanes, "") for k in range(times)]
                    after += [self.join(t, a, x) for a, x in zip(now, elements, strict=True)]
                current = [*now, *current[times:]]
            done = stop
        rest = f.sub(end, done)
        if rest == "0":
            return current
        if self.masked:
            mask = f.tail_mask(lanes, rest)
            x = f.select(mask, t, value(done, lanes, mask), self.none)
            return [self.join(t, current[0], x), *current[1:]]
        with f.reduce_loop("s", done, end, [(self.one, current[self.WAYS])]) as (i, now, after):
            after.append(self.join(self.one, now[0], value(i, 1, "")))
        return [*current[:self.WAYS], *now]

    def total(self, end: str, value: Callable[[str, int, str], str]) -> str:
        """All elements of one row as one scalar."""
        return self.result(self.row(end, [first for _, first in self.carried], value))

    def result(self, current: list[str]) -> str:
        """The accumulators as one scalar."""
        *sums, rest = current
        while len(sums) > 1:
            sums = [self.join(self.t, a, b) for a, b in zip(sums[::2], sums[1::2], strict=True)]
        return self.join(self.one, across_lanes(self.f, self.t, sums[0], self.join), rest)


def divided(f: Function, dtype: DType, lanes: int, value: str, count: str, cpu: CpuSpec) -> str:
    """value / count, for means; count is an i64. Integers round towards zero; 0 elements count as one there."""
    t = vector(SCALAR[dtype], lanes)
    if dtype.is_float:
        L = Lanes(f, lanes, cpu, SCALAR[dtype])
        total = float(count) if count.isdigit() else f.splat(t, f.set(f"sitofp i64 {count} to {SCALAR[dtype]}"))
        return L.div(value, total)
    wide, u = vector("i64", lanes), "s" if dtype.is_signed else "u"
    if dtype.itemsize < 8:                                       # the count may not fit
        value = f.set(f"{u.replace('u', 'z')}ext {t} {value} to {wide}")
    y = f.op(f"{u}div", wide, value, f.splat(wide, f.maximum(count, 1)))
    return y if dtype.itemsize == 8 else f.set(f"trunc {wide} {y} to {t}")
