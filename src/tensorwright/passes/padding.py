"""Padding layers become part of the convolution or pooling that follows."""

from __future__ import annotations

from dataclasses import replace

from ..ir.pattern import Refusal, Term, Value, maybe, node, term
from ..ops import Convolution, Pad, Pool
from .rewrite import rewrite


def _spatial(pad: Value) -> tuple[tuple[int, int], ...] | Refusal:
    """A padding's extents on the spatial axes of (N, C, *D), or why it cannot be taken over."""
    assert isinstance(pad.op, Pad)
    if pad.op.mode != "constant":
        return Refusal(f"padding of mode {pad.op.mode}")
    if any(p != (0, 0) for p in pad.op.pads[:2]):
        return Refusal("it pads the batch or the channels")
    found = []
    for before, after in pad.op.pads[2:]:
        if not isinstance(before, int) or not isinstance(after, int):
            return Refusal("padding depends on symbols")
        if before < 0 or after < 0:
            return Refusal("it crops")
        found.append((before, after))
    return tuple(found)


def _added(a: tuple[tuple[int, int], ...], b: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    return tuple((p + r, q + s) for (p, q), (r, s) in zip(a, b, strict=True))


@rewrite(node(Convolution, node(Pad, "x", name="pad"), "w", maybe("b"), name="conv"))
def fold_pad_into_convolution(conv: Value, pad: Value, x: Value, w: Value, b: Value | None) -> Term | Refusal:
    """conv(pad(x, 0), w, b) → conv(x, w, b) with larger pads"""
    assert isinstance(conv.op, Convolution) and isinstance(pad.op, Pad)
    pads = _spatial(pad)
    if isinstance(pads, Refusal):
        return pads
    if pad.op.value != 0:
        return Refusal(f"it pads with {pad.op.value}, convolutions pad with 0")
    return term(replace(conv.op, pads=_added(conv.op.pads, pads)), x, w, b)


@rewrite(node(Pool, node(Pad, "x", name="pad"), name="pool"))
def fold_pad_into_pool(pool: Value, pad: Value, x: Value) -> Term | Refusal:
    """max(pad(x, −∞)) → max(x) with larger pads; average(pad(x, 0)) → average(x) that counts its padding"""
    assert isinstance(pool.op, Pool) and isinstance(pad.op, Pad)
    pads = _spatial(pad)
    if isinstance(pads, Refusal):
        return pads
    if pool.op.ceil:
        return Refusal("with ceil, which windows there are depends on where the padding is")
    if pool.op.kind == "max" and pad.op.value != float("-inf"):
        return Refusal(f"it pads with {pad.op.value}, a maximum pads with −∞")
    if pool.op.kind == "average":
        if pad.op.value != 0:
            return Refusal(f"it pads with {pad.op.value}, an average pads with 0")
        if not pool.op.include_pad and any(p != (0, 0) for p in pool.op.pads):
            return Refusal("the average counts one padding and not the other")
    both = _added(pool.op.pads, pads)
    return term(replace(pool.op, pads=both, include_pad=pool.op.include_pad or pool.op.kind == "average"), x)


PADDING = (fold_pad_into_convolution, fold_pad_into_pool)
