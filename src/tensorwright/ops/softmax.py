"""Softmax and its logarithm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..ir import Cost, Op, TensorType
from .rules import check_axis, need_float, traffic, widen


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

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        if not x.size:
            return x.copy()
        wide = widen(x)
        with np.errstate(all="ignore"):
            shifted = wide - wide.max(self.axis, keepdims=True)
            powers = np.exp(shifted)
            sums = powers.sum(self.axis, keepdims=True)
            y = shifted - np.log(sums) if self.log else powers / sums
        return y.astype(x.dtype, copy=False)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return Cost(5 * outputs[0].size, traffic(inputs[0], outputs[0]))
