"""Tensors made from nothing but parameters: ramps, shapes and constants of run-time size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from ..ir import Cost, Op, TensorType
from .movement import extents
from .rules import check_axis, moved, traffic


@dataclass(frozen=True)
class Iota(Op):
    """y[..., i, ...] = start + step·i, where i counts along one axis

    Inputs  none.
    Output  (shape), dtype.
    Params  shape. axis: non-negative. dtype: numeric. start, step: numbers of that type.
    Cost    two operations per element.
    Errors  ShapeError for an axis outside the rank.
    Source  ONNX operator Range, version 11, with known bounds.
    """

    shape: tuple[Dim, ...]
    axis: int
    dtype: DType
    start: Dim | float = 0
    step: Dim | float = 1

    def infer(self) -> TensorType:  # type: ignore[override]
        check_axis(self.axis, len(self.shape))
        return TensorType(self.shape, self.dtype)

    def reference(self) -> np.ndarray:  # type: ignore[override]
        shape = extents(self.shape, "shape")
        start, step = (np.asarray(v, np.float64 if self.dtype.is_float else np.int64) for v in (self.start, self.step))
        ramp = (np.arange(shape[self.axis]) * step + start).astype(self.dtype.numpy)
        return np.broadcast_to(ramp.reshape([-1 if i == self.axis else 1 for i in range(len(shape))]), shape).copy()

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return Cost(2 * outputs[0].size, traffic(outputs[0]))


@dataclass(frozen=True)
class ShapeVector(Op):
    """y = (dims), the values that symbolic dimensions have at run time

    Inputs  none.
    Output  int64 (len(dims),).
    Params  dims: expressions of the network's symbols.
    Cost    no arithmetic.
    Source  ONNX operators Shape and Size, version 25.
    """

    dims: tuple[Dim, ...]

    def infer(self) -> TensorType:  # type: ignore[override]
        return TensorType((len(self.dims),), DType.int64)

    def reference(self) -> np.ndarray:  # type: ignore[override]
        return np.array(extents(self.dims, "shape vector"), np.int64)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return moved(outputs[0])


@dataclass(frozen=True)
class Fill(Op):
    """y = value everywhere

    Inputs  none.
    Output  (shape), dtype.
    Params  shape. value: a number or bool. dtype: numeric or bool.
    Cost    no arithmetic.
    Source  ONNX operator ConstantOfShape, version 25.
    """

    shape: tuple[Dim, ...]
    value: float | int | bool
    dtype: DType

    def infer(self) -> TensorType:  # type: ignore[override]
        return TensorType(self.shape, self.dtype)

    def reference(self) -> np.ndarray:  # type: ignore[override]
        return np.full(extents(self.shape, "shape"), self.value, self.dtype.numpy)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return moved(outputs[0])
