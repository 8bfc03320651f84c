"""Normalisation over axes: vectors along the row (layer norm), or across kept elements (channels-last instance norm).

The mean is found first and the variance from the differences to it, so nothing cancels; rows stay in cache between
the passes. The epilogue, usually scale and shift, runs in the last pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...dims import Dim
from ...ops.expr import operands
from ...ops.fused import Fused
from ...ops.normalize import Normalize
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, module
from ..problem import Phase, Problem, Source, Tactic
from .access import lanes_for, load, masks_are_cheap, store
from .lanes import Lanes
from .pointwise_form import typed, vector_loop
from .pointwise_printer import emit
from .reductions import BLOCK, Fold, nest
from .row_form import Rows, normal_form
from .space import MOST, Axis, Walk, split, tuned


@dataclass(frozen=True)
class NormalizeRows:
    """across: vectors hold kept elements, else elements of the last normalised axis."""

    across: bool

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        rows = normal_form(problem)
        assert rows is not None
        core = problem.op.core if isinstance(problem.op, Fused) else problem.op
        assert isinstance(core, Normalize)
        f, order = entry(symbol), list[Dim]()
        writer = _Writer(f, order, rows, cpu, core)
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
    """One row, or a vector of rows: operands are x, y, then the epilogue's extras."""

    def __init__(self, f: Function, order: list[Dim], rows: Rows, cpu: CpuSpec, op: Normalize) -> None:
        self.f, self.rows, self.cpu, self.op = f, rows, cpu, op
        self.d = Dims(f, order)
        self.w = Walk(f, self.d, [t.itemsize for t in rows.dtypes])
        self.x, self.scalar = rows.dtypes[0], SCALAR[rows.dtypes[0]]
        self.lanes = lanes_for(cpu, [self.x])
        self.ends = [self.d(a.size) for a in rows.reduced]
        self.used = {node.index for node in operands(rows.epilogue)}

    def read(self, pointers: Sequence[str], stride: Dim, lanes: int, mask: str) -> str:
        return load(self.f, self.d, self.x, pointers[0], stride, lanes, mask)

    def scale(self, L: Lanes, power: str) -> str:
        """1 / √(mean power + ε)."""
        return L.div(1.0, L.sqrt(L.add(self.mean(L, power), self.op.epsilon)))

    def mean(self, L: Lanes, total: str) -> str:
        count = self.d(self.rows.length)
        number = float(count) if count.isdigit() else self.f.splat(L.v, self.f.set(f"sitofp i64 {count} to {self.scalar}"))
        return L.div(total, number)

    def result(self, L: Lanes, here: Sequence[str], strides: Sequence[Dim], mean: str, scale: str, mask: str) -> None:
        """(x − mean)·scale, the epilogue and the store, at one place."""
        f, d, lanes, dtypes = self.f, self.d, L.lanes, self.rows.dtypes
        x = self.read(here, strides[0], lanes, mask)
        values = [L.mul(L.sub(x, mean) if mean else x, scale), *("" for _ in dtypes[2:])]
        for k, t in enumerate(dtypes[2:], 1):
            if k in self.used:
                values[k] = load(f, d, t, here[1 + k], strides[1 + k], lanes, "" if strides[1 + k] == 0 else mask)
        y = emit(f, self.rows.epilogue, values, lanes, self.cpu)
        store(f, d, dtypes[1], y, here[1], strides[1], lanes, mask)

    def along(self, pointers: list[str]) -> None:
        """One row: its last axis in vectors, loops over the others."""
        f, (*outer, axis), lanes = self.f, self.rows.reduced, self.lanes
        t, unit = typed(self.x, lanes), axis.strides[1] == 1
        masked = unit and masks_are_cheap(self.cpu, self.rows.dtypes)
        one = Lanes(f, 1, self.cpu, self.scalar)

        def total(element: Callable[[Lanes, str], str]) -> str:
            fold = Fold(f, self.scalar, lanes, 0.0, masked, lambda type_, a, b: f.op("fadd", type_, a, b))

            def body(at: list[str], current: list[str]) -> list[str]:
                return fold.row(self.ends[-1], current, lambda i, n, mask: element(
                    Lanes(f, n, self.cpu, self.scalar), self.read(self.w.step(at, axis, i), axis.strides[0], n, mask)))
            return fold.result(nest(self.w, outer, pointers, fold.carried, body, self.ends))

        means: dict[int, str] = {1: "", lanes: ""}
        if self.op.center:
            mean = self.mean(one, total(lambda L, x: x))
            means = {1: mean, lanes: f.splat(t, mean)}

        def square(L: Lanes, x: str) -> str:
            x = L.sub(x, means[L.lanes]) if self.op.center else x
            return L.mul(x, x)

        scale = self.scale(one, total(square))
        scales = {1: scale, lanes: f.splat(t, scale)}
        with self.w.loops(pointers, outer) as start:
            def step(at: Sequence[str], n: int, mask: str = "") -> None:
                for i in at:
                    self.result(Lanes(f, n, self.cpu, self.scalar), self.w.step(start, axis, i), axis.strides,
                                means[n], scales[n], mask)
            vector_loop(f, "0", self.ends[-1], lanes, 4, step, masked, unit)

    def across(self, pointers: list[str], row: Axis, begin: str, end: str) -> None:
        """A vector of rows at a time."""
        f, reduced = self.f, self.rows.reduced
        unit = row.strides[1] == 1

        def step(at: Sequence[str], lanes: int, mask: str = "") -> None:
            L, start = Lanes(f, lanes, self.cpu, self.scalar), self.w.step(pointers, row, at[0])

            def total(element: Callable[[str], str]) -> str:
                def body(here: list[str], sums: list[str]) -> list[str]:
                    with f.reduce_loop("b", 0, self.ends[-1], [(L.v, sums[0])], BLOCK) as (b, totals, after):
                        stop = f.minimum(f.add(b, BLOCK), self.ends[-1])
                        after.append(L.add(totals[0], self._block(L, here, row, b, stop, element, mask)))
                    return totals
                return nest(self.w, reduced[:-1], start, [(L.v, L.c(0.0))], body, self.ends)[0]

            mean = self.mean(L, total(lambda x: x)) if self.op.center else ""

            def square(x: str) -> str:
                x = L.sub(x, mean) if mean else x
                return L.mul(x, x)

            scale = self.scale(L, total(square))
            with self.w.loops(start, reduced) as here:
                self.result(L, here, row.strides, mean, scale, mask)

        masked = unit and masks_are_cheap(self.cpu, self.rows.dtypes)
        vector_loop(f, begin, end, self.lanes, 1, step, masked, unit)

    def _block(self, L: Lanes, here: Sequence[str], row: Axis, begin: str, end: str, element: Callable[[str], str],
               mask: str) -> str:
        """The sum of elements begin .. end of the last normalised axis, in four accumulators."""
        f, last = self.f, self.rows.reduced[-1]
        middle = f.sub(end, f.remainder(f.sub(end, begin), 4))
        sums = [L.c(0.0)] * 4
        for first, stop, times in ((begin, middle, 4), (middle, end, 1)):
            with f.reduce_loop("k", first, stop, [(L.v, s) for s in sums[:times]], times) as (i, now, after):
                for k in range(times):
                    x = self.read(self.w.step(here, last, f.add(i, k)), row.strides[0], L.lanes, mask)
                    after.append(L.add(now[k], element(x)))
            sums[:times] = now
        return L.add(L.add(sums[0], sums[1]), L.add(sums[2], sums[3]))


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Tactic]:
    rows = normal_form(problem)
    if rows is None:
        return
    axis, lanes = rows.reduced[-1], lanes_for(cpu, [rows.dtypes[0]])
    contiguous = axis.strides[0] == 1 and axis.size != 1
    across = bool(rows.kept) and not contiguous
    yield NormalizeRows(across)
    if rows.kept and contiguous and tuned(problem, axis.size) < lanes:
        yield NormalizeRows(True)
