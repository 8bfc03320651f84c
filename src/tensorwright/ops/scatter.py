"""Writing elements by index."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ShapeError
from ..ir import Op, TensorType
from .gather import check_elements, check_updates, index_depth
from .rules import need_int, same_dtype

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
