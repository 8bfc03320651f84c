"""Iteration spaces: the axes that several operands share, merged and ordered, and how chunks of them are walked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ...dims import Dim, ceildiv, evaluate, minimum, mul, product, symbols
from ...targets import CpuSpec
from ..llvm import Dims, Function
from ..problem import Problem

#: bounds on the elements of work in one chunk: enough to hide its start, few enough to share among threads
LEAST, MOST = 1024, 8192


@dataclass(frozen=True)
class Axis:
    """One loop. strides: one per operand, in elements; 0 where the operand is broadcast."""

    size: Dim
    strides: tuple[Dim, ...]


def tuned(problem: Problem, d: Dim) -> int:
    """The value d has at the tuned sizes; symbols without one count as 16. For guesses, never for meaning."""
    return evaluate(d, {**dict.fromkeys(symbols(d), 16), **dict(problem.tuned)})


def chunk_size(problem: Problem, shape: Sequence[Dim], cpu: CpuSpec) -> int:
    """Elements that one chunk should have: four chunks per core, within bounds."""
    return max(LEAST, min(MOST, tuned(problem, product(shape)) // (4 * cpu.cores)))


def zip_axes(shape: Sequence[Dim], *strides: Sequence[Dim]) -> list[Axis]:
    """The axes of operands that all have this shape."""
    return [Axis(size, tuple(s[k] for s in strides)) for k, size in enumerate(shape)]


def arranged(problem: Problem, axes: Sequence[Axis], lead: int) -> list[Axis]:
    """Axes that are not 1, ordered from the greatest stride of operand `lead` to the least, neighbours merged where
    every operand allows it. Only for loops whose order does not matter."""
    def far(axis: Axis) -> tuple[int, int]:
        own = abs(tuned(problem, axis.strides[lead]))
        return (own, sum(abs(tuned(problem, s)) for s in axis.strides))

    return merged(sorted((a for a in axes if a.size != 1), key=far, reverse=True))


def merged(axes: Sequence[Axis]) -> list[Axis]:
    result: list[Axis] = []
    for axis in axes:
        last = result[-1] if result else None
        if last and all(a == mul(b, axis.size) for a, b in zip(last.strides, axis.strides, strict=True)):
            result[-1] = Axis(mul(last.size, axis.size), axis.strides)
        else:
            result.append(axis)
    return result


class Walk:
    """Pointers of several operands inside one kernel, moved along axes.

    sizes   bytes per element of each operand
    """

    def __init__(self, f: Function, d: Dims, sizes: Sequence[int]) -> None:
        self.f, self.d, self.sizes = f, d, sizes

    def step(self, pointers: Sequence[str], axis: Axis, index: str | int) -> list[str]:
        """The pointers `index` elements further along the axis; they may be only the first of the operands."""
        return [self.f.at(p, self.f.mul(index, self.d(mul(s, size)))) if s != 0 else p
                for p, s, size in zip(pointers, axis.strides, self.sizes, strict=False)]

    def decode(self, pointers: Sequence[str], axes: Sequence[Axis], index: str) -> list[str]:
        """The pointers at position `index` of the flattened axes (last fastest)."""
        pointers = list(pointers)
        for k, axis in reversed(list(enumerate(axes))):
            size = self.d(axis.size)
            pointers = self.step(pointers, axis, self.f.remainder(index, size) if k else index)
            index = self.f.divide(index, size) if k else index
        return pointers

    @contextmanager
    def loops(self, pointers: Sequence[str], axes: Sequence[Axis], ends: Sequence[str] = ()) -> Iterator[list[str]]:
        """Nested loops over all positions of the axes. ends: their trip counts, if not the sizes (more are ignored)."""
        if not axes:
            yield list(pointers)
            return
        end = ends[0] if ends else self.d(axes[0].size)
        with self.f.loop("a", 0, end) as i, self.loops(self.step(pointers, axes[0], i), axes[1:], ends[1:]) as inner:
            yield inner


@dataclass(frozen=True)
class Split:
    """Axes cut into chunks: chunk = (position in outer, block of `block` positions of the cut axis).

    outer   axes whose positions are spread over chunks
    cut     the axis cut into blocks, None when there are no axes at all
    inner   axes walked completely inside a chunk
    """

    outer: tuple[Axis, ...]
    cut: Axis | None
    block: int
    inner: tuple[Axis, ...]
    row: Dim = 1

    @property
    def blocks(self) -> Dim:
        return 1 if self.cut is None else ceildiv(self.cut.size, self.block)

    @property
    def chunks(self) -> Dim:
        """0 when any axis is empty: a chunk always has something to do."""
        filled = [minimum(1, a.size) for a in self.inner] + [minimum(1, self.row)]
        return product([*(a.size for a in self.outer), self.blocks, *filled])

    @contextmanager
    def walk(self, w: Walk, pointers: Sequence[str], chunk: str) -> Iterator[list[str]]:
        """All positions of one chunk: decode, then loops."""
        if self.cut is None:
            yield list(pointers)
            return
        with self.cuts(w, pointers, chunk) as (start, begin, end):
            with w.f.loop("cut", begin, end) as i, w.loops(w.step(start, self.cut, i), self.inner) as inner:
                yield inner

    @contextmanager
    def cuts(self, w: Walk, pointers: Sequence[str], chunk: str) -> Iterator[tuple[list[str], str, str]]:
        """(pointers at the outer position, first and past-last position of the cut axis)."""
        assert self.cut is not None
        f, blocks = w.f, w.d(self.blocks)
        part = f.remainder(chunk, blocks) if self.outer else chunk
        start = w.decode(pointers, self.outer, f.divide(chunk, blocks)) if self.outer else list(pointers)
        begin = f.mul(part, self.block)
        yield start, begin, f.minimum(f.add(begin, self.block), w.d(self.cut.size))


def split(problem: Problem, axes: Sequence[Axis], row: Dim = 1, chunk: int = MOST, multiple: int = 1,
          weight: Dim = 1) -> Split:
    """Cut axes (outermost first) so that a chunk has about `chunk` elements of work.

    row        elements of output at each position; none at all when it is 0
    multiple   blocks of the last axis hold a multiple of it
    weight     work of an element of output
    """
    axes = list(axes)
    inner: list[Axis] = []
    work = max(tuned(problem, mul(row, weight)), 1)
    while len(axes) > 1 and work * max(tuned(problem, axes[-1].size), 1) <= chunk:
        inner.insert(0, axes.pop())
        work *= max(tuned(problem, inner[0].size), 1)
    if not axes:
        return Split((), None, 1, (), row)
    block = max(1, chunk // work)
    if not inner:
        block = -(-block // multiple) * multiple
    size = axes[-1].size
    if isinstance(size, int) and block > size:
        block = max(size, 1)
    return Split(tuple(axes[:-1]), axes[-1], block, tuple(inner), row)
