"""Powers: of float32 vectors through double logarithms, of integers by squaring."""

from __future__ import annotations

import math

from ..llvm import Function, lanes_of, scalar_of, vector
from .lanes import Lanes

#: (log₂((1+s)/(1−s)) / s − 2/ln2) / s² in s² on √½ ≤ (1+s)/(1−s) ≤ √2
LOG2 = (0.961796694060331, 0.577077951736139, 0.41220860172473234, 0.31992487517293355, 0.2827011987422913)
#: 2ʳ on |r| ≤ ½
EXP2 = (0.9999999999594853, 0.693147180534984, 0.24022651214199656, 0.05550410976247915, 0.009618025522070105,
        0.0013333422531448967, 0.00015469757962383133, 1.5316488454631645e-05)
MAGIC = 6755399441055744.0                                     # 1.5·2⁵²
ROOT_HALF_BITS = 0x3FE6A09E667F3BCD


def pow_(L: Lanes, x: str, y: str) -> str:
    """|x|^y = 2^(y·log₂|x|) in double: the float32 result is off by at most 1 ulp. Then sign and special cases."""
    D = L.of("double")
    wide_x, wide_y = (L.convert("fpext", L.v, value, D.v) for value in (x, y))
    a = D.abs(wide_x)
    t = D.mul(wide_y, _log2(D, a))
    t = D.above(D.below(t, 200.0), -200.0)
    rounded = D.add(t, MAGIC)
    r = D.sub(t, D.sub(rounded, MAGIC))
    scale = D.from_bits(D.int("shl", D.int("add", D.bits(rounded), 1023), 52))
    result = D.mul(D.poly(r, EXP2), scale)

    whole = D.f.intrinsic("trunc", D.v, wide_y)
    is_whole = D.compare("oeq", whole, wide_y)
    half = D.mul(wide_y, 0.5)
    is_odd = D.both(is_whole, D.compare("one", D.f.intrinsic("trunc", D.v, half), half))
    negative = D.both(D.compare("olt", wide_x, 0.0), D.compare("olt", a, math.inf))     # (−inf)^y is 0 or inf
    result = D.where(D.both(negative, D.compare("one", whole, wide_y)), math.nan, result)
    result = D.where(is_odd, D.copysign(result, wide_x), result)
    unit = D.either(D.compare("oeq", wide_x, 1.0),
                    D.both(D.compare("oeq", a, 1.0), D.compare("oeq", D.abs(wide_y), math.inf)))
    result = D.where(D.either(unit, D.compare("oeq", wide_y, 0.0)), 1.0, result)
    return L.convert("fptrunc", D.v, result, L.v)


def _log2(D: Lanes, a: str) -> str:
    """log₂ a for a ≥ 0 that came from a float32 (so never a subnormal double)."""
    shifted = D.int("sub", D.bits(a), ROOT_HALF_BITS)
    n = D.int("ashr", shifted, 52)
    m = D.from_bits(D.int("add", D.int("and", shifted, (1 << 52) - 1), ROOT_HALF_BITS))
    s = D.div(D.sub(m, 1.0), D.add(m, 1.0))
    z = D.mul(s, s)
    whole = D.sub(D.from_bits(D.int("add", n, 0x4338000000000000)), MAGIC)      # |n| < 2¹¹: no 64-bit conversion needed
    y = D.fma(s, D.fma(z, D.poly(z, LOG2), 2 / math.log(2)), whole)
    y = D.where(D.compare("oeq", a, 0.0), -math.inf, y)
    return D.where(D.compare("olt", a, math.inf), y, a)


def integer_power(f: Function, type_: str, base: str, exponent: str, signed: bool) -> str:
    """base^exponent modulo the width. Negative exponents give the truncated quotient: 0, except for bases ±1."""
    bits = int(scalar_of(type_)[1:])
    flag = vector("i1", lanes_of(type_))

    def k(value: int) -> str:
        return f.const(type_, value)

    def is_(how: str, a: str, b: str) -> str:
        return f.set(f"icmp {how} {type_} {a}, {b}")

    carried = [(type_, k(1)), (type_, base), (type_, exponent)]
    with f.reduce_loop("pow", 0, bits, carried) as (_, (result, square, rest), following):
        odd = is_("ne", f.op("and", type_, rest, k(1)), k(0))
        following += [f.select(odd, type_, f.op("mul", type_, result, square), result),
                      f.op("mul", type_, square, square), f.op("lshr", type_, rest, k(1))]
    if not signed:
        return result
    unit = f.op("or", flag, is_("eq", base, k(1)), is_("eq", base, k(-1)))
    return f.select(f.op("and", flag, is_("slt", exponent, k(0)), f.op("xor", flag, unit, f.const(flag, True))),
                    type_, k(0), result)
