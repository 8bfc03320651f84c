"""Depthwise convolution, channels last: tiles of rows × columns of outputs, one vector of channels after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...dims import Dim, evaluate
from ...ops.convolution import Convolution
from ...targets import CpuSpec
from ..llvm import module
from ..problem import Phase, Problem, Source
from .contraction import NATIVE, core_of, epilogue_reads, extras_of
from .convolution import padding_readable
from .cuts import Cut
from .depthwise_tile import Driver, Layer

CHUNK_WORK = 200_000      # multiplications that make a chunk worth its bookkeeping
CHUNKS = 64


@dataclass(frozen=True)
class Depthwise:
    """rows × columns outputs of one vector of channels at a time.

    block        vectors of channels that are finished along a whole row before the next ones; 0: all
    chunk_rows   rows of tiles per chunk
    """

    rows: int
    columns: int
    block: int = 0
    chunk_rows: int = 1

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        layer = layer_of(problem)
        assert layer is not None
        driver = Driver(layer, self.rows, self.columns, self.block, self.chunk_rows, cpu, symbol)
        functions = driver.write()
        return Source(module(*functions), (Phase(symbol, driver.chunks),), tuple(driver.order), packed=(1,))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        """(C, 1, *R) → [C / lanes][R][lanes], zero padded."""
        c, taps, lanes = array.shape[0], array[0].size, cpu.lanes
        w = np.zeros((-(-c // lanes) * lanes, taps), array.dtype)
        w[:c] = array.reshape(c, taps)
        return w.reshape(-1, lanes, taps).transpose(0, 2, 1).reshape(-1)


def layer_of(problem: Problem) -> Layer | None:
    """None where this kernel does not apply."""
    op, epilogue, arity = core_of(problem.op)
    assert isinstance(op, Convolution)
    x, w, *rest = problem.inputs[: arity or len(problem.inputs)]
    bias, y, extras = rest[0] if rest else None, problem.outputs[0], extras_of(problem)
    if x is None or w is None or not w.constant or x.dtype not in NATIVE or w.dtype != x.dtype:
        return None
    c = w.shape[0]
    if any(d == 0 for d in y.shape):
        return None
    if not isinstance(c, int) or op.groups != c or w.shape[1] != 1 or 0 in w.shape:
        return None
    if x.strides[1] != 1 or y.strides[1] != 1 or not padding_readable(op, problem):
        return None
    if bias is not None and bias.strides[0] != 1:
        return None
    if any(extras[i].strides[1] not in (0, 1) for i in epilogue_reads(epilogue)):
        return None
    start: Dim = 0
    for (before, _), stride in zip(op.pads, x.strides[2:], strict=True):
        start = start - before * stride
    window = w.shape[2:]
    if not all(isinstance(r, int) for r in window):
        return None
    return Layer(x, y, bias, extras, arity or 0, len(problem.inputs), epilogue, c, _three(window), _three(op.strides),
                 _three(op.dilations), start)


def _three(values: Sequence[Dim]) -> tuple[int, int, int]:
    """Values of one to three spatial axes as those of three."""
    a, b, c = [1] * (3 - len(values)) + [v for v in values if isinstance(v, int)]
    return a, b, c


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Depthwise]:
    """Needs as many groups as channels in and out, constant filters, channel stride 1 in x and y."""
    layer = layer_of(problem)
    if layer is None:
        return
    tuned = dict(problem.tuned)
    height, width = layer.extents[2:]
    seen = set()
    for rows, columns in _sizes(layer, cpu):
        size = max(Cut(height, rows).sizes), max(Cut(width, columns).sizes)
        if size not in seen:
            seen.add(size)
            yield _chunked(layer, Depthwise(*size), cpu, tuned)


def _sizes(layer: Layer, cpu: CpuSpec) -> list[tuple[int, int]]:
    """Tiles to try. Rows of outputs leave the registers one by one, so tall tiles of small windows still fit."""
    wide = max(1, cpu.lanes * layer.x.dtype.itemsize * 8 // cpu.vector_bits)
    if not all(isinstance(d, int) for d in layer.extents[2:]):         # every smaller tile is needed as well
        return [(2, 4), (1, 4), (2, 2)]
    if cpu.vector_registers // wide < 32:
        return [(2, 2), (1, 4), (4, 2), (2, 3)]
    if max(layer.strides) > 1:
        return [(4, 2), (2, 4), (7, 2), (2, 2), (7, 7)]
    return [(4, 4), (7, 7), (2, 4), (14, 4)] if layer.taps <= 9 else [(2, 4), (1, 7), (2, 7), (4, 2)]


def _chunked(layer: Layer, t: Depthwise, cpu: CpuSpec, tuned: dict[str, int]) -> Depthwise:
    """t with chunks that are worth their overhead and still balance: rows first, channels where rows are few."""
    batch, depth, height, width = (max(1, evaluate(d, tuned)) for d in layer.extents)
    rows = batch * depth * -(-height // t.rows)
    vectors = -(-layer.channels // cpu.lanes)
    block = 0 if rows >= 16 or vectors < 4 else max(2, -(-vectors * rows // CHUNKS))
    blocks = -(-vectors // block) if block else 1
    work = t.rows * width * layer.channels // blocks * layer.taps
    wanted = max(CHUNK_WORK // max(1, work), rows * blocks // CHUNKS)
    return replace(t, block=block, chunk_rows=max(1, min(rows, wanted)))
