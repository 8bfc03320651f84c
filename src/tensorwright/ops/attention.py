"""Scaled dot-product attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dims import product
from ..dtypes import DType
from ..errors import ShapeError, TypeMismatch
from ..ir import Cost, Op, TensorType
from .rules import agree, broadcast_shapes, differ, is_one, need_float, same_dtype, taken, traffic, widen


@dataclass(frozen=True)
class Attention(Op):
    """y = softmax(scale · q kᵀ + mask) v, the softmax taken over the keys

    Inputs  q (..., S, D); k (..., T, D); v (..., T, E), leading dimensions broadcast; one floating-point type.
            mask, broadcastable to (..., S, T), or None: bool (True keeps a key) or of q's type (added to the scores).
    Output  y (..., S, E).
    Params  scale: of the scores. causal: query i sees keys ≤ i + T − S only.
            zeros: a query that sees no key gives zeros, otherwise NaN as a softmax of nothing but −∞ does.
    Cost    2·(product of the leading dimensions)·S·T·(D + E) + 5 operations per score.
    Errors  ShapeError when D or T disagree or shapes do not broadcast; TypeMismatch for other types.
    Source  ONNX operator Attention, version 24, without its caches and reshapes.
    """

    scale: float
    causal: bool = False
    zeros: bool = True

    def infer(self, q: TensorType, k: TensorType, v: TensorType,  # type: ignore[override]
              mask: TensorType | None = None) -> TensorType:
        if min(q.rank, k.rank, v.rank) < 2:
            raise ShapeError("queries, keys and values need rank 2 or more", q=q, k=k, v=v)
        need_float(q)
        (*lead_q, S, D), (*lead_k, T, Dk), (*lead_v, Tv, E) = q.shape, k.shape, v.shape
        agree(D, Dk, "queries and keys have different widths", q=q, k=k)
        T = agree(T, Tv, "there are different numbers of keys and values", k=k, v=v)
        lead = broadcast_shapes(lead_q, lead_k, lead_v)
        if mask is not None:
            if mask.dtype not in (DType.bool, q.dtype):
                raise TypeMismatch(f"mask has element type {mask.dtype}, bool or {q.dtype} is needed")
            *lead_m, Sm, Tm = (1,) * (2 - mask.rank) + mask.shape
            if any(not is_one(m) and differ(m, d) for m, d in ((Sm, S), (Tm, T))):
                raise ShapeError(f"mask {mask} does not broadcast to ({S}, {T})", q=q, k=k)
            lead = broadcast_shapes(lead, lead_m)
        return TensorType((*lead, S, E), same_dtype(q, k, v))

    def reference(self, q: np.ndarray, k: np.ndarray, v: np.ndarray,  # type: ignore[override]
                  mask: np.ndarray | None = None) -> np.ndarray:
        wide_q, wide_k, wide_v = widen(q), widen(k), widen(v)
        scores = np.matmul(wide_q, np.swapaxes(wide_k, -1, -2)) * wide_q.dtype.type(self.scale)
        hidden = scores.dtype.type(-np.inf)
        if mask is not None:
            scores = np.where(mask, scores, hidden) if mask.dtype == np.bool_ else scores + widen(mask)
        if self.causal:
            S, T = scores.shape[-2:]
            scores = np.where(np.arange(T) <= np.arange(S)[:, None] + (T - S), scores, hidden)
        with np.errstate(all="ignore"):
            peak = scores.max(-1, keepdims=True, initial=-np.inf)
            powers = np.exp(scores - np.where(peak == -np.inf, 0, peak))
            sums = powers.sum(-1, keepdims=True)
            weights = powers / (np.where(sums == 0, 1, sums) if self.zeros else sums)
        return np.matmul(weights, wide_v).astype(q.dtype, copy=False)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        (q, k), y = map(taken, inputs[:2]), outputs[0]
        lead, S, T = product(y.shape[:-2]), q.shape[-2], k.shape[-2]
        return Cost(lead * S * T * (2 * (q.shape[-1] + y.shape[-1]) + 5), traffic(*inputs, y))
