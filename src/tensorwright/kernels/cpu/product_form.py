"""Matrix products as contractions: rows and broadcast batches of A are pixels, batches of B are the batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...dims import Dim
from ...ops.matmul import MatMul
from ..llvm import SCALAR
from ..problem import Operand, Problem
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
from .repack import Matrices


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
        return Matrices(SCALAR[c.dtype], c.dtype.itemsize, tuple((x.extent, x.b) for x in c.batch),
                        ((self.k, self.k_stride),), c.n, self.n_stride, 1, target)

    def reading(self, target: int) -> Contraction:
        """The contraction with B at another argument, in panels."""
        a, _, bias, y = self.contraction.args
        return replace(self.contraction, args=(a, target, bias, y))


def normal_form(problem: Problem, any_columns: bool = False) -> NormalForm | None:
    """None where these kernels do not apply. any_columns: y and extras may have any stride along n."""
    op, epilogue, arity = core_of(problem.op)
    assert isinstance(op, MatMul)
    a, b = problem.inputs[:2]
    y, extras = problem.outputs[0], extras_of(problem)
    if a is None or b is None or a.dtype not in NATIVE or a.dtype != b.dtype:
        return None
    has_m, has_n = len(a.shape) > 1, len(b.shape) > 1
    k = a.shape[-1]
    n, n_stride = (b.shape[-1], b.strides[-1]) if has_n else (1, 1)
    k_stride = b.strides[-2] if has_n else b.strides[0]
    along = y.strides[-1] if has_n and n != 1 else 1
    extra_n = [e.strides[-1] if has_n and n != 1 else 0 for e in extras]
    if not any_columns:
        if along != 1 or any(extra_n[i] not in (0, 1) for i in epilogue_reads(epilogue)):
            return None
        extra_n = [s if s in (0, 1) else 0 for s in extra_n]            # those are not read
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
        extra_n=tuple(extra_n), extra_types=tuple(e.dtype for e in extras), extras_at=arity or 0, epilogue=epilogue,
        y_n=along)
    return NormalForm(c, b, k, k_stride, n_stride)


def _stride(x: Operand, axis: int, extent: Dim) -> Dim:
    """Stride of x along a leading axis counted from the end, 0 where x is broadcast."""
    if -axis > len(x.shape) or (x.shape[axis] == 1 and extent != 1):
        return 0
    return x.strides[axis]
