"""Recognition of scaled dot-product attention, spelled out as two matrix products around a softmax."""

from __future__ import annotations

import math

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from ..ir import TensorType
from ..ir.pattern import Operand, Refusal, Term, Value, node, term
from ..ir.refittable import surely
from ..ops import Attention, Iota, MatMul, Pointwise, Reshape, Softmax, Transpose
from ..ops.expr import Apply, Const, Expr, In
from .graph import Graph
from .rewrite import rewrite
from .scores import FLOATS, HIDDEN, Scores, mask_operand, scores
from .simplify import call, is_number, number
from .view import Leaves


@rewrite(node(MatMul, node((Softmax, Pointwise), name="weights"), "v", name="y"))
def recognise_attention(y: Value, weights: Value, v: Value) -> Term | Refusal | None:
    """softmax(scale·(q @ kᵀ) + mask) @ v → attention(q, k, v, mask); scale on either side of the product or on q or k

    Where a mask makes every score of a query −∞, the softmax gives NaN, and so does attention unless NaN is replaced
    by zeros on the way. Roundings of scores and weights to half precision on the way are left out.
    """
    graph = y.graph
    assert isinstance(graph, Graph)
    softmax = _softmax(weights)
    if softmax is None:
        return None
    assert isinstance(softmax.op, Softmax)
    if softmax.op.log:
        return None
    if softmax.op.axis != softmax.rank - 1 or softmax.rank < 2 or v.rank < 2:
        return None
    (before,) = softmax.inputs
    assert before is not None
    merged = before.layer is not None and isinstance(before.op, Reshape)
    source = before.inputs[0] if merged else before
    assert source is not None
    if source.rank < 2 or source.shape[-2:] != softmax.shape[-2:]:
        return None
    leaves = Leaves(graph)
    found = scores(leaves, source.name, source.shape)
    if not isinstance(found, Scores):
        return found
    if _read_elsewhere(weights, softmax):
        return Refusal("the weights have another reader")
    if merged and before.readers > 1:
        return Refusal("the scores have another reader")
    product = Value(graph, found.product.outputs[0])
    if (*(found.lead or product.shape[:-2]), *product.shape[-2:]) != source.shape:
        return Refusal("the mask makes the scores larger")
    (q, q_scale), (k, k_scale) = (_unscaled(graph, name or "") for name in found.product.inputs)
    if min(q.rank, k.rank) < 2:
        return None
    scale = found.scale * q_scale * k_scale
    mask = _mask(leaves, found)
    if mask is not None and not math.isfinite(scale):
        return Refusal(f"the scores are scaled by {scale}")
    causal = _is_causal(mask) or _is_causal_rule(leaves, found, source.shape)
    if (merged and v.shape[:-2] != softmax.shape[:-2]) or \
            (found.lead is not None and not q.shape[:-2] == k.shape[:-2] == product.shape[:-2]):
        return Refusal("reshaped scores belong to broadcast operands")
    swap = (*range(k.rank - 2), k.rank - 1, k.rank - 2)
    inputs = [_led(q, found.lead), _led(term(Transpose(swap), k, type=_turned(k)), found.lead),
              _led(v, source.shape[:-2] if merged else None), *([mask] if mask is not None and not causal else [])]
    op = Attention(scale, causal, zeros=_weights_are_guarded(weights, softmax))
    attention = term(op, *inputs, type=None if merged else y.type)
    return term(Reshape(y.shape), attention) if merged else attention


def _turned(k: Value) -> TensorType:
    return TensorType((*k.shape[:-2], k.shape[-1], k.shape[-2]), k.dtype)


def _led(x: Value | Term, lead: tuple[Dim, ...] | None) -> Operand:
    """x in other leading dimensions."""
    t = x.type
    assert t is not None
    return x if lead is None else term(Reshape((*lead, *t.shape[-2:])), x)


@rewrite(node(MatMul, "v", node(Transpose, node((Softmax, Pointwise), name="weights"), name="turned"), name="y"))
def put_weights_first(y: Value, v: Value, turned: Value, weights: Value) -> Term | Refusal | None:
    """v @ weightsᵀ → (weights @ vᵀ)ᵀ, weights being those of attention"""
    swap = (*range(turned.rank - 2), turned.rank - 1, turned.rank - 2)
    if _softmax(weights) is None or turned.rank < 2 or v.rank != turned.rank:
        return None
    assert isinstance(turned.op, Transpose)
    if turned.op.perm != swap:
        return None
    if turned.readers > 1:
        return Refusal("the weights have another reader")
    return term(Transpose(swap), term(y.op, weights, term(Transpose(swap), v)))


def _softmax(weights: Value) -> Value | None:
    """The softmax behind the attention weights, through conversions and where(isnan(s), 0, s)."""
    while weights.layer is not None:
        if isinstance(weights.op, Softmax):
            return weights
        inner = _converted(weights) or _guarded(weights)
        if inner is None:
            return None
        weights = inner
    return None


def _weights_are_guarded(weights: Value, softmax: Value) -> bool:
    """Whether where(isnan(s), 0, s) is between the softmax and the weights."""
    while weights.name != softmax.name:
        inner = _converted(weights)
        if inner is None:
            return True
        weights = inner
    return False


def _read_elsewhere(weights: Value, softmax: Value) -> bool:
    """Whether a value between the softmax and the weights has a reader that is not on the way."""
    if weights.readers > 1:
        return True
    while weights.name != softmax.name:
        inner, guard = _converted(weights), None
        if inner is None:
            inner = guard = _guarded(weights)
        assert inner is not None
        if inner.readers > (len({n for n in weights.inputs if n and n.array is None}) if guard else 1):
            return True
        weights = inner
    return False


def _converted(y: Value) -> Value | None:
    """x when y is x in another floating-point type."""
    e = Leaves(y.graph).of_layer(y.name)  # type: ignore[arg-type]
    while isinstance(e, Apply) and e.fn == "cast" and e.dtype in FLOATS:
        e = e.args[0]
    x = y.inputs[e.index] if isinstance(e, In) and e.dtype in FLOATS and len(y.inputs) == 1 else None
    return x if x is not None and x.shape == y.shape else None


def _guarded(y: Value) -> Value | None:
    """s when y is where(isnan(s), 0, s)."""
    leaves = Leaves(y.graph)  # type: ignore[arg-type]
    tests = {v.name for v in y.inputs if v is not None and v.dtype is DType.bool and v.readers == 1}
    e = leaves.expression(y.name, tests)
    s = e.args[2] if isinstance(e, Apply) and e.fn == "where" else None
    if s is None or e != call("where", call("isnan", s, dtype=DType.bool), number(0, s), s):
        return None
    name = leaves.name(s)
    return None if name is None else Value(y.graph, name)


def _unscaled(graph: Graph, name: str) -> tuple[Value, float]:
    """A factor of the product without multiplication by a scalar: (x, c) of x·c. Looks through transposes, too."""
    scale = 1.0
    while True:
        leaves = Leaves(graph)
        e = leaves.of_layer(name)
        if not (isinstance(e, Apply) and e.fn in ("mul", "div")):
            return Value(graph, name), scale
        x, c = e.args if isinstance(e.args[1], Const) or e.fn == "div" else e.args[::-1]
        if not (isinstance(x, In) and isinstance(c, Const)) or \
                graph.types[leaves.names[x.index]] != graph.types[name]:
            return Value(graph, name), scale
        name, scale = leaves.names[x.index], scale * c.value if e.fn == "mul" else scale / c.value


def _mask(leaves: Leaves, found: Scores) -> Operand:
    """The mask as one operand: additive, or bool where scores are replaced by −∞."""
    e = found.additive
    if found.keep is not None:
        e = found.keep if e is None else call("where", found.keep, e, number(-math.inf, e))
    return None if e is None else mask_operand(leaves, e)


def _is_causal(mask: Operand) -> bool:
    """Whether a constant mask hides exactly the keys after each query, for as many keys as queries."""
    array = mask.array if isinstance(mask, Value) else mask
    if not isinstance(array, np.ndarray) or array.ndim < 2 or any(d != 1 for d in array.shape[:-2]):
        return False
    square = array.reshape(array.shape[-2], array.shape[-1])
    if square.shape[0] != square.shape[1] or square.shape[0] < 2:
        return False
    past = np.tri(square.shape[0]) > 0
    if square.dtype == bool:
        return surely(square == past)
    return surely(np.where(past, square == 0, square <= HIDDEN))


def _is_causal_rule(leaves: Leaves, found: Scores, shape: tuple[Dim, ...]) -> bool:
    """Whether the mask is computed from positions alone and keeps keys j ≤ i + T − S of query i."""
    keep = found.keep
    if keep is None and found.additive is not None:
        e = leaves.expanded(found.additive)
        if isinstance(e, Apply) and e.fn == "where" and is_number(e.args[1], 0) and isinstance(e.args[2], Const) \
                and e.args[2].value <= HIDDEN:
            keep = e.args[0]
        elif isinstance(e, Apply) and e.fn == "where" and is_number(e.args[2], 0) and isinstance(e.args[1], Const) \
                and e.args[1].value <= HIDDEN and isinstance(e.args[0], Apply):
            fn = {"lt": "ge", "gt": "le"}.get(e.args[0].fn)
            keep = call(fn, *e.args[0].args) if fn else None
    elif found.additive is not None:
        return False
    keep = None if keep is None else leaves.expanded(keep)
    if not isinstance(keep, Apply) or keep.fn not in ("le", "ge"):
        return False
    key, query = keep.args if keep.fn == "le" else keep.args[::-1]
    (j, first_key), (i, first_query) = _ramp(leaves, key), _ramp(leaves, query)
    S, T = shape[-2:]
    return (j, i) == (1, 2) and first_query - first_key == T - S


def _ramp(leaves: Leaves, e: Expr) -> tuple[int, Dim]:
    """(axis from the end, first value) of a leaf that counts 0, 1, 2, ... along one axis; axis 0 when it is none."""
    name = leaves.name(e)
    layer = leaves.graph.producer(name) if name is not None else None
    if layer is None or not isinstance(layer.op, Iota):
        return 0, 0
    op = layer.op
    if op.step != 1 or isinstance(op.start, float) or any(d != 1 for a, d in enumerate(op.shape) if a != op.axis):
        return 0, 0
    return len(op.shape) - op.axis, op.start


ATTENTION = (put_weights_first, recognise_attention)
