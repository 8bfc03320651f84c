"""The normal form of convolutions and matrix products: y[g, p, n] = epilogue(bias[g, n] + Σ_k A[g, p, k]·B[g, k, n]).

A convolution's taps and a matrix product's k run over the same nest of (count, stride) loops, its pixels and the
product's rows over the same axes; so one micro-kernel and one driver serve both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...dims import Dim, product
from ...dtypes import DType
from ...ir import Op
from ...ops.expr import Expr, operands
from ...ops.fused import Fused
from ..problem import Operand, Problem

#: element types that are multiplied and summed as they are
NATIVE = (DType.float32, DType.float64, DType.int8, DType.int16, DType.int32, DType.int64,
          DType.uint8, DType.uint16, DType.uint32, DType.uint64)


@dataclass(frozen=True)
class Axis:
    """A loop over outputs. Strides in elements of the matrix A, of B, of the bias, of y and of every extra operand."""

    extent: Dim
    a: Dim
    y: Dim
    extras: tuple[Dim, ...] = ()
    b: Dim = 0
    bias: Dim = 0


@dataclass(frozen=True)
class Contraction:
    """All that code generation needs.

    batch     axes along which B or the bias changes: groups, batched matrices
    pixels    axes along which B stays, outer to inner; at least two
    taps      (count, A stride) outer to inner; B advances one row of n per step
    start     A elements from A's pointer to the first tap of the first pixel (negative with padding); likewise
              b_start for packed B, y_start, extra_starts
    n         columns: bias and B (in place) have stride 1 along them, y has y_n (1 but for dot products)
    row       B elements between its rows when used in place
    extra_n   stride of each extra along n: 0 or 1 (any for dot products)
    args      positions of A, B, bias (None when absent) and y in the kernel's arguments; extras follow `extras_at`
    """

    dtype: DType
    out: DType
    batch: tuple[Axis, ...]
    pixels: tuple[Axis, ...]
    taps: tuple[tuple[Dim, Dim], ...]
    n: Dim
    args: tuple[int, int, int | None, int]
    start: Dim = 0
    b_start: int = 0
    y_start: Dim = 0
    extra_starts: tuple[Dim, ...] = ()
    row: Dim = 0
    extra_n: tuple[Dim, ...] = ()
    extra_types: tuple[DType, ...] = ()
    extras_at: int = 0
    epilogue: Expr | None = None
    y_n: Dim = 1

    @property
    def steps(self) -> Dim:
        return product(count for count, _ in self.taps)

    @property
    def groups(self) -> Dim:
        return product(axis.extent for axis in self.batch)


def core_of(op: Op) -> tuple[Op, Expr | None, int | None]:
    """(core operator, epilogue, its arity) of a plain or Fused operator."""
    return (op.core, op.epilogue, op.arity) if isinstance(op, Fused) else (op, None, None)


def extras_of(problem: Problem) -> tuple[Operand, ...]:
    """Epilogue operands beyond the core's own."""
    if not isinstance(problem.op, Fused):
        return ()
    extras = problem.inputs[problem.op.arity:]
    assert all(e is not None for e in extras)
    return extras  # type: ignore[return-value]


def epilogue_reads(epilogue: Expr | None) -> tuple[int, ...]:
    """Extras (from 0) that the epilogue reads."""
    return tuple(i.index - 1 for i in operands(epilogue) if i.index > 0) if epilogue is not None else ()


def merge_axes(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Neighbouring axes as one wherever every operand walks them in one stride; axes of extent 1 vanish."""
    merged: list[Axis] = []
    for axis in axes:
        if axis.extent == 1:
            continue
        if merged and _joins(merged[-1], axis):
            merged[-1] = replace(axis, extent=merged[-1].extent * axis.extent)
        else:
            merged.append(axis)
    return tuple(merged)


def _joins(outer: Axis, inner: Axis) -> bool:
    pairs = [(outer.a, inner.a), (outer.y, inner.y), (outer.b, inner.b), (outer.bias, inner.bias),
             *zip(outer.extras, inner.extras, strict=True)]
    return all(o == i * inner.extent for o, i in pairs)


def merge_taps(taps: Sequence[tuple[Dim, Dim]]) -> tuple[tuple[Dim, Dim], ...]:
    """The same for loops over k; at least one loop stays."""
    merged: list[tuple[Dim, Dim]] = []
    for count, stride in taps:
        if count == 1:
            continue
        if merged and merged[-1][1] == stride * count:
            merged[-1] = (merged[-1][0] * count, stride)
        else:
            merged.append((count, stride))
    return tuple(merged) or ((1, 0),)


def two_pixel_axes(axes: Sequence[Axis], extras: int) -> tuple[Axis, ...]:
    """At least a row and a column axis, for tiles."""
    missing = Axis(1, 0, 0, (0,) * extras)
    return (missing,) * max(0, 2 - len(axes)) + tuple(axes)
