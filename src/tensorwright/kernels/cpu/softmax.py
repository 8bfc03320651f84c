"""Softmax over one axis, in three passes over a row that stays in cache: greatest, sum of exponentials, quotients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...dims import Dim
from ...ops.fused import Fused
from ...ops.softmax import Softmax
from ...targets import CpuSpec
from ..llvm import Function
from ..problem import Problem, Source, Tactic
from .access import load, store
from .lanes import Lanes
from .pointwise_form import vector_loop
from .reductions import Fold
from .row_form import Rows, normal_form
from .row_writer import RowWriter, row_kernel
from .space import Axis
from .vector_math import apply


@dataclass(frozen=True)
class SoftmaxRows:
    """across: vectors hold kept elements, else elements of the axis. keep: the exponentials are left in the output
    between the second and the third pass, otherwise computed twice."""

    across: bool
    keep: bool

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        rows = normal_form(problem)
        core = problem.op.core if isinstance(problem.op, Fused) else problem.op
        assert rows is not None and isinstance(core, Softmax)
        return row_kernel(problem, cpu, rows, self.across, symbol,
                          lambda f, order: _Writer(f, order, rows, cpu, core.log, self.keep and not core.log))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is packed")


class _Writer(RowWriter):
    def __init__(self, f: Function, order: list[Dim], rows: Rows, cpu: CpuSpec, log: bool, keep: bool) -> None:
        super().__init__(f, order, rows, cpu)
        self.log, self.keep, (self.axis,), self.end = log, keep, rows.reduced, self.ends[0]

    def maximum(self, type_: str, a: str, b: str) -> str:
        """NaN may get lost here: its exponential makes the sum NaN in any case."""
        return self.f.select(self.f.set(f"fcmp ogt {type_} {a}, {b}"), type_, a, b)

    def add(self, type_: str, a: str, b: str) -> str:
        return self.f.op("fadd", type_, a, b)

    def power(self, L: Lanes, here: Sequence[str], strides: Sequence[Dim], top: str, mask: str) -> str:
        """The second pass at one place: exp(x − greatest)."""
        e = apply(L, "exp", L.sub(self.read(here, strides, L.lanes, mask), top))
        if self.keep:
            store(self.f, self.d, self.y, e, here[1], strides[1], L.lanes, mask)
        return e

    def result(self, L: Lanes, here: Sequence[str], strides: Sequence[Dim], top: str, scale: str, mask: str) -> None:
        """The third pass at one place."""
        if self.keep:
            y = L.mul(load(self.f, self.d, self.y, here[1], strides[1], L.lanes, mask), scale)
        else:
            shifted = L.sub(self.read(here, strides, L.lanes, mask), top)
            y = L.sub(shifted, scale) if self.log else L.mul(apply(L, "exp", shifted), scale)
        self.finish(y, here, strides, L.lanes, mask)

    def scale(self, L: Lanes, total: str) -> str:
        """What the third pass multiplies by, or subtracts."""
        return apply(L, "log", total) if self.log else L.div(1.0, total)

    def along(self, pointers: list[str]) -> None:
        f, axis, lanes = self.f, self.axis, self.lanes
        strides, unit = axis.strides, axis.strides[1] == 1
        masked, wide = unit and self.cheap_masks, self.vector(lanes).v

        fold = Fold(f, self.scalar, lanes, -np.inf, masked, self.maximum)
        top = fold.total(self.end, lambda i, n, mask: self.read(self.w.step(pointers, axis, i), strides, n, mask))
        tops = {1: top, lanes: f.splat(wide, top)}
        fold = Fold(f, self.scalar, lanes, 0.0, masked, self.add)
        total = fold.total(self.end, lambda i, n, mask: self.power(
            self.vector(n), self.w.step(pointers, axis, i), strides, tops[n], mask))
        scale = self.scale(self.vector(1), total)
        scales = {1: scale, lanes: f.splat(wide, scale)}

        def step(at: Sequence[str], n: int, mask: str = "") -> None:
            for i in at:
                self.result(self.vector(n), self.w.step(pointers, axis, i), strides, tops[n], scales[n], mask)

        vector_loop(f, "0", self.end, lanes, 4 if self.keep else 1, step, masked, unit)

    def across(self, pointers: list[str], row: Axis, begin: str, end: str) -> None:
        f, axis = self.f, self.axis
        unit = row.strides[1] == 1

        def step(at: Sequence[str], lanes: int, mask: str = "") -> None:
            L, start = self.vector(lanes), self.w.step(pointers, row, at[0])
            with f.reduce_loop("m", 0, self.end, [(L.v, L.c(-np.inf))]) as (i, tops, after):
                x = self.read(self.w.step(start, axis, i), row.strides, lanes, mask)
                after.append(self.maximum(L.v, x, tops[0]))
            with f.reduce_loop("s", 0, self.end, [(L.v, L.c(0.0))]) as (i, sums, after):
                here = self.w.step(start, axis, i)
                after.append(L.add(sums[0], self.power(L, here, row.strides, tops[0], mask)))
            scale = self.scale(L, sums[0])
            with f.loop("r", 0, self.end) as i:
                self.result(L, self.w.step(start, axis, i), row.strides, tops[0], scale, mask)

        vector_loop(f, begin, end, self.lanes, 1, step, unit and self.cheap_masks, unit)


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Tactic]:
    rows = normal_form(problem)
    if rows is None:
        return
    (axis,), (x, y, *extras) = rows.reduced, rows.dtypes
    across = axis.strides[0] != 1 and bool(rows.kept)
    if y is x and not extras:                                    # y can hold the exponentials meanwhile
        yield SoftmaxRows(across, True)
    yield SoftmaxRows(across, False)
