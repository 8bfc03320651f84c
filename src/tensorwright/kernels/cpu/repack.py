"""A phase that copies a matrix B, known only at run time, into panels: the layout of `packing.pack_panels`."""

from __future__ import annotations

from dataclasses import dataclass

from ...dims import Dim, product
from ..llvm import Dims, Function, arg, entry, vector
from .packing import padded_columns, panel_count


@dataclass(frozen=True)
class Matrices:
    """B at run time, strides in elements.

    batch            (extent, stride) outer to inner
    taps             (extent, stride) of the loops that make up k, outer to inner
    source, target   argument numbers
    """

    dtype: str
    size: int
    batch: tuple[tuple[Dim, Dim], ...]
    taps: tuple[tuple[Dim, Dim], ...]
    n: Dim
    n_stride: Dim
    source: int
    target: int

    @property
    def k(self) -> Dim:
        return product(count for count, _ in self.taps)


def repack_function(m: Matrices, nr: int, lanes: int, symbol: str, order: list[Dim]) -> tuple[Function, Dim]:
    """The entry @symbol, one chunk per panel, and the number of chunks."""
    f = entry(symbol)
    writer = _Repack(m, nr, lanes, f, Dims(f, order))
    return f, writer.write()


class _Repack:
    def __init__(self, m: Matrices, nr: int, lanes: int, f: Function, d: Dims) -> None:
        self.m, self.nr, self.lanes, self.f, self.d = m, nr, lanes, f, d
        self.width = nr * lanes
        self.type = vector(m.dtype, lanes)

    def write(self) -> Dim:
        f, d, m = self.f, self.d, self.m
        panels = panel_count(m.n, self.width)
        source, target = arg(f, m.source), arg(f, m.target)
        with f.loop("chunk", f.begin, f.end) as chunk:
            panel, group = f.remainder(chunk, d(panels)), f.divide(chunk, d(panels))
            offset, rest = "0", group
            for extent, stride in reversed(m.batch):
                offset = f.add(offset, f.mul(f.remainder(rest, d(extent)), d(stride * m.size)))
                rest = f.divide(rest, d(extent))
            column = f.mul(panel, self.width)
            p = f.at(f.at(source, offset), f.mul(column, d(m.n_stride * m.size)))
            matrix = f.at(target, f.mul(group, d(padded_columns(m.n, self.width, self.lanes) * m.k * m.size)))
            q = f.at(matrix, f.mul(panel, d(m.k * (self.width * m.size))))
            valid = f.sub(d(m.n), column)
            if not isinstance(m.n, int):
                self._panel(p, q, self.nr, valid)
            elif m.n < self.width:
                self._panel(p, q, -(-m.n // self.lanes), valid)
            elif m.n % self.width == 0:
                self._panel(p, q, self.nr, None)
            else:
                last = f.set(f"icmp eq i64 {panel}, {m.n // self.width}")
                with f.when(last):
                    self._panel(p, q, -(-(m.n % self.width) // self.lanes), valid)
                with f.when(f.op("xor", "i1", last, "true")):
                    self._panel(p, q, self.nr, None)
        chunks = panels
        for extent, _ in m.batch:
            chunks = chunks * extent
        return chunks

    def _panel(self, p: str, q: str, nr: int, valid: str | None) -> None:
        """One panel of nr vectors; valid: columns left in the matrix, None when there are enough."""
        self._loops(0, p, q, nr, valid)

    def _loops(self, level: int, p: str, q: str, nr: int, valid: str | None) -> None:
        """The loops of k from `level` on; q advances by a row of the panel per step of the innermost one."""
        f, m = self.f, self.m
        count, stride = m.taps[level]
        if level < len(m.taps) - 1:
            rows = product(inner for inner, _ in m.taps[level + 1:])
            with f.loop("tap", 0, self.d(count)) as i:
                self._loops(level + 1, f.at(p, f.mul(i, self.d(stride * m.size))),
                            f.at(q, f.mul(i, self.d(rows * (nr * self.lanes * m.size)))), nr, valid)
        elif m.n_stride == 1:
            self._copy(p, q, nr, valid)
        elif stride == 1:
            self._transpose(p, q, nr, valid)
        else:
            with f.loop("k", 0, self.d(count)) as k:
                self._scattered(p, q, nr, valid, k)

    def _copy(self, p: str, q: str, nr: int, valid: str | None) -> None:
        f, m = self.f, self.m
        count, stride = m.taps[-1]
        masks = [None if valid is None else f.tail_mask(self.lanes, f.sub(valid, j * self.lanes)) for j in range(nr)]
        with f.loop("k", 0, self.d(count)) as k:
            row = f.at(p, f.mul(k, self.d(stride * m.size)))
            out = f.at(q, f.mul(k, nr * self.lanes * m.size))
            for j, mask in enumerate(masks):
                at = f.at(row, j * self.lanes * m.size)
                value = f.load(self.type, at) if mask is None else f.masked_load(self.type, at, mask)
                f.store(self.type, value, f.at(out, j * self.lanes * m.size))

    def _transpose(self, p: str, q: str, nr: int, valid: str | None) -> None:
        """Blocks of lanes × lanes turned in registers. Columns that do not exist repeat the last one that does."""
        f, m, lanes = self.f, self.m, self.lanes
        count = m.taps[-1][0]
        whole = f.mul(f.divide(self.d(count), lanes), lanes)
        for j in range(nr):
            columns = [self._column(p, j * lanes + i, valid) for i in range(lanes)]
            with f.loop("k", 0, whole, step=lanes) as k:
                at = f.mul(k, m.size)
                rows = transpose(f, self.type, [f.load(self.type, f.at(c, at)) for c in columns])
                out = f.at(f.at(q, f.mul(k, nr * lanes * m.size)), j * lanes * m.size)
                for i, row in enumerate(rows):
                    f.store(self.type, row, f.at(out, i * nr * lanes * m.size))
        if not isinstance(count, int) or count % lanes:
            with f.loop("k", whole, self.d(count)) as k:
                self._scattered(p, q, nr, valid, k)

    def _scattered(self, p: str, q: str, nr: int, valid: str | None, k: str) -> None:
        """Row k of the panel, element by element."""
        f, m = self.f, self.m
        row = f.at(p, f.mul(k, self.d(m.taps[-1][1] * m.size)))
        out = f.at(q, f.mul(k, nr * self.lanes * m.size))
        with f.loop("column", 0, nr * self.lanes if valid is None else f.minimum(valid, nr * self.lanes)) as i:
            value = f.load(m.dtype, f.at(row, f.mul(i, self.d(m.n_stride * m.size))))
            f.store(m.dtype, value, f.at(out, f.mul(i, m.size)))

    def _column(self, p: str, i: int, valid: str | None) -> str:
        f = self.f
        index = str(i) if valid is None else f.minimum(str(i), f.sub(valid, 1))
        return f.at(p, f.mul(index, self.d(self.m.n_stride * self.m.size)))


def transpose(f: Function, type_: str, rows: list[str]) -> list[str]:
    """The transpose of a square block held in len(rows) vectors of as many lanes (a power of two)."""
    n, half = len(rows), 1
    while half < n:
        mixed = list(rows)
        for i in range(n):
            if i & half == 0:
                a, b = rows[i], rows[i | half]
                low = [l if l & half == 0 else n + (l & ~half) for l in range(n)]
                high = [l | half if l & half == 0 else n + l for l in range(n)]
                mixed[i], mixed[i | half] = (_shuffle(f, type_, a, b, pick) for pick in (low, high))
        rows, half = mixed, half * 2
    return rows


def _shuffle(f: Function, type_: str, a: str, b: str, pick: list[int]) -> str:
    mask = ", ".join(f"i32 {i}" for i in pick)
    return f.set(f"shufflevector {type_} {a}, {type_} {b}, <{len(pick)} x i32> <{mask}>")
