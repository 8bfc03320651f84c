"""The values of a tensor in numbers: range, mean, percentiles, what is zero, infinite or denormal, a histogram."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
#: Elements looked at together: bounds the memory that a large mapped tensor takes.
CHUNK = 1 << 20
#: Percentiles of larger tensors are those of evenly spaced elements, this many.
SAMPLE = 1 << 23


@dataclass(frozen=True)
class Statistics:
    """Of the finite elements; None where there are none, and for strings and complex numbers.

    zeros, nans, infs, denormals   how many elements are that; denormals: not zero, and too small for full precision
    percentiles                    percent → value
    sampled                        whether percentiles were taken of SAMPLE evenly spaced elements
    histogram                      counts of equal bins between min and max
    """

    count: int
    zeros: int
    nans: int
    infs: int
    denormals: int
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    percentiles: dict[int, float] | None = None
    sampled: bool = False
    histogram: tuple[int, ...] = ()


def statistics(array: np.ndarray, bins: int = 32) -> Statistics:
    """array: any shape, any element type of ONNX."""
    flat = np.asarray(array).reshape(-1)
    if flat.dtype.kind in "OSUTc":
        zeros = int(np.count_nonzero(flat == 0)) if flat.dtype.kind == "c" else 0
        nans = int(np.isnan(flat).sum()) if flat.dtype.kind == "c" else 0
        infs = int(np.isinf(flat).sum()) if flat.dtype.kind == "c" else 0
        return Statistics(flat.size, zeros, nans, infs, 0)
    tiny = smallest_normal(flat.dtype)
    zeros = nans = infs = denormals = count = 0
    low, high, total = np.inf, -np.inf, 0.0
    with np.errstate(all="ignore"):
        for part in chunks(flat):
            finite = part[np.isfinite(part)]
            nans += int(np.isnan(part).sum())
            infs += int(np.isinf(part).sum())
            zeros += int((part == 0).sum())
            denormals += int(((finite != 0) & (np.abs(finite) < tiny)).sum()) if tiny else 0
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
                total, count = total + float(finite.sum()), count + finite.size
    if not count:
        return Statistics(flat.size, zeros, nans, infs, denormals)
    mean, squares = total / count, 0.0
    counts = np.zeros(bins, np.int64)
    with np.errstate(all="ignore"):
        for part in chunks(flat):
            finite = part[np.isfinite(part)]
            squares += float(((finite - mean) ** 2).sum())
            counts += histogram(finite, low, high, bins)
    sample = flat[:: max(1, -(-flat.size // SAMPLE))].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    percentiles = dict(zip(PERCENTILES, map(float, np.percentile(sample, PERCENTILES)), strict=True)) \
        if sample.size else None
    return Statistics(flat.size, zeros, nans, infs, denormals, low, high, mean, float(np.sqrt(squares / count)),
                      percentiles, flat.size > SAMPLE, tuple(map(int, counts)))


def chunks(flat: np.ndarray) -> Iterator[np.ndarray]:
    """float64 pieces, made one at a time."""
    return (flat[i : i + CHUNK].astype(np.float64) for i in range(0, flat.size, CHUNK))


def histogram(values: np.ndarray, low: float, high: float, bins: int) -> np.ndarray:
    """Counts of equal bins from low to high; all in the middle one when they are the same."""
    if low == high:
        counts = np.zeros(bins, np.int64)
        counts[bins // 2] = values.size
        return counts
    scaled = (values / 2 - low / 2) / (high / 2 - low / 2)              # halves: the range itself may overflow
    return np.bincount(np.clip((scaled * bins).astype(np.int64), 0, bins - 1), minlength=bins)


def smallest_normal(dtype: np.dtype) -> float:
    """The smallest number of full precision; 0.0 for types without denormals."""
    if dtype.kind in "iub":
        return 0.0
    import ml_dtypes
    try:
        return float(ml_dtypes.finfo(dtype).smallest_normal)
    except (ValueError, TypeError, AttributeError):      # integers of ml_dtypes; types without denormals
        return 0.0
