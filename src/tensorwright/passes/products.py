"""Rearrangements around x @ w with a constant matrix: what touches rows only can be done on either side of it."""

from __future__ import annotations

from ..dims import Dim
from ..ir.pattern import Operand, Refusal, Term, Value, const, node, term
from ..ops import MatMul, Pointwise, Reshape, Transpose
from .motion import meets_transpose
from .movement import split_axes
from .rewrite import rewrite


def _product(y: Value) -> tuple[Value, Value | None] | None:
    """(product, element-wise layer after it or None) when y is x @ w, maybe with vectors of columns applied to it."""
    e: Value | None = None
    if y.layer is not None and isinstance(y.op, Pointwise):
        moving = [v for v in y.inputs if v is not None and v.array is None]
        constants = [v.array for v in y.inputs if v is not None and v.array is not None]
        if len(moving) != 1 or moving[0].shape != y.shape or moving[0].readers > 1 or \
                any(a.size != a.shape[-1] for a in constants if a.size > 1):
            return None
        e, y = y, moving[0]
    if y.layer is None or not isinstance(y.op, MatMul):
        return None
    x, w = y.inputs
    return (y, e) if x is not None and w is not None and w.array is not None and w.rank == 2 and x.rank > 1 else None


def _again(x: Operand, product: Value, e: Value | None) -> Term:
    """The product and the layer after it, over another x. Constants become vectors, which fit any rank."""
    y = term(product.op, x, product.inputs[1])
    if e is None:
        return y
    parts: list[Operand] = []
    for v in e.inputs:
        assert v is not None
        parts.append(y if v.array is None else v.array.reshape(-1 if v.array.size > 1 else ()) if v.rank > 1 else v)
    return term(e.op, *parts)


@rewrite(node(Reshape, "y", name="z"))
def reshape_before_product(z: Value, y: Value) -> Term | Refusal | None:
    """reshape(reshape(x) @ w + b) → reshape(x) @ w + b, when rows alone are rearranged"""
    found = _product(y)
    if found is None or z.rank < 2 or z.shape[-1] != y.shape[-1]:
        return None
    product, e = found
    (x, _w) = product.inputs
    assert x is not None
    if x.layer is None or not isinstance(x.op, Reshape):
        return None
    if y.readers > 1 or product.readers > 1:
        return Refusal("the product has another reader")
    return _again(term(Reshape((*z.shape[:-1], x.shape[-1])), x.inputs[0]), product, e)


@rewrite(node(MatMul, node(Transpose, "x", name="moved"), const("w"), name="y"))
def sink_transpose_below_product(y: Value, moved: Value, x: Value, w: Value) -> Term | Refusal | None:
    """transpose(x) @ w → transpose(x @ w), when rows alone are transposed and another transpose follows"""
    assert isinstance(moved.op, Transpose)
    last = x.rank - 1
    if w.rank != 2 or x.rank < 2 or moved.op.perm[-1] != last:
        return None
    if moved.readers > 1:
        return Refusal("the transposed value has another reader")
    if not meets_transpose(y):
        return Refusal("there would be as many transposes as before")
    return term(moved.op, term(y.op, x, w))


@rewrite(node(Transpose, "y", name="z"))
def transpose_before_product(z: Value, y: Value) -> Term | Refusal | None:
    """transpose(merge(transpose(x)) @ w + b) → merge(transpose(x)) @ w + b, when rows alone are transposed"""
    found = _product(y)
    assert isinstance(z.op, Transpose)
    perm = z.op.perm
    if found is None or perm[-1] != len(perm) - 1:
        return None
    product, e = found
    merged = product.inputs[0]
    if merged is None or merged.layer is None or not isinstance(merged.op, Reshape):
        return None
    (inner,) = merged.inputs
    groups = split_axes(merged.shape, inner.shape) if inner is not None else None
    if inner is None or inner.layer is None or not isinstance(inner.op, Transpose) or groups is None:
        return None
    if y.readers > 1 or product.readers > 1:
        return Refusal("the product has another reader")
    first = [sum(map(len, groups[:a])) for a in range(len(groups))]
    order = tuple(first[a] + i for a in perm for i in range(len(groups[a])))
    shape: tuple[Dim, ...] = tuple(merged.shape[a] for a in perm)
    return _again(term(Reshape(shape), term(Transpose(order), inner)), product, e)


PRODUCTS = (reshape_before_product, sink_transpose_below_product, transpose_before_product)
