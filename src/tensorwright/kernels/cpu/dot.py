"""Contractions as dot products: vectors run along k. For few rows or columns, where tiles would be mostly empty."""

from __future__ import annotations

from dataclasses import dataclass

from ...dims import Dim, ceildiv, product
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, vector
from .contraction import Axis, Contraction, epilogue_reads
from .pointwise_printer import emit


@dataclass(frozen=True)
class DotBlock:
    """mr × nr results at a time, each the sum of a vector; chunk: such blocks per chunk."""

    mr: int
    nr: int
    chunk: int


class DotWriter:
    """Writes the entry @symbol for c: taps end in a run of stride 1 in A; B has its taps one after the other.

    n_stride   elements of B from one column to the next
    """

    def __init__(self, c: Contraction, n_stride: Dim, t: DotBlock, cpu: CpuSpec, symbol: str,
                 order: list[Dim]) -> None:
        self.c, self.t, self.cpu, self.n_stride = c, t, cpu, n_stride
        self.f = entry(symbol)
        self.d = Dims(self.f, order)
        self.outer = (*c.batch, *c.pixels[:-1])
        self.columns = ceildiv(c.n, t.nr)
        self.rows = ceildiv(c.pixels[-1].extent, t.mr)
        self.blocks = product(axis.extent for axis in self.outer) * self.rows * self.columns
        self.chunks = ceildiv(self.blocks, t.chunk)
        self.scalar, self.size = SCALAR[c.dtype], c.dtype.itemsize
        self.type = vector(self.scalar, cpu.lanes)

    def write(self) -> Function:
        f, d, c = self.f, self.d, self.c
        a, b, y = (arg(f, i) for i in (c.args[0], c.args[1], c.args[3]))
        a = f.at(a, d(c.start * self.size))
        bias = arg(f, c.args[2]) if c.args[2] is not None else None
        extras = [arg(f, c.extras_at + i) for i in range(len(c.extra_n))]
        with f.loop("chunk", f.begin, f.end) as chunk:
            first = f.mul(chunk, self.t.chunk)
            with f.loop("block", first, f.minimum(f.add(first, self.t.chunk), d(self.blocks))) as block:
                column, rest = f.remainder(block, d(self.columns)), f.divide(block, d(self.columns))
                row, rest = f.remainder(rest, d(self.rows)), f.divide(rest, d(self.rows))
                at: list[tuple[Axis, str]] = []
                for axis in reversed(self.outer):
                    at.insert(0, (axis, f.remainder(rest, d(axis.extent))))
                    rest = f.divide(rest, d(axis.extent))
                pointers = [self._move(a, at, "a", self.size), self._move(b, at, "b", self.size),
                            self._move(y, at, "y", c.out.itemsize)]
                pointers += [f.at(p, self._sum(at, [axis.extras[i] for axis, _ in at], t.itemsize))
                             for i, (p, t) in enumerate(zip(extras, c.extra_types, strict=True))]
                if bias is not None:
                    self.bias = self._move(bias, at, "bias", self.size)
                self._block(pointers, f.mul(row, self.t.mr), f.mul(column, self.t.nr))
        return f

    def _move(self, p: str, at: list[tuple[Axis, str]], pick: str, size: int) -> str:
        return self.f.at(p, self._sum(at, [getattr(axis, pick) for axis, _ in at], size))

    def _sum(self, at: list[tuple[Axis, str]], strides: list[Dim], size: int) -> str:
        total = "0"
        for (_, index), stride in zip(at, strides, strict=True):
            total = self.f.add(total, self.f.mul(index, self.d(stride * size)))
        return total

    def _block(self, pointers: list[str], m: str, n: str) -> None:
        """Results (m.., n..); rows and columns that do not exist repeat the last one and are not stored."""
        f, d, c, t = self.f, self.d, self.c, self.t
        a, b, *_ = pointers
        last = c.pixels[-1]
        ms, ns = [f.add(m, i) for i in range(t.mr)], [f.add(n, j) for j in range(t.nr)]
        rows = [f.at(a, f.mul(f.minimum(i, d(last.extent - 1)), d(last.a * self.size))) for i in ms]
        columns = [f.at(b, f.mul(f.minimum(j, d(c.n - 1)), d(self.n_stride * self.size))) for j in ns]
        sums = [f.const(self.type, 0)] * (t.mr * t.nr)
        values = self._nest(0, rows, columns, "0", "0", sums)
        for i in range(t.mr):
            for j in range(t.nr):
                exists = [f.set(f"icmp slt i64 {ms[i]}, {d(last.extent)}")] if t.mr > 1 else []
                exists += [f.set(f"icmp slt i64 {ns[j]}, {d(c.n)}")] if t.nr > 1 else []
                total = self._total(values[i * t.nr + j])
                if not exists:
                    self._finish(pointers, ms[i], ns[j], total)
                    continue
                with f.when(f.op("and", "i1", exists[0], exists[-1])):
                    self._finish(pointers, ms[i], ns[j], total)

    def _nest(self, level: int, rows: list[str], columns: list[str], a: str, b: str, sums: list[str]) -> list[str]:
        """The loops over taps from `level` on. a, b: bytes into A's rows and B's columns so far."""
        f, d, size, lanes = self.f, self.d, self.size, self.cpu.lanes
        count, stride = self.c.taps[level]
        carried = [(self.type, s) for s in sums]
        if level < len(self.c.taps) - 1:
            inner = product(n for n, _ in self.c.taps[level + 1:]) * size
            with f.reduce_loop("tap", 0, d(count), carried) as (i, now, following):
                following += self._nest(level + 1, rows, columns, f.add(a, f.mul(i, d(stride * size))),
                                        f.add(b, f.mul(i, d(inner))), now)
            return now
        k = d(count)
        whole = f.mul(f.divide(k, lanes), lanes)
        with f.reduce_loop("k", 0, whole, carried, step=lanes) as (i, now, following):
            at = f.mul(i, size)
            following += self._step(rows, columns, f.add(a, at), f.add(b, at), now, None)
        if isinstance(count, int) and count % lanes == 0:
            return now
        at, mask = f.mul(whole, size), f.tail_mask(lanes, f.sub(k, whole))
        return self._step(rows, columns, f.add(a, at), f.add(b, at), now, mask)

    def _step(self, rows: list[str], columns: list[str], a: str, b: str, sums: list[str],
              mask: str | None) -> list[str]:
        f = self.f
        load = (lambda p: f.load(self.type, p)) if mask is None else (lambda p: f.masked_load(self.type, p, mask))
        ys = [load(f.at(p, b)) for p in columns]
        result = []
        for i, p in enumerate(rows):
            x = load(f.at(p, a))
            result += [f.fma(self.type, x, y, sums[i * len(ys) + j]) for j, y in enumerate(ys)]
        return result

    def _total(self, value: str) -> str:
        """The sum over the lanes, in any order."""
        f, lanes = self.f, self.cpu.lanes
        if self.scalar in ("float", "double"):
            name = f"llvm.vector.reduce.fadd.v{lanes}f{self.size * 8}"
            f.declare(f"{self.scalar} @{name}({self.scalar}, {self.type})")
            args = f"{self.scalar} {f.const(self.scalar, 0)}, {self.type} {value}"
            return f.set(f"call reassoc {self.scalar} @{name}({args})")
        name = f"llvm.vector.reduce.add.v{lanes}{self.scalar}"
        f.declare(f"{self.scalar} @{name}({self.type})")
        return f.call(self.scalar, name, (self.type, value))

    def _finish(self, pointers: list[str], m: str, n: str, value: str) -> None:
        f, d, c = self.f, self.d, self.c
        _, _, y, *extras = pointers
        last = c.pixels[-1]
        if c.args[2] is not None:
            term = f.load(self.scalar, f.at(self.bias, f.mul(n, self.size)))
            value = f.op("fadd" if self.scalar in ("float", "double") else "add", self.scalar, value, term)
        if c.epilogue is not None:
            reads = epilogue_reads(c.epilogue)
            values = [value]
            for i, (p, along, t) in enumerate(zip(extras, c.extra_n, c.extra_types, strict=True)):
                place = f.add(f.mul(m, d(last.extras[i] * t.itemsize)), f.mul(n, d(along * t.itemsize)))
                values.append(f.load(SCALAR[t], f.at(p, place)) if i in reads else f.const(SCALAR[t], 0))
            value = emit(f, c.epilogue, values, 1, self.cpu)
        size = c.out.itemsize
        f.store(SCALAR[c.out], value, f.at(y, f.add(f.mul(m, d(last.y * size)), f.mul(n, d(c.y_n * size)))))
