"""Winograd convolution of 2×2 or 4×4 outputs at a time, channels last: fewer products, larger rounding errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Union

import numpy as np

from ...dims import Dim, ceildiv, evaluate
from ...dtypes import DType
from ...ops.convolution import Convolution
from ...targets import CpuSpec
from ..llvm import Function, module
from ..problem import Phase, Problem, Source, Workspace
from .blocking import Blocking, blocked_functions
from .contraction import Axis, Contraction, core_of, epilogue_reads, extras_of, two_pixel_axes
from .convolution import padding_readable
from .packing import pack_panels
from .tiling import whole_panels
from .winograd_driver import Writer
from .winograd_matrices import POINTS, hardest, inputs_of, transform_filters
from .winograd_rows import Rows, RowsDriver, pack_rows, row_blocking
from .winograd_transform import Tiling

SLACK = 48                # elements between frequencies, so that they do not all fall into one cache set
FEW = 7                   # tiles that make products of good shape and leave the second-level cache to everything else
L3, DRAM = 12.0, 7.0      # bytes per cycle that filters arrive at when they do not fit the cache of a core


@dataclass(frozen=True)
class Winograd:
    """Transform tiles of inputs, multiply per frequency, transform back.

    m         outputs per tile and direction: 2 or 4
    window    taps in either direction: 3 or 5
    stride    1 or 2, in both directions
    block     tiles that one thread takes through all three steps; 0: each step is a phase over all tiles
    product   blocking of the products, one per frequency; or of those whose filters are transformed along one axis only
    """

    m: int
    window: int
    stride: int
    block: int
    product: Union[Blocking, Rows]

    @property
    def error_factor(self) -> float:
        """Roughly how many times the rounding error of direct convolution."""
        return 15.0 if self.approximate else 2.0

    @property
    def approximate(self) -> bool:
        """Whether the result should be checked against the tolerance before it is used."""
        return hardest(self.m, self.window, self.stride) > 4

    @property
    def growth(self) -> float:
        """Values that are kept of a filter, per tap."""
        n = inputs_of(self.m, self.window, self.stride)
        if isinstance(self.product, Rows):
            return 1.0 if self.product.taps else n / self.window
        return (n / self.window) ** 2

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        geometry = Geometry.of(problem)
        assert geometry is not None
        tiles: Dim = self.block or geometry.tiles(self.m)
        scratch = len(problem.inputs) + 1                           # V, then M
        args = (0, 1, 2) if self.block else (scratch, 1, scratch + 1)
        t = geometry.tiling(self.m, tiles, cpu)
        order: list[Dim] = []
        functions, chunks = self._products(geometry, t, tiles, cpu, args, f"{symbol}_product", order)
        writer = Writer(t, problem, cpu, symbol, order)
        sizes = [4 * geometry.frequencies(self.m) * stride for stride in (t.frequency_v, t.frequency_m)]
        workspaces = tuple(Workspace(size, per_thread=bool(self.block)) for size in sizes)
        if self.block:
            assert isinstance(sizes[0], int) and isinstance(sizes[1], int) and isinstance(chunks, int)
            functions += writer.blocks(self.block, chunks, (sizes[0], sizes[1]))
            phases: tuple[Phase, ...] = (Phase(symbol, ceildiv(geometry.tiles(self.m), self.block)),)
        else:
            into, into_chunks = writer.transform_phase("in")
            out, out_chunks = writer.transform_phase("out")
            functions += [*into, *out]
            phases = (Phase(into[0].name, into_chunks), Phase(f"{symbol}_product", chunks),
                      Phase(out[0].name, out_chunks))
        return Source(module(*functions), phases, tuple(order), workspaces, packed=(1,))

    def _products(self, geometry: Geometry, t: Tiling, tiles: Dim, cpu: CpuSpec, args: tuple[int, int, int],
                  symbol: str, order: list[Dim]) -> tuple[list[Function], Dim]:
        if isinstance(self.product, Rows):
            driver = RowsDriver(t, self.product, tiles, args, symbol, order)
            return driver.functions(), driver.chunks
        v, u, m = args
        c = geometry.product(self.m, tiles, cpu, (v, u, None, m))
        return blocked_functions(c, self.product, cpu, symbol, order)

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        if isinstance(self.product, Rows):
            return pack_rows(array, self.m, self.stride, self.product)
        u = transform_filters(array, self.m, self.stride, core_of(problem.op)[0].groups)  # type: ignore[attr-defined]
        return pack_panels(u, self.product.nr * self.product.lanes, self.product.lanes)


@dataclass(frozen=True)
class Geometry:
    """A convolution with a square window, its stride, and its operands."""

    problem: Problem
    c: int
    k: int
    window: int
    stride: int
    groups: int

    @classmethod
    def of(cls, problem: Problem) -> Geometry | None:
        """None where Winograd does not apply."""
        op, epilogue, arity = core_of(problem.op)
        assert isinstance(op, Convolution)
        x, w, *rest = problem.inputs[: arity or len(problem.inputs)]
        bias, y, extras = rest[0] if rest else None, problem.outputs[0], extras_of(problem)
        if x is None or w is None or not w.constant or x.dtype is not DType.float32 or w.dtype is not x.dtype:
            return None
        if w.shape[2:] not in ((3, 3), (5, 5)) or op.strides not in ((1, 1), (2, 2)) or op.dilations != (1, 1):
            return None
        k, c = w.shape[0], x.shape[1]
        if not isinstance(c, int) or not isinstance(k, int) or any(d == 0 for d in (*w.shape, *y.shape)):
            return None
        if x.strides[1] != 1 or y.strides[1] != 1 or (bias is not None and bias.strides[0] != 1):
            return None
        if any(extras[i].strides[1] not in (0, 1) for i in epilogue_reads(epilogue)):
            return None
        if not padding_readable(op, problem):
            return None
        return cls(problem, c, k, int(w.shape[2]), op.strides[0], op.groups)  # type: ignore[arg-type]

    def side(self, m: int) -> int:
        """Inputs of a tile, and frequencies, in one direction."""
        return inputs_of(m, self.window, self.stride)

    def frequencies(self, m: int) -> int:
        return self.side(m) ** 2

    def tiles(self, m: int) -> Dim:
        n, _, p, q = self.problem.outputs[0].shape
        return n * ceildiv(p, m) * ceildiv(q, m)

    def product(self, m: int, tiles: Dim, cpu: CpuSpec, args: tuple[int, int, int | None, int]) -> Contraction:
        """Per frequency and group, a product (tiles, C) × (C, K) of the group's channels."""
        a, y = _row(self.c, cpu), _row(self.k, cpu)
        c, k = self.c // self.groups, self.k // self.groups
        groups = (Axis(self.groups, c, k, b=1),) if self.groups > 1 else ()
        batch = (Axis(self.frequencies(m), a * tiles + SLACK, y * tiles + SLACK, b=1), *groups)
        return Contraction(DType.float32, DType.float32, batch, two_pixel_axes([Axis(tiles, a, y)], 0), ((c, 1),), k,
                           args)

    def tiling(self, m: int, tiles: Dim, cpu: CpuSpec) -> Tiling:
        problem = self.problem
        _, epilogue, arity = core_of(problem.op)
        x, _, *rest = problem.inputs[: arity or len(problem.inputs)]
        assert x is not None
        y = problem.outputs[0]
        p, q = y.shape[2:]
        even = isinstance(p, int) and isinstance(q, int) and p % m == 0 and q % m == 0
        row_v, row_m = _row(self.c, cpu), _row(self.k, cpu)
        return Tiling(m, self.window, self.stride, x, y, rest[0] if rest else None, extras_of(problem), epilogue,
                      self.c, self.k, row_v, row_m, row_v * tiles + SLACK, row_m * tiles + SLACK, even)


def _row(channels: int, cpu: CpuSpec) -> int:
    """Elements per tile of V or M: whole vectors, and not a multiple of 2 KB."""
    size = -(-channels // cpu.lanes) * cpu.lanes
    return size + cpu.lanes if size * 4 % 2048 == 0 else size


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Winograd]:
    """Needs constant filters of 3×3 or 5×5, stride 1 or 2, and channel stride 1 in x and y."""
    geometry = Geometry.of(problem)
    if geometry is None:
        return
    tuned = dict(problem.tuned)
    images, _, p, q = (max(1, evaluate(d, tuned)) for d in problem.outputs[0].shape)
    vectors_in, vectors_out = -(-geometry.c // cpu.lanes), -(-geometry.k // cpu.lanes)
    depth = geometry.c // geometry.groups
    direct = geometry.window ** 2 * images * p * q * depth * vectors_out
    found: list[tuple[float, Winograd]] = []
    for m in (4, 2):
        if hardest(m, geometry.window, geometry.stride) not in POINTS:
            continue
        tiles, f, n = evaluate(geometry.tiles(m), tuned), geometry.frequencies(m), geometry.side(m)
        cycles = tiles * f * (depth * vectors_out + 6 * (vectors_in + vectors_out))
        for kept in (f, n * geometry.window, geometry.window ** 2):
            filters = kept * depth * geometry.k * 4
            for block in _blocks(geometry, m, tiles, filters, cpu):
                turns = -(-tiles // block) if block else 1
                slow = 0.0 if filters <= cpu.l2 else filters * turns / (L3 if filters <= cpu.l3 // 2 else DRAM)
                if not block:
                    scratch = tiles * f * 4 * (geometry.c + geometry.k)
                    slow += 0 if scratch <= cpu.l2 else 2 * scratch / (L3 if scratch <= cpu.l3 // 2 else DRAM)
                estimate = max(cycles, slow) + 0.2 * min(cycles, slow)
                if estimate < 0.95 * direct:
                    found += [(estimate, t) for t in _tactic(geometry, m, block, kept, cpu, tuned)]
    found.sort(key=lambda item: item[0])
    yield from _shortlist([t for _, t in found])


def _tactic(geometry: Geometry, m: int, block: int, kept: int, cpu: CpuSpec,
            tuned: dict[str, int]) -> Iterator[Winograd]:
    """The tactic that keeps so many values of each filter, if there is one."""
    tiles, window = block or geometry.tiles(m), geometry.window
    product: Union[Blocking, Rows]
    if kept == geometry.frequencies(m):
        product = whole_panels(geometry.product(m, tiles, cpu, (0, 1, None, 2)), cpu, tuned)
    elif geometry.groups > 1 or not isinstance(tiles, int):
        return
    else:
        product = row_blocking(geometry.tiling(m, tiles, cpu), tiles, kept == window * window, cpu)
    yield Winograd(m, window, geometry.stride, block, product)


def _shortlist(found: Sequence[Winograd]) -> list[Winograd]:
    """With either m the first two of those that keep all frequencies, and one of each kind that keeps less."""
    best = list[Winograd]()
    for m in (4, 2):
        mine = [t for t in found if t.m == m]
        best += [t for t in mine if isinstance(t.product, Blocking)][:2]
        for taps in (False, True):
            best += [t for t in mine if isinstance(t.product, Rows) and t.product.taps is taps][:1]
    return [t for t in found if t in best or (t.m == 4 and 0 < t.block <= FEW and isinstance(t.product, Blocking))]


def _blocks(geometry: Geometry, m: int, tiles: int, filters: int, cpu: CpuSpec) -> list[int]:
    """Numbers of tiles per block to try: what leaves V, M and, if it can, U in the second-level cache; FEW; and 0.

    Filters that do not fit there are read once per block: large blocks, or two of them.
    """
    per_tile = 4 * geometry.frequencies(m) * (_row(geometry.c, cpu) + _row(geometry.k, cpu))
    sizes = []
    rooms = (int((room * cpu.l2 - (filters if filters < 0.8 * room * cpu.l2 else 0)) / per_tile) for room in (0.5, 1.0))
    for most in (*(max(4, most) for most in rooms), FEW):
        pieces = -(-max(-(-tiles // most), 1) // cpu.cores) * cpu.cores
        sizes.append(-(-tiles // pieces))
    least = 4 if filters <= cpu.l2 else FEW if filters <= 4 * cpu.l2 else 12 if filters <= cpu.l3 // 2 else 24
    return [*dict.fromkeys(s for s in sizes if s >= least or -(-tiles // s) <= 2), 0]
