"""Regions of feature maps, resampled to one size: what is common to ROIAlign and its relatives.

Bilinear sampling and averaging act on rows and columns alone, so a region is two small matrices: rows · map · columnsᵀ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Taps:
    """Sampling positions along one axis, `per` of them for each of P outputs: float32 (P · per,) each.

    low, high   indices of the neighbours; `above` is the weight of the higher one, 1 − above that of the lower
    inside      whether the position counts; where not, the sample is 0
    """

    low: np.ndarray
    high: np.ndarray
    above: np.ndarray
    inside: np.ndarray
    per: int

    def matrix(self) -> tuple[np.ndarray, int]:
        """The mean over each output's samples as a matrix (P, window), and where in the map the window begins."""
        first, last = (int(self.low.min()), int(self.high.max())) if self.low.size else (0, 0)
        weights = np.zeros((self.low.size, last - first + 1), np.float32)
        rows = np.arange(self.low.size)
        weights[rows, self.low - first] += (1 - self.above) * self.inside
        weights[rows, self.high - first] += self.above * self.inside
        return weights.reshape(-1, self.per, weights.shape[1]).mean(1, dtype=np.float32), first


def positions(start: float, step: float, outputs: int, per: int, offset: float) -> np.ndarray:
    """start + step · (p + (i + offset) / per): `per` positions in each of `outputs` cells, float32."""
    cell = np.arange(outputs, dtype=np.float32)[:, None]
    within = (np.arange(per, dtype=np.float32) + np.float32(offset)) / np.float32(per)
    return (np.float32(start) + np.float32(step) * cell + np.float32(step) * within).reshape(-1)


def clamped(at: np.ndarray, size: int, per: int) -> Taps:
    """Positions outside 0 … size − 1 count as the nearest one inside."""
    at = np.clip(at, 0, size - 1)
    low = np.floor(at).astype(np.intp)
    return Taps(low, np.minimum(low + 1, size - 1), at - low, np.ones(at.shape, bool), per)


def bordered(at: np.ndarray, size: int, per: int) -> Taps:
    """As clamped, but positions beyond −1 or size are 0: what ROIAlign does."""
    taps = clamped(at, size, per)
    return Taps(taps.low, taps.high, taps.above, (at >= -1) & (at <= size), per)


def strict(at: np.ndarray, size: int) -> Taps:
    """Positions outside 0 … size − 1 are 0: what TensorFlow's crop_and_resize does. One sample for each output."""
    taps = clamped(at, size, 1)
    return Taps(taps.low, taps.high, taps.above, (at >= 0) & (at <= size - 1), 1)


def mean(image: np.ndarray, y: Taps, x: Taps) -> np.ndarray:
    """image (C, H, W) → (C, P, Q)."""
    rows, top = y.matrix()
    columns, left = x.matrix()
    window = image[:, top : top + rows.shape[1], left : left + columns.shape[1]]
    return np.matmul(rows, np.matmul(window, columns.T))


def largest(image: np.ndarray, y: Taps, x: Taps) -> np.ndarray:
    """The largest of each output's neighbours, each times its bilinear weight: image (C, H, W) → (C, P, Q)."""
    best = None
    for row, wy in ((y.low, 1 - y.above), (y.high, y.above)):
        for column, wx in ((x.low, 1 - x.above), (x.high, x.above)):
            part = image[:, row[:, None], column] * (wy[:, None] * wx)
            best = part if best is None else np.maximum(best, part)
    assert best is not None
    best = np.where(y.inside[:, None] & x.inside, best, 0)
    shape = (len(best), y.low.size // y.per, y.per, x.low.size // x.per, x.per)
    return best.reshape(shape).max((2, 4))
