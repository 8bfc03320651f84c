"""Ranges of values for 8-bit integers: histograms of magnitudes, and what each algorithm makes of them.

A range is one number, the largest magnitude that is still represented: x is stored as round(127 · x / range), and what
lies outside is clipped.

Source of `entropy`: S. Migacz, "8-bit Inference with TensorRT", GPU Technology Conference 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

BINS = 2048
#: Magnitudes that 8 bits tell apart.
LEVELS = 128
#: What a bin counts as that lacks a value it should have: keeps a divergence finite.
TRACE = 1e-4
#: Divergences that differ by less are the same: the wider range is taken. A range with one filled bin is as near as the
#: whole of values that are few.
NEAR = 1e-6


@dataclass
class Histogram:
    """How many magnitudes fell into each of BINS equal bins of [0, width · BINS), over all arrays added.

    width is 0 until something that is not zero was added. It doubles, and neighbours become one, whenever a larger
    magnitude comes: nothing is lost but resolution.
    """

    counts: np.ndarray = field(default_factory=lambda: np.zeros(BINS, np.int64))
    width: float = 0.0
    maximum: float = 0.0
    skipped: int = 0                                   # infinities and NaN, which have no place

    def add(self, x: np.ndarray) -> None:
        flat = np.abs(np.asarray(x, np.float32).reshape(-1))
        finite = flat[np.isfinite(flat)]
        self.skipped += flat.size - finite.size
        largest = float(finite.max()) if finite.size else 0.0
        self.maximum = max(self.maximum, largest)
        if largest and not self.width:
            self.width = largest / BINS
        while largest > self.width * BINS:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.width *= 2
        if not self.width:
            self.counts[0] += finite.size
            return
        numbers = np.minimum((finite / self.width).astype(np.int64), BINS - 1)
        self.counts += np.bincount(numbers, minlength=BINS)


def largest(histogram: Histogram) -> float:
    """Nothing is clipped."""
    return histogram.maximum


def percentile(histogram: Histogram, quantile: float) -> float:
    """The magnitude that a share `quantile` (0 to 1) of all values does not exceed, to a bin."""
    total = histogram.counts.cumsum()
    if not total[-1]:
        return 0.0
    bin = int(np.searchsorted(total, quantile * total[-1]))
    return min((bin + 1) * histogram.width, histogram.maximum)


def entropy(histogram: Histogram, *, zeros: bool) -> float:
    """The range whose clipped and quantized distribution is nearest to the true one, by Kullback-Leibler divergence.

    zeros   whether the first bin counts as it is. It is mostly zeros that activations make, which every range
            represents exactly; otherwise it counts as its neighbour does.
    """
    counts = histogram.counts.astype(np.float64)
    if not zeros:
        counts[0] = counts[1]
    if counts.sum() == 0:
        return histogram.maximum
    above = counts[::-1].cumsum()[::-1]                # above[i]: what lies in bin i and higher
    best, chosen = np.inf, BINS
    for end in range(LEVELS, BINS + 1):
        inside = counts[:end]
        if not inside.any():
            continue
        true = inside.copy()
        true[-1] += above[end] if end < BINS else 0.0
        distance = divergence(true, quantized(inside))
        if distance <= best + NEAR:
            best, chosen = min(best, distance), end
    return min(chosen * histogram.width, histogram.maximum)


def quantized(counts: np.ndarray) -> np.ndarray:
    """Counts as LEVELS levels tell them: each level's sum, spread evenly over those of its bins that are not empty."""
    starts = np.arange(LEVELS) * len(counts) // LEVELS
    sizes = np.diff(np.append(starts, len(counts)))
    filled = counts > 0
    mean = np.add.reduceat(counts, starts) / np.maximum(np.add.reduceat(filled.astype(np.float64), starts), 1.0)
    return np.repeat(mean, sizes) * filled


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Σ p · log(p / q) of two distributions that are not normalised. Where q lacks what p has, as in the last bin when
    all of it was clipped, q counts as TRACE."""
    there = p > 0
    q = np.where(there, np.maximum(q, TRACE), q)
    total = p.sum()
    return float((p[there] / total * np.log(p[there] / q[there])).sum() + np.log(q.sum() / total))
