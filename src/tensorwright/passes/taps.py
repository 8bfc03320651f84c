"""Dilated convolutions whose filters reach beyond the image: taps that meet only padding are not computed."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np

from ..dims import Dim
from ..ir.pattern import Refusal, Term, Value, const, maybe, node, term
from ..ops import Concat, Convolution, Slice
from .rewrite import rewrite

#: A convolution is cut into bands of rows when this share of its taps, or fewer, meets the input.
WORTH_CUTTING = 0.8


@rewrite(node(Convolution, "x", const("w"), maybe("b"), name="conv"))
def drop_taps_in_padding(conv: Value, x: Value, w: Value, b: Value | None) -> Term | Refusal | None:
    """conv(x, w) → conv(x, w without its outermost rows and columns that meet only padding), with smaller pads

    A 3×3 filter of dilation 36 over 33×33 pixels is a 1×1 filter.
    """
    op, array = conv.op, w.array
    assert isinstance(op, Convolution) and array is not None
    kept = []
    for a, taps in enumerate(array.shape[2:]):
        met = [m for m in _met(op, a, x.shape[2 + a], conv.shape[2 + a], taps) or [(0, taps - 1)] if m is not None]
        kept.append((min(first for first, _ in met), max(last for _, last in met)) if met else (0, taps - 1))
    cut = tuple(slice(first, last + 1) for first, last in kept)
    pads = tuple((before - first * d, after - (r - 1 - last) * d) for (first, last), (before, after), d, r
                 in zip(kept, op.pads, op.dilations, array.shape[2:], strict=True))
    if pads == op.pads:
        return None
    if min(min(p) for p in pads) < 0:
        return Refusal("the other taps do not meet all of the input")
    if not np.isfinite(array).all():
        return Refusal("infinity times padding is not zero")
    return term(replace(op, pads=pads), x, np.ascontiguousarray(array[(slice(None), slice(None), *cut)]), b)


@rewrite(node(Convolution, "x", const("w"), maybe("b"), name="conv"))
def cut_into_bands(conv: Value, x: Value, w: Value, b: Value | None) -> Term | Refusal | None:
    """conv(x, w) → concat(conv(rows of x, rows of w), ...), a band of rows for each set of filter rows that meet x

    For dilated filters: with dilation 24 over 33 rows, the first 9 rows meet the filter's last two rows, the last 9 its
    first two, and those between only the one in the middle.
    """
    op, array = conv.op, w.array
    assert isinstance(op, Convolution) and array is not None
    if op.dilations[0] == 1 or op.strides[0] != 1 or op.groups != 1 or not any(op.pads[0]):
        return None
    taps, step, before = array.shape[2], op.dilations[0], op.pads[0][0]
    met = _met(op, 0, x.shape[2], conv.shape[2], taps)
    if met is None or None in met:
        return Refusal("the number of rows is a symbol, or some rows meet no tap")
    share = sum(last - first + 1 for first, last in met) / (taps * len(met))  # type: ignore[misc]
    if share > WORTH_CUTTING:
        return Refusal(f"{share:.0%} of the taps meet the input")
    if not np.isfinite(array).all():
        return Refusal("infinity times padding is not zero")
    bands: list[Term] = []
    begin = 0
    for (first, last), rows in groupby(met):  # type: ignore[misc]
        count = len(list(rows))
        starts = (0, 0, begin + first * step - before, *(0 for _ in x.shape[3:]))
        sizes = (*x.shape[:2], count + (last - first) * step, *x.shape[3:])
        band = term(Slice(starts, sizes, (1,) * x.rank), x)
        part = np.ascontiguousarray(array[:, :, first:last + 1])
        bands.append(term(replace(op, pads=((0, 0), *op.pads[1:])), band, part, b))
        begin += count
    return term(Concat(2), *bands)


def _met(op: Convolution, axis: int, size: Dim, positions: Dim, taps: int) -> list[tuple[int, int] | None] | None:
    """For each position along a spatial axis, the first and last tap that meet the input; None where none does, or
    where sizes are symbols."""
    if not isinstance(size, int) or not isinstance(positions, int):
        return None
    stride, step, before = op.strides[axis], op.dilations[axis], op.pads[axis][0]
    found: list[tuple[int, int] | None] = []
    for p in range(positions):
        met = [t for t in range(taps) if 0 <= p * stride + t * step - before < size]
        found.append((met[0], met[-1]) if met else None)
    return found


TAPS = (drop_taps_in_padding, cut_into_bands)
