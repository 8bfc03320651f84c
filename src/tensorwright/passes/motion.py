"""Moving layers past each other: element-wise work towards what computes its operand, transposes towards each other."""

from __future__ import annotations

import numpy as np

from ..ir import TensorType
from ..ir.pattern import Operand, Refusal, Term, Value, node, term
from ..ops import Concat, Pad, Pointwise, Reduce, Reshape, Softmax, Transpose
from .movement import split_axes
from .pointwise import CORES
from .rewrite import rewrite

#: Constants up to this many bytes are rearranged to let a layer move.
SMALL_CONSTANT = 1 << 16
#: How many layers ahead a Transpose looks for another.
FAR = 16


@rewrite(node(Pointwise, name="e"))
def move_pointwise_before_movement(e: Value) -> Term | Refusal | None:
    """e(transpose(core(x)), c) → transpose(e(core(x), c')), and the same for reshape; c: constants"""
    moving = [v for v in e.inputs if v is not None and v.array is None]
    moved = moving[0] if len(moving) == 1 else None
    if moved is None or moved.layer is None or not isinstance(moved.op, (Transpose, Reshape)):
        return None
    (source,) = moved.inputs
    assert source is not None and isinstance(e.op, Pointwise)
    if source.layer is None or not isinstance(source.op, (*CORES, Pointwise, Transpose, Reshape)):
        return None
    if moved.readers > 1 or source.readers > 1:
        return Refusal("the value before or after the movement has another reader")
    if moved.shape != e.shape:
        return Refusal(f"the result {e.type} is larger than the moved value {moved.type}")
    parts: list[Operand] = []
    for v in e.inputs:
        assert v is not None
        part: Operand = source if v.name == moved.name else unmoved(v.array, moved.op, source.type)
        if part is None:
            return Refusal("a constant operand cannot be rearranged to fit before the movement")
        parts.append(part)
    return term(moved.op, term(Pointwise(e.op.expr), *parts, type=TensorType(source.shape, e.dtype)))


def unmoved(array: np.ndarray | None, op: Transpose | Reshape, before: TensorType) -> np.ndarray | None:
    """The constant c' for which op(x + c') = op(x) + array, x of type `before`; None when there is none."""
    if array is None or array.nbytes > SMALL_CONSTANT:
        return None
    if array.size == 1:
        return array.reshape(())
    if isinstance(op, Transpose):
        return array.reshape((1,) * (before.rank - array.ndim) + array.shape).transpose(np.argsort(op.perm))
    own = array.reshape(array.shape[next(i for i, d in enumerate(array.shape) if d != 1):])
    same = own.ndim <= before.rank and before.shape[-own.ndim:] == op.shape[-own.ndim:]
    return own if same else None


def _transposed(values: tuple[Value | None, ...]) -> tuple[int, ...] | None:
    """The common permutation of all non-constant values, when each is a Transpose with one reader."""
    perms = {v.op.perm if v is not None and v.layer is not None and isinstance(v.op, Transpose) and v.readers == 1
             else None for v in values if v is None or v.array is None}
    return perms.pop() if len(perms) == 1 else None


def meets_transpose(y: Value) -> bool:
    """Whether a Transpose moved below y gets to others: through layers it can sink below, to one that undoes it or to a
    layer whose other operands are transposed, too."""
    for _ in range(FAR):
        readers = y.graph.readers(y.name)
        if y.graph.is_output(y.name) or not readers:
            return False
        if all(isinstance(r.op, Transpose) for r in readers):
            return True
        if len(readers) > 1 or not isinstance(readers[0].op, (Pointwise, Concat, Softmax, Reduce, Pad, Reshape)):
            return False
        below = Value(y.graph, readers[0].outputs[0])
        if isinstance(readers[0].op, Reshape) and split_axes(y.shape, below.shape) is None:
            return False
        others = [v for v in below.inputs if v is not None and v.array is None and v.name != y.name]
        if others:
            return all(v.layer is not None and isinstance(v.op, Transpose) and v.readers == 1 for v in others)
        y = below
    return False


@rewrite(node(Pointwise, name="e"))
def sink_transpose_below_pointwise(e: Value) -> Term | Refusal | None:
    """e(transpose(x), transpose(y)) → transpose(e(x, y)), when transposes get fewer"""
    perm = _transposed(e.inputs)
    moving = [v for v in e.inputs if v is not None and v.array is None]
    if perm is None:
        return None
    assert isinstance(e.op, Pointwise)
    if len(moving) < 2 and not meets_transpose(e):
        return Refusal("there would be as many transposes as before")
    if any(v.shape != e.shape for v in moving):
        return Refusal("the transposed operands are broadcast")
    parts: list[Operand] = []
    shape = moving[0].inputs[0].shape  # type: ignore[union-attr]
    for v in e.inputs:
        assert v is not None
        part: Operand = unmoved(v.array, Transpose(perm), TensorType(shape, v.dtype)) if v.array is not None \
            else v.inputs[0]
        if part is None:
            return Refusal("a constant operand is too large to transpose")
        parts.append(part)
    return term(Transpose(perm), term(Pointwise(e.op.expr), *parts))


@rewrite(node(Concat, name="joined"))
def sink_transpose_below_concat(joined: Value) -> Term | Refusal | None:
    """concat(transpose(x), transpose(y)) → transpose(concat(x, y)), when transposes get fewer"""
    perm = _transposed(joined.inputs)
    if perm is None or any(v is None or v.array is not None for v in joined.inputs):
        return None
    assert isinstance(joined.op, Concat)
    if len(joined.inputs) < 2 and not meets_transpose(joined):
        return Refusal("there would be as many transposes as before")
    parts = [v.inputs[0] for v in joined.inputs if v is not None]
    return term(Transpose(perm), term(Concat(perm[joined.op.axis]), *parts))


@rewrite(node((Softmax, Reduce, Pad), node(Transpose, "x", name="moved"), name="y"))
def sink_transpose(y: Value, moved: Value, x: Value) -> Term | Refusal | None:
    """softmax(transpose(x)) → transpose(softmax(x)) when another transpose follows, alike for reductions and padding"""
    if moved.readers > 1:
        return Refusal("the transposed value has another reader")
    if not meets_transpose(y):
        return Refusal("there would be as many transposes as before")
    assert isinstance(moved.op, Transpose)
    perm = moved.op.perm
    if isinstance(y.op, Softmax):
        return term(Transpose(perm), term(Softmax(perm[y.op.axis], y.op.log), x))
    if isinstance(y.op, Pad):
        return term(Transpose(perm), term(Pad(tuple(y.op.pads[perm.index(i)] for i in range(x.rank)), y.op.mode,
                                              y.op.value), x))
    assert isinstance(y.op, Reduce)
    axes = tuple(sorted(perm[a] for a in y.op.axes))
    if not y.op.keepdims:                        # what is left of the permutation, renumbered
        left = [p for p in perm if p not in axes]
        perm = tuple(sorted(left).index(p) for p in left)
    return term(Transpose(perm), term(Reduce(y.op.kind, axes, y.op.keepdims), x))


MOTION = (move_pointwise_before_movement,)
TRANSPOSES = (sink_transpose_below_pointwise, sink_transpose_below_concat, sink_transpose)
