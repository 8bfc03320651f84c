"""Conversions between element types, for vectors. In registers bool is i1; float16 and bfloat16 are held as float."""

from __future__ import annotations

from ...dtypes import DType
from ...targets import CpuSpec
from ..llvm import SCALAR, Function, vector
from .lanes import Lanes

HALVES = frozenset({DType.float16, DType.bfloat16})


def register_type(dtype: DType, lanes: int) -> str:
    """The type values of dtype are computed in."""
    if dtype is DType.bool:
        return vector("i1", lanes)
    return vector("float" if dtype in HALVES else SCALAR[dtype], lanes)


def from_storage(f: Function, dtype: DType, value: str, lanes: int, cpu: CpuSpec) -> str:
    """A value as loaded from memory → the form computed in."""
    if dtype is DType.bool:
        return f.set(f"icmp ne {vector('i8', lanes)} {value}, {f.const(vector('i8', lanes), 0)}")
    if dtype is DType.float16:
        return _widen_half(Lanes(f, lanes, cpu), value)
    if dtype is DType.bfloat16:
        return _widen_bfloat(Lanes(f, lanes, cpu), value)
    return value


def to_storage(f: Function, dtype: DType, value: str, lanes: int, cpu: CpuSpec) -> str:
    if dtype is DType.bool:
        return f.set(f"zext {vector('i1', lanes)} {value} to {vector('i8', lanes)}")
    if dtype is DType.float16:
        return _narrow_half(Lanes(f, lanes, cpu), value)
    if dtype is DType.bfloat16:
        return _narrow_bfloat(Lanes(f, lanes, cpu), value)
    return value


def rounded(f: Function, dtype: DType, value: str, lanes: int, cpu: CpuSpec) -> str:
    """A float32 result rounded to what dtype can hold, still as float; other types as they are."""
    if dtype not in HALVES:
        return value
    return from_storage(f, dtype, to_storage(f, dtype, value, lanes, cpu), lanes, cpu)


def cast(f: Function, value: str, source: DType, target: DType, lanes: int, cpu: CpuSpec) -> str:
    """NumPy's astype on registers. Floats outside an integer type's range do not trap: 8 and 16-bit types keep the low
    bits of the int32 result, uint32 those of int64; these and the 64-bit types saturate."""
    if source is target:
        return value
    S, T = register_type(source, lanes), register_type(target, lanes)
    from_float, to_float = source.is_float, target.is_float
    if target is DType.bool:
        zero = f.const(S, 0)
        return f.set(f"fcmp une {S} {value}, {zero}" if from_float else f"icmp ne {S} {value}, {zero}")
    if to_float:
        return _to_float(f, value, source, target, lanes, cpu)
    if from_float:
        unsigned = target is DType.uint64
        via = "i64" if target.itemsize == 8 or target is DType.uint32 else "i32"
        wide = vector(via, lanes)
        name = f"llvm.fpto{'u' if unsigned else 's'}i.sat.{_suffix(wide, lanes)}.{_suffix(S, lanes)}"
        f.declare(f"{wide} @{name}({S})")
        whole = f.call(wide, name, (S, value))
        return whole if wide == T else f.set(f"trunc {wide} {whole} to {T}")
    have, want = (1 if t is DType.bool else 8 * t.itemsize for t in (source, target))
    if have == want:
        return value
    return f.set(f"{'trunc' if want < have else 'sext' if source.is_signed else 'zext'} {S} {value} to {T}")


def _to_float(f: Function, value: str, source: DType, target: DType, lanes: int, cpu: CpuSpec) -> str:
    S, T = register_type(source, lanes), register_type(target, lanes)
    if not source.is_float:
        value = f.set(f"{'sitofp' if source.is_signed else 'uitofp'} {S} {value} to {T}")
    elif S != T and T == vector("double", lanes):
        return f.set(f"fpext {S} {value} to {T}")
    elif S != T:
        value = (_to_odd(Lanes(f, lanes, cpu), value) if target in HALVES else f.set(f"fptrunc {S} {value} to {T}"))
    return rounded(f, target, value, lanes, cpu)


def _to_odd(L: Lanes, value: str) -> str:
    """double → float, inexact results made odd, so that a second rounding to 16 bits is as good as one."""
    D = L.of("double")
    near = L.convert("fptrunc", D.v, value, L.v)
    back = L.convert("fpext", L.v, near, D.v)
    bits = L.bits(near)
    above = D.compare("ogt", D.abs(back), D.abs(value))
    towards_zero = L.f.select(above, L.i, L.int("sub", bits, 1), bits)
    inexact = D.compare("one", back, value)
    return L.from_bits(L.f.select(inexact, L.i, L.int("or", towards_zero, 1), bits))


def _has_half(cpu: CpuSpec) -> bool:
    return cpu.fma                                               # on x86 the conversions came before fused multiply-add


def _widen_half(L: Lanes, value: str) -> str:
    if _has_half(L.cpu):
        return L.convert("fpext", vector("half", L.lanes), value, L.v)
    short = vector("i16", L.lanes)
    h = L.convert("zext", short, L.convert("bitcast", vector("half", L.lanes), value, short), L.i)
    magnitude = L.int("shl", L.int("and", h, 0x7FFF), 13)
    scaled = L.mul(L.from_bits(magnitude), 2.0 ** 112)                        # subnormals come out right as well
    special = L.compare("oge", scaled, 65536.0)
    bits = L.f.select(special, L.i, L.int("or", L.bits(scaled), 0x7F800000), L.bits(scaled))
    return L.from_bits(L.int("or", bits, L.int("shl", L.int("and", h, 0x8000), 16)))


def _narrow_half(L: Lanes, value: str) -> str:
    half, short = vector("half", L.lanes), vector("i16", L.lanes)
    if _has_half(L.cpu):
        return L.convert("fptrunc", L.v, value, half)
    a = L.abs(value)
    bits = L.bits(a)
    even = L.int("and", L.int("lshr", bits, 13), 1)
    normal = L.int("lshr", L.int("add", L.int("add", bits, 0xFFF - (112 << 23)), even), 13)
    tiny = L.int("sub", L.bits(L.add(a, 0.5)), 0x3F000000)                    # 0.5 has an ulp of 2⁻²⁴, the least half
    y = L.f.select(L.compare("olt", a, 2.0 ** -14), L.i, tiny, normal)
    y = L.f.select(L.compare("oge", a, 65520.0), L.i, L.k(0x7C00), y)
    y = L.f.select(L.compare("uno", a, a), L.i, L.k(0x7E00), y)
    y = L.int("or", y, L.int("and", L.int("lshr", L.bits(value), 16), 0x8000))
    return L.convert("bitcast", short, L.convert("trunc", L.i, y, short), half)


def _widen_bfloat(L: Lanes, value: str) -> str:
    short = vector("i16", L.lanes)
    bits = L.convert("bitcast", vector("bfloat", L.lanes), value, short)
    return L.from_bits(L.int("shl", L.convert("zext", short, bits, L.i), 16))


def _narrow_bfloat(L: Lanes, value: str) -> str:
    short = vector("i16", L.lanes)
    bits = L.bits(value)
    high = L.int("lshr", bits, 16)
    near = L.int("lshr", L.int("add", L.int("add", bits, 0x7FFF), L.int("and", high, 1)), 16)
    y = L.f.select(L.compare("uno", value, value), L.i, L.int("or", high, 0x40), near)
    return L.convert("bitcast", short, L.convert("trunc", L.i, y, short), vector("bfloat", L.lanes))


def _suffix(type_: str, lanes: int) -> str:
    name = {"float": "f32", "double": "f64"}
    scalar = type_ if lanes == 1 else type_[1:-1].split(" x ")[1]
    return ("" if lanes == 1 else f"v{lanes}") + name.get(scalar, scalar)
