"""Bilinear samples of maps, in NumPy: regions resampled to one size, and convolutions that read at learnt places.

Of a region, sampling and averaging act on rows and columns alone: it is two small matrices, rows · map · columnsᵀ.
Everything is computed in the type of the positions: float32 or float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

import numpy as np


@dataclass(frozen=True)
class Taps:
    """Sampling positions along one axis, `per` of them for each of P outputs: (P · per,) each.

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
        weights = np.zeros((self.low.size, last - first + 1), self.above.dtype)
        rows = np.arange(self.low.size)
        weights[rows, self.low - first] += (1 - self.above) * self.inside
        weights[rows, self.high - first] += self.above * self.inside
        return weights.reshape(-1, self.per, weights.shape[1]).mean(1), first


#: (image (C, H, W), rows, columns) → (C, P, Q)
Gather = Callable[[np.ndarray, Taps, Taps], np.ndarray]


def positions(start: np.floating, step: np.floating, outputs: int, per: int, offset: float) -> np.ndarray:
    """start + step · (p + (i + offset) / per): `per` positions in each of `outputs` cells."""
    kind = start.dtype.type
    cell = np.arange(outputs, dtype=kind)[:, None]
    within = (np.arange(per, dtype=kind) + kind(offset)) / kind(per)
    return (start + step * cell + step * within).reshape(-1)


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


def highest(image: np.ndarray, y: Taps, x: Taps) -> np.ndarray:
    """The largest of each output's samples: image (C, H, W) → (C, P, Q)."""
    each = mean(image, replace(y, per=1), replace(x, per=1))
    return each.reshape(len(each), y.low.size // y.per, y.per, x.low.size // x.per, x.per).max((2, 4))


def region(image: np.ndarray, box: np.ndarray, cells: tuple[int, int], ratio: int, gather: Gather) -> np.ndarray | None:
    """ROIAlign of a region (y1, x1, y2, x2) of image (C, H, W) → (C, *cells); None of one that is turned inside out.

    ratio   samples per cell and axis; 0: one for each pixel of the cell, at least
    gather  mean, highest, or largest
    """
    axes = []
    for axis in (0, 1):
        step = (box[2 + axis] - box[axis]) / box.dtype.type(cells[axis])
        per = ratio if ratio > 0 else ceil(step)
        if per <= 0:
            return None
        axes.append(bordered(positions(box[axis], step, cells[axis], per, 0.5), image.shape[1 + axis], per))
    return gather(image, *axes)


def corners(y: np.ndarray, x: np.ndarray, height: int, width: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For places (y, x) of a map: (index of a neighbour in the flat map, its bilinear weight), four times.

    Neighbours outside the map have weight 0, and so have all of a place that is not nearer than one to the map.
    """
    near = (y > -1) & (y < height) & (x > -1) & (x < width)
    y, x = np.where(near, y, 0), np.where(near, x, 0)
    top, left = np.floor(y), np.floor(x)
    found = []
    for row, wy in ((top, top + 1 - y), (top + 1, y - top)):
        for column, wx in ((left, left + 1 - x), (left + 1, x - left)):
            inside = near & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = np.where(inside, row * width + column, 0).astype(np.intp)
            found.append((index, np.where(inside, wy * wx, 0)))
    return found


def deformed(x: np.ndarray, weight: np.ndarray, offset: np.ndarray, mask: np.ndarray | None, bias: np.ndarray | None, *,
             strides: tuple[int, int], begin: tuple[int, int], dilations: tuple[int, int], group: int, offset_group: int
             ) -> np.ndarray:
    """x (N, C, H, W), weight (K, C/group, R, S), offset (N, 2·D·R·S, P, Q) of (dy, dx) in turn, mask (N, D·R·S, P, Q).

    → (N, K, P, Q). D is offset_group. Each tap reads x at its place plus its offset, times its mask. begin: padding
    above and to the left.
    """
    (N, C, H, W), (K, Cg, R, S), (P, Q), D = x.shape, weight.shape, offset.shape[2:], offset_group
    shift = offset.reshape(N, D, R * S, 2, P, Q)
    r, s = (a.reshape(R * S, 1, 1) for a in np.divmod(np.arange(R * S), S))
    place = [(np.arange(n) * stride - b).astype(x.dtype) for n, stride, b in zip((P, Q), strides, begin, strict=True)]
    y = place[0].reshape(P, 1) + (r * dilations[0]).astype(x.dtype) + shift[:, :, :, 0]
    z = place[1] + (s * dilations[1]).astype(x.dtype) + shift[:, :, :, 1]                   # (N, D, R·S, P, Q)
    flat = x.reshape(N, D, C // D, H * W)
    columns = np.zeros((N, D, C // D, R * S * P * Q), x.dtype)
    for index, share in corners(y, z, H, W):
        at = np.broadcast_to(index.reshape(N, D, 1, -1), columns.shape)
        columns += np.take_along_axis(flat, at, 3) * share.reshape(N, D, 1, -1)
    if mask is not None:
        columns *= mask.reshape(N, D, 1, -1)
    rows = columns.reshape(N, group, Cg * R * S, P * Q)
    result = np.matmul(weight.reshape(group, K // group, Cg * R * S), rows).reshape(N, K, P, Q)
    return result if bias is None else result + bias.reshape(K, 1, 1)
