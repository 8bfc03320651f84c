"""Recognition of scaled dot-product attention, spelled out as two matrix products around a softmax."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..dtypes import DType
from ..ir import Layer, TensorType
from ..ir.pattern import Operand, Refusal, Term, Value, node, term
from ..ops import Attention, MatMul, Pointwise, Softmax, Transpose
from ..ops.expr import Apply, Const, Expr, In, operands
from ..ops.rules import broadcast_shapes
from .graph import Graph
from .rewrite import rewrite
from .simplify import call, number
from .tidy import tidy
from .view import Leaves

#: An additive mask that keeps scores this far down leaves them no weight in float32.
HIDDEN = -1e4
FLOATS = frozenset({DType.float16, DType.bfloat16, DType.float32})


@dataclass(frozen=True)
class Scores:
    """scale · (q @ k) + mask, as found before the softmax. product: the MatMul layer. masks: added, or None."""

    product: Layer
    scale: float
    additive: Expr | None = None
    keep: Expr | None = None


@rewrite(node(MatMul, node((Softmax, Pointwise), name="weights"), "v", name="y"))
def recognise_attention(y: Value, weights: Value, v: Value) -> Term | Refusal | None:
    """softmax(scale·(q @ kᵀ) + mask) @ v → attention(q, k, v, mask); scale on either side of the product or on q or k

    Where every score of a query is −∞ the softmax gives NaN, attention zeros. Roundings of scores and weights to
    half precision on the way are left out.
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
    leaves = Leaves(graph)
    found = _scores(leaves, before.name, softmax.shape)
    if found is None:
        return None
    if isinstance(found, Refusal):
        return found
    if _read_elsewhere(weights, softmax):
        return Refusal("the weights have another reader")
    if Value(graph, found.product.outputs[0]).shape != softmax.shape:
        return Refusal("the mask makes the scores larger")
    (q, q_scale), (k, k_scale) = (_unscaled(graph, name or "") for name in found.product.inputs)
    perm = (*range(k.rank - 2), k.rank - 1, k.rank - 2)
    if min(q.rank, k.rank) < 2:
        return None
    mask = _mask(graph, leaves, found, softmax)
    scale = found.scale * q_scale * k_scale
    if mask is not None and scale != 0 and not math.isfinite(scale):
        return Refusal(f"the scores are scaled by {scale}")
    attention = Attention(scale)
    causal = _is_causal(mask)
    if causal:
        mask, attention = None, replace(attention, causal=True)
    inputs: list[Operand] = [q, term(Transpose(perm), k), v, *([mask] if mask is not None else [])]
    return term(attention, *inputs, type=y.type)


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


def _scores(leaves: Leaves, value: str, shape: tuple) -> Scores | Refusal | None:
    """value as scale·(q @ k) + mask; None when it is something else."""
    graph = leaves.graph
    layer = graph.producer(value)
    t = graph.tensor(value)
    if layer is None or t is None or t.rank != len(shape) or not isinstance(layer.op, (MatMul, Pointwise)):
        return None
    if isinstance(layer.op, MatMul):
        found: Scores | Refusal | None = Scores(layer, 1.0)
    else:
        e = leaves.of_layer(value)
        found = None if e is None else _peel(leaves, e, shape)
    if isinstance(found, Scores) and (len(graph.readers(value)) > 1 or graph.is_output(value)):
        return Refusal("the scores have another reader")
    return found


def _peel(leaves: Leaves, e: Expr, shape: tuple) -> Scores | Refusal | None:
    name = leaves.name(e)
    if name is not None:
        return _scores(leaves, name, shape)
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
        for condition, scores, hidden in ((keep, x, fill), (call("not", keep), fill, x)):
            if isinstance(hidden, Const):
                found = _peel(leaves, scores, shape)
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


def _mask(graph: Graph, leaves: Leaves, found: Scores, softmax: Value) -> Operand:
    """The mask as one operand: additive, or bool where scores are replaced by −∞."""
    e = found.additive
    if found.keep is not None:
        e = found.keep if e is None else call("where", found.keep, e, number(-math.inf, e))
    if e is None:
        return None
    if isinstance(e, Const):
        return np.full((1, 1), e.value, e.dtype.numpy)
    name = leaves.name(e)
    if name is not None:
        return Value(graph, name)
    read = [leaves.names[x.index] for x in operands(e)]
    shape = broadcast_shapes(*(graph.types[n].shape for n in read))  # type: ignore[union-attr]
    e, names = tidy(graph, e, leaves.names, shape)
    if isinstance(e, In):
        return Value(graph, names[e.index])
    if all(n in graph.constants for n in names):
        return Pointwise(e).reference(*(graph.constants[n] for n in names))
    return term(Pointwise(e), *(Value(graph, n) for n in names), type=TensorType(shape, e.dtype))


def _is_causal(mask: Operand) -> bool:
    """Whether a constant mask hides exactly the keys after each query, for as many keys as queries."""
    array = mask.array if isinstance(mask, Value) else mask
    if not isinstance(array, np.ndarray) or array.ndim < 2 or any(d != 1 for d in array.shape[:-2]):
        return False
    square = np.asarray(array).reshape(array.shape[-2], array.shape[-1])
    if square.shape[0] != square.shape[1] or square.shape[0] < 2:
        return False
    past = np.tri(square.shape[0]) > 0
    if square.dtype == bool:
        return bool(np.all(square == past))
    return bool(np.all(np.where(past, square == 0, square <= HIDDEN)))


ATTENTION = (put_weights_first, recognise_attention)
