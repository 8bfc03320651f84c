"""Movements after movements become one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..dims import Dim, product
from ..ir.pattern import Refusal, Term, Value, const, node, some, term
from ..ops import Concat, Expand, Gather, Iota, Pointwise, Reshape, Slice, Transpose
from .rewrite import rewrite
from .tidy import covers


@rewrite(node(Transpose, node(Transpose, "x", name="inner"), name="outer"))
def merge_transposes(outer: Value, inner: Value, x: Value) -> Term:
    """transpose(transpose(x, p), q) → transpose(x, p∘q)"""
    assert isinstance(outer.op, Transpose) and isinstance(inner.op, Transpose)
    return term(Transpose(tuple(inner.op.perm[q] for q in outer.op.perm)), x)


@rewrite(node(Reshape, node(Reshape, "x", name="inner"), name="outer"))
def merge_reshapes(outer: Value, inner: Value, x: Value) -> Term:
    """reshape(reshape(x)) → reshape(x)"""
    return term(outer.op, x)


@rewrite(node(Reshape, node(Iota, name="ramp"), name="y"))
def make_ramp_in_shape(y: Value, ramp: Value) -> Term | None:
    """reshape(iota) → iota of that shape, when only axes of one element come and go"""
    assert isinstance(ramp.op, Iota)
    axes = [i for i, d in enumerate(y.shape) if d != 1]
    if [d for d in ramp.shape if d != 1] != [y.shape[i] for i in axes] or len(axes) != 1 or \
            ramp.shape[ramp.op.axis] == 1:
        return None
    return term(replace(ramp.op, shape=y.shape, axis=axes[0]))


@rewrite(node(Reshape, node(Transpose, "x", name="moved"), name="y"))
def split_before_transpose(y: Value, moved: Value, x: Value) -> Term | Refusal | None:
    """reshape(transpose(x)) → transpose(reshape(x)), when each axis is only split, kept or, being 1, dropped

    Reshapes meet this way: (S, B·H, D) → (B·H, S, D) → (B, H, S, D) reads what (S, B·H, D) was made of.
    """
    assert isinstance(y.op, Reshape) and isinstance(moved.op, Transpose)
    groups = split_axes(moved.shape, y.shape)
    if groups is None:
        return None
    if moved.readers > 1:
        return Refusal("the transposed value has another reader")
    perm = moved.op.perm
    before = [groups[perm.index(a)] for a in range(x.rank)]              # in the order of x's axes
    first = [sum(map(len, before[:a])) for a in range(x.rank)]
    order = tuple(first[a] + i for a in perm for i in range(len(before[a])))
    return term(Transpose(order), term(Reshape(tuple(d for g in before for d in g)), x))


def split_axes(old: tuple[Dim, ...], new: tuple[Dim, ...]) -> list[tuple[Dim, ...]] | None:
    """The part of `new` that each dimension of `old` becomes; None when dimensions are merged."""
    groups: list[tuple[Dim, ...]] = []
    rest = list(new)
    for d in old:
        group: list[Dim] = []
        while rest and (product(group) != d or (not group and rest[0] == d)):
            group.append(rest.pop(0))
        if product(group) != d:
            return None
        groups.append(tuple(group))
    if rest and groups and all(d == 1 for d in rest):
        groups[-1] += tuple(rest)
        rest = []
    return groups if not rest else None


@rewrite(node(Expand, node(Expand, "x", name="inner"), name="outer"))
def merge_expands(outer: Value, inner: Value, x: Value) -> Term:
    """expand(expand(x)) → expand(x)"""
    return term(outer.op, x)


@rewrite(node(Slice, node(Slice, "x", name="inner"), name="outer"))
def merge_slices(outer: Value, inner: Value, x: Value) -> Term:
    """x[a:b:s][c:d:t] → x[a + c·s : … : s·t]"""
    assert isinstance(outer.op, Slice) and isinstance(inner.op, Slice)
    starts: tuple[Dim, ...] = tuple(a + c * s for a, s, c in zip(inner.op.starts, inner.op.steps, outer.op.starts,
                                                                strict=True))
    steps = tuple(s * t for s, t in zip(inner.op.steps, outer.op.steps, strict=True))
    return term(Slice(starts, outer.op.sizes, steps), x)


@rewrite(node(Slice, node(Concat, name="joined"), name="part"))
def slice_one_operand_of_concat(part: Value, joined: Value) -> Term | Refusal | None:
    """concat(x, y)[part of y] → y[part]"""
    assert isinstance(part.op, Slice) and isinstance(joined.op, Concat)
    axis = joined.op.axis
    start, size, step = part.op.starts[axis], part.op.sizes[axis], part.op.steps[axis]
    if not (isinstance(start, int) and isinstance(size, int) and isinstance(step, int)) or size < 1:
        return Refusal("the part cut out depends on symbols")
    low, high = sorted((start, start + (size - 1) * step))
    offset = 0
    for x in joined.inputs:
        extent = x.shape[axis] if x is not None else None
        if not isinstance(extent, int) or x is None:
            return Refusal("where the operands meet depends on symbols")
        if offset <= low and high < offset + extent:
            starts = tuple(s - offset if i == axis else s for i, s in enumerate(part.op.starts))
            return term(Slice(starts, part.op.sizes, part.op.steps), x)
        offset += extent
    return Refusal("the part cut out spans several operands")


@rewrite(some(Concat, node(Concat, name="inner"), name="outer"))
def merge_concats(outer: Value, inner: Value) -> Term | Refusal | None:
    """concat(concat(x, y), z) → concat(x, y, z)"""
    assert isinstance(outer.op, Concat) and isinstance(inner.op, Concat)
    if outer.op.axis != inner.op.axis:
        return None
    if inner.readers > 1 or sum(v is not None and v.name == inner.name for v in outer.inputs) > 1:
        return Refusal("the inner concatenation has another reader")
    parts: list[Value | None] = []
    for v in outer.inputs:
        parts += inner.inputs if v is not None and v.name == inner.name else (v,)
    return term(outer.op, *parts)


@rewrite(node(Concat, name="joined"))
def join_adjacent_slices(joined: Value) -> Term | None:
    """concat(x[a:b], x[b:c]) → x[a:c]"""
    assert isinstance(joined.op, Concat)
    axis = joined.op.axis
    parts: list[Value | Term | None] = []
    for v in joined.inputs:
        last = parts[-1] if parts else None
        joint = _adjacent(last, v, axis)
        if joint is not None:
            parts[-1] = joint
        else:
            parts.append(v)
    if len(parts) == len(joined.inputs):
        return None
    if len(parts) == 1:
        assert isinstance(parts[0], Term)
        return parts[0]
    return term(joined.op, *parts)


def _adjacent(a: Value | Term | None, b: Value | None, axis: int) -> Term | None:
    """The one slice that a and b are halves of along an axis."""
    if a is None or b is None or b.layer is None or not isinstance(b.op, Slice):
        return None
    if isinstance(a, Value) and (a.layer is None or not isinstance(a.op, Slice)):
        return None
    (x,), (y,), p, q = a.inputs, b.inputs, a.op, b.op
    assert isinstance(p, Slice)
    if not isinstance(x, Value) or y is None or x.name != y.name or p.steps != q.steps or p.steps[axis] != 1:
        return None
    others = all(i == axis or (s == t and m == n) for i, (s, t, m, n)
                 in enumerate(zip(p.starts, q.starts, p.sizes, q.sizes, strict=True)))
    if not others or p.starts[axis] + p.sizes[axis] != q.starts[axis]:
        return None
    sizes = tuple(m + n if i == axis else m for i, (m, n) in enumerate(zip(p.sizes, q.sizes, strict=True)))
    return term(Slice(p.starts, sizes, p.steps), x)


@rewrite(some(Pointwise, node(Expand, "x", name="wide"), name="e"))
def drop_expand_before_pointwise(e: Value, wide: Value, x: Value) -> Term | Refusal | None:
    """e(expand(x), y) → e(x, y), which broadcasts by itself"""
    names = [v.name if v is not None and v.name != wide.name else x.name for v in e.inputs]
    if not covers(e.graph, names, e.shape):  # type: ignore[arg-type]
        return Refusal("only the expanded operand has the result's shape")
    return term(e.op, *(x if v is not None and v.name == wide.name else v for v in e.inputs))


@rewrite(node(Gather, "x", const("indices"), name="y"))
def slice_instead_of_gather(y: Value, x: Value, indices: Value) -> Term | Refusal | None:
    """x[:, [3, 5, 7]] → x[:, 3:8:2], x[:, 3] alike: constant indices with equal distances"""
    assert isinstance(y.op, Gather) and indices.array is not None
    axis, extent, wanted = y.op.axis, x.shape[y.op.axis], indices.array.reshape(-1)
    if wanted.size == 0:
        return None
    if not isinstance(extent, int):
        return Refusal("how far indices may go depends on symbols")
    positions = np.where(wanted < 0, wanted + extent, wanted)
    steps = set(np.diff(positions).tolist())
    if len(steps) > 1 or 0 in steps or positions.min() < 0 or positions.max() >= extent:
        return Refusal("indices are repeated, not evenly spaced, or out of range")
    starts = tuple(int(positions[0]) if i == axis else 0 for i in range(x.rank))
    sizes: tuple[Dim, ...] = tuple(wanted.size if i == axis else d for i, d in enumerate(x.shape))
    step = tuple(int(steps.pop()) if i == axis and steps else 1 for i in range(x.rank))
    cut = term(Slice(starts, sizes, step), x)
    return cut if indices.rank == 1 else term(Reshape(y.shape), cut)


MOVEMENTS = (slice_instead_of_gather, make_ramp_in_shape, split_before_transpose, merge_transposes, merge_reshapes,
             merge_expands, merge_slices, slice_one_operand_of_concat, merge_concats, join_adjacent_slices,
             drop_expand_before_pointwise)
