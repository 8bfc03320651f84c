"""Element-wise kernels: an expression over operands of one shape, at any strides.

`Rows` runs vectors along the output's contiguous axis. `Interleaved` serves a short last axis such as three colour
channels, `Tiles` an input that is contiguous along another axis than the output (a change of layout).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...dims import Dim
from ...ops.expr import size
from ...targets import CpuSpec
from ..llvm import entry, module
from ..problem import Phase, Problem, Source, Tactic
from .access import load, masks_are_cheap, store
from .pointwise_form import Work, normal_form, typed, vector_loop
from .pointwise_interleaved import Interleaved, interleavable
from .pointwise_tiles import Tiles, tileable
from .space import Walk, chunk_size, split, tuned


@dataclass(frozen=True)
class Rows:
    """Vectors along the last axis, `unroll` of them at a time; loops over the other axes around them."""

    unroll: int

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        work = normal_form(problem, cpu)
        assert work is not None
        row, lanes = work.axes[-1], work.lanes
        if isinstance(row.size, int) and 0 < row.size < lanes:
            lanes = 1 << (row.size - 1).bit_length()
        elements = chunk_size(problem, work.operands[-1].shape, cpu)
        long = tuned(problem, row.size) > elements                 # then the row itself is cut into blocks
        cut = (split(problem, work.axes, 1, elements, multiple=64) if long else
               split(problem, work.axes[:-1], row.size, elements))
        f, order = entry(symbol), list[Dim]()
        w = work.walk(f, order)
        start = work.pointers(f, problem)
        with f.loop("chunk", f.begin, f.end) as chunk:
            if long:
                with cut.cuts(w, start, chunk) as (pointers, begin, end):
                    self._row(w, work, cpu, pointers, lanes, begin, end)
            else:
                with cut.walk(w, start, chunk) as pointers:
                    self._row(w, work, cpu, pointers, lanes, "0", w.d(row.size))
        return Source(module(f), (Phase(symbol, cut.chunks),), tuple(order))

    def _row(self, w: Walk, work: Work, cpu: CpuSpec, pointers: list[str], lanes: int, begin: str, end: str) -> None:
        f, d, row, dtypes = w.f, w.d, work.axes[-1], work.dtypes
        steady = {k: load(f, d, dtypes[k], pointers[k], 0, 1) for k, s in enumerate(row.strides[:-1]) if s == 0}
        splats = {k: f.splat(typed(dtypes[k], lanes), value) for k, value in steady.items()}

        def step(at: Sequence[str], n: int, mask: str = "") -> None:
            here = [w.step(pointers, row, i) for i in at]
            values = [[(steady if n == 1 else splats)[k] if k in steady
                       else load(f, d, dtypes[k], p[k], row.strides[k], n, mask)
                       for k in range(len(dtypes) - 1)] for p in here]
            results = [work.emit(f, v, n, cpu) for v in values]
            for p, y in zip(here, results, strict=True):
                store(f, d, dtypes[-1], y, p[-1], row.strides[-1], n, mask)

        unit = row.strides[-1] == 1
        vector_loop(f, begin, end, lanes, self.unroll, step, unit and masks_are_cheap(cpu, dtypes), unit)

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is packed")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Tactic]:
    work = normal_form(problem, cpu)
    if work is None:
        return
    if interleavable(problem, work):
        yield Interleaved()
    elif tileable(problem, work) and size(work.expr) <= 60:      # a tile repeats the expression 32 times
        yield Tiles()
    elif size(work.expr) <= 24:
        yield Rows(4)
    yield Rows(1)
