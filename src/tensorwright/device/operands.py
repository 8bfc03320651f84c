"""Strided operands in memory: how far one reaches, views of it, and filling it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def reach(shape: Sequence[int], strides: Sequence[int], border: Sequence[tuple[int, int]] = ()) -> tuple[int, int]:
    """(lowest, highest) element, counted from element 0, that the operand and its border have."""
    low = high = 0
    for n, s, (before, after) in zip(shape, strides, border or ((0, 0),) * len(shape), strict=True):
        ends = (-before * s, max(n - 1 + after, 0) * s)
        low, high = low + min(ends), high + max(ends)
    return low, high


def strided(raw: np.ndarray, offset: int, shape: Sequence[int], strides: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """The array whose element 0 lies at byte `offset` of raw; strides in bytes, of either sign."""
    if 0 in shape:
        return np.empty(shape, dtype)
    first = raw[offset:offset + dtype.itemsize].view(dtype).reshape(())
    return np.lib.stride_tricks.as_strided(first, shape, strides)


def scatter(view: np.ndarray, array: np.ndarray) -> None:
    """Write array, broadcast to view's shape; axes of stride 0 take their first element."""
    array = np.broadcast_to(np.asarray(array, view.dtype), view.shape)
    first = tuple(slice(0, 1) if s == 0 else slice(None) for s in view.strides)
    if view.size:
        view[first] = array[first]
