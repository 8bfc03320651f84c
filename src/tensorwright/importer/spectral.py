"""DFT and STFT of constant length: multiplication by the transform's matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import ModelError, ShapeError
from ..ops import Gather, MatMul
from .node import Node
from .registry import operator
from .scalar import mul
from .values import Decline, Value, axis_of

#: A transform whose matrix has more elements than this is left to the host, which has a fast algorithm.
LARGEST_MATRIX = 1 << 24


def length_of(n: Node, i: int) -> int | None:
    return n.whole(i)[0] if n.optional(i) is not None else None


@operator("DFT")
def dft(n: Node) -> Value:
    """Along one axis; the last axis holds real numbers (extent 1) or real and imaginary parts (2)."""
    x, inverse, onesided = n[0], n.flag("inverse"), n.flag("onesided")
    axis = n.integer("axis", 1) if n.since < 20 else (n.whole(2)[0] if n.optional(2) is not None else -2)
    axis = axis_of(axis, x.rank)
    parts, extent = x.shape[-1], x.shape[axis]
    if not isinstance(extent, int) or not isinstance(parts, int) or extent < 1:
        raise Decline("the signal's length is known at run time only")
    if axis == x.rank - 1 or parts not in (1, 2):
        raise ShapeError(f"axis {axis} of {x.type}; the last axis holds the parts of complex numbers")
    length = length_of(n, 1) or (2 * (extent - 1) if inverse and onesided else extent)
    table = matrix(lambda v: transformed(v, length, inverse, onesided), extent, parts, x)
    order = [*(i for i in range(x.rank - 1) if i != axis), axis, x.rank - 1]
    y = multiplied(n, n.transpose(x, order), table)
    return n.transpose(y, [order.index(i) for i in range(x.rank)])


def transformed(v: np.ndarray, length: int, inverse: bool, onesided: bool) -> np.ndarray:
    """The transform of vectors (…, extent) of complex numbers, as (…, bins, parts)."""
    if inverse and onesided:
        return np.fft.irfft(v, length)[..., None]
    y = (np.fft.ifft if inverse else np.fft.fft)(v, length)
    if onesided:
        y = y[..., : length // 2 + 1]
    return np.stack([y.real, y.imag], -1)


def matrix(transform: Callable[[np.ndarray], np.ndarray], extent: int, parts: int, x: Value) -> np.ndarray:
    """(extent, parts, bins, parts): what the transform makes of every unit vector."""
    if (extent * parts) ** 2 > LARGEST_MATRIX:
        raise Decline(f"the matrix of a transform of {extent} elements is large")
    if not x.dtype.is_float:
        raise ModelError(f"a transform of {x.dtype}")
    unit = np.eye(extent * parts).reshape(extent * parts, extent, parts)
    found = transform(unit[..., 0] + (1j * unit[..., 1] if parts == 2 else 0))
    return found.reshape(extent, parts, *found.shape[1:]).astype(x.dtype.numpy)


def multiplied(n: Node, x: Value, table: np.ndarray) -> Value:
    """(…, extent, parts) → (…, bins, parts)"""
    extent, parts, bins, out = table.shape
    flat = n.reshape(x, (*x.shape[:-2], extent * parts))
    y = n.add(MatMul(), flat, n.constant(table.reshape(extent * parts, bins * out)))
    return n.reshape(y, (*x.shape[:-2], bins, out))


@operator("STFT")
def stft(n: Node) -> Value:
    """Overlapping frames of the signal, windowed, each transformed."""
    x, onesided = n[0], n.flag("onesided", True)
    step, length, window = n.whole(1)[0], length_of(n, 3), n.optional(2)
    if x.rank == 2:
        x = n.reshape(x, (*x.shape, 1))
    total, parts = x.shape[1], x.shape[2]
    if length is None and window is not None and isinstance(window.shape[0], int):
        length = window.shape[0]
    if not isinstance(total, int) or not isinstance(parts, int) or length is None:
        raise Decline("the signal's length is known at run time only")
    if step < 1 or not 0 < length <= total or parts not in (1, 2):
        raise ShapeError(f"frames of {length} every {step} elements of {x.type}")
    count = 1 + (total - length) // step
    places = np.arange(count, dtype=np.int64)[:, None] * step + np.arange(length)
    frames = n.add(Gather(1), x, n.constant(places))
    if window is not None:
        frames = n.pointwise(mul, frames, n.reshape(n.cast(window, x.dtype), (length, 1)))
    table = matrix(lambda v: transformed(v, length, False, onesided), length, parts, x)
    return multiplied(n, frames, table)
