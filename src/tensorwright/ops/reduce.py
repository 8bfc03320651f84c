"""Reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from ..errors import ShapeError
from ..ir import Cost, Op, TensorType
from .rules import check_axes, check_axis, highest, lowest, taken, traffic, widen

REDUCE_KINDS = ("sum", "mean", "max", "min", "prod")


@dataclass(frozen=True)
class Reduce(Op):
    """y = sum, mean, max, min or product of x over some axes

    Inputs  x of any shape; numeric, or bool for max and min.
    Output  x's type; the reduced axes are 1 (keepdims) or dropped.
    Params  kind: "sum", "mean", "max", "min" or "prod". axes: non-negative, sorted; () reduces nothing.
    Cost    one operation per element of x.
    Errors  ShapeError for axes outside the rank or not sorted. Over no elements: sum 0, product 1, mean NaN, max −∞ and
            min +∞ (the least and greatest number for integers).
    Source  ONNX operators ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd, versions 13 to 20.
    """

    kind: str
    axes: tuple[int, ...]
    keepdims: bool = True

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        if self.kind not in REDUCE_KINDS:
            raise ShapeError(f"no reduction is named {self.kind!r}", try_=f"one of {', '.join(REDUCE_KINDS)}")
        check_axes(self.axes, x.rank)
        return TensorType(reduced(x.shape, self.axes, self.keepdims), x.dtype)

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        if not self.axes:
            return x.copy()
        wide, count = widen(x), math.prod(x.shape[a] for a in self.axes)
        where: dict[str, Any] = {"axis": self.axes, "keepdims": self.keepdims}
        match self.kind:
            case "max":
                y = np.max(wide, initial=lowest(wide.dtype), **where)
            case "min":
                y = np.min(wide, initial=highest(wide.dtype), **where)
            case _ if wide.dtype.kind == "f":        # summed in float64: the yardstick must not add its own error
                with np.errstate(all="ignore"):
                    y = np.prod(wide, dtype=np.float64, **where) if self.kind == "prod" \
                        else np.sum(wide, dtype=np.float64, **where)
                    y = y / np.float64(count) if self.kind == "mean" else y
            case "prod":
                y = np.prod(wide, dtype=wide.dtype, **where)
            case "sum":
                y = np.sum(wide, dtype=wide.dtype, **where)
            case _:
                total = np.asarray(np.sum(wide, dtype=wide.dtype, **where)).astype(object)   # never overflows
                y = np.sign(total) * (abs(total) // max(count, 1))        # rounds towards zero
        return np.asarray(y).astype(x.dtype)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return Cost(taken(inputs[0]).size, traffic(inputs[0], outputs[0]))


@dataclass(frozen=True)
class ArgReduce(Op):
    """The index of the greatest or least element along an axis

    Inputs  x of rank ≥ 1, numeric.
    Output  int64; the axis is 1 (keepdims) or dropped. A NaN counts as the extreme.
    Params  kind: "max" or "min". axis: non-negative. select_last: of equal elements take the last, else the first.
    Cost    one operation per element of x.
    Errors  ShapeError for an axis outside the rank, or of size 0.
    Source  ONNX operators ArgMax and ArgMin, version 13.
    """

    kind: str
    axis: int
    keepdims: bool = True
    select_last: bool = False

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        if self.kind not in ("max", "min"):
            raise ShapeError(f"no index reduction is named {self.kind!r}", try_='"max" or "min"')
        check_axis(self.axis, x.rank)
        if isinstance(x.shape[self.axis], int) and x.shape[self.axis] == 0:
            raise ShapeError(f"arg{self.kind} over axis {self.axis}, which has no elements", x=x)
        return TensorType(reduced(x.shape, (self.axis,), self.keepdims), DType.int64)

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        find = np.argmax if self.kind == "max" else np.argmin
        wide = widen(x)
        if not self.select_last:
            return np.asarray(find(wide, axis=self.axis, keepdims=self.keepdims), np.int64)
        last = x.shape[self.axis] - 1
        return np.asarray(last - find(np.flip(wide, self.axis), axis=self.axis, keepdims=self.keepdims), np.int64)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return Cost(taken(inputs[0]).size, traffic(inputs[0], outputs[0]))


def reduced(shape: tuple[Dim, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[Dim, ...]:
    return tuple(1 if i in axes else d for i, d in enumerate(shape) if keepdims or i not in axes)
