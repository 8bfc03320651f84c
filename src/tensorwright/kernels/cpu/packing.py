"""B as panels: [batch][panel][k][width]; the last panel holds only the vectors it needs, padded with zeros."""

from __future__ import annotations

import numpy as np

from ...dims import Dim, ceildiv


def panel_count(n: Dim, width: int) -> Dim:
    return ceildiv(n, width)


def padded_columns(n: Dim, width: int, lanes: int) -> Dim:
    """Columns stored per row of k over all panels of one matrix. A symbolic n is padded to whole panels."""
    if isinstance(n, int):
        return n // width * width + -(-(n % width) // lanes) * lanes
    return ceildiv(n, width) * width


def pack_panels(b: np.ndarray, width: int, lanes: int) -> np.ndarray:
    """b (batch, k, n) → flat array of panels of `width` columns."""
    batch, k, n = b.shape
    if b.size == 0:
        return np.zeros(0, b.dtype)
    whole = n // width * width
    full = b[:, :, :whole].reshape(batch, k, whole // width, width).transpose(0, 2, 1, 3).reshape(batch, -1)
    if whole == n:
        return np.ascontiguousarray(full).reshape(-1)
    tail = np.zeros((batch, k, -(-(n - whole) // lanes) * lanes), b.dtype)
    tail[:, :, : n - whole] = b[:, :, whole:]
    return np.concatenate([full, tail.reshape(batch, -1)], axis=1).reshape(-1)
