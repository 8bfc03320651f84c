"""Scales and shifts by constants go into the weights next to them: BatchNorm folding, however it is spelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import numpy as np

from ..ir.pattern import Operand, Refusal, Term, Value, const, maybe, node, some, term
from ..ir.refittable import Refittable, surely
from ..ops import Convolution, ConvTranspose, MatMul, Pointwise
from ..ops.expr import FUNCTIONS, Apply, Const, Expr, In
from .rewrite import Rewrite, rewrite

#: Weights up to this many bytes are copied when another layer reads the originals, too.
SHARED_LIMIT = 1 << 20

#: a·x + b in float64; a is None for what does not depend on x
Affine = tuple[Union[np.ndarray, None], np.ndarray]


def affine_parts(e: Expr, x: int, constants: Sequence[np.ndarray | None]) -> dict[int, Affine]:
    """id of node → (a, b) for each node of e that is a·In(x) + b with constant a and b, or constant altogether."""
    found: dict[int, Affine] = {}
    seen: set[int] = set()

    def walk(n: Expr) -> None:
        if id(n) in seen:
            return
        seen.add(id(n))
        if isinstance(n, In):
            array = constants[n.index]
            if n.index == x:
                found[id(n)] = np.float64(1), np.float64(0)  # type: ignore[assignment]
            elif array is not None and n.dtype.is_float:
                found[id(n)] = None, array.astype(np.float64)
        elif isinstance(n, Const):
            if n.dtype.is_float:
                found[id(n)] = None, np.float64(n.value)  # type: ignore[assignment]
        else:
            for a in n.args:
                walk(a)
            parts = [found.get(id(a)) for a in n.args]
            if n.dtype.is_float and all(p is not None for p in parts) and n.fn not in ("where", "cast"):
                result = _combine(n, parts)  # type: ignore[arg-type]
                if result is not None:
                    found[id(n)] = result

    walk(e)
    return found


def _combine(n: Apply, parts: list[Affine]) -> Affine | None:
    with np.errstate(all="ignore"):
        if all(a is None for a, _ in parts):
            return None, np.asanyarray(FUNCTIONS[n.fn][1](*(b for _, b in parts)), np.float64)
        if n.fn == "neg":
            (a, b), = parts
            assert a is not None
            return -a, -b
        if len(parts) != 2:
            return None
        (a, b), (c, d) = parts
        if n.fn in ("add", "sub"):
            sign = 1 if n.fn == "add" else -1
            slope = (0 if a is None else a) + sign * (0 if c is None else c)
            return np.asanyarray(slope, np.float64), b + sign * d
        if n.fn == "mul" and (a is None or c is None):
            return (a * d, b * d) if a is not None else (c * b, d * b)  # type: ignore[operator]
        if n.fn == "div" and c is None and a is not None:
            return a / d, b / d
    return None


def affine_root(e: Expr, x: int, found: dict[int, Affine]) -> Expr | None:
    """The one largest part of e that is affine in In(x), when e reads In(x) nowhere else; None when there is none."""
    tops: dict[int, Expr] = {}
    seen: set[int] = set()
    stack: list[Expr] = [e]
    while stack:
        n = stack.pop()
        if id(n) in seen:
            continue
        seen.add(id(n))
        part = found.get(id(n))
        if part is not None:
            if part[0] is not None:
                tops[id(n)] = n
        elif isinstance(n, Apply):
            stack += n.args
    only = next(iter(tops.values())) if len(tops) == 1 else None
    return None if isinstance(only, In) else only


def replaced(e: Expr, old: Expr, new: Expr) -> Expr:
    """e with the part `old` (this very node) replaced."""
    memo: dict[int, Expr] = {id(old): new}

    def walk(n: Expr) -> Expr:
        if id(n) not in memo:
            memo[id(n)] = Apply(n.fn, tuple(map(walk, n.args)), n.dtype) if isinstance(n, Apply) else n
        return memo[id(n)]

    return walk(e)


def per_channel(v: np.ndarray, rank: int, axis: int, channels: int) -> np.ndarray | None:
    """v as a vector of `channels` numbers, when it varies along one axis of a tensor of this rank at most."""
    v = np.asanyarray(v)
    shape = (1,) * (rank - v.ndim) + v.shape
    if len(shape) > rank or any(d != 1 for i, d in enumerate(shape) if i != axis) or shape[axis] not in (1, channels):
        return None
    return np.broadcast_to(v.reshape(-1), (channels,))


def rounded(v: np.ndarray, like: np.ndarray) -> np.ndarray | None:
    """float64 results in the type of `like`; None when they do not fit although they are numbers."""
    with np.errstate(over="ignore"):
        y = v.astype(like.dtype)
    if isinstance(y, Refittable) or isinstance(like, Refittable):
        return y
    return None if np.isfinite(like).all() and not np.isfinite(y).all() else y


def shared(w: Value) -> Refusal | None:
    assert w.array is not None
    if w.readers > 1 and w.array.nbytes > SHARED_LIMIT:
        return Refusal(f"another layer reads the weights, and they take {w.array.nbytes} bytes")
    return None


def _scaled(op: object, w: np.ndarray, a: np.ndarray) -> np.ndarray:
    """w with output channel k multiplied by a[k], in float64."""
    if isinstance(op, Convolution):
        return w * a.reshape(-1, *[1] * (w.ndim - 1))
    if isinstance(op, ConvTranspose):            # w (groups · c, K / groups, *R)
        grouped = w.reshape(op.groups, -1, *w.shape[1:]) * a.reshape(op.groups, 1, -1, *[1] * (w.ndim - 2))
        return grouped.reshape(w.shape)
    return w * a                                 # MatMul: (..., K, N)


def _fold(e: Value, core: Value, w: Value, b: Value | None) -> Term | Refusal | None:
    assert isinstance(e.op, Pointwise) and w.array is not None
    if w.array.dtype not in (np.float32, np.float64):
        return None
    x = next(i for i, v in enumerate(e.inputs) if v is not None and v.name == core.name)
    found = affine_parts(e.op.expr, x, [None if v is None else v.array for v in e.inputs])
    part = affine_root(e.op.expr, x, found)
    is_matmul = isinstance(core.op, MatMul)
    channels = w.shape[-1] if is_matmul else core.shape[1]
    if part is None or not isinstance(channels, int) or (is_matmul and w.rank < 2):
        return None
    slope, offset = found[id(part)]
    assert slope is not None
    if is_matmul and surely(slope == 1):
        return None                              # a matrix product has no bias: the shift becomes its epilogue
    if core.readers > 1:
        return Refusal(f"the result of {core.layer.name} has another reader")  # type: ignore[union-attr]
    axis = core.rank - 1 if is_matmul else 1
    a, t = per_channel(slope, core.rank, axis, channels), per_channel(offset, core.rank, axis, channels)
    if a is None or t is None or core.shape != e.shape:
        return Refusal("scale or shift is not one number per output channel")
    if not surely(a == 1) and (refusal := shared(w)):
        return refusal
    new_w: Operand = w if surely(a == 1) else rounded(_scaled(core.op, w.array, a), w.array)
    old_b = np.zeros(channels) if b is None or b.array is None else b.array
    new_b = rounded(old_b * a + t, np.zeros(1, w.array.dtype))
    if new_w is None or new_b is None:
        return Refusal("the product of weights and scale overflows")
    source = core.inputs[0]
    if not is_matmul:
        folded = term(core.op, source, new_w, new_b, type=core.type)
        rest = None if part is e.op.expr else replaced(e.op.expr, part, In(x, core.dtype))
        return folded if rest is None else _around(e, rest, x, folded)
    folded = term(core.op, source, new_w, type=core.type)
    shift: Expr = In(x, core.dtype)
    if not surely(t == 0):
        rest = replaced(e.op.expr, part, Apply("add", (shift, In(len(e.inputs), core.dtype)), core.dtype))
        return _around(e, rest, x, folded, new_b)
    return folded if part is e.op.expr else _around(e, replaced(e.op.expr, part, shift), x, folded)


def _around(e: Value, rest: Expr, x: int, core: Term, *more: np.ndarray) -> Term:
    """The expression that is left, over the folded core and e's other operands."""
    return term(Pointwise(rest), *(core if i == x else v for i, v in enumerate(e.inputs)), *more)


@rewrite(some(Pointwise, node((Convolution, ConvTranspose), "x", const("w"), maybe(const("b")), name="core"), name="e"))
def fold_affine_into_convolution(e: Value, core: Value, x: Value, w: Value, b: Value | None) -> Term | Refusal | None:
    """conv(x, w, b)·k + t → conv(x, w·k, b·k + t), computed in float64 and rounded once; k, t: one per channel"""
    return _fold(e, core, w, b)


@rewrite(some(Pointwise, node(MatMul, "x", const("w"), name="core"), name="e"))
def fold_scale_into_matmul(e: Value, core: Value, x: Value, w: Value) -> Term | Refusal | None:
    """(x @ w)·k + t → x @ (w·k) + t; k: one per column"""
    return _fold(e, core, w, None)


@rewrite(node(Convolution, node(Pointwise, name="e"), const("w"), maybe(const("b")), name="conv"))
def fold_affine_before_convolution(conv: Value, e: Value, w: Value, b: Value | None) -> Term | Refusal | None:
    """conv(x·k + t, w, b) → conv(x, w·k, b + Σ w·t); a shift only when the convolution does not pad"""
    assert isinstance(e.op, Pointwise) and isinstance(conv.op, Convolution) and w.array is not None
    if w.array.dtype not in (np.float32, np.float64):
        return None
    moving = [i for i, v in enumerate(e.inputs) if v is not None and v.array is None]
    channels = e.shape[1]
    if len(moving) != 1 or not isinstance(channels, int):
        return None
    found = affine_parts(e.op.expr, moving[0], [None if v is None else v.array for v in e.inputs])
    slope, offset = found.get(id(e.op.expr), (None, None))
    if slope is None or offset is None or isinstance(e.op.expr, In):
        return None
    x = e.inputs[moving[0]]
    assert x is not None
    if e.readers > 1:
        return Refusal("the scaled value has another reader")
    k, t = per_channel(slope, e.rank, 1, channels), per_channel(offset, e.rank, 1, channels)
    if k is None or t is None or x.shape != e.shape:
        return Refusal("scale or shift is not one number per input channel")
    if not surely(t == 0) and any(p != (0, 0) for p in conv.op.pads):
        return Refusal("the convolution pads with zeros, which the shift would not reach")
    if refusal := shared(w):
        return refusal
    K, groups = w.array.shape[0], conv.op.groups
    own = np.repeat(np.arange(groups), K // groups)                                   # group of each filter
    shape = (K, channels // groups, *[1] * (w.rank - 2))
    new_w = rounded(w.array * k.reshape(groups, -1)[own].reshape(shape), w.array)
    bias = (w.array * t.reshape(groups, -1)[own].reshape(shape)).reshape(K, -1).sum(1)
    new_b = rounded(bias + (0 if b is None or b.array is None else b.array), np.zeros(1, w.array.dtype))
    if new_w is None or new_b is None:
        return Refusal("the product of weights and scale overflows")
    return term(conv.op, x, new_w, b if b is None and surely(t == 0) else new_b)


AFFINE: tuple[Rewrite, ...] = (fold_affine_into_convolution, fold_scale_into_matmul, fold_affine_before_convolution)
