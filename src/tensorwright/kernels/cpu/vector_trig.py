"""Trigonometric functions of float32 vectors and their inverses; see vector_math for the conventions."""

from __future__ import annotations

import math

from .lanes import Lanes

#: (sin r − r) / r³ and (cos r − 1 + r²/2) / r⁴ in r² on |r| ≤ π/4
SIN = (-0.16666654231674694, 0.008332131775875615, -0.00019510868716901694)
COS = (0.041666645678361654, -0.0013887307065968643, 2.44313043997047e-05)
#: (asin x − x) / x³ in x² on |x| ≤ ½
ASIN = (0.16666753810822546, 0.0749524287126996, 0.045477260227272456, 0.024145693061360666, 0.04222333861012499)
#: (atan x − x) / x³ in x² on |x| ≤ 1
ATAN = (-0.33333301964203454, 0.19998641161717376, -0.14265269740291672, 0.10957693791990933, -0.08419781241128328,
        0.058239779254494035, -0.031460683871322705, 0.01106701535074044, -0.0018277697215664439)
#: π/2 = HIGH + LOW; HIGH has 33 bits, so its products with n < 2²⁰ are exact even without a fused multiply-add
HALF_PI_HIGH, HALF_PI_LOW = 1.57079632673412561417e+00, 6.07710050650619224932e-11
MAGIC = 6755399441055744.0                                     # 1.5·2⁵²
#: beyond it the C library reduces the argument, lane by lane
FAR = 1.0e6


def _reduced(L: Lanes, x: str) -> tuple[str, str]:
    """(r, quadrant): x = quadrant·π/2 + r, |r| ≤ π/4, computed in double; the quadrant modulo 4 in the low bits."""
    D = L.of("double")
    wide = L.convert("fpext", L.v, x, D.v)
    t = D.fma(wide, 2 / math.pi, MAGIC)
    n = D.sub(t, MAGIC)
    r = D.fma(n, -HALF_PI_LOW, D.fma(n, -HALF_PI_HIGH, wide))
    return L.convert("fptrunc", D.v, r, L.v), L.convert("trunc", D.i, D.bits(t), L.i)


def _sin_cos(L: Lanes, r: str) -> tuple[str, str]:
    z = L.mul(r, r)
    sine = L.fma(L.mul(r, z), L.poly(z, SIN), r)
    cosine = L.fma(L.mul(z, z), L.poly(z, COS), L.fma(z, -0.5, 1.0))
    return sine, cosine


def _with_far(L: Lanes, name: str, x: str, near: str) -> str:
    """near, except in lanes where |x| > FAR: there the C library's double function. A branch, rarely taken."""
    f = L.f
    far = L.compare("ogt", L.abs(x), FAR)
    before, rare, done = f.block, f.new_label("far"), f.new_label("near")
    f.branch(L.any(far), rare, done)
    f.label(rare)
    D = L.of("double")
    exact = L.convert("fptrunc", D.v, D.libm(name, L.convert("fpext", L.v, x, D.v)), L.v)
    mixed = L.where(far, exact, near)
    f.br(done)
    f.label(done)
    return f.set(f"phi {L.v} [{near}, %{before}], [{mixed}, %{rare}]")


def _odd(L: Lanes, quadrant: str) -> str:
    return L.f.set(f"icmp ne {L.i} {L.int('and', quadrant, 1)}, {L.k(0)}")


def _flip(L: Lanes, y: str, quadrant: str) -> str:
    """−y where bit 1 of the quadrant is set."""
    return L.from_bits(L.int("xor", L.bits(y), L.int("shl", L.int("and", quadrant, 2), 30)))


def sin(L: Lanes, x: str) -> str:
    """At most 2 ulp."""
    r, quadrant = _reduced(L, x)
    sine, cosine = _sin_cos(L, r)
    y = _flip(L, L.where(_odd(L, quadrant), cosine, sine), quadrant)
    return _with_far(L, "sin", x, L.where(L.compare("oeq", x, 0.0), x, y))


def cos(L: Lanes, x: str) -> str:
    """At most 2 ulp."""
    r, quadrant = _reduced(L, x)
    sine, cosine = _sin_cos(L, r)
    y = _flip(L, L.where(_odd(L, quadrant), sine, cosine), L.int("add", quadrant, 1))
    return _with_far(L, "cos", x, y)


def tan(L: Lanes, x: str) -> str:
    """At most 4 ulp."""
    r, quadrant = _reduced(L, x)
    sine, cosine = _sin_cos(L, r)
    odd = _odd(L, quadrant)
    y = L.div(L.where(odd, L.neg(cosine), sine), L.where(odd, sine, cosine))
    return _with_far(L, "tan", x, L.where(L.compare("oeq", x, 0.0), x, y))


def _asin_small(L: Lanes, x: str) -> str:
    z = L.mul(x, x)
    return L.fma(L.mul(x, z), L.poly(z, ASIN), x)


def asin(L: Lanes, x: str) -> str:
    """At most 3 ulp; NaN beyond ±1. Above ½: π/2 − 2·asin √((1 − |x|)/2)."""
    a = L.abs(x)
    large = L.compare("ogt", a, 0.5)
    root = L.sqrt(L.fma(a, -0.5, 0.5))
    s = _asin_small(L, L.where(large, root, a))
    y = L.where(large, L.fma(s, -2.0, math.pi / 2), s)
    return L.copysign(y, x)


def acos(L: Lanes, x: str) -> str:
    """At most 2 ulp; NaN beyond ±1."""
    a = L.abs(x)
    large = L.compare("ogt", a, 0.5)
    root = L.sqrt(L.fma(a, -0.5, 0.5))
    s = _asin_small(L, L.where(large, root, x))
    twice = L.add(s, s)
    outer = L.where(L.compare("olt", x, 0.0), L.sub(math.pi, twice), twice)
    return L.where(large, outer, L.sub(math.pi / 2, s))


def atan(L: Lanes, x: str) -> str:
    """At most 3 ulp. Above 1: π/2 − atan(1/|x|)."""
    a = L.abs(x)
    large = L.compare("ogt", a, 1.0)
    y = L.where(large, L.div(1.0, a), a)
    z = L.mul(y, y)
    p = L.fma(L.mul(y, z), L.poly(z, ATAN), y)
    return L.copysign(L.where(large, L.sub(math.pi / 2, p), p), x)
