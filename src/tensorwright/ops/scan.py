"""Running sums and products, and the greatest elements of an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from ..errors import ShapeError
from ..ir import Cost, Op, TensorType
from .movement import extents
from .rules import check_axis, exceeds, taken, traffic, widen


@dataclass(frozen=True)
class CumSum(Op):
    """y[i] = Σ_{j ≤ i} x[j] along one axis

    Inputs  x of rank ≥ 1, numeric.
    Output  shape and type of x; integers wrap.
    Params  axis: non-negative. exclusive: sum over j < i. reverse: sum from the end (j ≥ i, or j > i).
    Cost    one operation per element.
    Errors  ShapeError for an axis outside the rank.
    Source  ONNX operator CumSum, version 14.
    """

    axis: int
    exclusive: bool = False
    reverse: bool = False

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        check_axis(self.axis, x.rank)
        return x

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return running(np.cumsum, x, self.axis, self.exclusive, self.reverse, 0)


@dataclass(frozen=True)
class CumProd(Op):
    """y[i] = Π_{j ≤ i} x[j] along one axis

    Inputs  x of rank ≥ 1, numeric.
    Output  shape and type of x; integers wrap.
    Params  axis: non-negative. exclusive: product over j < i. reverse: from the end (j ≥ i, or j > i).
    Cost    one operation per element.
    Errors  ShapeError for an axis outside the rank.
    Source  ONNX operator CumProd, version 26.
    """

    axis: int
    exclusive: bool = False
    reverse: bool = False

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        check_axis(self.axis, x.rank)
        return x

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return running(np.cumprod, x, self.axis, self.exclusive, self.reverse, 1)


@dataclass(frozen=True)
class TopK(Op):
    """The k greatest or least elements along an axis, and their indices

    Inputs  x of rank ≥ 1, numeric.
    Output  values: x's type; indices: int64; both x's shape with k along the axis. Of equal elements the one with the
            lower index comes first. NaN counts as greater than all numbers.
    Params  k ≥ 0. axis: non-negative. largest: greatest instead of least. sorted: in order; else in any order (this
            implementation sorts them all the same).
    Cost    log₂ of the axis' extent operations per element, rounded up; 8 when the extent is symbolic.
    Errors  ShapeError for an axis outside the rank, or k greater than the extent.
    Source  ONNX operator TopK, version 24.
    """

    k: Dim
    axis: int
    largest: bool = True
    sorted: bool = True

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:  # type: ignore[override]
        check_axis(self.axis, x.rank)
        if exceeds(self.k, x.shape[self.axis]) or exceeds(0, self.k):
            raise ShapeError(f"{self.k} elements of the {x.shape[self.axis]} along axis {self.axis}", x=x)
        shape = x.shape[:self.axis] + (self.k,) + x.shape[self.axis + 1:]
        return TensorType(shape, x.dtype), TensorType(shape, DType.int64)

    def reference(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[override]
        wide, last = widen(x), x.shape[self.axis] - 1
        if self.largest:                            # backwards twice: equal elements stay in order of their indices
            order = last - np.flip(np.argsort(np.flip(wide, self.axis), self.axis, kind="stable"), self.axis)
        else:
            order = np.argsort(wide, self.axis, kind="stable")
        (k,) = extents((self.k,), "k")
        if k > last + 1:
            raise ShapeError(f"{k} elements of the {last + 1} along axis {self.axis}")
        chosen = np.take(order, range(k), self.axis).astype(np.int64)
        return np.take_along_axis(x, chosen, self.axis), chosen

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        x = taken(inputs[0])
        extent = x.shape[self.axis]
        levels = extent.bit_length() if isinstance(extent, int) else 8
        return Cost(levels * x.size, traffic(x, *outputs))


def running(fn: Callable[..., np.ndarray], x: np.ndarray, axis: int, exclusive: bool, reverse: bool,
            neutral: int) -> np.ndarray:
    """A running sum or product, exclusive ones from the neutral element on. Floats accumulate in float64."""
    x_moved = np.moveaxis(x, axis, 0)
    if reverse:
        x_moved = x_moved[::-1]
    y = fn(x_moved, axis=0, dtype=x.dtype if x.dtype.kind in "iub" else np.float64).astype(x.dtype)
    if exclusive:
        y = np.concatenate([np.full_like(y[:1], neutral), y[:-1]])
    return np.ascontiguousarray(np.moveaxis(y[::-1] if reverse else y, 0, axis))
