"""From tiles to a kernel: how outputs are cut into chunks, in which order, and the entry function that walks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...dims import Dim, ceildiv, maximum, minimum, product
from ...targets import CpuSpec
from ..llvm import Dims, Function, arg, entry
from .contraction import Axis, Contraction
from .cuts import Cut, piece, sizes, switch
from .microkernel import Tile, tile_function
from .packing import padded_columns, panel_count

#: Bytes of a cache line.
LINE = 64


@dataclass(frozen=True)
class Blocking:
    """What changes the machine code.

    mr, nr, rows   a tile is up to `rows` rows of up to mr pixels, by nr vectors of `lanes` channels
    order          "panels": all pixels of a panel of channels, then the next panel; "pixels": the other way round
    chunk_rows     rows of tiles per chunk, 0: all of them; chunk_tiles: tiles of a row per chunk, 0: all of them
    packed         B comes in panels
    unroll         steps per turn of the innermost loop of small tiles and of those that prefetch
    prefetch       fetch the next panel meanwhile, one cache line every so many steps; 0: do not
    mixed          channels per group when a vector holds several groups (see `grouped`); 0: it does not
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
    mixed: int = 0


#: Tiles with fewer accumulators wait for memory themselves: they fetch nothing for others.
FETCHING = 12


def blocked_functions(c: Contraction, k: Blocking, cpu: CpuSpec, symbol: str, order: list[Dim],
                      ahead: int | None = None) -> tuple[list[Function], Dim]:
    """The entry @symbol with its tiles, and its number of chunks. `order` is Source.dims, appended to.

    ahead   argument that says where what later launches need begins; the one after it, where it ends. See bytes_ahead
    """
    driver = Driver(c, k, symbol, order, ahead=ahead if bytes_ahead(c, k) != 0 else None)
    main = driver.write()
    return [main, *(tile_function(c, t, symbol, order, cpu) for t in driver.used.values())], driver.chunks


def bytes_ahead(c: Contraction, k: Blocking) -> Dim:
    """How much a kernel can fetch for later launches: a cache line with every step of every tile."""
    if k.mixed or not k.packed or k.rows * k.mr * k.nr < FETCHING:
        return 0
    tiles = product(axis.extent for axis in c.pixels[:-2]) * Cut(c.pixels[-2].extent, k.rows).count
    return tiles * Cut(c.pixels[-1].extent, k.mr).count * panel_count(c.n, k.nr * k.lanes) * c.groups * c.steps * LINE


def _blocks(pieces: Dim, size: int) -> Dim:
    """Blocks of `size` pieces; one block of all when size is 0, none when there are no pieces."""
    return ceildiv(pieces, size) if size else minimum(1, pieces)


@dataclass(frozen=True)
class Place:
    """Pointers to the same output in y and the extras, and to its first tap in A."""

    a: str
    y: str
    extras: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """Pointers to a panel's columns of B and of the bias, and to what is fetched meanwhile.

    ahead   addresses of this chunk's share of what is fetched for later launches: begin and end
    valid   columns left, when n is symbolic
    tail    i1: the panel has fewer columns than a full one; "true" when it always has, None when it never has
    """

    b: str
    bias: str
    following: str
    valid: str
    tail: str | None
    ahead: tuple[str, str] = ("0", "0")


class Driver:
    """Writes the entry. span: columns of y per panel of B, when not those of one tile. ahead: as above."""

    def __init__(self, c: Contraction, k: Blocking, symbol: str, order: list[Dim], span: int = 0,
                 ahead: int | None = None) -> None:
        self.c, self.k, self.symbol, self.ahead = c, k, symbol, ahead
        self.f = entry(symbol)
        self.d = Dims(self.f, order)
        self.width = k.nr * k.lanes
        self.span = span or self.width
        self.panels = panel_count(c.n, self.span)
        self.row_cut, self.column_cut = Cut(c.pixels[-2].extent, k.rows), Cut(c.pixels[-1].extent, k.mr)
        self.outer = c.pixels[:-2]
        self.rows = product(axis.extent for axis in self.outer) * self.row_cut.count
        self.row_blocks = _blocks(self.rows, k.chunk_rows)
        self.tile_blocks = _blocks(self.column_cut.count, k.chunk_tiles)
        self.chunks = c.groups * self.panels * self.row_blocks * self.tile_blocks
        self.used: dict[tuple[int, int, bool], Tile] = {}

    def write(self) -> Function:
        f, d, c = self.f, self.d, self.c
        start, b, bias = self._start()
        fetched, share = ("0", "0") if self.ahead is None else self._share(self.ahead, self.chunks)
        with f.loop("chunk", f.begin, f.end) as chunk:
            panels, rows, tiles = d(self.panels), d(self.row_blocks), d(self.tile_blocks)
            if self.k.order == "panels":
                group, panel, row_block, tile_block = self._split(chunk, [panels, rows, tiles])
            else:
                group, row_block, tile_block, panel = self._split(chunk, [rows, tiles, panels])
            indices = self._split(group, [d(axis.extent) for axis in c.batch[1:]]) if c.batch else []
            here = self._columns(self._move(start, c.batch, indices), f.mul(panel, self.span))
            columns = self._panel(b, bias, group, indices, panel)
            if self.ahead is not None:
                first = f.add(fetched, f.mul(chunk, share))
                columns = replace(columns, ahead=(first, f.add(first, share)))
            self._rows(here, columns, row_block, tile_block)
        return f

    def _share(self, ahead: int, parts: Dim) -> tuple[str, str]:
        """Address of what is fetched for later launches, and the bytes of each of so many parts of it."""
        f = self.f
        begin, end = (f.load("i64", f.at("%args", 8 * (ahead + i))) for i in range(2))
        return begin, f.divide(f.sub(end, begin), self.d(maximum(1, parts)))

    def _start(self) -> tuple[Place, str, str]:
        """Pointers to the first output and its first tap, to B and to the bias."""
        f, d, c, size = self.f, self.d, self.c, self.c.dtype.itemsize
        a_at, b_at, bias_at, y_at = c.args
        starts = c.extra_starts or (0,) * len(c.extra_n)
        first = Place(f.at(arg(f, a_at), d(c.start * size)), f.at(arg(f, y_at), d(c.y_start * c.out.itemsize)),
                      tuple(f.at(arg(f, c.extras_at + i), d(first * t.itemsize))
                            for i, (first, t) in enumerate(zip(starts, c.extra_types, strict=True))))
        return first, f.at(arg(f, b_at), c.b_start * size), arg(f, bias_at) if bias_at is not None else "null"

    def _split(self, index: str, counts: list[str]) -> list[str]:
        """Digits of index, outermost first; counts of all but the outermost."""
        f, digits = self.f, []
        for count in reversed(counts):
            digits.append(f.remainder(index, count))
            index = f.divide(index, count)
        return [index, *reversed(digits)]

    def _offset(self, indices: Sequence[str], strides: Sequence[Dim], size: int) -> str:
        total = "0"
        for i, stride in zip(indices, strides, strict=True):
            total = self.f.add(total, self.f.mul(i, self.d(stride * size)))
        return total

    def _move(self, p: Place, axes: Sequence[Axis], indices: Sequence[str]) -> Place:
        f, c = self.f, self.c
        return Place(f.at(p.a, self._offset(indices, [x.a for x in axes], c.dtype.itemsize)),
                     f.at(p.y, self._offset(indices, [x.y for x in axes], c.out.itemsize)),
                     tuple(f.at(e, self._offset(indices, [x.extras[i] for x in axes], t.itemsize))
                           for i, (e, t) in enumerate(zip(p.extras, c.extra_types, strict=True))))

    def _columns(self, p: Place, column: str) -> Place:
        f, c = self.f, self.c
        return Place(p.a, f.at(p.y, f.mul(column, c.out.itemsize)),
                     tuple(f.at(e, f.mul(column, self.d(n * t.itemsize)))
                           for e, n, t in zip(p.extras, c.extra_n, c.extra_types, strict=True)))

    def _panel(self, b: str, bias: str, group: str, indices: list[str], panel: str) -> Panel:
        f, d, c, k, size = self.f, self.d, self.c, self.k, self.c.dtype.itemsize
        column = f.mul(panel, self.span)
        following = "null"
        if k.packed:
            matrix = padded_columns(c.n, self.width, k.lanes) * c.steps * size
            panel_bytes = d(c.steps * self.width * size)
            b = f.at(f.at(b, f.mul(group, d(matrix)) if c.batch else 0), f.mul(panel, panel_bytes))
            following = f.at(b, panel_bytes) if k.prefetch else "null"
        else:
            b = f.at(f.at(b, self._offset(indices, [x.b for x in c.batch], size)), f.mul(column, size))
        if c.args[2] is not None:
            bias = f.at(f.at(bias, self._offset(indices, [x.bias for x in c.batch], size)), f.mul(column, size))
        valid, tail = "0", None
        if not isinstance(c.n, int):
            valid = f.sub(d(c.n), column)
            tail = f.set(f"icmp slt i64 {valid}, {self.span}")
        elif c.n % self.span:
            tail = f.set(f"icmp eq i64 {panel}, {c.n // self.span}") if c.n > self.span else "true"
        return Panel(b, bias, following, valid, tail)

    def _rows(self, start: Place, panel: Panel, row_block: str, tile_block: str) -> None:
        """All tiles of a chunk."""
        f, d, c, k = self.f, self.d, self.c, self.k
        first, last = self._range(row_block, k.chunk_rows, d(self.rows))
        begin, end = self._range(tile_block, k.chunk_tiles, d(self.column_cut.count))
        inner = [d(axis.extent) for axis in self.outer[1:]] + ([d(self.row_cut.count)] if self.outer else [])
        with f.loop("row", first, last) as row:
            *outer, index = self._split(row, inner)
            r, rows = piece(f, d, self.row_cut, index)
            here = self._move(start, c.pixels[:-1], [*outer, r])
            with f.loop("tile", begin, end) as tile:
                q, columns = piece(f, d, self.column_cut, tile)
                place = self._move(here, c.pixels[-1:], [q])
                following, far = panel.following, []
                if k.prefetch:
                    share = f.add(f.mul(f.sub(row, first), d(self.column_cut.count)), tile)
                    following = f.at(following, f.mul(share, d(ceildiv(c.steps, k.prefetch) * LINE)))
                if self.ahead is not None:
                    share = f.add(f.mul(f.sub(row, first), f.sub(end, begin)), f.sub(tile, begin))
                    far = self._far(panel, f.mul(share, d(c.steps * LINE)), place)
                self._dispatch(rows, columns, replace(panel, following=following), place, far)

    def _far(self, panel: Panel, offset: str, place: Place) -> list[tuple[str, str]]:
        """Where a tile begins to fetch for later launches, and the bytes between two lines.

        Beyond the end it is a line that the tile reads anyway, again and again.
        """
        f, (begin, end) = self.f, panel.ahead
        at = f.add(begin, offset)
        more = f.set(f"icmp ult i64 {at}, {end}")
        pointer = f.set(f"inttoptr i64 {at} to ptr")
        return [("ptr", f.set(f"select i1 {more}, ptr {pointer}, ptr {place.a}")),
                ("i64", f.set(f"select i1 {more}, i64 {LINE}, i64 0"))]

    def _range(self, block: str, size: int, count: str) -> tuple[str, str]:
        if not size:
            return "0", count
        first = self.f.mul(block, size)
        return first, self.f.minimum(self.f.add(first, size), count)

    def _dispatch(self, rows: str | int, columns: str | int, panel: Panel, place: Place,
                  far: list[tuple[str, str]]) -> None:
        """Call the tile of the sizes known at run time."""
        f, args = self.f, self._arguments(panel, place, far)
        masks = [False] if panel.tail is None else [True] if panel.tail == "true" else [False, True]
        key = f.add(f.mul(rows, 256), f.mul(columns, 2))
        if len(masks) > 1:
            key = f.add(key, f.set(f"zext i1 {panel.tail} to i64"))
        cases = {r * 256 + q * 2 + (m and len(masks) > 1): (r, q, m) for r in sizes(rows, self.row_cut)
                 for q in sizes(columns, self.column_cut) for m in masks}
        switch(f, key, cases, lambda v: f.call("void", self._tile(*v), *args))

    def _arguments(self, panel: Panel, place: Place, far: list[tuple[str, str]]) -> list[tuple[str, str]]:
        pointers = (place.a, panel.b, panel.bias, place.y, panel.following)
        return [*(("ptr", p) for p in pointers), ("i64", panel.valid), ("ptr", "%dims"),
                *far, *(("ptr", e) for e in place.extras)]

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
        tile = Tile(rows, columns, nr, k.lanes, valid, k.packed, unroll, k.prefetch, k.mixed, self.ahead is not None)
        self.used[rows, columns, masked] = tile
        return tile.name(self.symbol)
