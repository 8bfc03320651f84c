"""Transposed convolution as ordinary ones: outputs of equal residue modulo the stride share their taps.

Along one axis, output q = s·t + q0 sums x[p] · w[r] over q0 + before = s·(p − t) + d·r. The residues q0 whose taps are
alike (as many, starting at the same p) form a run: together they are one contraction, with the residue as a batch axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product as combinations

import numpy as np

from ...dims import Dim, maximum
from ...ops.convolution import ConvTranspose
from ...targets import CpuSpec
from ..llvm import Dims, Function, entry, module
from ..problem import Operand, Phase, Problem, Source, Workspace
from .blocking import Blocking, blocked_functions
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
from .packing import pack_panels, padded_columns
from .padded_copy import Padded, padded_copy
from .tiling import candidates


@dataclass(frozen=True)
class Run:
    """Residues first, first + 1, ... along one axis.

    taps    per residue, the taps r in the order they are summed
    start   p of the first tap, minus t
    step    p from one tap to the next (negative)
    count   positions t
    """

    first: int
    taps: tuple[tuple[int, ...], ...]
    start: int
    step: int
    count: Dim


@dataclass(frozen=True)
class Transposed:
    """blocking: for every contraction."""

    blocking: Blocking

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        layer = Layer.of(problem)
        assert layer is not None
        order: list[Dim] = []
        functions: list[Function] = []
        phases: list[Phase] = []
        workspaces: tuple[Workspace, ...] = ()
        x, at, offset = layer.x, 0, 0
        if layer.padded is not None:
            x, at, offset = layer.padded.operand, len(problem.inputs) + 1, layer.padded.offset  # type: ignore[assignment]
            copy, chunks = padded_copy(layer.padded, 0, at, cpu.lanes, f"{symbol}_pad", order)
            functions.append(copy)
            phases.append(Phase(copy.name, chunks))
            workspaces = (Workspace(layer.padded.bytes),)
        parts: list[tuple[str, Dim]] = []
        for i, c in enumerate(layer.contractions(x, at, offset, self.blocking)):
            tiles, chunks = blocked_functions(c, self.blocking, cpu, f"{symbol}_{i}", order)
            functions += tiles
            parts.append((f"{symbol}_{i}", chunks))
        total, main = _one_after_another(symbol, parts, order)
        return Source(module(main, *functions), (*phases, Phase(symbol, total)), tuple(order), workspaces, packed=(1,))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        layer = Layer.of(problem)
        assert layer is not None
        b, g = self.blocking, layer.op.groups
        c, k, *window = array.shape
        w = array.reshape(g, c // g, k, *window)
        panels = []
        for runs in layer.runs:
            matrices = []
            for residues in combinations(*(run.taps for run in runs)):
                taps = w[(slice(None),) * 3 + np.ix_(*residues)]                        # (G, C/G, K/G, *taps)
                axes = tuple(range(3, 3 + len(window)))
                matrices.append(taps.transpose((0, *axes, 1, 2) if layer.channels_last else (0, 1, *axes, 2)))
            stacked = np.stack(matrices, axis=1)                                        # (G, residues, ..., K/G)
            steps = math.prod(stacked.shape[2:-1])
            panels.append(pack_panels(stacked.reshape(g * len(matrices), steps, k), b.nr * b.lanes, b.lanes))
        return np.concatenate(panels)


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Transposed]:
    """Needs constant filters and channel stride 1 in y."""
    layer = Layer.of(problem)
    if layer is None:
        return
    x = layer.x if layer.padded is None else layer.padded.operand
    parts = layer.contractions(x, 0, 0, Blocking(1, 1, cpu.lanes))
    probe = max(parts, key=lambda c: int(c.steps))  # type: ignore[arg-type]
    found = candidates(probe, cpu, dict(problem.tuned))
    yield from dict.fromkeys(Transposed(k) for k in found if not k.prefetch)


@dataclass(frozen=True)
class Layer:
    """A transposed convolution's operands. padded: the copy of x that has the zeros around it that x lacks."""

    problem: Problem
    op: ConvTranspose
    x: Operand
    padded: Padded | None
    runs: tuple[tuple[Run, ...], ...]

    @classmethod
    def of(cls, problem: Problem) -> Layer | None:
        """None where this kernel does not apply."""
        op, epilogue, arity = core_of(problem.op)
        assert isinstance(op, ConvTranspose)
        x, w, *rest = problem.inputs[: arity or len(problem.inputs)]
        bias, y = rest[0] if rest else None, problem.outputs[0]
        if x is None or w is None or not w.constant or x.dtype not in NATIVE or w.dtype != x.dtype:
            return None
        if not all(isinstance(d, int) and d for d in w.shape) or any(d == 0 for d in (*x.shape, *y.shape)):
            return None
        if y.strides[1] != 1 or (bias is not None and bias.shape[0] != 1 and bias.strides[0] != 1):
            return None
        if any(extras_of(problem)[i].strides[1] not in (0, 1) for i in epilogue_reads(epilogue)):
            return None
        axes, border = [], []
        for i, stride in enumerate(op.strides):
            window, dilation, (before, after), extent = w.shape[2 + i], op.dilations[i], op.pads[i], x.shape[2 + i]
            assert isinstance(window, int)
            span = dilation * (window - 1)
            axes.append(_runs(extent, window, stride, dilation, before, span - before - after + 1 + op.extra[i]))
            low = min((run.start + run.step * (len(run.taps[0]) - 1) for run in axes[-1] if run.taps[0]), default=0)
            border.append((max(0, -low), max(0, (span - after + op.extra[i]) // stride)))
        have = [x.border_of(2 + i) for i in range(len(border))]
        enough = all(h[0] >= b[0] and h[1] >= b[1] for h, b in zip(have, border, strict=True))
        return cls(problem, op, x, None if enough else Padded(x, tuple(border)), tuple(combinations(*axes)))

    @property
    def channels_last(self) -> bool:
        return self.padded is not None or self.x.strides[1] == 1

    def contractions(self, x: Operand, at: int, offset: Dim, blocking: Blocking) -> list[Contraction]:
        """One per combination of runs. x: argument `at`, its first element `offset` elements in."""
        problem, op = self.problem, self.op
        _, epilogue, arity = core_of(problem.op)
        w, y, extras = problem.inputs[1], problem.outputs[0], extras_of(problem)
        has_bias = (arity or len(problem.inputs)) > 2 and problem.inputs[2] is not None
        assert w is not None
        c, k = w.shape[0], w.shape[1]                     # the filters' say: x may have a symbol that must equal it
        assert isinstance(c, int) and isinstance(k, int)
        columns = padded_columns(k, blocking.nr * blocking.lanes, blocking.lanes)
        found, b_start = [], 0
        for runs in self.runs:
            batch = [Axis(op.groups, c // op.groups * x.strides[1], k, tuple(k * e.strides[1] for e in extras), 1, k)]
            pixels = [Axis(y.shape[0], x.strides[0], y.strides[0], tuple(e.strides[0] for e in extras))]
            taps: list[tuple[Dim, Dim]] = []
            start: Dim = offset
            y_start: Dim = 0
            extra_starts: list[Dim] = [0 for _ in extras]
            for i, run in enumerate(runs, 2):
                s = op.strides[i - 2]
                start = start + run.start * x.strides[i]
                y_start = y_start + run.first * y.strides[i]
                extra_starts = [total + run.first * e.strides[i] for total, e in zip(extra_starts, extras, strict=True)]
                batch.append(Axis(len(run.taps), 0, y.strides[i], tuple(e.strides[i] for e in extras), 1))
                pixels.append(Axis(run.count, x.strides[i], y.strides[i] * s, tuple(e.strides[i] * s for e in extras)))
                taps.append((len(run.taps[0]), x.strides[i] * run.step))
            channels = (c // op.groups, x.strides[1])
            taps = [*taps, channels] if self.channels_last else [channels, *taps]
            steps = math.prod(int(count) for count, _ in taps)
            found.append(Contraction(
                x.dtype, y.dtype, tuple(axis for axis in batch if axis.extent != 1),
                two_pixel_axes(merge_axes(pixels), len(extras)), merge_taps(taps) if steps else ((0, 0),), k,
                (at, 1, 2 if has_bias else None, len(problem.inputs)), start, b_start, y_start, tuple(extra_starts),
                extra_n=tuple(e.strides[1] if e.strides[1] in (0, 1) else 0 for e in extras),
                extra_types=tuple(e.dtype for e in extras), extras_at=arity or 0, epilogue=epilogue))
            b_start += math.prod(int(axis.extent) for axis in batch) * steps * int(columns)
        return found


def _runs(extent: Dim, window: int, stride: int, dilation: int, before: int, beyond: int) -> list[Run]:
    """The runs of one axis of x with `extent` elements; its output has (extent − 1)·stride + beyond."""
    runs: list[Run] = []
    step = -(dilation // math.gcd(dilation, stride))
    for q in range(stride):
        taps = tuple(r for r in range(window) if (q + before - r * dilation) % stride == 0)
        start = (q + before - taps[0] * dilation) // stride if taps else 0
        count = extent - 1 - (q - beyond) // stride
        count = max(0, count) if isinstance(count, int) else maximum(0, count)
        last = runs[-1] if runs else None
        if last is not None and (len(last.taps[0]), last.start, last.count) == (len(taps), start, count):
            runs[-1] = replace(last, taps=(*last.taps, taps))
        else:
            runs.append(Run(q, (taps,), start, step, count))
    return [run for run in runs if run.count != 0]


def _one_after_another(symbol: str, parts: list[tuple[str, Dim]], order: list[Dim]) -> tuple[Dim, Function]:
    """An entry whose chunks are those of all parts, and how many they are."""
    f = entry(symbol)
    d = Dims(f, order)
    total: Dim = 0
    for name, chunks in parts:
        begin = f.maximum(f.sub(f.begin, d(total)), 0)
        end = f.minimum(f.sub(f.end, d(total)), d(chunks))
        with f.when(f.set(f"icmp slt i64 {begin}, {end}")):
            f.call("void", name, ("ptr", "%args"), ("ptr", "%dims"), ("i64", begin), ("i64", end), ("i64", "%thread"))
        total = total + chunks
    return total, f
