"""Softmax and its logarithm."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import Op, TensorType
from .rules import check_axis, need_float


@dataclass(frozen=True)
class Softmax(Op):
    """y = exp(x − max x) / Σ exp(x − max x) along one axis; with log, its natural logarithm

    Inputs  x of rank ≥ 1, floating point.
    Output  shape and type of x.
    Params  axis: non-negative. log: the logarithm of the softmax, computed as (x − max) − log Σ exp(x − max).
    Cost    five operations per element.
    Errors  ShapeError for an axis outside the rank; TypeMismatch for other types.
    Source  ONNX operators Softmax and LogSoftmax, version 13.
    """

    axis: int
    log: bool = False

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        check_axis(self.axis, x.rank)
        need_float(x)
        return x
