"""Arithmetic on vectors of one floating-point type, as the vector math functions write it."""

from __future__ import annotations

from collections.abc import Sequence

from ...targets import CpuSpec
from ..llvm import Function, vector


class Lanes:
    """`lanes` values of "float" or "double" in f. v is their LLVM type, i that of integers as wide, b that of flags.

    Values are names, as in Function; Python numbers become constants of type v.
    """

    def __init__(self, f: Function, lanes: int, cpu: CpuSpec, scalar: str = "float") -> None:
        self.f, self.lanes, self.cpu, self.scalar = f, lanes, cpu, scalar
        self.v, self.b = vector(scalar, lanes), vector("i1", lanes)
        self.i = vector("i32" if scalar == "float" else "i64", lanes)

    def of(self, scalar: str) -> Lanes:
        """The same lanes in the other floating-point type."""
        return Lanes(self.f, self.lanes, self.cpu, scalar)

    def c(self, x: str | float) -> str:
        return x if isinstance(x, str) else self.f.const(self.v, x)

    def k(self, x: str | int) -> str:
        """An integer of type i."""
        return x if isinstance(x, str) else self.f.const(self.i, x)

    # floating point
    def op(self, name: str, *args: str | float) -> str:
        return self.f.op(name, self.v, *map(self.c, args))

    def add(self, x: str | float, y: str | float) -> str:
        return self.op("fadd", x, y)

    def sub(self, x: str | float, y: str | float) -> str:
        return self.op("fsub", x, y)

    def mul(self, x: str | float, y: str | float) -> str:
        return self.op("fmul", x, y)

    def div(self, x: str | float, y: str | float) -> str:
        return self.op("fdiv", x, y)

    def fma(self, x: str | float, y: str | float, z: str | float) -> str:
        return self.f.fma(self.v, self.c(x), self.c(y), self.c(z))

    def poly(self, x: str, coefficients: Sequence[float]) -> str:
        """c0 + c1·x + c2·x² + ... by Horner's rule."""
        *rest, value = coefficients
        result: str | float = value
        for c in reversed(rest):
            result = self.fma(x, result, c)
        return self.c(result)

    def neg(self, x: str) -> str:
        return self.f.set(f"fneg {self.v} {x}")

    def abs(self, x: str) -> str:
        return self.f.intrinsic("fabs", self.v, x)

    def sqrt(self, x: str) -> str:
        return self.f.intrinsic("sqrt", self.v, x)

    def copysign(self, magnitude: str | float, sign: str) -> str:
        return self.f.intrinsic("copysign", self.v, self.c(magnitude), sign)

    def below(self, x: str, bound: float) -> str:
        """min(x, bound); NaN stays NaN (one instruction on x86: the second operand wins when unordered)."""
        return self.f.select(self.compare("olt", bound, x), self.v, self.c(bound), x)

    def above(self, x: str, bound: float) -> str:
        return self.f.select(self.compare("ogt", bound, x), self.v, self.c(bound), x)

    # flags
    def compare(self, how: str, x: str | float, y: str | float) -> str:
        return self.f.set(f"fcmp {how} {self.v} {self.c(x)}, {self.c(y)}")

    def where(self, flag: str, x: str | float, y: str | float) -> str:
        return self.f.select(flag, self.v, self.c(x), self.c(y))

    def both(self, x: str, y: str) -> str:
        return self.f.op("and", self.b, x, y)

    def either(self, x: str, y: str) -> str:
        return self.f.op("or", self.b, x, y)

    def any(self, flag: str) -> str:
        """i1: some lane's flag is on."""
        if self.lanes == 1:
            return flag
        bits = self.f.set(f"bitcast {self.b} {flag} to i{self.lanes}")
        return self.f.set(f"icmp ne i{self.lanes} {bits}, 0")

    # integers
    def int(self, name: str, x: str | int, y: str | int) -> str:
        return self.f.op(name, self.i, self.k(x), self.k(y))

    def bits(self, x: str) -> str:
        return self.f.set(f"bitcast {self.v} {x} to {self.i}")

    def from_bits(self, x: str) -> str:
        return self.f.set(f"bitcast {self.i} {x} to {self.v}")

    def from_int(self, x: str) -> str:
        return self.f.set(f"sitofp {self.i} {x} to {self.v}")

    def convert(self, how: str, from_: str, x: str, to: str) -> str:
        return self.f.set(f"{how} {from_} {x} to {to}")

    # AVX-512
    @property
    def wide(self) -> bool:
        """16 floats of a machine with AVX-512: it scales by powers of two, and looks up in a register."""
        return self.cpu.vector_bits == 512 and self.lanes == 16 and self.scalar == "float"

    def scaled(self, x: str, n: str) -> str:
        """x·2^⌊n⌋ in one instruction that saturates and denormalises; `wide` only."""
        full = "llvm.x86.avx512.mask.scalef.ps.512"
        self.f.declare(f"{self.v} @{full}({self.v}, {self.v}, {self.v}, i16, i32)")
        return self.f.call(self.v, full, (self.v, x), (self.v, n), (self.v, "zeroinitializer"), ("i16", "-1"),
                           ("i32", "4"))

    def within(self, x: str, bound: float) -> str:
        """x, or ±bound where |x| is greater or NaN, in one instruction; `wide` only."""
        full = "llvm.x86.avx512.mask.range.ps.512"
        self.f.declare(f"{self.v} @{full}({self.v}, {self.v}, i32, {self.v}, i16, i32)")
        return self.f.call(self.v, full, (self.v, x), (self.v, self.c(bound)), ("i32", "2"),
                           (self.v, "zeroinitializer"), ("i16", "-1"), ("i32", "4"))

    def lookup(self, table: Sequence[float], index: str) -> str:
        """table[index mod its length], 16 or 32, in every lane; `wide` only."""
        values = [f"float {self.f.const('float', v)}" for v in table]
        halves = [f"<{', '.join(values[k:k + 16])}>" for k in range(0, len(table), 16)]
        name, args = "permvar.sf", [(self.v, halves[0]), (self.i, index)]
        if len(halves) == 2:
            name, args = "vpermi2var.ps", [*args, (self.v, halves[1])]
        self.f.declare(f"{self.v} @llvm.x86.avx512.{name}.512({', '.join(t for t, _ in args)})")
        return self.f.call(self.v, f"llvm.x86.avx512.{name}.512", *args)

    # the C library
    def libm(self, name: str, *args: str) -> str:
        """One call of the C library's function per lane; the symbol resolves in the running process."""
        self.f.declare(f"{self.scalar} @{name}({', '.join([self.scalar] * len(args))})")
        if self.lanes == 1:
            return self.f.call(self.scalar, name, *((self.scalar, a) for a in args))
        result = "poison"
        for lane in range(self.lanes):
            parts = [self.f.set(f"extractelement {self.v} {a}, i64 {lane}") for a in args]
            y = self.f.call(self.scalar, name, *((self.scalar, p) for p in parts))
            result = self.f.set(f"insertelement {self.v} {result}, {self.scalar} {y}, i64 {lane}")
        return result
