"""Normalisation of one row, or of a vector of rows: its moments, and the last pass that uses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...dims import Dim, ceildiv, mul, product
from ...ops.normalize import Normalize
from ...targets import CpuSpec
from ..llvm import Function
from .access import load, store
from .lanes import Lanes
from .pointwise_form import vector_loop
from .reductions import BLOCK, Fold, nest
from .row_form import Rows
from .row_writer import RowWriter
from .space import Axis

Moments = tuple[str, str]                        # mean, and the sum of squares around it or the scale made of that
Total = Callable[[Callable[[Lanes, str], str]], str]


class NormalizeWriter(RowWriter):
    """parts, stage: with one part a row is normalised at once. Otherwise the stage "moments" leaves those of a part in
    the last operand, a scratch memory (2, parts, kept axes), and the stage "apply" joins them and normalises a part."""

    def __init__(self, f: Function, order: list[Dim], rows: Rows, cpu: CpuSpec, op: Normalize, parts: int = 1,
                 stage: str = "") -> None:
        super().__init__(f, order, rows, cpu)
        self.op, self.parts, self.stage = op, parts, stage

    def along(self, pointers: list[str]) -> None:
        """One row: its last axis in vectors, loops over the others."""
        f, (*outer, axis), lanes = self.f, self.rows.reduced, self.lanes
        one, wide, unit = self.vector(1), self.vector(lanes), axis.strides[1] == 1
        masked = unit and self.cheap_masks

        def total(element: Callable[[Lanes, str], str]) -> str:
            fold = Fold(f, self.scalar, lanes, 0.0, masked, lambda type_, a, b: f.op("fadd", type_, a, b))

            def body(at: list[str], current: list[str]) -> list[str]:
                return fold.row(self.ends[-1], current, lambda i, n, mask: element(
                    self.vector(n), self.read(self.w.step(at, axis, i), axis.strides, n, mask)))
            return fold.result(nest(self.w, outer, pointers, fold.carried, body, self.ends))

        found = self._moments(one, total, pointers, 0, "")
        if found is None:
            return
        means = {1: found[0], lanes: f.splat(wide.v, found[0])}
        scales = {1: found[1], lanes: f.splat(wide.v, found[1])}
        with self.w.loops(pointers, outer, self.ends) as start:
            def step(at: Sequence[str], n: int, mask: str = "") -> None:
                for i in at:
                    here = self.w.step(start, axis, i)
                    self._result(self.vector(n), here, axis.strides, means[n], scales[n], mask)

            vector_loop(f, "0", self.ends[-1], lanes, 4, step, masked, unit)

    def across(self, pointers: list[str], row: Axis, begin: str, end: str) -> None:
        """A vector of rows at a time."""
        f, reduced, unit = self.f, self.rows.reduced, row.strides[1] == 1

        def step(at: Sequence[str], lanes: int, mask: str = "") -> None:
            L, start = self.vector(lanes), self.w.step(pointers, row, at[0])

            def total(element: Callable[[Lanes, str], str]) -> str:
                def body(here: list[str], sums: list[str]) -> list[str]:
                    with f.reduce_loop("b", 0, self.ends[-1], [(L.v, sums[0])], BLOCK) as (b, totals, after):
                        stop = f.minimum(f.add(b, BLOCK), self.ends[-1])
                        after.append(L.add(totals[0], self._block(L, here, row, b, stop, element, mask)))
                    return totals
                return nest(self.w, reduced[:-1], start, [(L.v, L.c(0.0))], body, self.ends)[0]

            found = self._moments(L, total, start, row.strides[-1], mask)
            if found is not None:
                with self.w.loops(start, reduced, self.ends) as here:
                    self._result(L, here, row.strides, *found, mask)

        vector_loop(f, begin, end, self.lanes, 1, step, unit and self.cheap_masks, unit)

    def _block(self, L: Lanes, here: Sequence[str], row: Axis, begin: str, end: str,
               element: Callable[[Lanes, str], str], mask: str) -> str:
        """The sum of elements begin .. end of the last normalised axis, in four accumulators."""
        f, last = self.f, self.rows.reduced[-1]
        middle = f.sub(end, f.remainder(f.sub(end, begin), 4))
        sums = [L.c(0.0)] * 4
        for first, stop, times in ((begin, middle, 4), (middle, end, 1)):
            with f.reduce_loop("k", first, stop, [(L.v, s) for s in sums[:times]], times) as (i, now, after):
                for k in range(times):
                    x = self.read(self.w.step(here, last, f.add(i, k)), row.strides, L.lanes, mask)
                    after.append(L.add(now[k], element(L, x)))
            sums[:times] = now
        return L.add(L.add(sums[0], sums[1]), L.add(sums[2], sums[3]))

    def _moments(self, L: Lanes, total: Total, here: Sequence[str], stride: Dim, mask: str) -> Moments | None:
        """(mean, 1/√(variance + ε)) of the row at `here`; None when those of a part were only stored.

        stride: the scratch memory's, from lane to lane.
        """
        f, count = self.f, self.d(self.rows.length)
        if self.stage == "apply":
            mean, power = self._joined(L, here[-1], stride, mask)
        else:
            if self.stage:
                count = f.maximum(self._length(self.ends[0]), 1)
            mean = L.div(total(lambda _, x: x), self._number(L, count)) if self.op.center else L.c(0.0)
            means = {self.lanes: f.splat(self.vector(self.lanes).v, mean), 1: mean} if L.lanes == 1 else {L.lanes: mean}

            def square(V: Lanes, x: str) -> str:
                x = V.sub(x, means[V.lanes]) if self.op.center else x
                return V.mul(x, x)

            power = total(square)
        if self.stage == "moments":
            at = f.at(here[-1], f.mul(self.part, self._plane()))
            for value, offset in ((mean, "0"), (power, f.mul(self._plane(), self.parts))):
                store(f, self.d, self.x, value, f.at(at, offset), stride, L.lanes, mask)
            return None
        return mean, L.div(1.0, L.sqrt(L.add(L.div(power, self._number(L, count)), self.op.epsilon)))

    def _joined(self, L: Lanes, scratch: str, stride: Dim, mask: str) -> Moments:
        """Of all parts: the mean of their means, and the squares around it, weighted by their lengths."""
        f, first = self.f, self.rows.reduced[0]
        block = self.d(ceildiv(first.size, self.parts))
        lengths, means, powers = list[str](), list[str](), list[str]()
        for k in range(self.parts):
            length = f.minimum(block, f.sub(self.d(first.size), f.mul(k, block)))
            lengths.append(self._number(L, self._length(f.maximum(length, 0))))
            for values, plane in ((means, k), (powers, self.parts + k)):
                at = f.at(scratch, f.mul(self._plane(), plane))
                values.append(load(f, self.d, self.x, at, stride, L.lanes, mask))
        total = L.c(0.0)
        for n, m in zip(lengths, means, strict=True):
            total = L.fma(n, m, total)
        mean, power = L.div(total, self._number(L, self.d(self.rows.length))), L.c(0.0)
        for n, m, p in zip(lengths, means, powers, strict=True):
            apart = L.sub(m, mean)
            power = L.add(power, L.fma(L.mul(apart, apart), n, p))
        return mean, power

    def _length(self, first: str) -> str:
        """Elements of a part that has `first` positions of the first axis."""
        return self.f.mul(first, self.d(product(a.size for a in self.rows.reduced[1:])))

    def _plane(self) -> str:
        """Bytes of one value per row."""
        return self.d(mul(product(a.size for a in self.rows.kept), self.x.itemsize))

    def _number(self, L: Lanes, count: str) -> str:
        if count.isdigit():
            return L.c(float(count))
        return self.f.splat(L.v, self.f.set(f"sitofp i64 {count} to {self.scalar}"))

    def _result(self, L: Lanes, here: Sequence[str], strides: Sequence[Dim], mean: str, scale: str, mask: str) -> None:
        """The last pass at one place: (x − mean)·scale."""
        x = self.read(here, strides, L.lanes, mask)
        self.finish(L.mul(L.sub(x, mean) if self.op.center else x, scale), here, strides, L.lanes, mask)
