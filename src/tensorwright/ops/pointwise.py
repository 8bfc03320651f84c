"""Element-wise computation: one expression over broadcast inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..ir import Cost, Op, TensorType
from .expr import Expr, evaluate, size
from .expr_check import check_expression
from .rules import broadcast_shapes, taken


@dataclass(frozen=True)
class Pointwise(Op):
    """y = expr(x0, x1, ...), element by element

    Inputs  x0 .. xn, broadcast against each other by NumPy's rule. In(i) of the expression is xi.
    Output  the broadcast shape of all inputs; the expression's type.
    Params  expr: the expression.
    Cost    one operation per distinct function application and element.
    Errors  ShapeError when the shapes do not broadcast or the expression reads an input that is not there;
            TypeMismatch when an input's type is not the one the expression reads.
    Source  ONNX's element-wise operators and their broadcasting rule.
    """

    expr: Expr

    def infer(self, *inputs: TensorType | None) -> TensorType:
        given = [taken(t) for t in inputs]
        check_expression(self.expr, [t.dtype for t in given])
        return TensorType(broadcast_shapes(*(t.shape for t in given)), self.expr.dtype)

    def reference(self, *inputs: np.ndarray | None) -> np.ndarray:
        arrays = [np.asarray(x) for x in inputs]
        shape = np.broadcast_shapes(*(x.shape for x in arrays))
        y = evaluate(self.expr, arrays)
        return y if y.shape == shape else np.broadcast_to(y, shape).copy()

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return Cost(outputs[0].size * size(self.expr), super().cost(inputs, outputs).bytes)
