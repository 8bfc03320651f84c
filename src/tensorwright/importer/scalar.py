"""Short spellings for pointwise expressions: `mul(x, 2.0)` makes the Apply node with the right type."""

from __future__ import annotations

from typing import Union

from ..dtypes import DType
from ..ops.expr import Apply, Const, Expr

Operand = Union[Expr, float, int, bool]


def const(value: float | int | bool, dtype: DType) -> Const:
    """A constant of an element type, its value written as that type writes it."""
    if dtype is DType.bool:
        return Const(bool(value), dtype)
    return Const(float(value), dtype) if dtype.is_float else Const(int(value), dtype)


def call(fn: str, *args: Operand) -> Expr:
    """fn applied; numbers take the type of the first expression among the arguments."""
    dtype = next(a.dtype for a in args if not isinstance(a, (int, float)))
    done = tuple(const(a, dtype) if isinstance(a, (int, float)) else a for a in args)
    return Apply(fn, done, DType.bool if fn in _TESTS else dtype)


_TESTS = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "and", "or", "xor", "not"})


def cast(x: Expr, dtype: DType) -> Expr:
    return x if x.dtype == dtype else Apply("cast", (x,), dtype)


def where(test: Expr, a: Operand, b: Operand) -> Expr:
    dtype = next(x.dtype for x in (b, a) if not isinstance(x, (int, float)))
    a, b = (const(x, dtype) if isinstance(x, (int, float)) else x for x in (a, b))
    return Apply("where", (test, a, b), dtype)


def add(a: Operand, b: Operand) -> Expr:
    return call("add", a, b)


def sub(a: Operand, b: Operand) -> Expr:
    return call("sub", a, b)


def mul(a: Operand, b: Operand) -> Expr:
    return call("mul", a, b)


def div(a: Operand, b: Operand) -> Expr:
    return call("div", a, b)


def clamp(x: Expr, low: Operand, high: Operand) -> Expr:
    """min(max(x, low), high)"""
    return call("min", call("max", x, low), high)
