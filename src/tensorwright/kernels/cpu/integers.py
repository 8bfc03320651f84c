"""Arithmetic functions of integer and bool vectors, with NumPy's meaning; x / 0 is 0, and so is too long a shift."""

from __future__ import annotations

from collections.abc import Callable

from ...dtypes import DType
from ..llvm import Function, lanes_of, scalar_of, vector
from .vector_power import integer_power

#: (f, dtype, register type, the last argument if it is a constant, arguments) → value
Printer = Callable[..., str]


def _is(f: Function, how: str, type_: str, a: str, b: str | int) -> str:
    return f.set(f"icmp {how} {type_} {a}, {b if isinstance(b, str) else f.const(type_, b)}")


def _wrapping(name: str, of_bool: str) -> Printer:
    """add, sub, mul modulo the width; on bool, NumPy's logical counterpart."""
    def show(f: Function, dtype: DType, type_: str, constant: object, a: str, b: str) -> str:
        return f.op(of_bool if dtype is DType.bool else name, type_, a, b)
    return show


def _extreme(name: str, of_bool: str) -> Printer:
    def show(f: Function, dtype: DType, type_: str, constant: object, a: str, b: str) -> str:
        if dtype is DType.bool:
            return f.op(of_bool, type_, a, b)
        return f.intrinsic(f"{'s' if dtype.is_signed else 'u'}{name}", type_, a, b)
    return show


def _identity(f: Function, dtype: DType, type_: str, constant: object, a: str) -> str:
    return a


def _neg(f: Function, dtype: DType, type_: str, constant: object, a: str) -> str:
    return f.op("sub", type_, f.const(type_, 0), a)


def _abs(f: Function, dtype: DType, type_: str, constant: object, a: str) -> str:
    if not dtype.is_signed:
        return a
    return f.select(_is(f, "slt", type_, a, 0), type_, _neg(f, dtype, type_, None, a), a)


def _sign(f: Function, dtype: DType, type_: str, constant: object, a: str) -> str:
    if dtype is DType.bool:
        return a
    positive = f.select(_is(f, "eq", type_, a, 0), type_, f.const(type_, 0), f.const(type_, 1))
    return f.select(_is(f, "slt", type_, a, 0), type_, f.const(type_, -1), positive) if dtype.is_signed else positive


def _quotient(f: Function, dtype: DType, type_: str, constant: object, a: str, b: str) -> tuple[str, str]:
    """(a / b towards zero, a − b·quotient); (0, 0) where b = 0. Never traps."""
    u = "s" if dtype.is_signed else "u"
    if isinstance(constant, int) and constant not in (0, -1):
        q = f.op(f"{u}div", type_, a, b)
        return q, f.op("sub", type_, a, f.op("mul", type_, q, b))
    none = _is(f, "eq", type_, b, 0)
    unsafe = none
    if dtype.is_signed:                                          # the least integer / −1 overflows, which traps on x86
        minus_one = _is(f, "eq", type_, b, -1)
        unsafe = f.op("or", vector("i1", lanes_of(type_)), none, minus_one)
    q = _safe_quotient(f, dtype, type_, a, f.select(unsafe, type_, f.const(type_, 1), b))
    if dtype.is_signed:
        q = f.select(minus_one, type_, _neg(f, dtype, type_, None, a), q)
    q = f.select(none, type_, f.const(type_, 0), q)
    r = f.op("sub", type_, a, f.op("mul", type_, q, b))
    return q, f.select(none, type_, f.const(type_, 0), r)


def _safe_quotient(f: Function, dtype: DType, type_: str, a: str, b: str) -> str:
    """Vectors of up to 32 bits divide as floats twice as precise, where truncation is exact; others per lane."""
    u, lanes = "s" if dtype.is_signed else "u", lanes_of(type_)
    bits = int(scalar_of(type_)[1:])
    if lanes == 1 or bits == 64:
        return f.op(f"{u}div", type_, a, b)
    wide, whole = (vector("float", lanes), vector("i32", lanes)) if bits <= 16 else (
        vector("double", lanes), vector("i64", lanes))
    x, y = (f.set(f"{u}itofp {type_} {v} to {wide}") for v in (a, b))
    q = f.set(f"fptosi {wide} {f.op('fdiv', wide, x, y)} to {whole}")
    return f.set(f"trunc {whole} {q} to {type_}")


def _div(f: Function, dtype: DType, type_: str, constant: object, a: str, b: str) -> str:
    if dtype is DType.bool:
        return f.op("and", type_, a, b)
    return _quotient(f, dtype, type_, constant, a, b)[0]


def _fmod(f: Function, dtype: DType, type_: str, constant: object, a: str, b: str) -> str:
    if dtype is DType.bool:
        return f.const(type_, False)
    return _quotient(f, dtype, type_, constant, a, b)[1]


def _mod(f: Function, dtype: DType, type_: str, constant: object, a: str, b: str) -> str:
    """The remainder with the sign of b."""
    r = _fmod(f, dtype, type_, constant, a, b)
    if not dtype.is_signed:
        return r
    flag = vector("i1", lanes_of(type_))
    crossed = f.op("and", flag, _is(f, "ne", type_, r, 0), _is(f, "slt", type_, f.op("xor", type_, r, b), 0))
    return f.select(crossed, type_, f.op("add", type_, r, b), r)


def _pow(f: Function, dtype: DType, type_: str, constant: object, a: str, b: str) -> str:
    if constant == 2:
        return f.op("mul", type_, a, a)
    if dtype is DType.bool:
        return f.op("or", type_, a, f.op("xor", type_, b, f.const(type_, True)))
    return integer_power(f, type_, a, b, dtype.is_signed)


def _bits(name: str) -> Printer:
    def show(f: Function, dtype: DType, type_: str, constant: object, a: str, b: str) -> str:
        return f.op(name, type_, a, b)
    return show


def _bitnot(f: Function, dtype: DType, type_: str, constant: object, a: str) -> str:
    return f.op("xor", type_, a, f.const(type_, True if dtype is DType.bool else -1))


def _shift(left: bool) -> Printer:
    def show(f: Function, dtype: DType, type_: str, constant: object, a: str, b: str) -> str:
        width = int(scalar_of(type_)[1:])
        amount = f.op("and", type_, b, f.const(type_, width - 1))
        y = f.op("shl" if left else "ashr" if dtype.is_signed else "lshr", type_, a, amount)
        return f.select(_is(f, "ult", type_, b, width), type_, y, f.const(type_, 0))
    return show


#: function → its printer for integers and bool
INTEGER: dict[str, Printer] = {
    "add": _wrapping("add", "or"), "sub": _wrapping("sub", "xor"), "mul": _wrapping("mul", "and"), "div": _div,
    "mod": _mod, "fmod": _fmod, "pow": _pow, "min": _extreme("min", "and"), "max": _extreme("max", "or"),
    "neg": _neg, "abs": _abs, "sign": _sign,
    "floor": _identity, "ceil": _identity, "round": _identity, "trunc": _identity,
    "bitand": _bits("and"), "bitor": _bits("or"), "bitxor": _bits("xor"), "bitnot": _bitnot,
    "shl": _shift(True), "shr": _shift(False),
}
