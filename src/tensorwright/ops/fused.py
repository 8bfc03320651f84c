"""A core operator with a pointwise expression applied to its result before it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dims import Dim
from ..errors import ShapeError
from ..ir import Cost, Op, TensorType
from .expr import Expr, evaluate, size
from .expr_check import check_expression


@dataclass(frozen=True)
class Fused(Op):
    """y = epilogue(core(inputs[:arity]), *inputs[arity:])

    Inputs  the core's `arity` inputs (None allowed), then the epilogue's extra operands, broadcastable to the core's
            output.
    Output  the core's output shape; the epilogue's type. In(0) of the epilogue is the core's result, In(1 + i) extra i.
    Params  core: an operator with one output. epilogue: expression. arity: number of the core's inputs.
    Cost    the core's, plus one operation per function and element.
    """

    core: Op
    epilogue: Expr
    arity: int

    def infer(self, *inputs: TensorType | None) -> TensorType:
        y = self.core.infer(*inputs[: self.arity])
        assert isinstance(y, TensorType)
        check_expression(self.epilogue, [y.dtype, *(None if t is None else t.dtype for t in inputs[self.arity:])])
        for extra in inputs[self.arity:]:
            assert extra is not None
            padded = (1,) * (y.rank - extra.rank) + extra.shape
            if extra.rank > y.rank or any(e != 1 and e != d for e, d in zip(padded, y.shape, strict=True)):
                raise ShapeError(f"epilogue operand {extra} does not broadcast to {y}")
        return TensorType(y.shape, self.epilogue.dtype)

    def reference(self, *inputs: np.ndarray | None) -> Any:
        y = self.core.reference(*inputs[: self.arity])
        return evaluate(self.epilogue, [y, *inputs[self.arity:]])  # type: ignore[list-item]

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        core = self.core.cost(inputs[: self.arity], outputs)
        extra: Dim = 0
        for t in inputs[self.arity:]:
            if t is not None:
                extra = extra + t.size * t.dtype.itemsize
        return Cost(core.flops + outputs[0].size * size(self.epilogue), core.bytes + extra)
