"""The normal form of operators that turn each row of x into a row of y: Softmax and Normalize."""

from __future__ import annotations

from dataclasses import dataclass

from ...dims import Dim, product
from ...dtypes import NATIVE, DType
from ...ops.expr import Expr, In
from ...ops.fused import Fused
from ...ops.normalize import Normalize
from ...ops.softmax import Softmax
from ..problem import Problem
from .access import types_in
from .reduce_form import vector_last
from .space import Axis, arranged, zip_axes


@dataclass(frozen=True)
class Rows:
    """Operands are x, y, then the epilogue's extras; all of one shape.

    kept        axes that choose a row
    reduced     axes of a row; at least one
    arguments   positions among the kernel's pointers, in the operands' order
    """

    dtypes: tuple[DType, ...]
    kept: tuple[Axis, ...]
    reduced: tuple[Axis, ...]
    epilogue: Expr
    arguments: tuple[int, ...]

    @property
    def length(self) -> Dim:
        return product(a.size for a in self.reduced)


def normal_form(problem: Problem) -> Rows | None:
    """None when the types have no kernels. The axes along which x is contiguous come last."""
    op, x, y = problem.op, problem.inputs[0], problem.outputs[0]
    core = op.core if isinstance(op, Fused) else op
    assert isinstance(core, (Softmax, Normalize)) and x is not None
    axes = (core.axis,) if isinstance(core, Softmax) else core.axes
    extras = [e for e in problem.inputs[1:] if e is not None]
    epilogue: Expr = op.epilogue if isinstance(op, Fused) else In(0, x.dtype)
    if x.dtype not in (DType.float32, DType.float64) or not types_in(epilogue) <= NATIVE:
        return None
    if any(e.shape != x.shape for e in (y, *extras)):
        return None
    every = zip_axes(x.shape, x.strides, y.strides, *(e.strides for e in extras))
    kept = [a for k, a in enumerate(every) if k not in axes]
    reduced = arranged(problem, [a for k, a in enumerate(every) if k in axes], 0)
    single = Axis(1, (1,) * (2 + len(extras)))
    return Rows((x.dtype, y.dtype, *(e.dtype for e in extras)), vector_last(arranged(problem, kept, 0)),
                vector_last(reduced) or (single,), epilogue,
                (0, len(problem.inputs), *range(1, len(problem.inputs))))
