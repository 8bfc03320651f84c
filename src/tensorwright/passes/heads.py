"""Attention whose keys and values serve several query heads each reads them in place instead of repeated."""

from __future__ import annotations

from ..dims import Dim
from ..ir.pattern import Operand, Refusal, Term, Value, maybe, node, term
from ..ops import Attention, Expand, Reshape
from .rewrite import rewrite


@rewrite(node(Attention, "q", node(Reshape, node(Expand, "k", name="k_wide"), name="k_heads"),
              node(Reshape, node(Expand, "v", name="v_wide"), name="v_heads"), maybe("mask"), name="y"))
def share_keys_between_heads(y: Value, q: Value, k: Value, k_wide: Value, k_heads: Value, v: Value, v_wide: Value,
                             v_heads: Value, mask: Value | None) -> Term | Refusal | None:
    """attention(q, repeat(k), repeat(v)) → reshape(attention(q in groups of heads, k, v))"""
    if not (k.rank == v.rank == 5 and q.rank == k_heads.rank == v_heads.rank == 4):
        return None
    batch, groups, repeats = k_wide.shape[:3]
    if k.shape[2] != 1 or v.shape[2] != 1 or v_wide.shape[:3] != (batch, groups, repeats):
        return Refusal("keys and values are not repeated alike")
    if k_heads.shape != (batch, groups * repeats, *k_wide.shape[3:]) or k.shape[:2] != (batch, groups) or \
            v_heads.shape != (batch, groups * repeats, *v_wide.shape[3:]) or v.shape[:2] != (batch, groups):
        return Refusal("more than heads is repeated")
    if q.shape[:2] != (batch, groups * repeats):
        return Refusal(f"{q.type} has other heads than {groups} times {repeats}")
    split: Operand = mask
    if mask is not None and mask.rank > 2:
        heads: tuple[Dim, ...] = (1, 1) if mask.shape[-3] == 1 else (groups, repeats)
        split = term(Reshape((*mask.shape[:-3], *heads, *mask.shape[-2:])), mask)
    grouped = term(Reshape((batch, groups, repeats, *q.shape[2:])), q)
    extras = () if mask is None else (split,)
    return term(Reshape(y.shape), term(y.op, grouped, k, v, *extras))


HEADS = (share_keys_between_heads,)
