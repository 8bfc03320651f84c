"""Which tiles and chunks to try: every shape that fits the registers, ordered by a model of the inner loop's cycles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...dims import Dim, evaluate
from ...targets import CpuSpec
from .blocking import Blocking
from .contraction import Axis, Contraction
from .cuts import Cut

LATENCY = 4.0             # cycles of a fused multiply-add; so many chains must be in flight
CHUNK_WORK = 400_000      # floating-point operations that make a chunk worth its bookkeeping
CHUNKS = 96               # pieces that balance well on 2 to 16 threads


def candidates(c: Contraction, cpu: CpuSpec, tuned: Mapping[str, int], packed: bool = True) -> Iterator[Blocking]:
    """Blockings for c, best guess first. tuned: values of the symbols."""
    lanes = cpu.lanes
    if isinstance(c.n, int):
        while lanes > 4 and lanes // 2 >= c.n:
            lanes //= 2
    distinct = dict.fromkeys(tile_shapes(c, cpu, lanes))
    shapes = sorted((tile_cycles(c, s, lanes, cpu, tuned), i, s) for i, s in enumerate(distinct))
    good = [Blocking(mr, nr, lanes, rows, packed=packed) for cycles, _, (rows, mr, nr) in shapes
            if cycles <= 1.2 * shapes[0][0]]
    large = _bytes_of_b(c, tuned) >= cpu.l2 // 2
    orders = ["panels", "pixels"] if large else ["pixels", "panels"]
    if packed and large:
        streamed = (_streaming(c, k, tuned) for k in good if balanced(tile_counts(c, k, tuned)[2], cpu.cores))
        yield from [k for k in streamed if k is not None][:1]
    for order in orders:
        yield chunked(c, replace(good[0], order=order), cpu, tuned)
    yield from (chunked(c, replace(k, order=orders[0]), cpu, tuned) for k in good[1:2])


def whole_panels(c: Contraction, cpu: CpuSpec, tuned: Mapping[str, int]) -> Blocking:
    """The best guess with one chunk per panel, the next one fetched meanwhile where B is large."""
    shapes = dict.fromkeys(tile_shapes(c, cpu, cpu.lanes))
    rows, mr, nr = min(shapes, key=lambda s: tile_cycles(c, s, cpu.lanes, cpu, tuned))
    k = Blocking(mr, nr, cpu.lanes, rows, order="panels", chunk_rows=0)
    return (_streaming(c, k, tuned) or k) if _bytes_of_b(c, tuned) > cpu.l2 else k


def _bytes_of_b(c: Contraction, tuned: Mapping[str, int]) -> int:
    return evaluate(c.steps, tuned) * evaluate(c.n, tuned) * evaluate(c.groups, tuned) * c.dtype.itemsize


def tile_shapes(c: Contraction, cpu: CpuSpec, lanes: int) -> Iterator[tuple[int, int, int]]:
    """(rows, mr, nr) with accumulators, a row of B and one splat in registers."""
    wide = max(1, lanes * c.dtype.itemsize * 8 // cpu.vector_bits)         # registers per vector
    registers = cpu.vector_registers // wide - (0 if cpu.fma and cpu.triple.startswith("x86") else 1)
    row, column = c.pixels[-2].extent, c.pixels[-1].extent
    vectors = -(-c.n // lanes) if isinstance(c.n, int) else 1 << 30
    runtime_stride = not isinstance(c.pixels[-1].a, int) or not isinstance(c.pixels[-1].y, int)
    for nr in (2, 3, 4, 1, 6, 8):
        most = min((registers - 1) // nr - 1, 14 if not runtime_stride else 8)
        if nr > max(1, vectors) or most < 1 or (nr > 4 and (not isinstance(column, int) or column > 2)):
            continue
        if nr > 4 and vectors < 4 * nr * cpu.cores:                     # too few panels to share
            continue
        for mr in sorted({most, min(most, 8)}, reverse=True):
            size = max(Cut(column, mr).sizes, default=1)
            yield 1, size, nr
            if isinstance(column, int) and size == column and isinstance(row, int) and row > 1:
                rows = max(Cut(row, mr // size).sizes, default=1) if mr // size > 1 else 1
                if rows > 1:
                    yield rows, size, nr


def tile_cycles(c: Contraction, shape: tuple[int, int, int], lanes: int, cpu: CpuSpec,
                tuned: Mapping[str, int]) -> float:
    """Cycles per step of k over all outputs of one group, as far as the inner loop is concerned."""
    rows, mr, nr = shape
    width, n = nr * lanes, evaluate(c.n, tuned)
    wide = max(1.0, lanes * c.dtype.itemsize * 8 / cpu.vector_bits)
    half = 0.5 if isinstance(c.n, int) and 0 < n % lanes <= lanes // 2 else 0.0            # of the last vector
    panels = [float(nr)] * (n // width) + ([-(-(n % width) // lanes) - half] if n % width else [])
    issue = 0.75 if cpu.vector_bits == 512 else 0.5
    aliasing = _multiple_of_page(c.pixels[-1]) and rows * mr > 8     # one cache set of eight ways or so holds them all
    total = 0.0
    for r, many in _pieces(c.pixels[-2].extent, rows, tuned):
        for q, more in _pieces(c.pixels[-1].extent, mr, tuned):
            for v in set(panels):
                work = max(issue * r * q * v * wide, 0.5 * (r * q + v * wide), LATENCY) + 0.5
                total += many * more * panels.count(v) * work * (2.0 if aliasing else 1.0)
    return total * math.prod(max(1, evaluate(axis.extent, tuned)) for axis in c.pixels[:-2])


def _multiple_of_page(axis: Axis) -> bool:
    return isinstance(axis.a, int) and axis.a > 0 and axis.a * 4 % 4096 == 0


def _pieces(extent: Dim, most: int, tuned: Mapping[str, int]) -> list[tuple[int, int]]:
    """(size, how often) of the pieces of an axis."""
    cut = Cut(max(1, evaluate(extent, tuned)), most)
    count, base, long = (evaluate(x, {}) for x in (cut.count, cut.base, cut.long))
    return [(size, many) for size, many in ((base + 1, long), (base, count - long)) if many]


def tile_counts(c: Contraction, k: Blocking, tuned: Mapping[str, int]) -> tuple[int, int, int]:
    """(rows of tiles, tiles per row, panels times groups)."""
    outer = math.prod(evaluate(axis.extent, tuned) for axis in c.pixels[:-2])
    rows = outer * -(-evaluate(c.pixels[-2].extent, tuned) // k.rows)
    tiles = -(-evaluate(c.pixels[-1].extent, tuned) // k.mr)
    panels = -(-evaluate(c.n, tuned) // (k.nr * k.lanes)) * evaluate(c.groups, tuned)
    return max(1, rows), max(1, tiles), max(1, panels)


def chunked(c: Contraction, k: Blocking, cpu: CpuSpec, tuned: Mapping[str, int]) -> Blocking:
    """k with chunks that are worth their overhead and still balance.

    In the order "pixels" a chunk's part of A is used by panel after panel: it should stay in the second-level cache.
    """
    rows, tiles, panels = tile_counts(c, k, tuned)
    work = 2 * max(1, evaluate(c.steps, tuned)) * k.rows * k.mr * k.nr * k.lanes
    wanted = max(-(-CHUNK_WORK // work), rows * tiles * panels // CHUNKS, 1)
    if k.order == "pixels":
        tile = k.rows * k.mr * abs(evaluate(c.pixels[-1].a, tuned)) * c.dtype.itemsize
        wanted = max(1, min(wanted, cpu.l2 // 2 // max(1, tile)))
    if wanted >= tiles:
        return replace(k, chunk_rows=min(rows, wanted // tiles), chunk_tiles=0)
    pieces = -(-tiles // wanted)
    return replace(k, chunk_rows=1, chunk_tiles=-(-tiles // pieces))


def balanced(pieces: int, cores: int) -> bool:
    """Whether equal pieces shared by the cores leave none of them idle for long."""
    return -(-pieces // cores) * cores <= 1.05 * pieces


def _streaming(c: Contraction, k: Blocking, tuned: Mapping[str, int]) -> Blocking | None:
    """Whole panels as chunks, the next one fetched meanwhile; None where prefetching would cost more than it brings."""
    rows, tiles, panels = tile_counts(c, k, tuned)
    lines = k.nr * k.lanes * c.dtype.itemsize / 64 / (rows * tiles)         # cache lines to fetch per step
    if panels < 2 or not 0.05 < lines <= 1:
        return None
    every = max(1, 2 ** round(math.log2(1 / lines)))
    if every > 8:
        return None
    return replace(k, order="panels", chunk_rows=0, chunk_tiles=0, prefetch=every, unroll=max(4, every))
