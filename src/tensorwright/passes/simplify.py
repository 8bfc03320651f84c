"""Simpler expressions of the same meaning: constants computed, no-ops dropped, spelled-out functions recognised.

Every rule keeps the result bit for bit, except where another spelling is the more exact one (pow → sqrt, division by a
root → rsqrt, logistic functions); x + 0 stays for floats because it turns −0 into 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..dtypes import DType
from ..ops.expr import Apply, Const, Expr, evaluate

Rule = Callable[[Apply], "Expr | None"]


def simplify(e: Expr) -> Expr:
    """e, simplified from the leaves up; equal parts become one shared node."""
    memo: dict[int, Expr] = {}
    unique: dict[Expr, Expr] = {}
    for node in _bottom_up(e):
        if isinstance(node, Apply):
            node_args = tuple(memo[id(a)] for a in node.args)
            new: Expr = node if all(a is b for a, b in zip(node_args, node.args, strict=True)) \
                else Apply(node.fn, node_args, node.dtype)
            new = _reduce(new)
        else:
            new = node
        memo[id(node)] = unique.setdefault(new, new)
    return memo[id(e)]


def _bottom_up(e: Expr) -> list[Expr]:
    order: list[Expr] = []
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(e, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            if isinstance(node, Apply):
                stack += [(a, False) for a in node.args]
    return order


def _reduce(e: Expr) -> Expr:
    while isinstance(e, Apply):
        found = next((new for rule in _RULES.get(e.fn, ()) if (new := rule(e)) is not None), None)
        if found is None:
            return _fold(e)
        e = found if not isinstance(found, Apply) else Apply(found.fn, tuple(map(_reduce, found.args)), found.dtype)
    return e


def _fold(e: Apply) -> Expr:
    """A function of constants → its value."""
    if not all(isinstance(a, Const) for a in e.args) or e.dtype.numpy.kind not in "fiub":
        return e
    return Const(evaluate(e, ()).item(), e.dtype)


# ---- asking

def is_number(e: Expr, value: float) -> bool:
    """Whether e is this very number (−0 is not 0)."""
    return isinstance(e, Const) and not isinstance(e.value, bool) and e.value == value \
        and math.copysign(1, e.value) == math.copysign(1, value)


def call(fn: str, *args: Expr, dtype: DType | None = None) -> Apply:
    return Apply(fn, args, dtype or args[-1].dtype)


def number(value: float, like: Expr) -> Const:
    return Const(float(value) if like.dtype.is_float else int(value), like.dtype)


# ---- rules: function name → tried in order

def _mul(e: Apply) -> Expr | None:
    a, b = e.args
    if is_number(b, 1):
        return a
    if is_number(a, 1):
        return b
    return _half_of_one_plus_tanh(e)


def _half_of_one_plus_tanh(e: Apply) -> Expr | None:
    """½·(1 + tanh(x/2)) → sigmoid(x)"""
    for half, plus in (e.args, e.args[::-1]):
        if is_number(half, 0.5) and isinstance(plus, Apply) and plus.fn == "add":
            for one, tanh in (plus.args, plus.args[::-1]):
                if is_number(one, 1) and isinstance(tanh, Apply) and tanh.fn == "tanh":
                    x = _halved(tanh.args[0])
                    if x is not None:
                        return call("sigmoid", x)
    return None


def _halved(e: Expr) -> Expr | None:
    """x when e is x/2."""
    if isinstance(e, Apply) and e.fn == "mul":
        for half, x in (e.args, e.args[::-1]):
            if is_number(half, 0.5):
                return x
    return None


def _div(e: Apply) -> Expr | None:
    a, b = e.args
    if is_number(b, 1):
        return a
    if not e.dtype.is_float:
        return None
    if isinstance(b, Const):                     # x / c → x · (1/c) when 1/c is exact and both are normal numbers
        mantissa, exponent = math.frexp(b.value) if math.isfinite(b.value) else (0.0, 0)
        limit = {DType.float32: 126, DType.float64: 1022}.get(e.dtype, 14)
        return call("mul", a, number(1 / b.value, b)) if abs(mantissa) == 0.5 and abs(exponent - 1) < limit else None
    if is_number(a, 1):
        return call("recip", b)
    x = _logistic_denominator(b)
    return None if x is None else call("mul", a, call("sigmoid", x))


def _recip(e: Apply) -> Expr | None:
    (a,) = e.args
    if isinstance(a, Apply) and a.fn == "sqrt":
        return call("rsqrt", a.args[0])
    x = _logistic_denominator(a)
    return None if x is None else call("sigmoid", x)


def _logistic_denominator(e: Expr) -> Expr | None:
    """x when e is 1 + exp(−x)."""
    if isinstance(e, Apply) and e.fn == "add":
        for one, power in (e.args, e.args[::-1]):
            if is_number(one, 1) and isinstance(power, Apply) and power.fn == "exp":
                exponent = power.args[0]
                if isinstance(exponent, Apply) and exponent.fn == "neg":
                    return exponent.args[0]
    return None


def _sub(e: Apply) -> Expr | None:
    return e.args[0] if is_number(e.args[1], 0) else None


def _add(e: Apply) -> Expr | None:
    zero = (lambda c: is_number(c, -0.0)) if e.dtype.is_float else (lambda c: is_number(c, 0))
    a, b = e.args
    return a if zero(b) else b if zero(a) else None


def _pow(e: Apply) -> Expr | None:
    x, p = e.args
    if not isinstance(p, Const):
        return None
    if p.value == 1:
        return x
    if p.value == 2:
        return call("mul", x, x)
    if p.value == 3:
        return call("mul", call("mul", x, x), x)
    if not e.dtype.is_float or isinstance(x, Const):
        return None                                     # of −0 the power −½ is +∞, but 1/√ is −∞
    fn = {0.5: "sqrt", -0.5: "rsqrt", -1: "recip"}.get(p.value)
    return call(fn, x) if fn else None


def _involution(e: Apply) -> Expr | None:
    """f(f(x)) → x"""
    (a,) = e.args
    return a.args[0] if isinstance(a, Apply) and a.fn == e.fn else None


def _idempotent(e: Apply) -> Expr | None:
    """f(f(x)) → f(x)"""
    (a,) = e.args
    return a if isinstance(a, Apply) and a.fn == e.fn else None


def _logic(e: Apply) -> Expr | None:
    a, b = e.args
    for c, other in ((a, b), (b, a)):
        if isinstance(c, Const) and isinstance(c.value, bool):
            if c.value == (e.fn == "and"):
                return other
            return Const(not c.value if e.fn == "xor" else c.value, e.dtype) if e.fn != "xor" else None
    return a if a == b and e.fn != "xor" else None


def _extreme(e: Apply) -> Expr | None:
    """max(max(x, c), d) → max(x, max(c, d)); max(x, x) → x"""
    a, b = e.args
    if a == b:
        return a
    for inner, c in ((a, b), (b, a)):
        if isinstance(c, Const) and isinstance(inner, Apply) and inner.fn == e.fn:
            for x, d in (inner.args, inner.args[::-1]):
                if isinstance(d, Const):
                    return call(e.fn, x, _fold(call(e.fn, d, c)))
    return None


def _compare(e: Apply) -> Expr | None:
    """where(c, 1, 0) = 0 → not c, and alike for every comparison of a choice between constants, or of a cast bool"""
    chosen, k = e.args
    if isinstance(k, Const) and isinstance(chosen, Apply):
        if chosen.fn == "cast" and chosen.args[0].dtype is DType.bool:
            c, a, b = chosen.args[0], number(1, chosen), number(0, chosen)
        elif chosen.fn == "where" and isinstance(chosen.args[1], Const) and isinstance(chosen.args[2], Const):
            c, a, b = chosen.args[0], chosen.args[1], chosen.args[2]
        else:
            return None
        yes, no = (_fold(call(e.fn, v, k, dtype=DType.bool)) for v in (a, b))
        if isinstance(yes, Const) and isinstance(no, Const):
            return yes if yes.value == no.value else c if yes.value else call("not", c)
    return None


def _where(e: Apply) -> Expr | None:
    c, a, b = e.args
    if isinstance(c, Const):
        return a if c.value else b
    if isinstance(c, Apply) and c.fn == "not":
        return call("where", c.args[0], b, a)
    return a if a == b else None


_EXACT = {(a, b) for chain in ((DType.bool, DType.uint8, DType.uint16, DType.uint32, DType.uint64),
                               (DType.bool, DType.int8, DType.int16, DType.int32, DType.int64),
                               (DType.uint8, DType.int16), (DType.uint16, DType.int32), (DType.uint32, DType.int64),
                               (DType.uint8, DType.int32, DType.float64), (DType.uint8, DType.int64),
                               (DType.uint16, DType.int64), (DType.float16, DType.float32, DType.float64),
                               (DType.bfloat16, DType.float32), (DType.bfloat16, DType.float64),
                               (DType.bool, DType.float16), (DType.bool, DType.bfloat16), (DType.bool, DType.float32),
                               (DType.bool, DType.float64), (DType.int8, DType.float32), (DType.uint8, DType.float32),
                               (DType.int16, DType.float32), (DType.uint16, DType.float32),
                               (DType.uint32, DType.float64))
          for i, a in enumerate(chain) for b in chain[i + 1:]}


def _cast(e: Apply) -> Expr | None:
    """cast(x) to its own type → x; cast(cast(x)) → cast(x) when the inner one loses nothing"""
    (a,) = e.args
    if a.dtype == e.dtype:
        return a
    if isinstance(a, Apply) and a.fn == "cast":
        x = a.args[0]
        if (x.dtype, a.dtype) in _EXACT and not (x.dtype.is_float and e.dtype.is_int):
            return x if x.dtype == e.dtype else call("cast", x, dtype=e.dtype)
    return None


_RULES: dict[str, tuple[Rule, ...]] = {
    "mul": (_mul,), "div": (_div,), "recip": (_recip,), "sub": (_sub,), "add": (_add,), "pow": (_pow,),
    "neg": (_involution,), "not": (_involution,), "bitnot": (_involution,),
    "abs": (_idempotent,), "floor": (_idempotent,), "ceil": (_idempotent,), "round": (_idempotent,),
    "trunc": (_idempotent,), "sign": (_idempotent,),
    "and": (_logic,), "or": (_logic,), "xor": (_logic,), "max": (_extreme,), "min": (_extreme,),
    "eq": (_compare,), "ne": (_compare,), "lt": (_compare,), "le": (_compare,), "gt": (_compare,), "ge": (_compare,),
    "where": (_where,), "cast": (_cast,),
}
