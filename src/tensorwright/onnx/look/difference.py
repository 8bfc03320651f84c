"""How far two tensors are apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..structure.tensors import array

if TYPE_CHECKING:
    import onnx_ir

#: Elements compared together: bounds the memory that large mapped tensors take.
CHUNK = 1 << 20


@dataclass(frozen=True)
class Distance:
    """elements: how many differ. largest: the largest difference. relative: that over the largest absolute value of a.

    NaN equals NaN. A NaN or infinity on one side alone is infinitely far.
    """

    elements: int
    largest: float
    relative: float


def distance(a: onnx_ir.TensorProtocol, b: onnx_ir.TensorProtocol) -> Distance:
    """Of two tensors of one shape; their element types may differ. ModelError when one cannot be decoded."""
    x, y = array(a).reshape(-1), array(b).reshape(-1)
    if x.dtype == y.dtype and x.dtype.kind in "OUS":
        count = int(np.count_nonzero(x != y))
        return Distance(count, float("inf") if count else 0.0, float("inf") if count else 0.0)
    count, largest = 0, 0.0
    for p, q in zip(chunks(x), chunks(y), strict=True):
        if p.dtype == q.dtype and np.array_equal(p.view(np.uint8), q.view(np.uint8)):
            continue
        with np.errstate(all="ignore"):
            left, right = wide(p), wide(q)
            unequal = (left != right) & ~(np.isnan(left) & np.isnan(right))
            exact = p.dtype == q.dtype and p.dtype.kind in "iu"
            if exact:
                unequal = p != q                         # 64-bit integers may differ and agree as float64
            apart = np.abs(left - right)[unequal]
        count += int(np.count_nonzero(unequal))
        apart = np.where(np.isnan(apart), np.inf, np.maximum(apart, 1.0) if exact else apart)
        largest = max(largest, float(apart.max(initial=0.0)))
    if not count:
        return Distance(0, 0.0, 0.0)
    top = max((float(np.abs(f[np.isfinite(f)]).max(initial=0.0)) for f in map(wide, chunks(x))), default=0.0)
    return Distance(count, largest, largest / top if top else float("inf"))


def chunks(flat: np.ndarray) -> Iterator[np.ndarray]:
    return (flat[k : k + CHUNK] for k in range(0, flat.size, CHUNK))


def wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
