"""Softmax over one axis: vectors along the axis, or across kept elements; three passes over a row that stays in cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...dims import Dim
from ...ops.expr import operands
from ...ops.fused import Fused
from ...ops.softmax import Softmax
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, module
from ..problem import Phase, Problem, Source, Tactic
from .access import lanes_for, load, masks_are_cheap, store
from .lanes import Lanes
from .pointwise_form import typed, vector_loop
from .pointwise_printer import emit
from .reductions import Fold
from .row_form import Rows, normal_form
from .space import MOST, Axis, Walk, split
from .vector_math import apply


@dataclass(frozen=True)
class SoftmaxRows:
    """across: vectors hold kept elements, else elements of the axis. keep: the exponentials are left in the output
    between the second and the third pass, otherwise computed twice."""

    across: bool
    keep: bool

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        rows = normal_form(problem)
        assert rows is not None
        core = problem.op.core if isinstance(problem.op, Fused) else problem.op
        assert isinstance(core, Softmax)
        f, order = entry(symbol), list[Dim]()
        writer = _Writer(f, order, rows, cpu, core.log, self.keep)
        start = [arg(f, k) for k in rows.arguments]
        row = rows.kept[-1] if self.across and rows.kept else Axis(1, (1,) * len(start))
        outer = rows.kept[:-1] if self.across else rows.kept
        cut = split(problem, [*outer, row], 1, MOST, writer.lanes, rows.length) if self.across else None
        whole = cut is None or bool(cut.inner)
        if cut is None or cut.inner:
            cut = split(problem, outer, row.size, MOST, 1, rows.length)
        with f.loop("chunk", f.begin, f.end) as chunk:
            if not whole:
                with cut.cuts(writer.w, start, chunk) as (pointers, begin, end):
                    writer.across(pointers, row, begin, end)
            else:
                with cut.walk(writer.w, start, chunk) as pointers:
                    if self.across:
                        writer.across(pointers, row, "0", writer.d(row.size))
                    else:
                        writer.along(pointers)
        return Source(module(f), (Phase(symbol, cut.chunks),), tuple(order))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is packed")


class _Writer:
    """One softmax: operands are x, y, then the epilogue's extras; rows.reduced is the single axis."""

    def __init__(self, f: Function, order: list[Dim], rows: Rows, cpu: CpuSpec, log: bool, keep: bool) -> None:
        self.f, self.rows, self.cpu, self.log, self.keep = f, rows, cpu, log, keep
        self.d, (self.axis,) = Dims(f, order), rows.reduced
        self.w = Walk(f, self.d, [t.itemsize for t in rows.dtypes])
        self.x, self.y = rows.dtypes[:2]
        self.lanes = lanes_for(cpu, [self.x])
        self.end = self.d(self.axis.size)
        self.used = {node.index for node in operands(rows.epilogue)}

    def maximum(self, type_: str, a: str, b: str) -> str:
        """NaN may get lost: every exponential of the row is NaN then, or the sum is."""
        flag = self.f.set(f"fcmp ogt {type_} {a}, {b}")
        return self.f.select(flag, type_, a, b)

    def add(self, type_: str, a: str, b: str) -> str:
        return self.f.op("fadd", type_, a, b)

    def shifted(self, L: Lanes, pointers: Sequence[str], stride: Dim, top: str, mask: str) -> str:
        return L.sub(load(self.f, self.d, self.x, pointers[0], stride, L.lanes, mask), top)

    def result(self, L: Lanes, here: Sequence[str], strides: Sequence[Dim], top: str, scale: str, mask: str) -> None:
        """The third pass, at one place: y from x, or from the exponential that y holds."""
        f, d, lanes = self.f, self.d, L.lanes
        if self.log:
            value = L.sub(self.shifted(L, here, strides[0], top, mask), scale)
        else:
            if self.keep:
                e = load(f, d, self.y, here[1], strides[1], lanes, mask)
            else:
                e = apply(L, "exp", self.shifted(L, here, strides[0], top, mask))
            value = L.mul(e, scale)
        values = [value, *("" for _ in self.rows.dtypes[2:])]
        for k, t in enumerate(self.rows.dtypes[2:], 1):
            if k in self.used:
                values[k] = load(f, d, t, here[1 + k], strides[1 + k], lanes, "" if strides[1 + k] == 0 else mask)
        y = emit(f, self.rows.epilogue, values, lanes, self.cpu)
        store(f, d, self.y, y, here[1], strides[1], lanes, mask)

    def scale(self, L: Lanes, total: str) -> str:
        return apply(L, "log", total) if self.log else L.div(1.0, total)

    def along(self, pointers: list[str]) -> None:
        """One row."""
        f, axis, scalar = self.f, self.axis, SCALAR[self.x]
        unit = axis.strides[1] == 1
        masked = unit and masks_are_cheap(self.cpu, self.rows.dtypes)
        one = Lanes(f, 1, self.cpu, scalar)

        def x(i: str, lanes: int, mask: str) -> str:
            return load(f, self.d, self.x, self.w.step(pointers, axis, i)[0], axis.strides[0], lanes, mask)

        fold = Fold(f, scalar, self.lanes, -np.inf, masked, self.maximum)
        top = fold.result(fold.row(self.end, [v for _, v in fold.carried], x))
        tops = {1: top, self.lanes: f.splat(typed(self.x, self.lanes), top)}

        def power(i: str, lanes: int, mask: str) -> str:
            L, here = Lanes(f, lanes, self.cpu, scalar), self.w.step(pointers, axis, i)
            e = apply(L, "exp", self.shifted(L, here, axis.strides[0], tops[lanes], mask))
            if self.keep and not self.log:
                store(f, self.d, self.y, e, here[1], axis.strides[1], lanes, mask)
            return e

        fold = Fold(f, scalar, self.lanes, 0.0, masked, self.add)
        scale = self.scale(one, fold.result(fold.row(self.end, [v for _, v in fold.carried], power)))
        scales = {1: scale, self.lanes: f.splat(typed(self.x, self.lanes), scale)}

        def step(at: Sequence[str], lanes: int, mask: str = "") -> None:
            for i in at:
                self.result(Lanes(f, lanes, self.cpu, scalar), self.w.step(pointers, axis, i), axis.strides,
                            tops[lanes], scales[lanes], mask)

        vector_loop(f, "0", self.end, self.lanes, 4 if self.keep else 1, step, masked, unit)

    def across(self, pointers: list[str], row: Axis, begin: str, end: str) -> None:
        """A vector of rows at a time."""
        f, axis, scalar = self.f, self.axis, SCALAR[self.x]
        unit = row.strides[1] == 1

        def step(at: Sequence[str], lanes: int, mask: str = "") -> None:
            L, t = Lanes(f, lanes, self.cpu, scalar), typed(self.x, lanes)
            start = self.w.step(pointers, row, at[0])
            with f.reduce_loop("m", 0, self.end, [(t, f.const(t, -np.inf))]) as (i, tops, after):
                here = self.w.step(start, axis, i)
                x = load(f, self.d, self.x, here[0], row.strides[0], lanes, mask)
                after.append(self.maximum(t, x, tops[0]))
            with f.reduce_loop("s", 0, self.end, [(t, f.const(t, 0.0))]) as (i, sums, after):
                here = self.w.step(start, axis, i)
                e = apply(L, "exp", self.shifted(L, here, row.strides[0], tops[0], mask))
                if self.keep and not self.log:
                    store(f, self.d, self.y, e, here[1], row.strides[1], lanes, mask)
                after.append(self.add(t, sums[0], e))
            scale = self.scale(L, sums[0])
            with f.loop("r", 0, self.end) as i:
                self.result(L, self.w.step(start, axis, i), row.strides, tops[0], scale, mask)

        masked = unit and masks_are_cheap(self.cpu, self.rows.dtypes)
        vector_loop(f, begin, end, self.lanes, 1, step, masked, unit)


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Tactic]:
    rows = normal_form(problem)
    if rows is None:
        return
    (axis,) = rows.reduced
    x, y = rows.dtypes[:2]
    across = axis.strides[0] != 1 and bool(rows.kept)
    keep = y is x and len(rows.dtypes) == 2                      # y can hold the exponentials meanwhile
    yield SoftmaxRows(across, keep)
    if keep:
        yield SoftmaxRows(across, False)
