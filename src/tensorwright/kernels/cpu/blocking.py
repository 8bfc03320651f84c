"""From tiles to a kernel: how outputs are cut into chunks, in which order, and the entry function that walks them."""

from __future__ import annotations

from dataclasses import dataclass

from ...dims import Dim, ceildiv, minimum, product
from ...targets import CpuSpec
from ..llvm import Dims, Function, arg, entry
from .contraction import Axis, Contraction
from .cuts import Cut, piece, sizes, switch
from .microkernel import Tile, tile_function
from .packing import padded_columns, panel_count


@dataclass(frozen=True)
class Blocking:
    """What changes the machine code.

    mr, nr, rows   a tile is up to `rows` rows of up to mr pixels, by nr vectors of `lanes` channels
    order          "panels": all pixels of a panel of channels, then the next panel; "pixels": the other way round
    chunk_rows     rows of tiles per chunk, 0: all of them; chunk_tiles: tiles of a row per chunk, 0: all of them
    packed         B comes in panels
    unroll         steps per turn of the innermost loop of small tiles and of those that prefetch
    prefetch       fetch the next panel meanwhile, one cache line every so many steps; 0: do not
    """

    mr: int
    nr: int
    lanes: int
    rows: int = 1
    order: str = "pixels"
    chunk_rows: int = 1
    chunk_tiles: int = 0
    packed: bool = True
    unroll: int = 4
    prefetch: int = 0


def blocked_functions(c: Contraction, k: Blocking, cpu: CpuSpec, symbol: str,
                      order: list[Dim]) -> tuple[list[Function], Dim]:
    """The entry @symbol with its tiles, and its number of chunks. `order` is Source.dims, appended to."""
    driver = _Driver(c, k, symbol, order)
    main = driver.write()
    return [main, *(tile_function(c, t, symbol, order, cpu) for t in driver.used.values())], driver.chunks


def _blocks(pieces: Dim, size: int) -> Dim:
    """Blocks of `size` pieces; one block of all when size is 0, none when there are no pieces."""
    return ceildiv(pieces, size) if size else minimum(1, pieces)


class _Driver:
    def __init__(self, c: Contraction, k: Blocking, symbol: str, order: list[Dim]) -> None:
        self.c, self.k, self.symbol = c, k, symbol
        self.f = entry(symbol)
        self.d = Dims(self.f, order)
        self.width = k.nr * k.lanes
        self.panels = panel_count(c.n, self.width)
        self.row_cut, self.column_cut = Cut(c.pixels[-2].extent, k.rows), Cut(c.pixels[-1].extent, k.mr)
        self.outer = c.pixels[:-2]
        self.rows = product(axis.extent for axis in self.outer) * self.row_cut.count
        self.row_blocks = _blocks(self.rows, k.chunk_rows)
        self.tile_blocks = _blocks(self.column_cut.count, k.chunk_tiles)
        self.chunks = c.groups * self.panels * self.row_blocks * self.tile_blocks
        self.used: dict[tuple[int, int, bool], Tile] = {}

    def write(self) -> Function:
        f, d, c, k = self.f, self.d, self.c, self.k
        size = c.dtype.itemsize
        a_at, b_at, bias_at, y_at = c.args
        self.a = f.at(arg(f, a_at), d(c.start * size))
        self.b = f.at(arg(f, b_at), c.b_start * size)
        self.bias = arg(f, bias_at) if bias_at is not None else "null"
        self.y = f.at(arg(f, y_at), d(c.y_start * c.out.itemsize))
        self.extras = [arg(f, c.extras_at + i) for i in range(len(c.extra_n))]
        if c.extra_starts:
            self.extras = [f.at(p, d(start * t.itemsize))
                           for p, start, t in zip(self.extras, c.extra_starts, c.extra_types, strict=True)]
        with f.loop("chunk", f.begin, f.end) as chunk:
            panels, rows, tiles = d(self.panels), d(self.row_blocks), d(self.tile_blocks)
            if k.order == "panels":
                group, panel, row_block, tile_block = self._split(chunk, [None, panels, rows, tiles])
            else:
                group, row_block, tile_block, panel = self._split(chunk, [None, rows, tiles, panels])
            self._chunk(group, panel, row_block, tile_block)
        return f

    def _split(self, index: str, counts: list[str | None]) -> list[str]:
        """Digits of index, outermost first; the first count is not needed."""
        f, digits = self.f, []
        for count in reversed(counts[1:]):
            assert count is not None
            digits.append(f.remainder(index, count))
            index = f.divide(index, count)
        return [index, *reversed(digits)]

    def _offset(self, pick: str, axes: tuple[Axis, ...], indices: list[str], size: int, extra: int = 0) -> str:
        total = "0"
        for axis, i in zip(axes, indices, strict=True):
            stride = axis.extras[extra] if pick == "extras" else getattr(axis, pick)
            total = self.f.add(total, self.f.mul(i, self.d(stride * size)))
        return total

    def _chunk(self, group: str, panel: str, row_block: str, tile_block: str) -> None:
        f, d, c, k = self.f, self.d, self.c, self.k
        size = c.dtype.itemsize
        indices = self._split(group, [None, *(d(axis.extent) for axis in c.batch[1:])]) if c.batch else []
        column = f.mul(panel, self.width)
        a = f.at(self.a, self._offset("a", c.batch, indices, size))
        if k.packed:
            matrix = padded_columns(c.n, self.width, k.lanes) * c.steps * size
            panel_bytes = d(c.steps * self.width * size)
            b = f.at(f.at(self.b, f.mul(group, d(matrix)) if c.batch else 0), f.mul(panel, panel_bytes))
            following = f.at(b, panel_bytes) if k.prefetch else "null"
        else:
            b = f.at(f.at(self.b, self._offset("b", c.batch, indices, size)), f.mul(column, size))
            following = "null"
        bias = "null"
        if c.args[2] is not None:
            bias = f.at(f.at(self.bias, self._offset("bias", c.batch, indices, size)), f.mul(column, size))
        y = f.at(f.at(self.y, self._offset("y", c.batch, indices, c.out.itemsize)), f.mul(column, c.out.itemsize))
        extras = []
        for i, (p, n, t) in enumerate(zip(self.extras, c.extra_n, c.extra_types, strict=True)):
            group_extra = f.at(p, self._offset("extras", c.batch, indices, t.itemsize, i))
            extras.append(f.at(group_extra, f.mul(column, d(n * t.itemsize))))
        valid = "0"
        tail = None
        if not isinstance(c.n, int):
            valid = f.sub(d(c.n), column)
            tail = f.set(f"icmp slt i64 {valid}, {self.width}")
        elif c.n % self.width:
            tail = f.set(f"icmp eq i64 {panel}, {c.n // self.width}") if c.n > self.width else "true"
        first, last = "0", d(self.rows)
        if k.chunk_rows:
            first = f.mul(row_block, k.chunk_rows)
            last = f.minimum(f.add(first, k.chunk_rows), last)
        with f.loop("row", first, last) as row:
            *outer, index = self._split(row, [None, *(d(axis.extent) for axis in self.outer[1:]),
                                              *([d(self.row_cut.count)] if self.outer else [])])
            r, r_size = piece(f, d, self.row_cut, index)
            axes, at = (*self.outer, c.pixels[-2]), [*outer, r]
            row_a = f.at(a, self._offset("a", axes, at, size))
            row_y = f.at(y, self._offset("y", axes, at, c.out.itemsize))
            row_e = [f.at(p, self._offset("extras", axes, at, t.itemsize, i))
                     for i, (p, t) in enumerate(zip(extras, c.extra_types, strict=True))]
            begin, end = "0", d(self.column_cut.count)
            if k.chunk_tiles:
                begin = f.mul(tile_block, k.chunk_tiles)
                end = f.minimum(f.add(begin, k.chunk_tiles), end)
            with f.loop("tile", begin, end) as tile:
                q, q_size = piece(f, d, self.column_cut, tile)
                pf = following
                if k.prefetch:
                    share = f.add(f.mul(f.sub(row, first), d(self.column_cut.count)), tile)
                    pf = f.at(following, f.mul(share, d(ceildiv(c.steps, k.prefetch) * 64)))
                last_axis = (c.pixels[-1],)
                values = [f.at(row_a, self._offset("a", last_axis, [q], size)), b, bias,
                          f.at(row_y, self._offset("y", last_axis, [q], c.out.itemsize)), pf]
                e = [f.at(p, self._offset("extras", last_axis, [q], t.itemsize, i))
                     for i, (p, t) in enumerate(zip(row_e, c.extra_types, strict=True))]
                self._dispatch(r_size, q_size, tail, values, valid, e)

    def _dispatch(self, rows: str | int, columns: str | int, tail: str | None, values: list[str], valid: str,
                  extras: list[str]) -> None:
        """Call the tile of the sizes known at run time."""
        f = self.f
        args = [*(("ptr", v) for v in values), ("i64", valid), ("ptr", "%dims"), *(("ptr", e) for e in extras)]
        masks = [False] if tail is None else [True] if tail == "true" else [False, True]
        key = f.add(f.mul(rows, 256), f.mul(columns, 2))
        if len(masks) > 1:
            key = f.add(key, f.set(f"zext i1 {tail} to i64"))
        cases = {r * 256 + q * 2 + (m and len(masks) > 1): (r, q, m) for r in sizes(rows, self.row_cut)
                 for q in sizes(columns, self.column_cut) for m in masks}
        switch(f, key, cases, lambda v: f.call("void", self._tile(*v), *args))

    def _tile(self, rows: int, columns: int, masked: bool) -> str:
        c, k = self.c, self.k
        nr, valid = k.nr, None
        if masked:
            valid = -1
            if isinstance(c.n, int):
                valid = c.n % self.width
                nr = -(-valid // k.lanes)
        small = rows * columns * nr < 12
        unroll = max(k.unroll if small else 1, k.prefetch)
        tile = Tile(rows, columns, nr, k.lanes, valid, k.packed, unroll, k.prefetch)
        self.used[rows, columns, masked] = tile
        return tile.name(self.symbol)
