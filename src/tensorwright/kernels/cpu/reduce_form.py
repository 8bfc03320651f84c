"""The normal form of reductions."""

from __future__ import annotations

from dataclasses import dataclass

from ...dims import Dim, product
from ...dtypes import NATIVE, DType
from ...ops.expr import Expr, In
from ...ops.fused import Fused
from ...ops.reduce import Reduce
from ..problem import Operand, Problem
from .access import types_in
from .space import Axis, arranged


@dataclass(frozen=True)
class Work:
    """A reduction in normal form.

    dtype       of the source and of the accumulators (integers wrap around)
    count       elements per result, for the final division of means; None when nothing is divided
    epilogue    of In(0), the result, and In(1 + i), the extra operands
    kept        axes with strides in (source, result, extras ...); the vector axis of "across" last
    reduced     axes with strides in (source,); at least one, the one of stride 1 last
    arguments   positions among the kernel's pointers: source, result, extras
    """

    kind: str
    dtype: DType
    count: Dim | None
    epilogue: Expr
    kept: tuple[Axis, ...]
    reduced: tuple[Axis, ...]
    extras: tuple[DType, ...]
    arguments: tuple[int, ...]

    @property
    def sizes(self) -> list[int]:
        return [self.dtype.itemsize, self.epilogue.dtype.itemsize, *(t.itemsize for t in self.extras)]

    @property
    def length(self) -> Dim:
        return product(a.size for a in self.reduced)

    @property
    def outputs(self) -> Dim:
        return product(a.size for a in self.kept)


def normal_form(problem: Problem) -> Work | None:
    """None when the element types have no kernels."""
    op, x, y = problem.op, problem.inputs[0], problem.outputs[0]
    core = op.core if isinstance(op, Fused) else op
    assert isinstance(core, Reduce) and x is not None
    extras = [e for e in problem.inputs[1:] if e is not None]
    epilogue: Expr = op.epilogue if isinstance(op, Fused) else In(0, x.dtype)
    if not {x.dtype, *types_in(epilogue)} <= NATIVE or any(e.shape != y.shape for e in extras):
        return None
    if x.dtype is DType.bool and core.kind not in ("max", "min"):
        return None
    kept, reduced = divided_axes(x, core.axes, core.keepdims, (y, *extras))
    count = product(x.shape[a] for a in core.axes) if core.kind == "mean" else None
    return Work(core.kind, x.dtype, count, epilogue, vector_last(arranged(problem, kept, 0)),
                vector_last(arranged(problem, reduced, 0)) or (Axis(1, (1,)),), tuple(e.dtype for e in extras),
                (0, len(problem.inputs), *range(1, len(problem.inputs))))


def divided_axes(x: Operand, axes: tuple[int, ...], keepdims: bool,
                 others: tuple[Operand, ...]) -> tuple[list[Axis], list[Axis]]:
    """(kept axes with strides in x and the others, reduced axes with strides in x)."""
    kept, reduced, place = list[Axis](), list[Axis](), 0
    for k, size in enumerate(x.shape):
        if k in axes:
            reduced.append(Axis(size, (x.strides[k],)))
        else:
            kept.append(Axis(size, (x.strides[k], *(o.strides[place] for o in others))))
        place += keepdims or k not in axes
    return kept, reduced


def vector_last(axes: list[Axis]) -> tuple[Axis, ...]:
    """The axis along which the first operand, or else a later one, is contiguous goes last."""
    for operand in range(len(axes[0].strides) if axes else 0):
        for k in reversed(range(len(axes))):
            if axes[k].strides[operand] == 1:
                return (*axes[:k], *axes[k + 1:], axes[k])
    return tuple(axes)
