"""Element-wise kernels that transpose: square tiles, turned in registers, between two contiguous axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...dims import Dim, ceildiv, product
from ...dtypes import DType
from ...targets import CpuSpec
from ..llvm import Function, entry, module, scalar_of
from ..problem import Phase, Problem, Source
from .access import load, masks_are_cheap, shuffle, store
from .pointwise_form import Work, normal_form, typed
from .space import Axis, Walk, tuned


def transposed(f: Function, type_: str, rows: list[str]) -> list[str]:
    """The columns of a square matrix given by rows."""
    n = len(rows)
    if scalar_of(type_) in ("float", "i32") and n >= 4:
        return _by_quarters(f, type_, rows)
    low = [k // 2 + (n if k % 2 else 0) for k in range(n)]       # perfect shuffles: log₂ n of them transpose
    high = [p + n // 2 for p in low]
    for _ in range(n.bit_length() - 1):
        half = n // 2
        rows = [shuffle(f, type_, rows[k // 2], rows[k // 2 + half], high if k % 2 else low) for k in range(n)]
    return rows


def _by_quarters(f: Function, type_: str, rows: list[str]) -> list[str]:
    """4 x 4 blocks within 128-bit quarters, the cheapest shuffles there are; then the quarters are transposed."""
    n = len(rows)
    quarters = range(0, n, 4)

    def within(a: str, b: str, places: list[int]) -> str:
        return shuffle(f, type_, a, b, [q + p if p < 4 else n + q + p - 4 for q in quarters for p in places])

    turned: list[list[str]] = []                                 # turned[g][c], quarter q: column 4q + c of rows 4g ..
    for g in quarters:
        a, b, c, d = rows[g:g + 4]
        ac, bd = within(a, c, [0, 4, 1, 5]), within(b, d, [0, 4, 1, 5])
        ac2, bd2 = within(a, c, [2, 6, 3, 7]), within(b, d, [2, 6, 3, 7])
        turned.append([within(ac, bd, [0, 4, 1, 5]), within(ac, bd, [2, 6, 3, 7]),
                       within(ac2, bd2, [0, 4, 1, 5]), within(ac2, bd2, [2, 6, 3, 7])])
    columns = [""] * n
    for k in range(4):
        for q, value in enumerate(_blocks_transposed(f, type_, [t[k] for t in turned])):
            columns[4 * q + k] = value
    return columns


def _blocks_transposed(f: Function, type_: str, parts: list[str]) -> list[str]:
    """n/4 vectors of n/4 quarters each, transposed as a matrix of quarters."""
    m = len(parts)
    n = 4 * m

    def quarters(a: str, b: str, which: list[int]) -> str:
        return shuffle(f, type_, a, b, [4 * w + k for w in which for k in range(4)])

    if m == 1:
        return parts
    if m == 2:
        return [quarters(parts[0], parts[1], [0, 2]), quarters(parts[0], parts[1], [1, 3])]
    assert n == 16
    a, b, c, d = parts
    even = quarters(a, b, [0, 2, 4, 6]), quarters(c, d, [0, 2, 4, 6])
    odd = quarters(a, b, [1, 3, 5, 7]), quarters(c, d, [1, 3, 5, 7])
    pick = ([0, 2, 4, 6], [1, 3, 5, 7])
    return [quarters(*even, pick[0]), quarters(*odd, pick[0]), quarters(*even, pick[1]), quarters(*odd, pick[1])]


def tile_axes(work: Work) -> tuple[int, Axis] | None:
    """The operand to turn and the axis it is contiguous along, when that is not the output's."""
    row = work.axes[-1]
    if row.strides[-1] != 1:
        return None
    for k, s in enumerate(row.strides[:-1]):
        if s not in (0, 1):
            for axis in work.axes[:-1]:
                if axis.strides[k] == 1:
                    return k, axis
    return None


def tileable(problem: Problem, work: Work) -> bool:
    found = tile_axes(work)
    return found is not None and min(tuned(problem, a.size) for a in (found[1], work.axes[-1])) >= 4


@dataclass(frozen=True)
class Tiles:
    """Tiles of side x side elements over the output's contiguous axis and that of the input which is turned. What does
    not fill a tile is masked where the machine can, otherwise done element by element."""

    tiles: int = 16                                              # tiles along the output's axis in one chunk

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        work = normal_form(problem, cpu)
        assert work is not None
        found = tile_axes(work)
        assert found is not None
        p, q = work.axes[-1], found[1]
        shorter = max(min(tuned(problem, p.size), tuned(problem, q.size)), 4)
        side = min(work.lanes, 16, 1 << (shorter.bit_length() - 1))
        rows = ceildiv(q.size, side)
        outer = [a for a in work.axes[:-1] if a is not q]
        f, order = entry(symbol), list[Dim]()
        w = work.walk(f, order)
        start = work.pointers(f, problem)
        blocks = ceildiv(p.size, side * self.tiles)
        with f.loop("chunk", f.begin, f.end) as chunk:
            part = f.remainder(chunk, w.d(blocks))
            rest = f.divide(chunk, w.d(blocks))
            q0 = f.mul(f.remainder(rest, w.d(rows)), side)
            base = w.decode(start, outer, f.divide(rest, w.d(rows)))
            base = w.step(base, q, q0)
            begin = f.mul(part, side * self.tiles)
            end = f.minimum(f.add(begin, side * self.tiles), w.d(p.size))
            height = f.minimum(f.sub(w.d(q.size), q0), side)
            with f.loop("tile", begin, end, side) as p0:
                width = f.minimum(f.sub(end, p0), side)
                self._tile(w, work, cpu, w.step(base, p, p0), q, side, height, width)
        chunks = product([blocks, rows, *(a.size for a in outer)])
        return Source(module(f), (Phase(symbol, chunks),), tuple(order))

    def _tile(self, w: Walk, work: Work, cpu: CpuSpec, base: list[str], q: Axis, side: int, height: str,
              width: str) -> None:
        f, p = w.f, work.axes[-1]
        full = f.set(f"icmp eq i64 {f.add(height, width)}, {2 * side}")
        yes, no, done = f.new_label("full"), f.new_label("edge"), f.new_label("done")
        f.branch(full, yes, no)
        f.label(yes)
        self._vectors(w, work, cpu, base, q, side, None)
        f.br(done)
        f.label(no)
        if masks_are_cheap(cpu, work.dtypes):
            self._vectors(w, work, cpu, base, q, side, (height, width))
        else:
            with f.loop("i", 0, height) as i, f.loop("j", 0, width) as j:
                work.emit_one(f, w.d, w.step(w.step(base, q, i), p, j), cpu)
        f.br(done)
        f.label(done)

    def _vectors(self, w: Walk, work: Work, cpu: CpuSpec, base: list[str], q: Axis, side: int,
                 valid: tuple[str, str] | None) -> None:
        """A tile; valid: (rows, columns) of an incomplete one."""
        f, d, p = w.f, w.d, work.axes[-1]
        off = f.const(f"<{side} x i1>", False)
        along_q, along_p = [""] * side, [""] * side              # masks of vectors along q, one per column; and along p
        if valid is not None:
            masks = [f.tail_mask(side, v) for v in valid]
            for k in range(side):
                in_row, in_column = (f.set(f"icmp slt i64 {k}, {v}") for v in valid)
                along_q[k] = f.set(f"select i1 {in_column}, <{side} x i1> {masks[0]}, <{side} x i1> {off}")
                along_p[k] = f.set(f"select i1 {in_row}, <{side} x i1> {masks[1]}, <{side} x i1> {off}")
        turned: dict[int, list[str]] = {}
        for k, dtype in enumerate(work.dtypes[:-1]):
            if p.strides[k] not in (0, 1) and q.strides[k] == 1:
                loaded = [load(f, d, dtype, w.step(base, p, c)[k], 1, side, along_q[c]) for c in range(side)]
                turned[k] = transposed(f, typed(dtype, side), loaded)
        for r in range(side):
            here = w.step(base, q, r)
            values = [turned[k][r] if k in turned else self._direct(w, dtype, here[k], p.strides[k], side, along_p[r])
                      for k, dtype in enumerate(work.dtypes[:-1])]
            y = work.emit(f, values, side, cpu)
            store(f, d, work.dtypes[-1], y, here[-1], 1, side, along_p[r])

    def _direct(self, w: Walk, dtype: DType, pointer: str, stride: Dim, side: int, mask: str) -> str:
        if stride != 0 or not mask:
            return load(w.f, w.d, dtype, pointer, stride, side, mask)
        first = w.f.tail_mask(side, 1)                           # one element, and only if the row exists
        t = typed(dtype, side)
        value = w.f.masked_load(t, pointer, w.f.op("and", f"<{side} x i1>", mask, first))
        scalar = w.f.set(f"extractelement {t} {value}, i64 0")
        return w.f.splat(t, scalar)

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is packed")
