"""The register tiles of Strassen's algorithm: one product's share of the same tile of all four quarters of y.

A tile keeps two buffers between the products, u2 and u3 (see `strassen_form`). Accumulators begin with a buffer where a
sum goes on; four of the seven products finish a quarter.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...dims import Dim
from ...targets import CpuSpec
from ..llvm import Dims, Function
from .contraction import Contraction
from .epilogue import load
from .microkernel import Corner, Tile, TileWriter
from .strassen_form import PRODUCTS, Halves

P1, P2, P6, P7, P4, P5, P3 = range(PRODUCTS)


@dataclass(frozen=True)
class QuarterTile:
    """One product of one tile.

    tile      that of one quarter
    product   its place in the order P1 P2 P6 P7 P4 P5 P3
    valid     columns of the panel that exist
    lower     pixels of the lower half that exist
    """

    tile: Tile
    product: int
    valid: int
    lower: int

    def name(self, symbol: str) -> str:
        return f"{self.tile.name(symbol)}_{self.product}_{self.valid}_{self.lower}"


def quarter_function(h: Halves, c: Contraction, t: QuarterTile, symbol: str, order: list[Dim],
                     cpu: CpuSpec) -> Function:
    """void tile(a, b, bias, y, next, buffers, dims, e0, e1, ...): a, b and next of the first product; y, bias and e of
    the upper left quarter; buffers: u2, then u3. Where t.tile.ahead, dims is followed by far and far_step."""
    params = {"a": "ptr", "b": "ptr", "bias": "ptr", "y": "ptr", "next": "ptr", "buffers": "ptr", "dims": "ptr"}
    params |= {"far": "ptr", "far_step": "i64"} if t.tile.ahead else {}
    params |= {f"e{i}": "ptr" for i in range(len(c.extra_n))}
    f = Function(t.name(symbol), linkage="internal", attributes="nounwind noinline", **params)
    return _QuarterWriter(h, c, t, f, Dims(f, order), cpu).write()


class _QuarterWriter(TileWriter):
    def __init__(self, h: Halves, c: Contraction, t: QuarterTile, f: Function, d: Dims, cpu: CpuSpec) -> None:
        super().__init__(c, t.tile, f, d, cpu)
        self.h, self.quarter = h, t
        self.width = t.tile.nr * t.tile.lanes
        self.u2, self.u3 = ([f.at("%buffers", (u * self.count + i) * t.tile.lanes * self.size)
                             for i in range(self.count)] for u in range(2))

    @property
    def count(self) -> int:
        """Accumulators."""
        return len(self.places) * self.t.nr

    def write(self) -> Function:
        p = self.quarter.product
        if p == P1:
            self._save(self._product([self.f.const(self.type, 0)] * self.count), self.u2)
        elif p == P2:
            self._corner(self._product(self._saved(self.u2)), 0, 0)
        elif p == P6:
            self._save(self._product(self._saved(self.u2)), self.u2)
        elif p == P7:
            self._save(self._product(self._saved(self.u2)), self.u3)
        elif p == P4:
            self._corner(self._product(self._saved(self.u3)), 1, 0)
        elif p == P5:
            acc = self._product([self.f.const(self.type, 0)] * self.count)
            for u in (self.u2, self.u3):
                self._save([self.f.op("fadd", self.type, x, y) for x, y in zip(acc, self._saved(u), strict=True)], u)
            self._corner(self._saved(self.u3), 1, 1)
        else:
            self._corner(self._product(self._saved(self.u2)), 0, 1)
        return self.f

    def _product(self, acc: list[str]) -> list[str]:
        """acc + the product"""
        f, d, p = self.f, self.d, self.quarter.product
        panel = self.h.depth * self.width * self.size
        a = f.at("%a", f.mul(p, d(self.h.plane * self.size)))
        far = "%far" if self.t.ahead else "null"
        return self._nest(1, [a, f.at("%b", p * panel), f.at("%next", (p + 1) * panel), far, *acc])[4:]

    def _save(self, values: list[str], slots: list[str]) -> None:
        for value, slot in zip(values, slots, strict=True):
            self.f.store(self.type, value, slot)

    def _saved(self, slots: list[str]) -> list[str]:
        return [self.f.load(self.type, slot) for slot in slots]

    def _corner(self, values: list[str], i: int, j: int) -> None:
        """Bias, epilogue and store of the quarter in half i of the rows and half j of the columns."""
        f, c, d, t = self.f, self.c, self.d, self.t
        axis, half = c.pixels[self.h.axis], self.h.extents[self.h.axis]
        exist = min(self.quarter.valid - j * self.width, self.width)
        vectors = -(-exist // t.lanes)
        masks = tuple(f.tail_mask(t.lanes, exist - v * t.lanes) if exist < (v + 1) * t.lanes else None
                      for v in range(vectors))
        column = j * self.width

        def quarter(pointer: str, row: Dim, along: Dim, size: int) -> str:
            return f.at(pointer, f.add(f.mul(i, d(half * row * size)), d(along * (column * size))))

        corner = Corner(quarter("%y", axis.y, 1, c.out.itemsize),
                        tuple(quarter(f"%e{e}", axis.extras[e], along, dtype.itemsize)
                              for e, (along, dtype) in enumerate(zip(c.extra_n, c.extra_types, strict=True))), masks)
        bias = [] if c.args[2] is None else [load(f, self.type, f.at("%bias", (column + v * t.lanes) * self.size), mask)
                                             for v, mask in enumerate(masks)]
        if bias:
            values = [f.op("fadd", self.type, value, bias[n % t.nr]) if n % t.nr < vectors else value
                      for n, value in enumerate(values)]
        self._finish_all(values, corner, 1, self.quarter.lower if i else t.columns)
