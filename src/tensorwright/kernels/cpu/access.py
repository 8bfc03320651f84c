"""Vectors to and from memory at any stride."""

from __future__ import annotations

from collections.abc import Iterable

from ...dims import Dim, mul
from ...dtypes import DType
from ...ops.expr import Apply, Expr
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, lanes_of, scalar_of, vector


def lanes_for(cpu: CpuSpec, dtypes: Iterable[DType]) -> int:
    """Lanes that fill one vector register with the widest of these types."""
    return cpu.vector_bits // (8 * max((t.itemsize for t in dtypes), default=4))


def types_in(e: Expr) -> set[DType]:
    """The element types of all nodes of an expression."""
    seen: set[Expr] = set()
    stack: list[Expr] = [e]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(node.args if isinstance(node, Apply) else ())
    return {node.dtype for node in seen}


def masks_are_cheap(cpu: CpuSpec, dtypes: Iterable[DType]) -> bool:
    """Whether masked loads and stores of these types are single instructions."""
    smallest = min((t.itemsize for t in dtypes), default=4)
    return cpu.vector_bits == 512 or (cpu.vector_bits == 256 and smallest >= 4)


def load(f: Function, d: Dims, dtype: DType, pointer: str, stride: Dim, lanes: int, mask: str = "") -> str:
    """`lanes` elements `stride` apart, the first at pointer. With a mask, lanes that are off read nothing."""
    t, size = vector(SCALAR[dtype], lanes), dtype.itemsize
    if lanes == 1:
        return f.load(t, pointer)
    if stride == 0:
        return f.splat(t, f.load(SCALAR[dtype], pointer))
    if stride == 1:
        return f.masked_load(t, pointer, mask) if mask else f.load(t, pointer)
    if isinstance(stride, int) and 2 <= stride <= 4 and not mask:
        return _every(f, t, pointer, stride, size)
    if size < 4 and not mask:
        return _assembled(f, d, t, pointer, stride, size)
    return f.gather(t, _pointers(f, d, pointer, stride, lanes, size), mask or f.const(f"<{lanes} x i1>", True))


def store(f: Function, d: Dims, dtype: DType, value: str, pointer: str, stride: Dim, lanes: int,
          mask: str = "") -> None:
    """The inverse of load; masks only with stride 1."""
    t, size = vector(SCALAR[dtype], lanes), dtype.itemsize
    if lanes == 1 or (stride == 1 and not mask):
        f.store(t, value, pointer)
    elif mask:
        assert stride == 1
        f.masked_store(t, value, pointer, mask)
    else:
        for k in range(lanes):
            element = f.set(f"extractelement {t} {value}, i64 {k}")
            f.store(SCALAR[dtype], element, f.at(pointer, f.mul(k, d(mul(stride, size)))))


def _every(f: Function, type_: str, pointer: str, stride: int, size: int) -> str:
    """Every stride-th element out of contiguous vectors; nothing past the last one is read."""
    lanes, scalar = lanes_of(type_), scalar_of(type_)
    span = (lanes - 1) * stride + 1
    parts = []
    for first in range(0, span, lanes):
        n = min(lanes, span - first)
        part = f.load(vector(scalar, n), f.at(pointer, first * size))
        if n < lanes:
            pad = ", ".join(f"i32 {i}" if i < n else "i32 poison" for i in range(lanes))
            if n == 1:
                part = f.set(f"insertelement {type_} poison, {scalar} {part}, i64 0")
            else:
                part = f.set(f"shufflevector <{n} x {scalar}> {part}, <{n} x {scalar}> poison, <{lanes} x i32> <{pad}>")
        parts.append(part)
    return pick(f, type_, parts, [k * stride for k in range(lanes)])


def pick(f: Function, type_: str, parts: list[str], positions: list[int]) -> str:
    """A vector whose lane k is element positions[k] of the concatenated parts."""
    lanes = lanes_of(type_)
    result = parts[0]
    for number in range(1, len(parts)):
        final = [p // lanes == number for p in positions]
        if number == 1:
            places = [p if p < 2 * lanes else -1 for p in positions]
        else:
            places = [lanes + p % lanes if now else k for k, (p, now) in enumerate(zip(positions, final, strict=True))]
        result = shuffle(f, type_, result, parts[number], places)
    return shuffle(f, type_, result, result, positions) if len(parts) == 1 else result


def shuffle(f: Function, type_: str, a: str, b: str, places: list[int]) -> str:
    """Lanes by number from a (0 ..) and b (lanes ..); −1 leaves a lane undefined."""
    mask = ", ".join("i32 poison" if p < 0 else f"i32 {p}" for p in places)
    return f.set(f"shufflevector {type_} {a}, {type_} {b}, <{len(places)} x i32> <{mask}>")


def _assembled(f: Function, d: Dims, type_: str, pointer: str, stride: Dim, size: int) -> str:
    value = "poison"
    for k in range(lanes_of(type_)):
        element = f.load(scalar_of(type_), f.at(pointer, f.mul(k, d(mul(stride, size)))))
        value = f.set(f"insertelement {type_} {value}, {scalar_of(type_)} {element}, i64 {k}")
    return value


def _pointers(f: Function, d: Dims, pointer: str, stride: Dim, lanes: int, size: int) -> str:
    step = mul(stride, size)
    if isinstance(step, int):
        offsets = "<" + ", ".join(f"i64 {k * step}" for k in range(lanes)) + ">"
    else:
        counts = "<" + ", ".join(f"i64 {k}" for k in range(lanes)) + ">"
        offsets = f.op("mul", f"<{lanes} x i64>", counts, f.splat(f"<{lanes} x i64>", d(step)))
    return f.set(f"getelementptr i8, ptr {pointer}, <{lanes} x i64> {offsets}")
