"""Normalisation to zero mean and unit variance, or to unit mean square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..ir import Cost, Op, TensorType
from .rules import check_axes, need_float, traffic, widen


@dataclass(frozen=True)
class Normalize(Op):
    """y = (x − μ) / √(mean((x − μ)²) + ε), means taken over some axes; μ = mean(x) when center, else 0

    Inputs  x, floating point. Scale and shift are Pointwise layers of their own.
    Output  shape and type of x.
    Params  axes: non-negative, sorted, at least one. epsilon: ε. center: False gives RMS normalisation.
    Cost    seven operations per element (five without centering).
    Errors  ShapeError for axes outside the rank, not sorted, or none; TypeMismatch for other types.
    Source  the normalisation step of ONNX operators LayerNormalization 17, InstanceNormalization 22,
            GroupNormalization 21, MeanVarianceNormalization 13 and RMSNormalization 23.
    """

    axes: tuple[int, ...]
    epsilon: float
    center: bool = True

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        check_axes(self.axes or (-1,), x.rank)
        need_float(x)
        return x

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        if not x.size:
            return x.copy()
        wide = widen(x)
        with np.errstate(all="ignore"):             # means in float64: the yardstick must not add its own error
            if self.center:
                wide = wide - wide.mean(self.axes, np.float64, keepdims=True).astype(wide.dtype)
            power = np.square(wide).mean(self.axes, np.float64, keepdims=True)
            return (wide * (1 / np.sqrt(power + self.epsilon)).astype(wide.dtype)).astype(x.dtype, copy=False)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return Cost((7 if self.center else 5) * outputs[0].size, traffic(inputs[0], outputs[0]))
