"""Writing elements by index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ShapeError
from ..ir import Cost, Op, TensorType
from .gather import check_elements, check_updates, covering, flat_rows, index_depth, wrapped
from .rules import need_int, same_dtype, taken, traffic, widen

REDUCTIONS = ("none", "add", "mul", "max", "min")


def check_reduction(reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ShapeError(f"no scatter reduction is named {reduction!r}", try_=f"one of {', '.join(REDUCTIONS)}")


@dataclass(frozen=True)
class ScatterElements(Op):
    """y = data, then y[a..., indices[a..., i, b...], b...] ⊕= updates[a..., i, b...]

    Inputs  data of rank ≥ 1; indices: int32 or int64 of data's rank, negative ones count from the end; updates: the
            shape of indices, data's type.
    Output  shape and type of data.
    Params  axis: non-negative. reduction ⊕: "none" (the last of equal indices stays), "add", "mul", "max", "min".
    Cost    one operation per update.
    Errors  ShapeError when shapes disagree; InputError at evaluation when an index is out of range.
    Source  ONNX operator ScatterElements, version 18.
    """

    axis: int = 0
    reduction: str = "none"

    def infer(self, data: TensorType, indices: TensorType, updates: TensorType) -> TensorType:  # type: ignore[override]
        check_reduction(self.reduction)
        check_elements(data, indices, self.axis)
        check_updates(indices.shape, updates, data, indices)
        same_dtype(data, updates)
        return data

    def reference(self, data: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:  # type: ignore[override]
        y = widen(data).copy()
        index = wrapped(indices, data.shape[self.axis], self.axis)
        grid = list(np.ogrid[covering(indices.shape, -1)])
        grid[self.axis] = index
        combine(self.reduction, y, tuple(grid), widen(updates))
        return y.astype(data.dtype, copy=False)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return scatter_cost(self.reduction, inputs, outputs)


@dataclass(frozen=True)
class ScatterND(Op):
    """y = data, then y[(indices[i..., :]) ..., b...] ⊕= updates[i..., b...]

    Inputs  data (*D); indices (*I, n): int32 or int64, 1 ≤ n ≤ rank of data; updates (*I, *D[n:]), data's type.
    Output  shape and type of data.
    Params  reduction ⊕: "none" (the last of equal indices stays), "add", "mul", "max", "min".
    Cost    one operation per update.
    Errors  ShapeError when shapes disagree or n is symbolic; InputError at evaluation when an index is out of range.
    Source  ONNX operator ScatterND, version 18.
    """

    reduction: str = "none"

    def infer(self, data: TensorType, indices: TensorType, updates: TensorType) -> TensorType:  # type: ignore[override]
        check_reduction(self.reduction)
        need_int(indices)
        n = index_depth(data, indices)
        check_updates(indices.shape[:-1] + data.shape[n:], updates, data, indices)
        same_dtype(data, updates)
        return data

    def reference(self, data: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:  # type: ignore[override]
        n, y = indices.shape[-1], widen(data).copy()
        rest = data.shape[n:]
        flat = y.reshape(math.prod(data.shape[:n]), math.prod(rest))
        rows = flat_rows(indices, data.shape[:n]).ravel()
        combine(self.reduction, flat, (rows,), widen(updates).reshape(len(rows), math.prod(rest)))
        return y.astype(data.dtype, copy=False)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return scatter_cost(self.reduction, inputs, outputs)


def combine(reduction: str, y: np.ndarray, index: tuple[np.ndarray, ...], updates: np.ndarray) -> None:
    """y[index] ⊕= updates, in place, in the order of updates."""
    if reduction == "none":
        y[index] = updates
    else:
        {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction].at(y, index, updates)


def scatter_cost(reduction: str, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
    """Data copied, indices and updates read, the places they name written; an operation per update that reduces."""
    indices, updates = taken(inputs[1]), taken(inputs[2])
    touched = traffic(outputs[0], outputs[0], indices, updates, updates)
    return Cost(0 if reduction == "none" else updates.size, touched)
