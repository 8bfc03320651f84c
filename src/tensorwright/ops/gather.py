"""Reading elements by index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dims import Dim
from ..errors import InputError, ShapeError
from ..ir import Cost, Op, TensorType
from .rules import agree, check_axis, differ, exceeds, moved, need_int, taken


@dataclass(frozen=True)
class Gather(Op):
    """y[a..., i..., b...] = data[a..., indices[i...], b...]

    Inputs  data of rank ≥ 1, any type; indices: int32 or int64, negative ones count from the end.
    Output  data.shape[:axis] + indices.shape + data.shape[axis+1:], data's type.
    Params  axis: of data, non-negative.
    Cost    no arithmetic; the elements taken are read, not all of data.
    Errors  ShapeError for an axis outside the rank; TypeMismatch for other indices; InputError at evaluation when an
            index is out of range.
    Source  ONNX operator Gather, version 13.
    """

    axis: int = 0

    def infer(self, data: TensorType, indices: TensorType) -> TensorType:  # type: ignore[override]
        check_axis(self.axis, data.rank)
        need_int(indices)
        return TensorType(data.shape[:self.axis] + indices.shape + data.shape[self.axis + 1:], data.dtype)

    def reference(self, data: np.ndarray, indices: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return np.take(data, wrapped(indices, data.shape[self.axis], self.axis), self.axis)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return moved(taken(inputs[1]), outputs[0], outputs[0])


@dataclass(frozen=True)
class GatherElements(Op):
    """y[a..., i, b...] = data[a..., indices[a..., i, b...], b...]

    Inputs  data of rank ≥ 1, any type; indices: int32 or int64, data's rank, no axis but `axis` longer than data's.
    Output  shape of indices, data's type.
    Params  axis: non-negative.
    Cost    no arithmetic.
    Errors  ShapeError when the ranks differ or indices are longer than data; InputError at evaluation when an index is
            out of range.
    Source  ONNX operator GatherElements, version 13.
    """

    axis: int = 0

    def infer(self, data: TensorType, indices: TensorType) -> TensorType:  # type: ignore[override]
        check_elements(data, indices, self.axis)
        return TensorType(indices.shape, data.dtype)

    def reference(self, data: np.ndarray, indices: np.ndarray) -> np.ndarray:  # type: ignore[override]
        index = wrapped(indices, data.shape[self.axis], self.axis)
        return np.take_along_axis(data[covering(indices.shape, self.axis)], index, self.axis)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return moved(taken(inputs[1]), outputs[0], outputs[0])


@dataclass(frozen=True)
class GatherND(Op):
    """y[a..., i..., b...] = data[a..., (indices[a..., i..., :]) ..., b...]: each index row names a slice of data

    Inputs  data (*A, *D), indices (*A, *I, n): int32 or int64, 1 ≤ n ≤ rank of D; A has batch_dims axes.
    Output  (*A, *I, *D[n:]), data's type.
    Params  batch_dims: leading axes that data and indices share, less than both ranks.
    Cost    no arithmetic.
    Errors  ShapeError when n is symbolic or too large, or the batch axes differ; InputError at evaluation when an index
            is out of range.
    Source  ONNX operator GatherND, version 13.
    """

    batch_dims: int = 0

    def infer(self, data: TensorType, indices: TensorType) -> TensorType:  # type: ignore[override]
        need_int(indices)
        n = index_depth(data, indices, self.batch_dims)
        lead = tuple(agree(a, b, f"batch axis {i} of data and indices differs", data=data, indices=indices)
                     for i, (a, b) in enumerate(zip(data.shape[:self.batch_dims], indices.shape, strict=False)))
        return TensorType(lead + indices.shape[self.batch_dims:-1] + data.shape[self.batch_dims + n:], data.dtype)

    def reference(self, data: np.ndarray, indices: np.ndarray) -> np.ndarray:  # type: ignore[override]
        batch, n = self.batch_dims, indices.shape[-1]
        lead, rest = data.shape[:batch], data.shape[batch + n:]
        rows = flat_rows(indices, data.shape[batch:batch + n])
        flat = data.reshape(math.prod(lead), math.prod(data.shape[batch:batch + n]), math.prod(rest))
        y = flat[np.arange(len(flat))[:, None], rows.reshape(len(flat), math.prod(indices.shape[batch:-1]))]
        return y.reshape(lead + indices.shape[batch:-1] + rest)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return moved(taken(inputs[1]), outputs[0], outputs[0])


def check_elements(data: TensorType, indices: TensorType, axis: int) -> None:
    """What element-wise gathering and scattering ask of indices."""
    check_axis(axis, data.rank)
    need_int(indices)
    if indices.rank != data.rank:
        raise ShapeError(f"indices have rank {indices.rank}, data {data.rank}", data=data, indices=indices)
    for i, (d, n) in enumerate(zip(data.shape, indices.shape, strict=True)):
        if i != axis and exceeds(n, d):
            raise ShapeError(f"axis {i}: indices have {n} elements, data {d}", data=data, indices=indices)


def index_depth(data: TensorType, indices: TensorType, batch: int = 0) -> int:
    """How many axes of data one row of indices names."""
    if not 0 <= batch < min(data.rank, indices.rank):
        raise ShapeError(f"{batch} batch axes of data of rank {data.rank} and indices of rank {indices.rank}",
                         data=data, indices=indices)
    n = indices.shape[-1]
    if not isinstance(n, int) or not 1 <= n <= data.rank - batch:
        raise ShapeError(f"index rows have {n} elements, 1 to {data.rank - batch} are possible",
                         data=data, indices=indices)
    return n


def check_updates(expected: tuple[Dim, ...], updates: TensorType, data: TensorType, indices: TensorType) -> None:
    if updates.rank != len(expected) or any(map(differ, expected, updates.shape)):
        raise ShapeError(f"updates have shape ({', '.join(map(str, updates.shape))}), "
                         f"({', '.join(map(str, expected))}) is needed", data=data, indices=indices)


def wrapped(indices: np.ndarray, extent: int, axis: int) -> np.ndarray:
    """Indices with negative ones counted from the end. InputError when one lies outside the axis."""
    index = np.asarray(indices, np.int64)
    wrong = (index < -extent) | (index >= extent)
    if wrong.any():
        raise InputError(f"index {index[wrong].flat[0]} is outside axis {axis} of {extent} elements")
    return np.where(index < 0, index + extent, index)


def flat_rows(indices: np.ndarray, extents: Sequence[int]) -> np.ndarray:
    """Index rows (..., n) into axes of these extents, as positions in the flattened axes: (...)."""
    rows = np.zeros(indices.shape[:-1], np.int64)
    for i, extent in enumerate(extents):
        rows = rows * extent + wrapped(indices[..., i], extent, i)
    return rows


def covering(shape: Sequence[int], axis: int) -> tuple[slice, ...]:
    """The part of data that indices of this shape can reach: their extent on all axes but one."""
    return tuple(slice(None) if i == axis else slice(0, n) for i, n in enumerate(shape))
