"""Transcendental functions of float32 vectors as inline polynomials: the exponential and logarithmic families.

Every function takes (Lanes of "float", x) and returns its value; infinities, NaN and subnormals included. Polynomials
are minimax fits of our own. Errors are the largest found over the whole range against float64, in units in the last
place; the tests assert them. float64 vectors call the C library per lane (`LIBM`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .lanes import Lanes
from .vector_power import pow_
from .vector_trig import acos, asin, atan, cos, sin, tan

LOG2E = 1.4426950408889634
LN2 = math.log(2)
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440054690583e-4        # the high part has 10 bits: n times it is exact
MAGIC = 12582912.0                                              # 1.5·2²³: adding it rounds to integer, in the low bits

SIXTEENTHS = 786432.0                                           # 1.5·2¹⁹: adding it rounds to sixteenths
#: 2^(k/16): what a vector of 16 lanes looks up in one register
ROOTS_OF_TWO = tuple(2 ** (k / 16) for k in range(16))
#: (eʳ − 1) / r on |r| ≤ ln2/32
EXPM1_SHORT = (1.0, 0.50001622, 0.16667032)
#: (eʳ − 1 − r) / r² on |r| ≤ ln2/2, least relative error of eʳ − 1
EXPM1 = (0.5000000062979139, 0.16666541562919407, 0.041666277605714494, 0.008366776179715605, 0.0013946782549381343)
#: (log(1+f) − f + f²/2) / f³ on √½ ≤ 1+f ≤ √2
LOG1P = (0.33333316721515566, -0.2500081026844483, 0.2000228646522756, -0.16624558207903345, 0.1418119095502684,
         -0.13128718192457756, 0.12881638607386456, -0.07859689053708668)
#: (sinh x − x) / x³ in x² on |x| ≤ 1
SINH = (0.1666666648882435, 0.008333350592581747, 0.00019836067100183403, 2.8174355129992003e-06)
#: erf(x) / x in x² on |x| ≤ 3.925: numerator and denominator
ERF_ABOVE = (1.1283791457527537, 0.19059505943844732, 0.052769479834372295, 0.0037726080544277737,
             0.0002848451233087095, 2.0460211651724394e-06)
ERF_BELOW = (1.0, 0.502243203838586, 0.11418326854777394, 0.014983314446180432, 0.0011638723267613992,
             3.804779362656058e-05)


EIGHTHS = 1572864.0                                             # 1.5·2²⁰: adding it rounds to eighths


def _erf_near(x: float) -> tuple[float, ...]:
    """erf(x + r) as a polynomial of degree 4 in |r| ≤ h = 1/16, within 1e-8: Taylor's of degree 6, whose last powers
    are replaced by the lower ones that Chebyshev polynomials leave of them. 1 from 3.875 on."""
    if x >= 3.875:
        return 1.0, 0.0, 0.0, 0.0, 0.0
    hermite, h = [1.0, 2 * x], 1 / 16
    for n in range(1, 5):
        hermite.append(2 * x * hermite[n] - 2 * n * hermite[n - 1])
    slope = 2 / math.sqrt(math.pi) * math.exp(-x * x)
    c = [math.erf(x), *(slope * (-1) ** n * value / math.factorial(n + 1) for n, value in enumerate(hermite))]
    return (c[0] + c[6] * h ** 6 / 32, c[1] - c[5] * 5 / 16 * h ** 4, c[2] - c[6] * 9 / 16 * h ** 4,
            c[3] + c[5] * 5 / 4 * h ** 2, c[4] + c[6] * 3 / 2 * h ** 2)


#: one table of 32 entries for every power of r
ERF_NEAR_EIGHTHS = tuple(zip(*(_erf_near(k / 8) for k in range(32)), strict=True))


def _reduced(L: Lanes, x: str) -> tuple[str, str, str]:
    """(t, n, r) with x = n·ln2 + r, |r| ≤ ln2/2; n as a float; n as an integer in the low bits of t."""
    t = L.fma(x, LOG2E, MAGIC)
    n = L.sub(t, MAGIC)
    return t, n, L.fma(n, -LN2_LOW, L.fma(n, -LN2_HIGH, x))


def _power_of_two(L: Lanes, n: str) -> str:
    """2ⁿ for an integer −127 < n < 128."""
    return L.from_bits(L.int("shl", L.int("add", n, 127), 23))


def _exp_by_table(L: Lanes, x: str, halvings: int = 0, exact: bool = True) -> str:
    """eˣ / 2^halvings for |x| ≤ 110 as 2^⌊n⌋ · 2^(k/16) · eʳ: n = ⌊n⌋ + k/16 is found by rounding x / ln2 to
    sixteenths, |r| ≤ ln2/32. `L.wide` only. Not exact: ln2 is rounded, which makes an error of n·2e-9."""
    t = L.fma(x, LOG2E, SIXTEENTHS)
    n = L.sub(t, SIXTEENTHS)
    if exact:
        r = L.fma(n, -LN2_LOW, L.fma(n, -LN2_HIGH, x))
    else:
        r = L.fma(n, -LN2, x)
    root = L.lookup(ROOTS_OF_TWO, L.bits(t))
    p = L.fma(L.mul(root, r), L.poly(r, EXPM1_SHORT), root)
    return L.scaled(p, L.sub(n, float(halvings)) if halvings else n)


def exp_scaled(L: Lanes, x: str, halvings: int = 0) -> str:
    """eˣ / 2^halvings, also where eˣ itself overflows. At most 1.1 ulp; 16 lanes take 8.4 cycles (Zen 4)."""
    x = L.above(L.below(x, 95.0), -110.0)
    if L.wide:
        return _exp_by_table(L, x, halvings)
    t, _, r = _reduced(L, x)
    p = L.add(L.fma(L.mul(r, r), L.poly(r, EXPM1), r), 1.0)
    whole = L.int("sub", L.bits(t), 0x4B400000 + halvings)
    half = L.int("ashr", whole, 1)                              # two steps: neither factor over- nor underflows
    rest = L.int("sub", whole, half)
    return L.mul(L.mul(p, _power_of_two(L, half)), _power_of_two(L, rest))


def exp(L: Lanes, x: str) -> str:
    return exp_scaled(L, x)


def exp_negative(L: Lanes, x: str) -> str:
    """eˣ for x ≤ 0, or NaN: at most 1.1 ulp."""
    x = L.above(x, -110.0)
    if L.wide:
        return _exp_by_table(L, x)
    t, _, r = _reduced(L, x)
    p = L.add(L.fma(L.mul(r, r), L.poly(r, EXPM1), r), 1.0)
    raised = L.from_bits(L.int("shl", L.int("sub", L.bits(t), 0x4B400000 - 191), 23))     # 2^(n + 64) ≥ 2^-95
    return L.mul(L.mul(p, raised), 2.0 ** -64)


def _expm1_bounded(L: Lanes, x: str) -> str:
    """eˣ − 1 for −25 ≤ x ≤ 89."""
    t, _, r = _reduced(L, x)
    p = L.fma(L.mul(r, r), L.poly(r, EXPM1), r)
    half = L.from_bits(L.int("add", L.int("shl", L.bits(t), 23), 126 << 23))   # 2ⁿ⁻¹: 2¹²⁸ would overflow
    y = L.fma(half, p, L.sub(half, 0.5))
    return L.add(y, y)


def expm1(L: Lanes, x: str) -> str:
    """At most 2 ulp."""
    y = _expm1_bounded(L, L.above(L.below(x, 89.0), -25.0))
    return L.where(L.compare("oeq", x, 0.0), x, y)


def sigmoid(L: Lanes, x: str) -> str:
    """At most 3 ulp; one division. 16 lanes take 11 cycles (Zen 4)."""
    e = exp_negative(L, L.neg(L.abs(x)))
    return L.div(L.where(L.compare("olt", x, 0.0), e, 1.0), L.add(e, 1.0))


def silu(L: Lanes, x: str) -> str:
    """x·sigmoid(x) = x / (1 + e⁻ˣ): at most 5 ulp from −87 on, below it 0 within 1.5e-36; NaN at −∞, as the product.
    10 cycles for 16 lanes (Zen 4), as no sign is kept apart and one division has the last word on NaN."""
    e = _exp_by_table(L, L.neg(L.within(x, 104.0)), exact=False) if L.wide else exp(L, L.neg(x))
    return L.div(x, L.add(e, 1.0))


def tanh(L: Lanes, x: str) -> str:
    """−t / (t + 2) with t = e^(−2|x|) − 1: at most 3 ulp, also near 0."""
    t = _expm1_bounded(L, L.above(L.mul(L.abs(x), -2.0), -24.0))
    return L.copysign(L.div(t, L.add(t, 2.0)), x)


def tanh_softplus(L: Lanes, x: str) -> str:
    """tanh(log1p(eˣ)), the factor of Mish, as n / (n + 2) with n = eˣ·(eˣ + 2): at most 5 ulp, no logarithm."""
    e = exp(L, L.below(x, 20.0))
    n = L.mul(e, L.add(e, 2.0))
    return L.div(n, L.add(n, 2.0))


def sinh(L: Lanes, x: str) -> str:
    """At most 2.1 ulp."""
    a = L.abs(x)
    h = exp_scaled(L, a, 1)
    z = L.mul(x, x)
    small = L.fma(L.mul(x, z), L.poly(z, SINH), x)
    return L.where(L.compare("olt", a, 1.0), small, L.copysign(L.sub(h, L.div(0.25, h)), x))


def cosh(L: Lanes, x: str) -> str:
    """At most 2 ulp."""
    h = exp_scaled(L, L.abs(x), 1)
    return L.add(h, L.div(0.25, h))


def erf(L: Lanes, x: str) -> str:
    """A rational function: at most 5 ulp, never beyond ±1; one division."""
    y = L.above(L.below(x, 3.925), -3.925)
    z = L.mul(y, y)
    r = L.div(L.mul(y, L.poly(z, ERF_ABOVE)), L.poly(z, ERF_BELOW))
    return L.where(L.compare("oge", L.abs(x), 3.925), L.copysign(1.0, x), L.above(L.below(r, 1.0), -1.0))


def erf_plus_one(L: Lanes, x: str) -> str:
    """1 + erf(x), twice the factor of GELU: off by at most 1.5e-7, exactly 0 and 2 beyond ±3.82. Where `L.wide`, a
    polynomial of degree 4 around the nearest eighth, looked up: no division, 12 cycles for a GELU instead of 23."""
    if not L.wide:
        return L.add(erf(L, x), 1.0)
    a = L.below(L.abs(x), 3.9)
    t = L.add(a, EIGHTHS)
    r = L.sub(a, L.sub(t, EIGHTHS))
    *rest, value = (L.lookup(column, L.bits(t)) for column in ERF_NEAR_EIGHTHS)
    for c in reversed(rest):
        value = L.fma(value, r, c)
    return L.add(L.copysign(value, x), 1.0)


def tanh_plus_one(L: Lanes, x: str) -> str:
    """1 + tanh(x) = 2 / (1 + e^(−2x)), the factor of GELU's usual approximation: at most 4 ulp from −43 on, below it 0
    within 1e-36."""
    return L.div(2.0, L.add(exp(L, L.mul(x, -2.0)), 1.0))


def _log_mantissa(L: Lanes, f: str, n: str) -> str:
    """n·ln2 + log(1 + f)."""
    z = L.mul(f, f)
    tail = L.fma(L.mul(f, z), L.poly(f, LOG1P), L.mul(z, -0.5))
    return L.fma(n, LN2_HIGH, L.add(f, L.fma(n, LN2_LOW, tail)))


def log(L: Lanes, x: str) -> str:
    """At most 2 ulp; log 0 = −inf, NaN below 0."""
    tiny = L.compare("olt", x, 2.0 ** -126)
    bits = L.bits(L.where(tiny, L.mul(x, 2.0 ** 23), x))
    shifted = L.int("sub", bits, 0x3F3504F3)                    # √½: mantissas end up in √½ .. √2
    n = L.from_int(L.int("ashr", shifted, 23))
    n = L.where(tiny, L.sub(n, 23.0), n)
    m = L.from_bits(L.int("add", L.int("and", shifted, 0x7FFFFF), 0x3F3504F3))
    y = _log_mantissa(L, L.sub(m, 1.0), n)
    y = L.where(L.compare("oeq", x, 0.0), -math.inf, y)
    y = L.where(L.compare("ult", x, 0.0), math.nan, y)
    return L.where(L.compare("oeq", x, math.inf), x, y)


def log1p(L: Lanes, x: str) -> str:
    """x and 1 are scaled apart by the exponent of 1 + x, so nothing is lost near 0. At most 2 ulp."""
    u = L.add(x, 1.0)
    scale = L.int("and", L.int("sub", L.bits(u), 0x3F3504F3), -0x800000)      # the exponent of u, in place
    n = L.mul(L.from_int(scale), 2.0 ** -23)
    one = L.from_bits(L.int("sub", 0x40800000, scale))                        # 4·2⁻ⁿ: 2⁻ⁿ could be subnormal
    f = L.add(L.from_bits(L.int("sub", L.bits(x), scale)), L.fma(one, 0.25, -1.0))
    y = _log_mantissa(L, f, n)
    y = L.where(L.compare("olt", L.abs(x), 2.0 ** -30), x, y)                 # also keeps −0 and subnormals
    y = L.where(L.compare("oeq", x, -1.0), -math.inf, y)
    y = L.where(L.compare("ult", x, -1.0), math.nan, y)
    return L.where(L.compare("oeq", x, math.inf), x, y)


def softplus(L: Lanes, x: str) -> str:
    """max(x, 0) + log1p(e^−|x|): at most 3 ulp."""
    return L.add(L.above(x, 0.0), log1p(L, exp_negative(L, L.neg(L.abs(x)))))


def asinh(L: Lanes, x: str) -> str:
    """At most 4 ulp."""
    a = L.abs(x)
    z = L.mul(a, a)
    large = L.compare("ogt", a, 2.0 ** 24)
    inner = L.add(a, L.div(z, L.add(L.sqrt(L.add(z, 1.0)), 1.0)))
    y = log1p(L, L.where(large, a, inner))
    return L.copysign(L.add(y, L.where(large, math.log(2), 0.0)), x)


def acosh(L: Lanes, x: str) -> str:
    """At most 4 ulp; NaN below 1."""
    t = L.sub(x, 1.0)
    large = L.compare("ogt", x, 2.0 ** 24)
    y = log1p(L, L.where(large, x, L.add(t, L.sqrt(L.mul(t, L.add(t, 2.0))))))
    y = L.add(y, L.where(large, math.log(2), 0.0))
    return L.where(L.compare("olt", x, 1.0), math.nan, y)


def atanh(L: Lanes, x: str) -> str:
    """At most 4 ulp; ±inf at ±1, NaN beyond."""
    a = L.abs(x)
    y = log1p(L, L.div(L.add(a, a), L.sub(1.0, a)))
    return L.copysign(L.mul(y, 0.5), x)


#: functions of one argument, float32, inline
FLOAT32: dict[str, Callable[[Lanes, str], str]] = {
    "exp": exp, "expm1": expm1, "log": log, "log1p": log1p, "sin": sin, "cos": cos, "tan": tan, "asin": asin,
    "acos": acos, "atan": atan, "sinh": sinh, "cosh": cosh, "tanh": tanh, "asinh": asinh, "acosh": acosh,
    "atanh": atanh, "erf": erf, "sigmoid": sigmoid, "softplus": softplus,
}

#: functions of one argument, float64, by the C library's function of the same name, per lane
LIBM = frozenset({"exp", "expm1", "log", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
                  "asinh", "acosh", "atanh", "erf"})


def apply(L: Lanes, fn: str, x: str) -> str:
    """fn of FLOAT32, in the lanes' own precision."""
    if L.scalar == "float":
        return FLOAT32[fn](L, x)
    if fn in LIBM:
        return L.libm(fn, x)
    e = L.libm("exp", L.neg(L.abs(x)))
    if fn == "sigmoid":
        return L.div(L.where(L.compare("olt", x, 0.0), e, 1.0), L.add(e, 1.0))
    assert fn == "softplus", fn
    return L.add(L.above(x, 0.0), L.libm("log1p", e))


def power(L: Lanes, x: str, y: str) -> str:
    """x to the power y, IEEE special cases included."""
    return pow_(L, x, y) if L.scalar == "float" else L.libm("pow", x, y)
