"""One pass of a reduction inside a function: accumulate along a reduced axis or across kept elements, then finish."""

from __future__ import annotations

from collections.abc import Sequence

from ...dims import Dim
from ...dtypes import DType
from ...ops.expr import operands
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function
from .access import lanes_for, load, masks_are_cheap, store
from .pointwise_form import typed
from .pointwise_printer import emit
from .reduce_form import Work
from .reductions import BLOCK, Fold, combine, divided, nest, neutral
from .space import Axis, Walk


class Pass:
    """ends: the trip counts of work.reduced, as values."""

    def __init__(self, f: Function, order: list[Dim], work: Work, cpu: CpuSpec) -> None:
        self.f, self.work, self.cpu = f, work, cpu
        self.d = Dims(f, order)
        self.w = Walk(f, self.d, work.sizes)
        divides = work.count is not None and not work.dtype.is_float       # in 64 bits, one lane after the other
        self.lanes = lanes_for(cpu, [DType.int64 if divides else work.dtype])
        self.ends = [self.d(a.size) for a in work.reduced]

    def read(self, pointer: str, stride: Dim, lanes: int, mask: str = "") -> str:
        return load(self.f, self.d, self.work.dtype, pointer, stride, lanes, mask)

    def join(self, type_: str, a: str, b: str) -> str:
        return combine(self.f, self.work.kind, self.work.dtype, type_, a, b)

    def start(self, lanes: int) -> str:
        return self.f.const(typed(self.work.dtype, lanes), neutral(self.work.kind, self.work.dtype))

    def finish(self, value: str, pointers: Sequence[str], strides: Sequence[Dim], lanes: int, mask: str = "") -> None:
        """Divide, apply the epilogue, store. pointers, strides: of the result, then the extras."""
        work = self.work
        if work.count is not None:
            value = divided(self.f, work.dtype, lanes, value, self.d(work.count), self.cpu)
        used = {x.index for x in operands(work.epilogue)}
        values = [value, *("" for _ in work.extras)]
        for k, t in enumerate(work.extras, 1):
            if k in used:
                values[k] = load(self.f, self.d, t, pointers[k], strides[k], lanes, "" if strides[k] == 0 else mask)
        y = emit(self.f, work.epilogue, values, lanes, self.cpu)
        store(self.f, self.d, work.epilogue.dtype, y, pointers[0], strides[0], lanes, mask)

    def along(self, pointer: str) -> str:
        """One result, from vectors along the last reduced axis."""
        work, row = self.work, self.work.reduced[-1]
        fold = Fold(self.f, SCALAR[work.dtype], self.lanes, neutral(work.kind, work.dtype),
                    masks_are_cheap(self.cpu, [work.dtype]), self.join)

        def body(at: list[str], current: list[str]) -> list[str]:
            return fold.row(self.ends[-1], current, lambda i, lanes, mask: self.read(
                self.w.step(at, row, i)[0], row.strides[0], lanes, mask))

        return fold.result(nest(self.w, work.reduced[:-1], [pointer], fold.carried, body, self.ends))

    def across(self, at: Sequence[str], stride: Dim, lanes: int, mask: str = "", ways: int = 2) -> list[str]:
        """Results of several vectors of kept elements, whose first elements are at `at`: the reduced axes are walked
        once for all of them. ways: accumulators per vector; equal for all vectors of a row, so that equal columns have
        equal sums."""
        f, t, last = self.f, typed(self.work.dtype, lanes), self.work.reduced[-1]

        def body(at: list[str], current: list[str]) -> list[str]:
            with f.reduce_loop("b", 0, self.ends[-1], [(t, c) for c in current], BLOCK) as (b, totals, following):
                stop = f.minimum(f.add(b, BLOCK), self.ends[-1])
                part = self._block(at, last, b, stop, stride, lanes, mask, ways)
                following += [self.join(t, x, y) for x, y in zip(totals, part, strict=True)]
            return totals

        walk = Walk(f, self.d, [self.work.dtype.itemsize] * len(at))
        outer = [Axis(a.size, a.strides * len(at)) for a in self.work.reduced[:-1]]
        return nest(walk, outer, list(at), [(t, self.start(lanes))] * len(at), body, self.ends)

    def _block(self, at: list[str], last: Axis, begin: str, end: str, stride: Dim, lanes: int, mask: str,
               ways: int) -> list[str]:
        """Sums over begin .. end of the last reduced axis, from fresh accumulators; several, to hide latency."""
        f, t, n = self.f, typed(self.work.dtype, lanes), len(at)
        sums = [self.start(lanes)] * (n * ways)
        count = f.sub(end, begin)
        middle = f.add(begin, f.sub(count, f.remainder(count, ways)))
        for first, stop, times in ((begin, middle, ways), (middle, end, 1)):
            if first == stop:
                continue
            with f.reduce_loop("k", first, stop, [(t, s) for s in sums[:times * n]], times) as (i, now, following):
                for u in range(times):
                    for v, p in enumerate(at):
                        x = self.read(self.w.step([p], last, f.add(i, u))[0], stride, lanes, mask)
                        following.append(self.join(t, now[u * n + v], x))
            sums[:times * n] = now
        while len(sums) > n:
            sums = [*[self.join(t, a, b) for a, b in zip(sums[:n], sums[n:2 * n], strict=True)], *sums[2 * n:]]
        return sums
