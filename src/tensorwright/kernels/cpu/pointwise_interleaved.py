"""Element-wise kernels whose output has a short contiguous axis, such as the three channels of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...dims import Dim, mul
from ...dtypes import DType
from ...targets import CpuSpec
from ..llvm import SCALAR, entry, module
from ..problem import Phase, Problem, Source
from .access import load, pick, store
from .pointwise_form import Work, normal_form, typed
from .space import Axis, Walk, chunk_size, split, tuned


def long_axis(work: Work) -> Axis | None:
    """The axis q around the short last axis c of constant size C ≤ 8, where output (q, c) lies at q·C + c."""
    short = work.axes[-1]
    if not isinstance(short.size, int) or not 2 <= short.size <= 8 or short.strides[-1] != 1:
        return None
    return next((a for a in work.axes[:-1] if a.strides[-1] == short.size), None)


def interleavable(problem: Problem, work: Work) -> bool:
    q = long_axis(work)
    return q is not None and tuned(problem, q.size) >= 2 * work.lanes


@dataclass(frozen=True)
class Interleaved:
    """C vectors hold `lanes` positions of the long axis with all C elements of the short one, in the output's order.
    Inputs arrive in that order, or along the long axis and are interleaved by shuffles, or repeat with period C."""

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        work = normal_form(problem, cpu)
        assert work is not None
        q = long_axis(work)
        assert q is not None
        c = work.axes[-1]
        assert isinstance(c.size, int)
        axes = [*(a for a in work.axes[:-1] if a is not q), q]
        elements = chunk_size(problem, work.operands[-1].shape, cpu)
        cut = split(problem, axes, 1, elements // c.size, multiple=work.lanes)
        whole = not cut.inner                                    # q is the axis that is cut into blocks
        if not whole:
            cut = split(problem, axes[:-1], mul(q.size, c.size), elements)
        f, order = entry(symbol), list[Dim]()
        w = work.walk(f, order)
        start = work.pointers(f, problem)
        with f.loop("chunk", f.begin, f.end) as chunk:
            if whole:
                with cut.cuts(w, start, chunk) as (pointers, begin, end):
                    self._run(w, work, cpu, pointers, q, begin, end)
            else:
                with cut.walk(w, start, chunk) as pointers:
                    self._run(w, work, cpu, pointers, q, "0", w.d(q.size))
        return Source(module(f), (Phase(symbol, cut.chunks),), tuple(order))

    def _run(self, w: Walk, work: Work, cpu: CpuSpec, start: Sequence[str], q: Axis, begin: str, end: str) -> None:
        f, c, lanes = w.f, work.axes[-1], work.lanes
        assert isinstance(c.size, int)
        dtypes = work.dtypes
        steady = {k: self._periodic(w, dtypes[k], start[k], c.size, c.strides[k], lanes)
                  for k in range(len(dtypes) - 1) if q.strides[k] == 0}
        stop = f.add(begin, f.sub(f.sub(end, begin), f.remainder(f.sub(end, begin), lanes)))
        with f.loop("q", begin, stop, lanes) as i:
            here = w.step(start, q, i)
            values = [steady[k] if k in steady else
                      self._moving(w, t, here[k], c.size, c.strides[k], q.strides[k], lanes)
                      for k, t in enumerate(dtypes[:-1])]
            results = [work.emit(f, [v[part] for v in values], lanes, cpu) for part in range(c.size)]
            for part, y in enumerate(results):
                store(f, w.d, dtypes[-1], y, f.at(here[-1], part * lanes * dtypes[-1].itemsize), 1, lanes)
        with f.loop("q", stop, end) as i, f.loop("c", 0, c.size) as j:
            work.emit_one(f, w.d, w.step(w.step(start, q, i), c, j), cpu)

    def _periodic(self, w: Walk, dtype: DType, pointer: str, count: int, stride: Dim, lanes: int) -> list[str]:
        """The same at every position of the long axis: C vectors that repeat C scalars."""
        f, t = w.f, typed(dtype, lanes)
        if stride == 0:
            return [f.splat(t, load(f, w.d, dtype, pointer, 0, 1))] * count
        scalars = [load(f, w.d, dtype, f.at(pointer, f.mul(k, w.d(mul(stride, dtype.itemsize)))), 0, 1)
                   for k in range(count)]
        vectors = []
        for part in range(count):
            value = "poison"
            for k in range(lanes):
                scalar = scalars[(part * lanes + k) % count]
                value = f.set(f"insertelement {t} {value}, {SCALAR[dtype]} {scalar}, i64 {k}")
            vectors.append(value)
        return vectors

    def _moving(self, w: Walk, dtype: DType, pointer: str, count: int, stride: Dim, along: Dim,
                lanes: int) -> list[str]:
        """C vectors in the output's order. stride: of the short axis; along: of the long one."""
        f, size, t = w.f, dtype.itemsize, typed(dtype, lanes)
        if stride == 1 and along == count:
            return [load(f, w.d, dtype, f.at(pointer, part * lanes * size), 1, lanes) for part in range(count)]
        columns = [load(f, w.d, dtype, f.at(pointer, f.mul(k, w.d(mul(stride, size)))), along, lanes)
                   for k in range(count if stride != 0 else 1)]
        flat = range(count * lanes)                              # element e is column e % C, position e // C
        positions = [(e % count if stride != 0 else 0) * lanes + e // count for e in flat]
        return [pick(f, t, columns, positions[part * lanes:(part + 1) * lanes]) for part in range(count)]

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is packed")
