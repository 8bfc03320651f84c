"""Matrix multiplication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ShapeError
from ..ir import Cost, Op, TensorType
from .rules import broadcast_shapes, differ, same_dtype, taken, traffic, widen


@dataclass(frozen=True)
class MatMul(Op):
    """y[..., m, n] = Σ_k a[..., m, k] · b[..., k, n], as numpy.matmul

    Inputs  a (..., M, K) or (K,); b (..., K, N) or (K,). Leading dimensions broadcast. One numeric element type.
    Output  (..., M, N); without M when a has rank 1, without N when b has. Integers accumulate in their own type
            and wrap.
    Cost    2·(product of the leading dimensions)·M·N·K operations.
    Errors  ShapeError when the K differ, an operand is a scalar, or leading dimensions do not broadcast.
    Source  ONNX operator MatMul, version 13.
    """

    def infer(self, a: TensorType, b: TensorType) -> TensorType:  # type: ignore[override]
        if a.rank == 0 or b.rank == 0:
            raise ShapeError("matrix multiplication takes no scalars", a=a, b=b)
        k = b.shape[-2] if b.rank > 1 else b.shape[0]
        if differ(a.shape[-1], k):
            raise ShapeError(f"inner dimensions {a.shape[-1]} and {k} differ", a=a, b=b)
        leading = broadcast_shapes(a.shape[:-2], b.shape[:-2])
        m = a.shape[-2:-1] if a.rank > 1 else ()
        n = b.shape[-1:] if b.rank > 1 else ()
        return TensorType((*leading, *m, *n), same_dtype(a, b))

    def reference(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return np.asarray(multiply(a, b), a.dtype)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        a, y = taken(inputs[0]), outputs[0]
        return Cost(2 * y.size * a.shape[-1], traffic(*inputs, y))


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """numpy.matmul, as one product where b is one matrix; through BLAS for integers too where float64 is exact."""
    if a.ndim > 2 and b.ndim == 2 and a.size:
        return multiply(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    if a.dtype.kind not in "iu" or not a.size or not b.size:
        return np.matmul(widen(a), widen(b))
    bound = int(max(abs(int(a.min())), int(a.max()))) * max(abs(int(b.min())), int(b.max())) * a.shape[-1]
    if bound >= 2 ** 53:
        return np.matmul(a, b)
    exact = np.matmul(a.astype(np.float64), b.astype(np.float64))
    return exact.astype(np.int64).astype(a.dtype)
