"""How far the results of two kernels are apart."""

from __future__ import annotations

from math import inf

import numpy as np


def difference(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """Largest difference relative to the largest magnitude; infinite when NaN or infinity differ."""
    worst = 0.0
    for x, y in zip(a, b, strict=True):
        if x.dtype.kind not in "fc":
            worst = max(worst, 0.0 if np.array_equal(x, y) else inf)
            continue
        finite = np.isfinite(y)
        if not np.array_equal(finite, np.isfinite(x)):
            return inf
        if finite.any():
            scale = float(np.abs(y[finite]).max()) or 1.0
            worst = max(worst, float(np.abs(x[finite] - y[finite]).max()) / scale)
    return worst
