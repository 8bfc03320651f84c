"""Entries of Strassen's algorithm: the sums of A, as a phase of their own or block by block, and the seven products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...dims import Dim, product
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, vector
from .blocking import LINE, Blocking, Driver, Panel, Place
from .contraction import Contraction
from .cuts import piece, sizes, switch
from .epilogue import load
from .microkernel import Tile
from .strassen_form import PRODUCTS, Halves, half_width
from .strassen_tile import P4, P5, QuarterTile, quarter_function


def sums_phase(h: Halves, target: int, symbol: str, order: list[Dim]) -> tuple[Function, Dim]:
    """The entry @symbol_sums_phase, which writes the sums of A to argument `target`; a chunk is a tile."""
    f = entry(f"{symbol}_sums_phase")
    d = Dims(f, order)
    x = f.at(arg(f, h.whole.args[0]), d(h.whole.start * h.whole.dtype.itemsize))
    s = arg(f, target)
    with f.loop("chunk", f.begin, f.end) as chunk:
        indices, rest = list[str](), chunk
        for count in reversed([*h.extents[1:-1], h.cut.count]):
            indices.insert(0, f.remainder(rest, d(count)))
            rest = f.divide(rest, d(count))
        _sum_tile(f, d, h, symbol, x, f.at(s, f.mul(chunk, h.tile * h.whole.dtype.itemsize)), [rest, *indices])
    return f, product(h.extents[:-1]) * h.cut.count


def _sum_tile(f: Function, d: Dims, h: Halves, symbol: str, x: str, to: str, at: Sequence[str]) -> None:
    """The sums of the tile whose number along every pixel axis is `at`."""
    size, pixels = h.whole.dtype.itemsize, h.whole.pixels
    for i, axis in zip(at[:-1], pixels[:-1], strict=True):
        x = f.at(x, f.mul(i, d(axis.a * size)))
    first, count = piece(f, d, h.cut, at[-1])
    with f.loop("row", 0, count) as row:
        column = f.add(first, row)
        exists = "true"
        if h.uneven:
            index = column if h.axis == -1 else at[h.axis]
            exists = f.set(f"icmp slt i64 {f.add(index, d(h.extents[h.axis]))}, {d(pixels[h.axis].extent)}")
        f.call("void", f"{symbol}_sums", ("ptr", f.at(x, f.mul(column, d(pixels[-1].a * size)))),
               ("ptr", f.at(to, f.mul(row, h.lanes * size))), ("i1", exists), ("ptr", "%dims"))


def sums_function(h: Halves, symbol: str, order: list[Dim]) -> Function:
    """void sums(x, s, lower, dims): a row of the upper half, and the row below when `lower`, to a row of each plane."""
    f = Function(f"{symbol}_sums", linkage="internal", attributes="nounwind noinline", x="ptr", s="ptr", lower="i1",
                 dims="ptr")
    d, size, lanes = Dims(f, order), h.whole.dtype.itemsize, h.lanes
    type_ = vector(SCALAR[h.whole.dtype], lanes)
    below = f.at("%x", d(h.extents[h.axis] * h.whole.pixels[h.axis].a * size))

    def one(index: str, both: bool, mask: str | None) -> None:
        """mask: elements of the right half that exist"""
        at, zero = f.mul(index, lanes * size), f.const(type_, 0)

        def half(row: str, k: int) -> str:
            return load(f, type_, f.at(f.at(row, at), k * h.depth * size), mask if k else None)

        a11, a12 = half("%x", 0), half("%x", 1)
        a21, a22 = (half(below, 0), half(below, 1)) if both else (zero, zero)
        s1 = f.op("fadd", type_, a21, a22)
        s2 = f.op("fsub", type_, s1, a11)
        to = f.at("%s", f.mul(index, h.mr * lanes * size))
        for p, value in enumerate([a11, a12, s2, f.op("fsub", type_, a11, a21), a22, s1, f.op("fsub", type_, a12, s2)]):
            f.store(type_, value, f.at(to, f.mul(p, d(h.plane * size))))

    def all_of(both: bool) -> None:
        whole = (h.k - h.depth) // lanes
        with f.loop("vector", 0, whole) as index:
            one(index, both, None)
        for i in range(whole, h.depth // lanes):
            one(str(i), both, f.tail_mask(lanes, h.k - h.depth - i * lanes))

    with f.when("%lower"):
        all_of(True)
    if h.uneven:
        with f.when(f.op("xor", "i1", "%lower", "true")):
            all_of(False)
    return f


class QuarterDriver(Driver):
    """Walks the tiles of the upper left quarter; each does its like in the other three.

    buffers   argument with a slice of `buffer_bytes` per thread
    ahead     argument that says where what later launches need begins; the one after it, where it ends
    """

    def __init__(self, h: Halves, c: Contraction, k: Blocking, buffers: int, ahead: int, symbol: str,
                 order: list[Dim]) -> None:
        super().__init__(c, k, symbol, order, span=2 * k.nr * k.lanes, ahead=ahead)
        self.h, self.quarters = h, dict[tuple[int, int, bool, bool], QuarterTile]()
        self.buffers = buffers
        self.tile_bytes = 2 * k.mr * self.width * c.dtype.itemsize
        if h.tiles:
            self.chunks = self.row_blocks * self.tile_blocks

    @property
    def buffer_bytes(self) -> Dim:
        """Of the buffers of a chunk's tiles."""
        rows, tiles = self.k.chunk_rows or self.rows, self.k.chunk_tiles or self.column_cut.count
        return rows * tiles * self.tile_bytes

    @property
    def bytes_ahead(self) -> Dim:
        """How much can be fetched for later launches: a cache line with every step of every product of a tile."""
        return PRODUCTS * self.rows * self.column_cut.count * self.panels * self.h.depth * LINE

    def functions(self, cpu: CpuSpec) -> list[Function]:
        order = self.d.order
        main = self._write_blocks() if self.h.tiles else self.write()
        tiles = [quarter_function(self.h, self.c, t, self.symbol, order, cpu) for t in self.quarters.values()]
        return [main, *tiles, sums_function(self.h, self.symbol, order)]

    def _write_blocks(self) -> Function:
        """The entry @symbol: a chunk is a block of rows, whose sums stay with the thread for all panels."""
        f, d, h, size = self.f, self.d, self.h, self.c.dtype.itemsize
        start, b, bias = self._start()
        x = f.at(arg(f, h.whole.args[0]), d(h.whole.start * size))
        plane = h.plane
        assert isinstance(plane, int)
        sums = f.at(start.a, f.mul("%thread", PRODUCTS * plane * size))
        assert self.ahead is not None
        fetched, part = self._share(self.ahead, self.chunks * self.panels)
        inner = [d(extent) for extent in h.extents[1:-1]]
        with f.loop("chunk", f.begin, f.end) as chunk:
            row_block, tile_block = self._split(chunk, [d(self.tile_blocks)])
            first, last = self._range(row_block, self.k.chunk_rows, d(self.rows))
            begin, end = self._range(tile_block, self.k.chunk_tiles, d(self.column_cut.count))
            with f.loop("row", first, last) as row:
                outer = self._split(row, inner)
                with f.loop("tile", begin, end) as tile:
                    share = f.add(f.mul(f.sub(row, first), f.sub(end, begin)), f.sub(tile, begin))
                    _sum_tile(f, d, h, self.symbol, x, f.at(sums, f.mul(share, h.tile * size)), [*outer, tile])
            with f.loop("panel", 0, d(self.panels)) as panel:
                here = self._columns(Place(sums, start.y, start.extras), f.mul(panel, self.span))
                first = f.add(fetched, f.mul(f.add(f.mul(chunk, d(self.panels)), panel), part))
                columns = replace(self._panel(b, bias, "0", [], panel), ahead=(first, f.add(first, part)))
                self._rows(here, columns, row_block, tile_block)
        return f

    def _rows(self, start: Place, panel: Panel, row_block: str, tile_block: str) -> None:
        """All tiles of a chunk, product by product; the next product's panel is fetched meanwhile."""
        f, d, c, k, h, size = self.f, self.d, self.c, self.k, self.h, self.c.dtype.itemsize
        first, last = self._range(row_block, k.chunk_rows, d(self.rows))
        begin, end = self._range(tile_block, k.chunk_tiles, d(self.column_cut.count))
        inner = [d(axis.extent) for axis in c.pixels[1:-1]]
        buffers = f.at(arg(f, self.buffers), f.mul("%thread", d(self.buffer_bytes)))
        for p in range(PRODUCTS):
            with f.loop("row", first, last) as row:
                outer = self._split(row, inner)
                here = self._move(start, c.pixels[:-1], outer)
                with f.loop("tile", begin, end) as tile:
                    q, columns = piece(f, d, self.column_cut, tile)
                    share = f.add(f.mul(f.sub(row, first), f.sub(end, begin)), f.sub(tile, begin))
                    slot = share if h.tiles else f.add(f.mul(row, d(self.column_cut.count)), tile)
                    there = replace(self._move(here, c.pixels[-1:], [q]), a=f.at(start.a, f.mul(slot, h.tile * size)))
                    ahead = f.at(panel.b, f.mul(share, h.depth // k.prefetch * LINE if k.prefetch else 0))
                    tiles = f.mul(f.sub(last, first), f.sub(end, begin))
                    far = self._far(panel, f.mul(f.add(f.mul(tiles, p), share), h.depth * LINE), there)
                    self._serve(p, columns, replace(panel, following=ahead), there, [*outer, tile],
                                f.at(buffers, f.mul(share, self.tile_bytes)), far)

    def _serve(self, p: int, columns: str | int, panel: Panel, place: Place, at: list[str], buffers: str,
               far: list[tuple[str, str]]) -> None:
        """Call the tile of product p for the sizes known at run time."""
        f, h = self.f, self.h
        args = [*(("ptr", x) for x in (place.a, panel.b, panel.bias, place.y, panel.following, buffers, "%dims")),
                *far, *(("ptr", e) for e in place.extras)]
        tails = [False] if panel.tail is None else [True] if panel.tail == "true" else [False, True]
        key, cuts = f.mul(columns, 4), [False]
        if len(tails) > 1:
            key = f.add(key, f.mul(f.set(f"zext i1 {panel.tail} to i64"), 2))
        if h.uneven and p in (P4, P5):
            cuts = [False, True]
            key = f.add(key, f.set(f"zext i1 {self._is_cut(at)} to i64"))
        cases = {q * 4 + 2 * (m and len(tails) > 1) + s: (p, q, m, s) for q in sizes(columns, self.column_cut)
                 for m in tails for s in cuts}
        switch(f, key, cases, lambda v: f.call("void", self._quarter(*v), *args))

    def _is_cut(self, at: list[str]) -> str:
        """i1: the tile's last pixel has none below it, or, when not the innermost axis is halved, none of them has."""
        f, d, axis = self.f, self.d, self.h.axis
        count = self.column_cut.count if axis == -1 else self.h.extents[axis]
        last = f.set(f"icmp eq i64 {at[axis]}, {f.sub(d(count), 1)}")
        extent = self.h.whole.pixels[axis].extent
        if isinstance(extent, int):
            return last
        return f.op("and", "i1", last, f.set(f"trunc i64 {d(extent)} to i1"))

    def _quarter(self, p: int, columns: int, tail: bool, cut: bool) -> str:
        c, k = self.c, self.k
        assert isinstance(c.n, int)
        valid = c.n % self.span if tail else self.span
        nr = half_width(valid, k.lanes) // k.lanes
        lower = columns if not cut else columns - 1 if self.h.axis == -1 else 0
        one = Tile(1, columns, nr, k.lanes, unroll=k.unroll, prefetch=k.prefetch, ahead=True)
        tile = QuarterTile(one, p, valid, lower)
        self.quarters[p, columns, tail, cut] = tile
        return tile.name(self.symbol)
