"""Where values live: buffers, and places (strided views) in them; which layers become views and cost nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from ..dims import Dim, Expr, add, mul, product
from ..dtypes import DType
from ..kernels.problem import Operand
from ..plan.records import Buffer, View
from .layout import Order, canonical, reshape_groups

Border = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Place:
    """A strided view of a buffer. offset and strides count elements; border as in `kernels.problem.Operand`."""

    buffer: int
    offset: Dim
    shape: tuple[Dim, ...]
    strides: tuple[Dim, ...]
    dtype: DType
    border: Border = ()

    def view(self) -> View:
        return View(self.buffer, mul(self.offset, self.dtype.itemsize), self.shape, self.strides, self.dtype)

    def operand(self, constant: bool = False) -> Operand:
        return Operand(self.shape, self.strides, self.dtype, constant, self.border)

    @property
    def is_dense(self) -> bool:
        """C order without gaps: what users and host steps see without a copy."""
        expected: Dim = 1
        for d, s in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if d != 1 and s != expected:
                return False
            expected = mul(expected, d)
        return True


class Buffers:
    """All buffers of one program, in the order they were asked for."""

    def __init__(self) -> None:
        self.records: list[Buffer] = []
        self.geometry: dict[int, tuple] = {}  # zeroed buffers that may share memory have equal geometry
        self.user: dict[str, int] = {}

    def add(self, kind: str, nbytes: Dim, name: str = "", zero: bool = False) -> int:
        self.records.append(Buffer(kind, nbytes, name, zero))
        return len(self.records) - 1

    def dense(self, kind: str, shape: tuple[Dim, ...], dtype: DType, name: str = "") -> Place:
        """A new buffer in C order: the user's memory, a constant, or arena memory that a Reshape will view."""
        index = self.add(kind, mul(product(shape), dtype.itemsize), name)
        return Place(index, 0, shape, strides_of(shape, canonical(len(shape))), dtype)

    def ordered(self, shape: tuple[Dim, ...], dtype: DType, order: Order, border: Border = ()) -> Place:
        """New arena memory with axes in the given order and room for a zero border."""
        if not any(b or a for b, a in border):
            index = self.add("arena", mul(product(shape), dtype.itemsize))
            return Place(index, 0, shape, strides_of(shape, order), dtype)
        outer = tuple(add(d, b + a) for d, (b, a) in zip(shape, border, strict=True))
        strides = strides_of(outer, order)
        offset: Dim = 0
        for (before, _), stride in zip(border, strides, strict=True):
            offset = add(offset, mul(stride, before))
        index = self.add("arena", mul(product(outer), dtype.itemsize), zero=True)
        self.geometry[index] = (outer, order, border, dtype)
        return Place(index, offset, shape, strides, dtype, border)


def strides_of(shape: tuple[Dim, ...], order: Order) -> tuple[Dim, ...]:
    """Element strides of a gapless tensor whose axes lie in `order`, outermost first."""
    strides: list[Dim] = [0] * len(shape)
    step: Dim = 1
    for axis in reversed(order):
        strides[axis] = step
        step = mul(step, shape[axis])
    return tuple(strides)


def transposed(p: Place, perm: tuple[int, ...]) -> Place:
    border = tuple(p.border[a] for a in perm) if p.border else ()
    return replace(p, shape=tuple(p.shape[a] for a in perm), strides=tuple(p.strides[a] for a in perm), border=border)


def sliced(p: Place, starts: tuple[Dim, ...], sizes: tuple[Dim, ...], steps: tuple[int, ...]) -> Place:
    """Elements start, start + step, ... along each axis. Along an axis that is cut or walked otherwise its border is
    lost: a reversed axis, say, has its border's sides exchanged."""
    offset = p.offset
    for start, stride in zip(starts, p.strides, strict=True):
        offset = add(offset, mul(start, stride))
    strides = tuple(mul(s, k) for s, k in zip(p.strides, steps, strict=True))
    border: Border = ()
    if p.border:
        whole = (size == d and step == 1 for size, d, step in zip(sizes, p.shape, steps, strict=True))
        border = tuple(b if w else (0, 0) for b, w in zip(p.border, whole, strict=True))
    return replace(p, offset=offset, shape=sizes, strides=strides, border=border)


def expanded(p: Place, shape: tuple[Dim, ...]) -> Place:
    """Broadcast to shape: stride 0 along the axes that grow."""
    pad = len(shape) - len(p.shape)
    strides: list[Dim] = [0] * pad
    for d, s, target in zip(p.shape, p.strides, shape[pad:], strict=True):
        strides.append(0 if d == 1 and target != 1 else s)
    grown = (1,) * pad + p.shape
    border = ((0, 0),) * pad + p.border if p.border and grown == shape else ()
    return replace(p, shape=shape, strides=tuple(strides), border=border)


def reshaped(p: Place, shape: tuple[Dim, ...]) -> Place | None:
    """The same elements under another shape, or None when they are not evenly spaced."""
    groups = reshape_groups(p.shape, shape)
    if groups is None:
        return None
    strides: list[Dim] = [0] * len(shape)
    border: list[tuple[int, int]] = [(0, 0)] * len(shape)
    for old, new in groups:
        axes = [a for a in old if p.shape[a] != 1]
        for outer, inner in pairwise(axes):
            if p.strides[outer] != mul(p.shape[inner], p.strides[inner]):
                return None
        step: Dim = p.strides[axes[-1]] if axes else 1
        for axis in reversed(new):
            strides[axis] = step
            step = mul(step, shape[axis])
        if p.border and len(old) == len(new) == 1:
            border[new[0]] = p.border[old[0]]
    keep = tuple(border) if any(map(any, border)) else ()
    return replace(p, shape=shape, strides=tuple(strides), border=keep)


def order_of(p: Place) -> Order:
    """Axes by decreasing stride, as far as numbers tell; axes of size 1 and symbolic ties keep their place."""

    def weight(axis: int) -> int:
        s = p.strides[axis]
        return (
            max((abs(k) << (8 * sum(power for _, power in m)) for m, k in s.terms), default=0)
            if isinstance(s, Expr)
            else abs(s)
        )

    axes = sorted(range(len(p.shape)), key=lambda a: (-weight(a), a))
    return tuple(axes)
