"""Scaled dot-product attention with heads, caches and masks as ONNX's Attention has them."""

from __future__ import annotations

import math

from ..dims import Dim
from ..dtypes import DType
from ..errors import ShapeError
from ..ops import Attention, Concat, Iota, Pad
from . import scalar
from .node import Node
from .registry import operator
from .scalar import call
from .values import Decline, Value


@operator("Attention")
def attention(n: Node) -> tuple[Value | None, ...]:
    """Heads that share keys (grouped queries) become an axis of the queries along which keys broadcast."""
    if n.wants(3) or n.number("softcap", 0.0) or n.optional(6) is not None or \
            n.integer("left_window_size", -1) >= 0 or n.integer("right_window_size", -1) >= 0:
        raise Decline("scores are wanted, capped, or masked by length or window")
    q, k, v, mask = n[0], n[1], n[2], n.optional(3)
    flat = q.rank == 3
    if flat:
        q = with_heads(n, q, n.integer("q_num_heads"))
        k, v = (with_heads(n, t, n.integer("kv_num_heads")) for t in (k, v))
    if q.rank != 4 or k.rank != 4 or v.rank != 4:
        raise ShapeError(f"queries {q.type}, keys {k.type} and values {v.type} need rank 3 or 4")
    past: Dim = 0
    now = k.shape[2]
    if (past_k := n.optional(4)) is not None:
        if past_k.rank != 4:
            raise ShapeError(f"the cache is {past_k.type}; (batch, heads, keys, width) is needed")
        past = past_k.shape[2]
        k, v = n.add(Concat(2), past_k, k), n.add(Concat(2), n[5], v)
    if not isinstance(q.shape[3], int) or q.shape[3] < 1:
        raise Decline("the heads' width depends on the input shapes")
    scale = n.number("scale", 1 / math.sqrt(q.shape[3]))
    causal = n.flag("is_causal")
    mask = widened(n, mask, k.shape[2])
    if causal and q.shape[2] != now:
        mask, causal = causally(n, mask, q.shape[2], k.shape[2], past), False
    y = grouped(n, Attention(scale, causal), q, k, v, mask)
    if flat:
        B, H, S, E = y.shape
        y = n.reshape(n.transpose(y, (0, 2, 1, 3)), (B, S, H * E))
    return (y, k, v)[: len(n.proto.output)]


def with_heads(n: Node, x: Value, heads: int) -> Value:
    """(B, S, H·D) → (B, H, S, D)"""
    if x.rank != 3:
        raise ShapeError(f"{x.type} has rank {x.rank}, its fellow operand 3")
    B, S, width = x.shape
    if heads < 1 or (isinstance(width, int) and width % heads):
        raise ShapeError(f"{width} features are not {heads} heads", x=x.type)
    return n.transpose(n.reshape(x, (B, S, heads, width // heads)), (0, 2, 1, 3))


def widened(n: Node, mask: Value | None, keys: Dim) -> Value | None:
    """A mask that may cover only the first keys: the others are masked out."""
    if mask is not None and mask.rank == 0:
        raise ShapeError("the mask is a scalar")
    if mask is None or mask.shape[-1] == keys or mask.shape[-1] == 1:
        return mask
    pads = ((0, 0),) * (mask.rank - 1) + ((0, keys - mask.shape[-1]),)
    return n.add(Pad(pads, "constant", 0 if mask.dtype is DType.bool else float("-inf")), mask)


def causally(n: Node, mask: Value | None, queries: Dim, keys: Dim, past: Dim) -> Value:
    """The mask, and query i sees keys ≤ i + past."""
    row = n.add(Iota((queries, 1), 0, DType.int64, past))
    column = n.add(Iota((1, keys), 1, DType.int64))
    seen = n.pointwise(lambda i, j: call("le", j, i), row, column)
    if mask is None:
        return seen
    if mask.dtype is DType.bool:
        return n.pointwise(lambda m, s: call("and", m, s), mask, seen)
    return n.pointwise(lambda m, s: scalar.where(s, m, float("-inf")), mask, seen)


def grouped(n: Node, op: Attention, q: Value, k: Value, v: Value, mask: Value | None) -> Value:
    B, H, S, D = q.shape
    G = k.shape[1]
    if H == G:
        return n.add(op, q, k, v, mask)
    if not isinstance(H, int) or not isinstance(G, int) or G < 1 or H % G:
        raise ShapeError(f"{H} heads of queries, {G} of keys", q=q.type, k=k.type)
    q5 = n.reshape(q, (B, G, H // G, S, D))
    k5, v5 = (n.reshape(t, (*t.shape[:2], 1, *t.shape[2:])) for t in (k, v))
    if mask is not None and mask.rank >= 3:
        heads = mask.shape[-3]
        per_group = (1, 1) if heads == 1 else (G, H // G)
        mask = n.reshape(mask, (*mask.shape[:-3], *per_group, *mask.shape[-2:]))
    y = n.add(op, q5, k5, v5, mask)
    return n.reshape(y, (B, H, S, y.shape[-1]))
