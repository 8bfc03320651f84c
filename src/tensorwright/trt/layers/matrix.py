"""Matrix products."""

from __future__ import annotations

from typing import Any

from ...dims import Dim, product
from ...errors import ShapeError
from ...ir import TensorType
from ...ops import MatMul, Reshape, Transpose
from ..enums import LayerType, MatrixOperation
from ..layer import ILayer, Lowering, Param, WeightsParam, number, pointwise


class IMatrixMultiplyLayer(ILayer):
    """op0(a) · op1(b) over the last two axes; leading axes broadcast. VECTOR: the operand has one axis fewer."""

    _layer_type = LayerType.MATRIX_MULTIPLY
    op0 = Param(MatrixOperation.NONE)
    op1 = Param(MatrixOperation.NONE)

    @property
    def transpose0(self) -> bool:
        """op0 is TRANSPOSE, as generations up to 7 say it."""
        return bool(self.op0 == MatrixOperation.TRANSPOSE)

    @transpose0.setter
    def transpose0(self, value: bool) -> None:
        self.op0 = MatrixOperation.TRANSPOSE if value else MatrixOperation.NONE

    @property
    def transpose1(self) -> bool:
        return bool(self.op1 == MatrixOperation.TRANSPOSE)

    @transpose1.setter
    def transpose1(self, value: bool) -> None:
        self.op1 = MatrixOperation.TRANSPOSE if value else MatrixOperation.NONE

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        types = [to.type(v) for v in values]
        leading = [t.rank - (1 if op == MatrixOperation.VECTOR else 2)
                   for t, op in zip(types, (self.op0, self.op1), strict=True)]
        if leading[0] != leading[1] or leading[0] < 0:
            raise ShapeError("operands must have equally many dimensions, not counting those of a vector or matrix",
                             a=types[0], b=types[1])
        a = self._operand(to, values[0], types[0], self.op0, row=True)
        b = self._operand(to, values[1], types[1], self.op1, row=False)
        if MatrixOperation.VECTOR not in (self.op0, self.op1):
            return self._last(to, MatMul(), a, b)
        y = self._also(to, MatMul(), a, b)
        *lead, m, n = to.type(y).shape
        kept = [*lead, *([] if self.op0 == MatrixOperation.VECTOR else [m]),
                *([] if self.op1 == MatrixOperation.VECTOR else [n])]
        return self._last(to, Reshape(tuple(kept)), y)

    def _operand(self, to: Lowering, value: str, t: TensorType, op: MatrixOperation, *, row: bool) -> str:
        if op == MatrixOperation.TRANSPOSE:
            return self._also(to, Transpose((*range(t.rank - 2), t.rank - 1, t.rank - 2)), value)
        if op == MatrixOperation.VECTOR:
            *lead, k = t.shape
            return self._also(to, Reshape((*lead, 1, k) if row else (*lead, k, 1)), value)
        return value


class IFullyConnectedLayer(ILayer):
    """y = x · kernelᵀ + bias, x flattened over its last three axes: (..., C, H, W) → (..., outputs, 1, 1)."""

    _layer_type = LayerType.MATRIX_MULTIPLY
    num_output_channels = Param(0, int)
    kernel = WeightsParam()
    bias = WeightsParam()

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x, n = to.type(values[0]), self.num_output_channels
        if x.rank < 3:
            raise ShapeError("a fully connected layer takes at least 3 dimensions (..., C, H, W)", x=x)
        lead: tuple[Dim, ...] = x.shape[:-3]
        k = number(product(x.shape[-3:]), "the number of elements per sample")
        if self.kernel.size != n * k or self.bias.size not in (0, n):
            raise ShapeError(f"{n} outputs of {k} elements take {n * k} weights and {n} biases, "
                             f"not {self.kernel.size} and {self.bias.size}", x=x)
        weights = self._also(to, Transpose((1, 0)), to.given(self, "kernel", (n, k), x.dtype))
        flat = lead if lead else (1,)
        y = self._also(to, MatMul(), self._also(to, Reshape((*flat, k)), values[0]), weights)
        if self.bias.size:
            bias = to.given(self, "bias", (-1,), x.dtype)
            y = self._also(to, pointwise("add", x.dtype, x.dtype), y, bias)
        return self._last(to, Reshape((*lead, n, 1, 1)), y)
