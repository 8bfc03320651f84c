"""Winograd's products with filters that are transformed on the way, in registers: few values are kept of each.

G·g·Gᵀ has n·n values per filter of r·r taps, and few tiles wait for them to arrive. A register tile here takes some
frequencies j of one row i of frequencies. For every input channel it forms the row (G·g)[i], r values, from the taps,
or loads it; then the frequencies from the row; and multiplies each by the inputs of all its tiles. Taps are kept
multiplied by powers of a point, so that most of what forms the frequencies is additions, which pass the multipliers by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...dims import Dim, evaluate
from ...targets import CpuSpec
from ..llvm import Dims, Function, arg, entry, vector
from .blocking import LINE
from .cuts import Cut, piece, sizes, switch
from .packing import pack_panels
from .winograd_matrices import Matrix, apply, signed_pairs, without_scales
from .winograd_transform import Tiling

LATENCY = 4.0             # cycles of a fused multiply-add; so many must be in flight
ROOM = 0.6                # share of the second-level cache for what is used again and again


@dataclass(frozen=True)
class Rows:
    """What changes the machine code: a register tile is up to `tiles` × `turn` frequencies × a vector of channels.

    taps    filters are kept as they are, and a chunk is a panel, one vector of output channels; else as rows of
            frequencies, G·g, which are n·r values, and a chunk is one row of a panel
    depth   input channels that are summed at a time, so that what is used of V and of a panel stays near
    """

    tiles: int
    turn: int
    lanes: int
    taps: bool
    depth: int

    def turns(self, g: Matrix) -> list[tuple[int, ...]]:
        """The frequencies of a row, as many at a time as a register tile takes; what shares sums stays together."""
        pairs = signed_pairs(g)
        paired = {i for pair in pairs for i in pair}
        singles = [i for i in range(len(g)) if i not in paired]
        if self.turn >= len(g):
            return [(*(i for pair in pairs for i in pair), *singles)]
        found: list[tuple[int, ...]] = []
        for pair in pairs:
            found.append((*pair, *singles[: self.turn - 2]))
            singles = singles[self.turn - 2 :]
        return found + [tuple(singles[at : at + self.turn]) for at in range(0, len(singles), self.turn)]


def row_blocking(t: Tiling, tiles: int, taps: bool, cpu: CpuSpec) -> Rows:
    """The best guess for so many tiles. The accumulators leave a quarter of the registers to everything else."""
    g = without_scales(t.m, t.window, t.stride)[0]
    depth, most = t.inputs, cpu.vector_registers * 3 // 4
    if taps:
        each = 4 * (t.n ** 2 * tiles + 2 * t.window ** 2 * cpu.lanes)         # bytes of V, a panel and the next one
        depth = -(-t.inputs // max(1, -(-t.inputs * each // int(ROOM * cpu.l2))))

    def cycles(k: Rows) -> float:
        """Of one step of the channels: all turns of all pieces."""
        cut = Cut(tiles, k.tiles)
        count, base, long = (evaluate(d, {}) for d in (cut.count, cut.base, cut.long))
        forming = 0.6 * t.window if taps else 0.0
        return sum(many * (max(float(size * len(turn)), LATENCY) + 0.3 * len(turn) + forming + 0.5)
                   for turn in k.turns(g) for size, many in ((base + 1, long), (base, count - long)))

    shapes = [Rows(max(1, min(most // turn, tiles)), turn, cpu.lanes, taps, depth) for turn in (2, 3, len(g))]
    return min(shapes, key=cycles)


def pack_rows(w: np.ndarray, m: int, stride: int, k: Rows) -> np.ndarray:
    """w (K, C, r, r) → flat [panel][C][r][r][lanes], scaled taps, or [n][panel][C][r][lanes], rows of frequencies."""
    g, scales = without_scales(m, w.shape[-1], stride)
    scaled = (w.astype(np.float64) * np.outer(scales, scales)).transpose(1, 2, 3, 0)
    if not k.taps:
        scaled = np.einsum("ik,ckso->icso", np.array(g), scaled, optimize=True)
    return pack_panels(scaled.reshape(1 if k.taps else len(g), -1, len(w)).astype(w.dtype), k.lanes, k.lanes)


@dataclass(frozen=True)
class Here:
    """Names of the filters at the first of the channels that are summed, how many these are and the first one's number,
    where V and M begin, and how many pieces of the chunk came before for these channels."""

    u: str
    channels: str
    begin: str
    v: str
    m: str
    earlier: str


class RowsDriver:
    """Writes the entry @symbol and its register tiles. args: positions of V, the packed filters and M."""

    def __init__(self, t: Tiling, k: Rows, tiles: Dim, args: tuple[int, int, int], symbol: str,
                 order: list[Dim]) -> None:
        self.t, self.k, self.args, self.symbol, self.order = t, k, args, symbol, order
        self.g = without_scales(t.m, t.window, t.stride)[0]
        self.cut = Cut(tiles, k.tiles)
        self.panels = -(-t.outputs // k.lanes)
        self.turns = k.turns(self.g)
        self.vectors = t.window * (t.window if k.taps else 1)                 # of filters, per step
        self.step = self.vectors * k.lanes * 4
        self.used: dict[str, Function] = {}

    @property
    def chunks(self) -> int:
        return self.panels if self.k.taps else self.t.n * self.panels

    def functions(self) -> list[Function]:
        f, t, k = entry(self.symbol), self.t, self.k
        d = Dims(f, self.order)
        v, u, m = (arg(f, i) for i in self.args)
        with f.loop("chunk", f.begin, f.end) as chunk:
            row, panel = ("0", chunk) if k.taps else (f.divide(chunk, self.panels), f.remainder(chunk, self.panels))
            filters = f.at(u, f.mul(chunk, t.inputs * self.step))
            with f.loop("channel", 0, t.inputs, k.depth) as begin:
                channels = f.minimum(f.sub(t.inputs, begin), k.depth)
                for i in range(t.n) if k.taps else [row]:
                    row_v = f.at(f.at(v, f.mul(i, d(t.frequency_v * (t.n * 4)))), f.mul(begin, 4))
                    row_m = f.at(f.at(m, f.mul(i, d(t.frequency_m * (t.n * 4)))), f.mul(panel, k.lanes * 4))
                    with f.loop("piece", 0, d(self.cut.count)) as number:
                        first, count = piece(f, d, self.cut, number)
                        here = Here(f.at(filters, f.mul(begin, self.step)), channels, begin,
                                    f.at(row_v, f.mul(first, t.row_v * 4)), f.at(row_m, f.mul(first, t.row_m * 4)),
                                    f.add(f.mul(i, d(self.cut.count)), number) if k.taps else number)
                        self._serve(f, here, i if isinstance(i, int) else None, count)
        return [f, *self.used.values()]

    def _serve(self, f: Function, here: Here, i: int | None, count: str | int) -> None:
        """All turns of the register tile of the size known at run time."""
        first = f.set(f"icmp eq i64 {here.begin}, 0")

        def serve(tiles: int) -> None:
            for turn in range(len(self.turns)):
                far = self._far(f, here, f.add(f.mul(here.earlier, len(self.turns)), turn))
                f.call("void", self._tile(tiles, i, turn), *(("ptr", p) for p in (here.v, here.u, here.m)),
                       ("i64", here.channels), ("i1", first), ("ptr", "%dims"), *far)

        switch(f, count, {size: size for size in sizes(count, self.cut)}, serve)

    @property
    def often(self) -> int:
        """Cache lines to fetch with every step of the register tiles, until all is fetched that follows."""
        pieces = self.cut.count
        calls = len(self.turns) * (self.t.n if self.k.taps else 1) * (pieces if isinstance(pieces, int) else 1)
        return -(-self.step // (LINE * calls))

    def _far(self, f: Function, here: Here, call: str) -> list[tuple[str, str]]:
        """Where call number `call` begins to fetch the filters that follow, and the bytes between two lines; 0 when all
        is fetched."""
        size = f.mul(here.channels, self.step)
        offset = f.mul(call, f.mul(here.channels, self.often * LINE))
        more = f.set(f"icmp slt i64 {offset}, {size}")
        offset = f.set(f"select i1 {more}, i64 {f.add(offset, size)}, i64 0")
        return [("ptr", f.at(here.u, offset)), ("i64", f.set(f"select i1 {more}, i64 {LINE}, i64 0"))]

    def _tile(self, tiles: int, i: int | None, turn: int) -> str:
        row = None if i is None else self.g[i]
        name = f"{self.symbol}_{tiles}x{turn}" + ("" if row is None else f"_{self.g.index(row)}")
        if name not in self.used:
            self.used[name] = self._tile_function(name, tiles, row, self.turns[turn])
        return name

    def _tile_function(self, name: str, tiles: int, row: Sequence[float] | None, turn: tuple[int, ...]) -> Function:
        """void tile(v, u, m, channels, first, dims, far, far_step): V and M at the row's frequency 0 of the first tile,
        M at the panel; whether sums begin at zero, or with what M has; what `_far` gives.

        row: of G, for filters that are kept as taps.
        """
        t, lanes = self.t, self.k.lanes
        f = Function(name, linkage="internal", attributes="nounwind noinline", v="ptr", u="ptr", m="ptr",
                     channels="i64", first="i1", dims="ptr", far="ptr", far_step="i64")
        d, type_ = Dims(f, self.order), vector("float", lanes)
        g = tuple(self.g[j] for j in turn)
        inputs = [[f.add(d(t.frequency_v * (j * 4)), q * t.row_v * 4) for q in range(tiles)] for j in turn]
        outputs = [f.at("%m", f.add(d(t.frequency_m * (j * 4)), q * t.row_m * 4)) for j in turn for q in range(tiles)]
        zero = f.const(type_, 0)
        sums = [zero] * len(outputs)
        if t.inputs > self.k.depth:
            sums = [f.set(f"select i1 %first, {type_} {zero}, {type_} {f.load(type_, at)}") for at in outputs]
        with f.reduce_loop("c", 0, "%channels", [("ptr", "%u"), ("ptr", "%far"), *((type_, x) for x in sums)]) as (
            c, now, following,
        ):
            u, far, *acc = now
            for _ in range(self.often):
                f.prefetch(far, locality=2)
                far = f.at(far, "%far_step")
            following += [f.at(u, self.step), far]
            x = f.at("%v", f.mul(c, 4))
            values = apply(f, type_, g, self._row(f, type_, u, row))
            for value, places in zip(values, inputs, strict=True):
                for place in places:
                    spread = f.splat(type_, f.load("float", f.at(x, place)))
                    following.append(f.fma(type_, spread, value, acc[len(following) - 2]))
        for total, at in zip(now[2:], outputs, strict=True):
            f.store(type_, total, at)
        return f

    def _row(self, f: Function, type_: str, u: str, row: Sequence[float] | None) -> list[str]:
        """The row's r values of a vector of channels."""
        r, size = self.t.window, self.k.lanes * 4
        if row is None:
            return [f.load(type_, f.at(u, s * size)) for s in range(r)]
        found = []
        for s in range(r):
            taps = [f.load(type_, f.at(u, (k * r + s) * size)) if row[k] else "" for k in range(r)]
            found += apply(f, type_, (tuple(row),), taps)
        return found
