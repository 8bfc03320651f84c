"""Products with constant B beyond the FMA peak: seven products of half-matrices for eight (see `strassen_form`).

For matrix products and for convolutions whose taps are one run of channels (1×1). What depends on B alone is done at
build; packed weights are 7/4 as large. The sums of A are written to a workspace first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...dims import Dim, evaluate
from ...dtypes import DType
from ...ops.convolution import Convolution
from ...targets import CpuSpec
from ..llvm import module
from ..problem import Phase, Problem, Source, Workspace
from .blocking import Blocking
from .contraction import Contraction, core_of
from .convolution import contraction
from .product_form import normal_form
from .strassen_driver import QuarterDriver, sums_phase
from .strassen_form import PRODUCTS, Halves, sums_of_b
from .tiling import balanced, chunked, tile_counts, tile_cycles, tile_shapes

SUM_CYCLES = 24.0         # of one vector of all sums of A
ROOM = 0.45               # share of the second-level cache for the sums of a block


@dataclass(frozen=True)
class Strassen:
    """One level of Strassen's algorithm.

    blocking   of the seven products
    axis       the pixel axis that is halved, from the end
    tiles      whose sums of A a thread keeps while it takes a block of them through all panels; 0: all sums are written
               by a phase of their own, and chunks are panels
    """

    blocking: Blocking
    axis: int
    tiles: int = 0
    approximate = True
    error_factor = 2.0
    growth = 7 / 4

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        whole = plain_product(problem)
        assert whole is not None
        h, target = self._halves(whole), len(problem.inputs) + 1
        order: list[Dim] = []
        driver = QuarterDriver(h, h.product(target), self.blocking, target + 1, target + 2, symbol, order)
        functions = driver.functions(cpu)
        phases: tuple[Phase, ...] = (Phase(symbol, driver.chunks),)
        if not self.tiles:
            sums, chunks = sums_phase(h, target, symbol, order)
            functions.append(sums)
            phases = (Phase(sums.name, chunks), *phases)
        workspaces = (Workspace(PRODUCTS * h.plane * whole.dtype.itemsize, per_thread=bool(self.tiles)),
                      Workspace(driver.buffer_bytes, per_thread=True))
        return Source(module(*functions), phases, tuple(order), workspaces, (1,), driver.bytes_ahead)

    def _halves(self, whole: Contraction) -> Halves:
        return Halves(whole, self.axis, self.blocking.mr, self.blocking.lanes, self.tiles)

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        op, _, _ = core_of(problem.op)
        convolution = isinstance(op, Convolution)
        b = np.moveaxis(array, 1, -1).reshape(array.shape[0], -1).T if convolution else array.reshape(array.shape[-2:])
        return sums_of_b(b, self.blocking.nr * self.blocking.lanes, self.blocking.lanes)


def plain_product(problem: Problem) -> Contraction | None:
    """The contraction, if it is one product of rows with unit stride along k by one constant matrix."""
    op, _, _ = core_of(problem.op)
    x, w = problem.inputs[:2]
    if x is None or w is None or not w.constant or x.dtype is not DType.float32:
        return None
    if isinstance(op, Convolution):
        c = contraction(problem) if x.strides[1] == 1 and op.groups == 1 else None
    else:
        form = normal_form(problem)
        c = None if form is None else form.contraction
    if c is None or c.batch or len(c.taps) > 1 or c.taps[0][1] != 1 or not isinstance(c.n, int):
        return None
    return c if isinstance(c.taps[0][0], int) else None


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Strassen]:
    """Where the model expects less work than of the plain product, sums of A included."""
    c = plain_product(problem)
    if c is None:
        return
    tuned = dict(problem.tuned)
    k, n = evaluate(c.steps, tuned), evaluate(c.n, tuned)
    rows = math.prod(evaluate(axis.extent, tuned) for axis in c.pixels)
    if k < 128 or n < 4 * cpu.lanes or rows < 28:
        return
    plain = k * min(tile_cycles(c, s, cpu.lanes, cpu, tuned) for s in tile_shapes(c, cpu, cpu.lanes))
    estimate, axis, shape = min(_estimates(c, cpu, tuned))
    if estimate > 0.96 * plain:
        return
    h = Halves(c, axis, shape[1], cpu.lanes)
    yield from _blocks(h, shape[2], cpu, tuned)
    yield from _phased(h, shape[2], cpu, tuned)


def _estimates(c: Contraction, cpu: CpuSpec,
               tuned: dict[str, int]) -> Iterator[tuple[float, int, tuple[int, int, int]]]:
    """(cycles, axis to halve, shape of the tile)"""
    for axis in range(-1, -1 - len(c.pixels), -1):
        if evaluate(c.pixels[axis].extent, tuned) < 2:
            continue
        half = _half(Halves(c, axis, 1, cpu.lanes), tuned)
        rows = math.prod(evaluate(pixel.extent, tuned) for pixel in half.pixels)
        depth = evaluate(half.steps, tuned) // PRODUCTS
        sums = rows * (depth // cpu.lanes) * SUM_CYCLES
        for shape in tile_shapes(half, cpu, cpu.lanes):
            if shape[0] == 1 and shape[2] <= 2:
                yield PRODUCTS * depth * tile_cycles(half, shape, cpu.lanes, cpu, tuned) + sums, axis, shape


def _half(h: Halves, tuned: dict[str, int]) -> Contraction:
    """What a model of tiles needs to know of the products."""
    return replace(h.product(0), n=-(-evaluate(h.whole.n, tuned) // 2))


def _phased(h: Halves, nr: int, cpu: CpuSpec, tuned: dict[str, int]) -> Iterator[Strassen]:
    half, k = _half(h, tuned), Blocking(h.mr, nr, cpu.lanes, order="panels", chunk_rows=0)
    rows, tiles, panels = tile_counts(half, k, tuned)
    if not balanced(panels, cpu.cores):
        k = chunked(half, k, cpu, tuned)
    yield Strassen(_fetching(k, (k.chunk_rows or rows) * (k.chunk_tiles or tiles)), h.axis)


def _blocks(h: Halves, nr: int, cpu: CpuSpec, tuned: dict[str, int]) -> Iterator[Strassen]:
    """Blocks of rows whose sums stay in the second-level cache, as many on every core."""
    k = Blocking(h.mr, nr, cpu.lanes, order="pixels", chunk_rows=1)
    rows, tiles, _ = tile_counts(_half(h, tuned), k, tuned)
    fit = int(ROOM * cpu.l2 / (PRODUCTS * h.tile * 4))
    if fit < 1:
        return
    if isinstance(h.extents[-1], int) and fit >= tiles and rows >= cpu.cores:
        pieces = -(-rows // (fit // tiles))
        size = -(-rows // (-(-pieces // cpu.cores) * cpu.cores))
        yield Strassen(_fetching(replace(k, chunk_rows=size), size * tiles), h.axis, size * tiles)
        return
    if rows % cpu.cores:                                            # as many tiles on every core
        tiles = -(-tiles // cpu.cores) * cpu.cores
        k = replace(k, mr=-(-evaluate(h.extents[-1], tuned) // tiles))
    pieces = -(-tiles // fit)
    if rows % cpu.cores:
        pieces = -(-pieces // cpu.cores) * cpu.cores
    size = -(-tiles // pieces)
    yield Strassen(_fetching(replace(k, chunk_tiles=size), size), h.axis, size)


def _fetching(k: Blocking, tiles: int) -> Blocking:
    """With the next product's panel fetched while `tiles` tiles are computed."""
    return replace(k, prefetch=1 if tiles < 2 * k.nr else 2, unroll=2)
