"""Direct convolution, channels last in the output: outputs stay in registers while all taps are summed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Union

import numpy as np

from ...dims import Dim
from ...ops.convolution import Convolution
from ...targets import CpuSpec
from ..llvm import SCALAR, module
from ..problem import Phase, Problem, Source, Workspace
from .blocking import Blocking, blocked_functions, bytes_ahead
from .contraction import (
    NATIVE,
    Axis,
    Contraction,
    core_of,
    epilogue_reads,
    extras_of,
    merge_axes,
    merge_taps,
    two_pixel_axes,
)
from .cuts import Cut
from .dot import DotBlock, DotWriter
from .packing import pack_panels, padded_columns
from .repack import Matrices, repack_function
from .tiling import candidates


@dataclass(frozen=True)
class DirectConvolution:
    """Register tiles over pixels × output channels; filters packed as panels in the order they are used.

    repacked   the filters are known at run time only: a first phase packs them
    """

    blocking: Blocking
    repacked: bool = False

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        c, k = contraction(problem), self.blocking
        assert c is not None
        order: list[Dim] = []
        if self.repacked:
            target = len(problem.inputs) + 1
            first, first_chunks = repack_function(_filters(problem, target), k.nr, k.lanes, f"{symbol}_pack", order)
            c = replace(c, args=(c.args[0], target, *c.args[2:]))
            functions, chunks = blocked_functions(c, k, cpu, symbol, order)
            size = padded_columns(c.n, k.nr * k.lanes, k.lanes) * c.steps * c.groups * c.dtype.itemsize
            phases = (Phase(first.name, first_chunks), Phase(symbol, chunks))
            return Source(module(first, *functions), phases, tuple(order), (Workspace(size),))
        functions, chunks = blocked_functions(c, k, cpu, symbol, order, ahead=len(problem.inputs) + 1)
        return Source(module(*functions), (Phase(symbol, chunks),), tuple(order), packed=(1,), ahead=bytes_ahead(c, k))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        op, _, _ = core_of(problem.op)
        assert isinstance(op, Convolution) and problem.inputs[0] is not None
        channels_last = _channels_innermost(problem)
        k, c, *window = array.shape
        w = array.reshape(op.groups, k // op.groups, c, *window)
        axes = range(3, 3 + len(window))
        w = w.transpose(0, *axes, 2, 1) if channels_last else w.transpose(0, 2, *axes, 1)
        b = self.blocking
        return pack_panels(w.reshape(op.groups, -1, k // op.groups), b.nr * b.lanes, b.lanes)


@dataclass(frozen=True)
class DotConvolution:
    """Vectors run along x's channels: for few output channels. y may have any strides."""

    block: DotBlock

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        c = contraction(problem, any_columns=True)
        assert c is not None
        c = replace(c, batch=tuple(replace(axis, b=c.n * c.steps) for axis in c.batch))
        order: list[Dim] = []
        writer = DotWriter(c, c.steps, self.block, cpu, symbol, order)
        return Source(module(writer.write()), (Phase(symbol, writer.chunks),), tuple(order), packed=(1,))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        """(K, C/g, *R) → (K, *R, C/g)"""
        return np.ascontiguousarray(np.moveaxis(array, 1, -1)).reshape(-1)


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Union[DirectConvolution, DotConvolution]]:
    """Direct convolutions. Needs x's padding as its border; channel stride 1 in y, or few of them."""
    yield from _dots(problem, cpu)
    op, _, _ = core_of(problem.op)
    c = contraction(problem)
    depthwise = isinstance(op, Convolution) and op.groups > 1 and problem.outputs[0].shape[1] == op.groups
    constant = problem.inputs[1] is not None and problem.inputs[1].constant
    if c is not None and not (depthwise and constant and _channels_innermost(problem)):
        for blocking in candidates(c, cpu, dict(problem.tuned)):
            yield DirectConvolution(blocking, repacked=not constant)


def _dots(problem: Problem, cpu: CpuSpec) -> Iterator[DotConvolution]:
    """Where a vector of output channels would be mostly empty, but one along the taps is full."""
    c, w = contraction(problem, any_columns=True), problem.inputs[1]
    if c is None or w is None or not w.constant or c.taps[-1][1] != 1:
        return
    run = c.taps[-1][0]
    if isinstance(c.n, int) and c.n <= cpu.lanes // 4 and isinstance(run, int) and run >= cpu.lanes:
        mr = max(1, min(8, (cpu.vector_registers - c.n - 1) // c.n))
        column = c.pixels[-1].extent
        mr = max(Cut(column, mr).sizes, default=1) if isinstance(column, int) else mr
        yield DotConvolution(DotBlock(mr, c.n, max(1, 100_000 // (int(c.steps) * mr * c.n))))  # type: ignore[arg-type]


def _channels_innermost(problem: Problem) -> bool:
    x = problem.inputs[0]
    assert x is not None
    return x.strides[1] == 1


def _filters(problem: Problem, target: int) -> Matrices:
    """Filters of any strides as matrices (taps, K / groups), one per group, to be packed at argument `target`."""
    op, _, _ = core_of(problem.op)
    w = problem.inputs[1]
    assert isinstance(op, Convolution) and w is not None
    (k, c, *window), (k_stride, c_stride, *strides) = w.shape, w.strides
    taps, channels = tuple(zip(window, strides, strict=True)), (c, c_stride)
    taps = (*taps, channels) if _channels_innermost(problem) else (channels, *taps)
    per_group = k // op.groups
    return Matrices(SCALAR[w.dtype], w.dtype.itemsize, ((op.groups, per_group * k_stride),), taps, per_group, k_stride,
                    source=1, target=target)


def contraction(problem: Problem, any_columns: bool = False) -> Contraction | None:
    """The normal form, or None where these kernels do not apply. x may have any strides.

    any_columns   y and extras may have any stride along the channels
    """
    op, epilogue, arity = core_of(problem.op)
    assert isinstance(op, Convolution)
    x, w, *rest = problem.inputs[: arity or len(problem.inputs)]
    bias, (y,), extras = rest[0] if rest else None, problem.outputs, extras_of(problem)
    if x is None or w is None or x.dtype not in NATIVE or w.dtype != x.dtype:
        return None
    if not all(isinstance(d, int) for d in (*w.shape, x.shape[1])) or 0 in w.shape:
        return None
    if not padding_readable(op, problem) or (bias is not None and bias.shape[0] != 1 and bias.strides[0] != 1):
        return None
    extra_n = [e.strides[1] for e in extras]
    if not any_columns:
        if y.strides[1] != 1 or any(extra_n[i] not in (0, 1) for i in epilogue_reads(epilogue)):
            return None
        extra_n = [s if s in (0, 1) else 0 for s in extra_n]            # those are not read
    groups, (k, c, *window), spatial = op.groups, w.shape, range(2, len(x.shape))
    k = k // groups
    start: Dim = 0
    taps: list[tuple[Dim, Dim]] = []
    pixels = [Axis(y.shape[0], x.strides[0], y.strides[0], tuple(e.strides[0] for e in extras))]
    for i, axis in enumerate(spatial):
        start = start - op.pads[i][0] * x.strides[axis]
        taps.append((window[i], x.strides[axis] * op.dilations[i]))
        pixels.append(Axis(y.shape[axis], x.strides[axis] * op.strides[i], y.strides[axis],
                           tuple(e.strides[axis] for e in extras)))
    channels = (c, x.strides[1])
    taps = [*taps, channels] if _channels_innermost(problem) else [channels, *taps]
    batch: tuple[Axis, ...] = ()
    if groups > 1:
        batch = (Axis(groups, c * x.strides[1], k * y.strides[1], tuple(k * e.strides[1] for e in extras), 1, k),)
    return Contraction(
        x.dtype, y.dtype, batch, two_pixel_axes(merge_axes(pixels), len(extras)), merge_taps(taps), k,
        args=(0, 1, None if bias is None else 2, len(problem.inputs)), start=start,
        extra_n=tuple(extra_n), extra_types=tuple(e.dtype for e in extras), extras_at=arity or 0, epilogue=epilogue,
        y_n=y.strides[1])


def padding_readable(op: Convolution, problem: Problem) -> bool:
    """Whether every tap of every output lies in x or in its zero border."""
    x, w = problem.inputs[0], problem.inputs[1]
    assert x is not None and w is not None
    for i, (before, after) in enumerate(op.pads):
        extent, window, out = x.shape[2 + i], w.shape[2 + i], problem.outputs[0].shape[2 + i]
        assert isinstance(window, int)
        if isinstance(extent, int) and isinstance(out, int):
            after = max(0, (out - 1) * op.strides[i] + (window - 1) * op.dilations[i] + 1 - before - extent)
        have = x.border_of(2 + i)
        if have[0] < before or have[1] < after:
            return False
    return True
