"""Reductions over any axes: vectors along a reduced axis, or across kept elements; in parts when results are few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...dims import Dim, ceildiv, mul, product
from ...ops.expr import In
from ...targets import CpuSpec
from ..llvm import Function, arg, entry, module
from ..problem import Phase, Problem, Source, Tactic, Workspace
from .access import lanes_for, masks_are_cheap
from .pointwise_form import vector_loop
from .reduce_form import Work, normal_form, vector_last
from .reduce_pass import Pass
from .space import MOST, Axis, chunk_size, merged, split, tuned

#: Vectors of kept elements that are reduced together.
VECTORS = 4


@dataclass(frozen=True)
class Reduction:
    """across: vectors hold kept elements, else elements of the last reduced axis. parts: the first reduced axis is cut
    in so many parts that may run at the same time; a second phase joins their results."""

    across: bool
    parts: int = 1

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        work = normal_form(problem)
        assert work is not None
        order: list[Dim] = []
        if self.parts == 1:
            f, chunks = self._pass(problem, work, cpu, symbol, order)
            return Source(module(f), (Phase(symbol, chunks),), tuple(order))
        scratch, size = len(problem.inputs) + 1, work.dtype.itemsize
        dense = [product(a.size for a in work.kept[k + 1:]) for k in range(len(work.kept))]   # strides in the scratch
        inside = [Axis(a.size, (a.strides[0], s)) for a, s in zip(work.kept, dense, strict=True)]
        onward = [Axis(a.size, (s, *a.strides[1:])) for a, s in zip(work.kept, dense, strict=True)]
        first = replace(work, count=None, epilogue=In(0, work.dtype), kept=tuple(inside), extras=(),
                        arguments=(0, scratch))
        second = replace(work, kept=vector_last(merged(onward)), arguments=(scratch, *work.arguments[1:]),
                         reduced=(Axis(self.parts, (work.outputs,)),))
        f, chunks = self._pass(problem, first, cpu, f"{symbol}_parts", order)
        g, more = Reduction(True)._pass(problem, second, cpu, f"{symbol}_join", order)
        return Source(module(f, g), (Phase(f.name, chunks), Phase(g.name, more)), tuple(order),
                      (Workspace(mul(mul(work.outputs, self.parts), size)),))

    def _pass(self, problem: Problem, work: Work, cpu: CpuSpec, name: str, order: list[Dim]) -> tuple[Function, Dim]:
        f = entry(name)
        p = Pass(f, order, work, cpu)
        start = [arg(f, k) for k in work.arguments]
        row = work.kept[-1] if self.across and work.kept else Axis(1, (1,) * len(p.w.sizes))
        outer = work.kept[:-1] if self.across else work.kept
        lanes = p.lanes
        weight = max(tuned(problem, work.length) // self.parts, 1)
        elements = chunk_size(problem, (work.outputs, work.length), cpu)
        cut = split(problem, [*outer, row], 1, elements, 4 * lanes, weight) if self.across else None
        whole = cut is None or bool(cut.inner)                   # a chunk has all of the row
        if cut is None or cut.inner:
            cut = split(problem, outer, row.size, elements, 1, weight)
        with f.loop("chunk", f.begin, f.end) as chunk:
            at = chunk
            here = start
            if self.parts > 1:
                here, at = self._part(p, work, start, chunk, p.d(cut.chunks))
            if whole:
                with cut.walk(p.w, here, at) as pointers:
                    self._results(p, work, pointers, row, lanes, "0", p.d(row.size))
            else:
                with cut.cuts(p.w, here, at) as (pointers, begin, end):
                    self._results(p, work, pointers, row, lanes, begin, end)
        return f, mul(cut.chunks, self.parts)

    def _part(self, p: Pass, work: Work, start: Sequence[str], chunk: str, chunks: str) -> tuple[list[str], str]:
        """(pointers of the chunk's part, chunk within it); the part's length becomes the pass's first trip count."""
        f, first = p.f, work.reduced[0]
        part, rest = f.divide(chunk, chunks), f.remainder(chunk, chunks)
        block = ceildiv(first.size, self.parts)
        begin = f.mul(part, p.d(block))
        p.ends[0] = f.maximum(f.minimum(p.d(block), f.sub(p.d(first.size), begin)), 0)
        source = f.at(start[0], f.mul(begin, p.d(mul(first.strides[0], work.dtype.itemsize))))
        target = f.at(start[1], f.mul(part, p.d(mul(work.outputs, work.dtype.itemsize))))
        return [source, target], rest

    def _results(self, p: Pass, work: Work, pointers: list[str], row: Axis, lanes: int, begin: str, end: str) -> None:
        strides = row.strides[1:]
        if not self.across:
            p.finish(p.along(pointers[0]), pointers[1:], strides, 1)
            return

        ways = 8 if isinstance(row.size, int) and row.size < VECTORS * lanes else 2

        def step(at: Sequence[str], n: int, mask: str = "") -> None:
            here = [p.w.step(pointers, row, i) for i in at]
            values = p.across([x[0] for x in here], row.strides[0], n, mask, ways)
            for x, value in zip(here, values, strict=True):
                p.finish(value, x[1:], strides, n, mask)

        unit = strides[0] == 1
        types = [work.dtype, work.epilogue.dtype, *work.extras]
        vector_loop(p.f, begin, end, lanes, VECTORS, step, unit and masks_are_cheap(p.cpu, types), unit)

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is packed")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Tactic]:
    work = normal_form(problem)
    if work is None:
        return
    row, lanes = work.reduced[-1], lanes_for(cpu, [work.dtype])
    contiguous = row.strides[0] == 1 and row.size != 1
    across = bool(work.kept) and (not contiguous or tuned(problem, row.size) < min(lanes // 2, 8))
    outputs, length = tuned(problem, work.outputs), tuned(problem, work.length)
    alone = outputs if not across else -(-outputs // (4 * lanes))
    parts = min(2 * cpu.cores, tuned(problem, work.reduced[0].size))
    if alone < 2 * cpu.cores and parts > 1 and outputs * length >= 4 * MOST and cpu.cores > 1:
        yield Reduction(across, parts)
    yield Reduction(across)
    if work.kept and contiguous and 4 <= tuned(problem, row.size) < lanes and work.dtype.itemsize >= 4:
        yield Reduction(not across)
