"""Matrix products: B constant and packed, B used in place, or B packed by a first phase."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...dims import Dim, evaluate
from ...ops.matmul import MatMul
from ...targets import CpuSpec
from ..llvm import SCALAR, module
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
from .repack import Matrices, repack_function
from .tiling import candidates


@dataclass(frozen=True)
class BlockedMatMul:
    """Register tiles over rows × columns.

    b   "constant": packed at build. "in place": rows of B are read where they lie. "repacked": by a first phase.
    """

    blocking: Blocking
    b: str

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        form = normal_form(problem)
        assert form is not None
        c, k = form.contraction, self.blocking
        order: list[Dim] = []
        if self.b != "repacked":
            functions, chunks = blocked_functions(c, k, cpu, symbol, order)
            packed = (1,) if self.b == "constant" else ()
            return Source(module(*functions), (Phase(symbol, chunks),), tuple(order), packed=packed)
        target = len(problem.inputs) + 1
        first, first_chunks = repack_function(form.matrices(target), k.nr, k.lanes, f"{symbol}_pack", order)
        functions, chunks = blocked_functions(form.reading(target), k, cpu, symbol, order)
        size = padded_columns(c.n, k.nr * k.lanes, k.lanes) * c.steps * c.groups * c.dtype.itemsize
        return Source(module(first, *functions), (Phase(first.name, first_chunks), Phase(symbol, chunks)), tuple(order),
                      (Workspace(size),))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        k, n = (array.shape[-2], array.shape[-1]) if array.ndim > 1 else (array.shape[0], 1)
        b = self.blocking
        return pack_panels(array.reshape(-1, k, n), b.nr * b.lanes, b.lanes)


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[BlockedMatMul]:
    """Blocked products. y's columns must have stride 1; A and B may have any strides."""
    form = normal_form(problem)
    if form is None:
        return
    c, tuned = form.contraction, dict(problem.tuned)
    if form.b.constant and isinstance(c.n, int) and isinstance(c.steps, int):
        yield from (BlockedMatMul(k, "constant") for k in candidates(c, cpu, tuned))
        return
    in_place = [BlockedMatMul(k, "in place") for k in candidates(c, cpu, tuned, packed=False) if form.n_stride == 1]
    repacked = [BlockedMatMul(k, "repacked") for k in candidates(c, cpu, tuned)]
    rows = evaluate(c.pixels[-1].extent, tuned) * evaluate(c.pixels[-2].extent, tuned)
    first, second = (in_place, repacked) if rows <= 64 or not repacked else (repacked, in_place)
    yield from [*first[:1], *second[:2], *first[1:3]]


@dataclass(frozen=True)
class NormalForm:
    """A matrix product as a contraction, and what is needed to copy B."""

    contraction: Contraction
    b: Operand
    k: Dim
    k_stride: Dim
    n_stride: Dim

    def matrices(self, target: int) -> Matrices:
        c = self.contraction
        return Matrices(SCALAR[c.dtype], c.dtype.itemsize, tuple((x.extent, x.b) for x in c.batch), self.k, c.n,
                        self.k_stride, self.n_stride, 1, target)

    def reading(self, target: int) -> Contraction:
        """The contraction with B at another argument, in panels."""
        a, _, bias, y = self.contraction.args
        return replace(self.contraction, args=(a, target, bias, y))


def normal_form(problem: Problem) -> NormalForm | None:
    """None where these kernels do not apply."""
    op, epilogue, arity = core_of(problem.op)
    assert isinstance(op, MatMul)
    a, b = problem.inputs[:2]
    y, extras = problem.outputs[0], extras_of(problem)
    if a is None or b is None or a.dtype not in NATIVE or a.dtype != b.dtype:
        return None
    if any(d == 0 for d in (*a.shape, *b.shape)):
        return None
    has_m, has_n = len(a.shape) > 1, len(b.shape) > 1
    k = a.shape[-1]
    n, n_stride = (b.shape[-1], b.strides[-1]) if has_n else (1, 1)
    k_stride = b.strides[-2] if has_n else b.strides[0]
    along = y.strides[-1] if has_n and n != 1 else 1
    extra_n = [e.strides[-1] if has_n and n != 1 else 0 for e in extras]
    if along != 1 or any(extra_n[i] not in (0, 1) for i in epilogue_reads(epilogue)):
        return None
    leading = len(y.shape) - has_m - has_n
    batch: list[Axis] = []
    pixels: list[Axis] = []
    for i in range(leading):
        extent = y.shape[i]
        axis = Axis(extent, _stride(a, i - leading - 2, extent), y.strides[i],
                    tuple(e.strides[i] for e in extras), _stride(b, i - leading - 2, extent))
        (pixels if axis.b == 0 else batch).append(axis)
    if has_m:
        pixels.append(Axis(a.shape[-2], a.strides[-2], y.strides[leading], tuple(e.strides[leading] for e in extras)))
    c = Contraction(
        a.dtype, y.dtype, tuple(axis for axis in batch), two_pixel_axes(merge_axes(pixels), len(extras)),
        merge_taps([(k, a.strides[-1])]), n, args=(0, 1, None, len(problem.inputs)), row=k_stride,
        extra_n=tuple(s if s in (0, 1) else 0 for s in extra_n),  # type: ignore[misc]
        extra_types=tuple(e.dtype for e in extras), extras_at=arity or 0, epilogue=epilogue)
    return NormalForm(c, b, k, k_stride, n_stride)


def _stride(x: Operand, axis: int, extent: Dim) -> Dim:
    """Stride of x along a leading axis counted from the end, 0 where x is broadcast."""
    if -axis > len(x.shape) or (x.shape[axis] == 1 and extent != 1):
        return 0
    return x.strides[axis]
