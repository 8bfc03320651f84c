"""Attention scores before the softmax, peeled down to the product of queries and keys."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from ..ir import Layer, TensorType
from ..ir.pattern import Operand, Refusal, Value, term
from ..ops import MatMul, Pointwise, Reshape
from ..ops.expr import Apply, Const, Expr, In, operands, substitute
from ..ops.rules import broadcast_shapes
from .movement import split_axes
from .simplify import call, number
from .view import Leaves

#: An additive mask that keeps scores this far down leaves them no weight in float32.
HIDDEN = -1e4
FLOATS = frozenset({DType.float16, DType.bfloat16, DType.float32})


@dataclass(frozen=True)
class Scores:
    """scale · (q @ k) + additive, −∞ where not keep; as found before the softmax.

    product   the MatMul layer
    lead      leading dimensions the product is reshaped to, None when it is not
    """

    product: Layer
    scale: float
    additive: Expr | None = None
    keep: Expr | None = None
    lead: tuple[Dim, ...] | None = None


def scores(leaves: Leaves, value: str, shape: tuple[Dim, ...]) -> Scores | Refusal | None:
    """value as scale·(q @ k) + mask; None when it is something else."""
    graph = leaves.graph
    layer = graph.producer(value)
    t = graph.tensor(value)
    if layer is None or t is None or t.rank != len(shape) or not isinstance(layer.op, (MatMul, Pointwise, Reshape)):
        return None
    if isinstance(layer.op, MatMul):
        found: Scores | Refusal | None = Scores(layer, 1.0)
    elif isinstance(layer.op, Reshape):
        inner = graph.tensor(layer.inputs[0] or "")
        if inner is None or inner.rank < 2 or inner.shape[-2:] != t.shape[-2:]:
            return None
        found = scores(leaves, layer.inputs[0] or "", inner.shape)
        found = _led(leaves, found, inner.shape, t.shape) if isinstance(found, Scores) else found
    else:
        e = leaves.of_layer(value)
        found = None if e is None else _peel(leaves, e, shape)
    if isinstance(found, Scores) and (len(graph.readers(value)) > 1 or graph.is_output(value)):
        return Refusal("the scores have another reader")
    return found


def _led(leaves: Leaves, found: Scores, old: tuple[Dim, ...], new: tuple[Dim, ...]) -> Scores | Refusal:
    """Scores after a reshape of their leading dimensions, by which masks are split, too."""
    masks: list[Expr | None] = []
    groups = split_axes(old[:-2], new[:-2])
    for e in (found.additive, found.keep):
        if e is None or isinstance(e, Const):
            masks.append(e)
            continue
        if groups is None:
            return Refusal("leading dimensions of masked scores are merged")
        t = mask_type(leaves, e)
        shape = (1,) * (len(old) - t.rank) + t.shape
        split: list[Dim] = []
        for d, whole, group in zip(shape, old, groups, strict=False):
            if d != whole and d != 1:
                return Refusal("a mask and its scores have leading dimensions that differ")
            split += group if d == whole else (1,) * len(group)
        full = (*split, *shape[-2:])
        masks.append(leaves.made(term(Reshape(full), mask_operand(leaves, e)), TensorType(full, t.dtype)))
    return replace(found, additive=masks[0], keep=masks[1], lead=new[:-2])


def mask_type(leaves: Leaves, e: Expr) -> TensorType:
    """The type of an expression over leaves."""
    return TensorType(broadcast_shapes(*(leaves.type(x).shape for x in operands(e))), e.dtype)


def mask_operand(leaves: Leaves, e: Expr) -> Operand:
    """An expression over leaves as one operand."""
    if isinstance(e, Const):
        return np.full((1, 1), e.value, e.dtype.numpy)
    if isinstance(e, In):
        return leaves.operand(e)
    read = operands(e)
    compact: list[Expr] = [In(0, DType.bool)] * len(leaves.names)
    for i, x in enumerate(read):
        compact[x.index] = In(i, x.dtype)
    parts = [leaves.operand(x) for x in read]
    op = Pointwise(substitute(e, compact))
    arrays = [p.array if isinstance(p, Value) else None for p in parts]
    if all(a is not None for a in arrays):
        return op.reference(*arrays)
    return term(op, *parts, type=mask_type(leaves, e))


def _peel(leaves: Leaves, e: Expr, shape: tuple[Dim, ...]) -> Scores | Refusal | None:
    name = leaves.name(e)
    if name is not None:
        return scores(leaves, name, shape)
    if not isinstance(e, Apply):
        return None
    if e.fn == "cast" and {e.dtype, e.args[0].dtype} <= FLOATS:
        return _peel(leaves, e.args[0], shape)
    if e.fn in ("mul", "div"):
        for x, c in (e.args, e.args[::-1])[: 2 if e.fn == "mul" else 1]:
            if isinstance(c, Const):
                found = _peel(leaves, x, shape)
                if not isinstance(found, Scores):
                    return found
                if found.additive is not None or found.keep is not None:
                    return Refusal("scores are scaled after the mask is applied")
                return replace(found, scale=found.scale * c.value if e.fn == "mul" else found.scale / c.value)
    if e.fn == "add":
        for x, mask in (e.args, e.args[::-1]):
            found = _peel(leaves, x, shape)
            if isinstance(found, Scores):
                if found.keep is not None:
                    return Refusal("a mask is added after scores were replaced")
                return replace(found, additive=mask if found.additive is None else call("add", found.additive, mask))
            if found is not None:
                return found
    if e.fn == "where":
        keep, x, fill = e.args
        for condition, shown, hidden in ((keep, x, fill), (call("not", keep), fill, x)):
            if isinstance(hidden, Const):
                found = _peel(leaves, shown, shape)
                return _hide(found, condition, hidden) if isinstance(found, Scores) else found
    return None


def _hide(found: Scores, keep: Expr, hidden: Const) -> Scores | Refusal:
    """Scores of which those not kept are replaced by a number."""
    if hidden.value == -math.inf:
        return replace(found, keep=keep if found.keep is None else call("and", found.keep, keep))
    if hidden.value > HIDDEN:
        return Refusal(f"hidden scores are {hidden.value:g}, which leaves them some weight")
    if found.keep is not None:
        return Refusal("scores are replaced twice, by different numbers")
    added = call("where", keep, number(0, hidden), hidden)
    return replace(found, additive=added if found.additive is None else call("add", found.additive, added))
