"""Layers that change nothing go."""

from __future__ import annotations

from ..ir.pattern import Refusal, Value, node
from ..ops import Concat, Expand, Pad, Pointwise, Pool, Reduce, Reshape, Resize, Slice, Transpose
from ..ops.expr import In
from .rewrite import rewrite


@rewrite(node((Transpose, Reshape, Expand, Slice, Pad, Reduce, Pool, Resize), "x", name="y"))
def drop_identity(y: Value, x: Value) -> Value | Refusal | None:
    """y(x) → x for a layer that moves, cuts, pads, reduces or resizes nothing"""
    match y.op:
        case Transpose(perm=perm):
            same = perm == tuple(range(len(perm)))
        case Slice(starts=starts, steps=steps):
            same = y.shape == x.shape and all(s == 0 and (t == 1 or d == 1) for s, t, d
                                              in zip(starts, steps, x.shape, strict=True))
        case Pad(pads=pads):
            same = all(before == 0 and after == 0 for before, after in pads)
        case Reduce(axes=axes, keepdims=keepdims):
            same = all(x.shape[a] == 1 for a in axes) and (keepdims or not axes)
        case Pool(window=window, strides=strides, pads=pads):
            same = {*window, *strides} == {1} and all(p == (0, 0) for p in pads)
        case Resize():
            same = y.shape == x.shape and y.op.coordinate != "tf_crop_and_resize" \
                and (y.op.scales is None or all(s == 1 for s in y.op.scales))
        case _:
            same = y.shape == x.shape
    if not same:
        return None
    return Refusal("it copies a network input to a network output") if _must_copy(y, x) else x


@rewrite(node(Pointwise, name="y"))
def drop_identity_expression(y: Value) -> Value | Refusal | None:
    """Pointwise(x ↦ x) → x"""
    assert isinstance(y.op, Pointwise)
    if not isinstance(y.op.expr, In):
        return None
    x = y.inputs[y.op.expr.index]
    assert x is not None
    if x.shape != y.shape:
        return None
    return Refusal("it copies a network input or output to a network output") if _must_copy(y, x) else x


@rewrite(node(Concat, name="y"))
def drop_concat_of_one(y: Value) -> Value | Refusal | None:
    """concat(x) → x"""
    if len(y.inputs) != 1 or y.inputs[0] is None:
        return None
    x = y.inputs[0]
    return Refusal("it copies a network input to a network output") if _must_copy(y, x) else x


def _must_copy(y: Value, x: Value) -> bool:
    """Whether both have a name that the user knows, so that a layer must copy one to the other."""
    return y.graph.is_output(y.name) and x.array is None and (x.layer is None or x.graph.is_output(x.name))


IDENTITIES = (drop_identity, drop_identity_expression, drop_concat_of_one)
