"""Normalisation over axes: vectors along the row (layer norm), or across kept elements (channels-last instance norm).

The mean is found first and the variance from the differences to it, so nothing cancels; rows stay in cache between
the passes. The epilogue, usually scale and shift, runs in the last pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...dims import Dim
from ...ops.fused import Fused
from ...ops.normalize import Normalize
from ...targets import CpuSpec
from ..llvm import Function
from ..problem import Problem, Source, Tactic
from .access import lanes_for
from .lanes import Lanes
from .pointwise_form import vector_loop
from .reductions import BLOCK, Fold, nest
from .row_form import Rows, normal_form
from .row_writer import RowWriter, row_kernel
from .space import Axis, tuned


@dataclass(frozen=True)
class NormalizeRows:
    """across: vectors hold kept elements, else elements of the last normalised axis."""

    across: bool

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        rows = normal_form(problem)
        core = problem.op.core if isinstance(problem.op, Fused) else problem.op
        assert rows is not None and isinstance(core, Normalize)
        return row_kernel(problem, cpu, rows, self.across, symbol, lambda f, order: _Writer(f, order, rows, cpu, core))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is packed")


class _Writer(RowWriter):
    def __init__(self, f: Function, order: list[Dim], rows: Rows, cpu: CpuSpec, op: Normalize) -> None:
        super().__init__(f, order, rows, cpu)
        self.op = op

    def mean(self, L: Lanes, total: str) -> str:
        count = self.d(self.rows.length)
        if count.isdigit():
            return L.div(total, float(count))
        return L.div(total, self.f.splat(L.v, self.f.set(f"sitofp i64 {count} to {self.scalar}")))

    def scale(self, L: Lanes, power: str) -> str:
        """1 / √(mean power + ε)."""
        return L.div(1.0, L.sqrt(L.add(self.mean(L, power), self.op.epsilon)))

    def result(self, L: Lanes, here: Sequence[str], strides: Sequence[Dim], mean: str, scale: str, mask: str) -> None:
        """The last pass at one place: (x − mean)·scale."""
        x = self.read(here, strides, L.lanes, mask)
        self.finish(L.mul(L.sub(x, mean) if self.op.center else x, scale), here, strides, L.lanes, mask)

    def along(self, pointers: list[str]) -> None:
        """One row: its last axis in vectors, loops over the others."""
        f, (*outer, axis), lanes = self.f, self.rows.reduced, self.lanes
        wide, unit = self.vector(lanes).v, axis.strides[1] == 1
        masked = unit and self.cheap_masks

        def total(element: Callable[[Lanes, str], str]) -> str:
            fold = Fold(f, self.scalar, lanes, 0.0, masked, lambda type_, a, b: f.op("fadd", type_, a, b))

            def body(at: list[str], current: list[str]) -> list[str]:
                return fold.row(self.ends[-1], current, lambda i, n, mask: element(
                    self.vector(n), self.read(self.w.step(at, axis, i), axis.strides, n, mask)))
            return fold.result(nest(self.w, outer, pointers, fold.carried, body, self.ends))

        means: dict[int, str] = {1: "", lanes: ""}
        if self.op.center:
            mean = self.mean(self.vector(1), total(lambda L, x: x))
            means = {1: mean, lanes: f.splat(wide, mean)}

        def square(L: Lanes, x: str) -> str:
            x = L.sub(x, means[L.lanes]) if self.op.center else x
            return L.mul(x, x)

        scale = self.scale(self.vector(1), total(square))
        scales = {1: scale, lanes: f.splat(wide, scale)}
        with self.w.loops(pointers, outer) as start:
            def step(at: Sequence[str], n: int, mask: str = "") -> None:
                for i in at:
                    self.result(self.vector(n), self.w.step(start, axis, i), axis.strides, means[n], scales[n], mask)

            vector_loop(f, "0", self.ends[-1], lanes, 4, step, masked, unit)

    def across(self, pointers: list[str], row: Axis, begin: str, end: str) -> None:
        """A vector of rows at a time."""
        f, reduced, unit = self.f, self.rows.reduced, row.strides[1] == 1

        def step(at: Sequence[str], lanes: int, mask: str = "") -> None:
            L, start = self.vector(lanes), self.w.step(pointers, row, at[0])

            def total(element: Callable[[str], str]) -> str:
                def body(here: list[str], sums: list[str]) -> list[str]:
                    with f.reduce_loop("b", 0, self.ends[-1], [(L.v, sums[0])], BLOCK) as (b, totals, after):
                        stop = f.minimum(f.add(b, BLOCK), self.ends[-1])
                        after.append(L.add(totals[0], self._block(L, here, row, b, stop, element, mask)))
                    return totals
                return nest(self.w, reduced[:-1], start, [(L.v, L.c(0.0))], body, self.ends)[0]

            mean = self.mean(L, total(lambda x: x)) if self.op.center else ""

            def square(x: str) -> str:
                x = L.sub(x, mean) if self.op.center else x
                return L.mul(x, x)

            scale = self.scale(L, total(square))
            with self.w.loops(start, reduced) as here:
                self.result(L, here, row.strides, mean, scale, mask)

        vector_loop(f, begin, end, self.lanes, 1, step, unit and self.cheap_masks, unit)

    def _block(self, L: Lanes, here: Sequence[str], row: Axis, begin: str, end: str, element: Callable[[str], str],
               mask: str) -> str:
        """The sum of elements begin .. end of the last normalised axis, in four accumulators."""
        f, last = self.f, self.rows.reduced[-1]
        middle = f.sub(end, f.remainder(f.sub(end, begin), 4))
        sums = [L.c(0.0)] * 4
        for first, stop, times in ((begin, middle, 4), (middle, end, 1)):
            with f.reduce_loop("k", first, stop, [(L.v, s) for s in sums[:times]], times) as (i, now, after):
                for k in range(times):
                    x = self.read(self.w.step(here, last, f.add(i, k)), row.strides, L.lanes, mask)
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
