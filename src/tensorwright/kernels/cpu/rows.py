"""Output-driven kernels: the output is written row by row, each row as vectors, through the epilogue when there is one.

A family says what element i of a row is; `Rows` does the chunks, the coordinates, the tails and the stores. Works for
any strides: rows whose output stride is not 1 are written one element at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np

from ...dims import Dim, ceildiv, product
from ...dtypes import DType
from ...ir import Op
from ...ops.expr import Expr
from ...ops.fused import Fused
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, literal, vector
from ..problem import Operand, Problem
from .pointwise_printer import emit

#: element(i, lanes, mask) → value of type vector(storage type, lanes); mask is None when all lanes are wanted.
Element = Callable[[str, int, "str | None"], str]

_BYTES = {"i8": 1, "i16": 2, "i32": 4, "i64": 8, "float": 4, "double": 8}
_BLOCK = 4096                           # elements of a long row that one chunk writes


def unfuse(problem: Problem) -> tuple[Op, Expr | None, int]:
    """(core operator, epilogue or None, number of the core's inputs)."""
    op = problem.op
    return (op.core, op.epilogue, op.arity) if isinstance(op, Fused) else (op, None, len(problem.inputs))


def natural_lanes(cpu: CpuSpec, *dtypes: DType) -> int:
    """Elements of the widest of the types per vector register."""
    return cpu.vector_bits // 8 // max(t.itemsize for t in dtypes)


def storage(t: DType) -> str:
    """The type in which elements are moved: half precision as bits, so that no target has to know its arithmetic."""
    return "i16" if t in (DType.float16, DType.bfloat16) else SCALAR[t]


def constant(value: float | int | bool, t: DType) -> str:
    """A number of type t as a literal of storage(t)."""
    number = np.asarray(value).astype(t.numpy)
    return str(int(number.view(np.uint16))) if storage(t) != SCALAR[t] else literal(number.item(), SCALAR[t])


def offset(f: Function, d: Dims, operand: Operand, coords: Mapping[int, str]) -> str:
    """Bytes from the operand's first element to the one at coords; axes that coords lacks count as 0."""
    total = "0"
    for axis, c in coords.items():
        stride = operand.strides[axis]
        if operand.shape[axis] != 1 or str(c) != "0":
            total = f.add(total, f.mul(c, d(stride * operand.dtype.itemsize)))
    return total


def split_index(f: Function, index: str, sizes: Sequence[str]) -> list[str]:
    """Coordinates of a linear C-order index; the first size is not needed."""
    coords: list[str] = []
    for size in reversed(sizes[1:]):
        coords.append(f.remainder(index, size))
        index = f.divide(index, size)
    return [*reversed([*coords, index])] if sizes else []


def load_strided(f: Function, type_: str, pointer: str, stride: str, lanes: int, mask: str | None) -> str:
    """`lanes` elements `stride` bytes apart (a literal or a value); only those whose mask bit is on are read."""
    vec = vector(type_, lanes)
    if lanes == 1:
        return f.load(type_, pointer)
    if stride == "0":
        return f.splat(vec, f.load(type_, pointer))
    if stride == str(_BYTES[type_]):
        return f.load(vec, pointer) if mask is None else f.masked_load(vec, pointer, mask)
    if stride == str(2 * _BYTES[type_]) and mask is None:             # two loads, no element beyond the last is touched
        low, high = f.load(vec, pointer), f.load(vec, f.at(pointer, (lanes - 1) * _BYTES[type_]))
        order = ", ".join(f"i32 {2 * i if 2 * i < lanes else 2 * i + 1}" for i in range(lanes))
        return f.set(f"shufflevector {vec} {low}, {vec} {high}, <{lanes} x i32> <{order}>")
    steps = "<" + ", ".join(f"i64 {i}" for i in range(lanes)) + ">"
    offsets = f.op("mul", f"<{lanes} x i64>", steps, f.splat(f"<{lanes} x i64>", stride))
    return load_at(f, type_, pointer, offsets, lanes, mask)


def load_at(f: Function, type_: str, pointer: str, offsets: str, lanes: int, mask: str | None) -> str:
    """Elements at byte offsets given as <lanes x i64> (an i64 for one lane)."""
    if lanes == 1:
        return f.load(type_, f.at(pointer, offsets))
    where = f.set(f"getelementptr i8, ptr {pointer}, <{lanes} x i64> {offsets}")
    return f.gather(vector(type_, lanes), where, mask or f.const(f"<{lanes} x i1>", True))


def index_vector(f: Function, i: str, lanes: int) -> str:
    """<i, i + 1, ...> as <lanes x i64>; i itself for one lane."""
    if lanes == 1:
        return i
    vec = f"<{lanes} x i64>"
    return f.op("add", vec, f.splat(vec, i), "<" + ", ".join(f"i64 {k}" for k in range(lanes)) + ">")


def vector_axis(y: Operand, *others: Operand) -> int:
    """The axis rows should run along: one where y, and if possible the others too, have stride 1; else the last."""
    unit = [a for a in range(len(y.shape)) if y.strides[a] == 1 and y.shape[a] != 1]
    best = [a for a in unit if all(x.strides[a] in (0, 1) for x in others)]
    return (best or unit or [len(y.shape) - 1])[-1]


class Rows:
    """The entry function of a kernel that writes output `which` row by row.

    axis     the axis rows run along; None for a scalar output
    lanes    vector width in elements; forced to 1 when the output's stride along axis is not 1

        rows = Rows(problem, cpu, symbol, dims)
        with rows.each() as coords:                 # one turn per row and block; coords: axis → value, without `axis`
            rows.write(coords, "0", rows.length, element)
    """

    def __init__(self, problem: Problem, cpu: CpuSpec, symbol: str, dims: list[Dim], axis: int | None = None, *,
                 which: int = 0, lanes: int | None = None) -> None:
        self.problem, self.cpu, self.f = problem, cpu, entry(symbol)
        self.d = Dims(self.f, dims)
        self.y = problem.outputs[which]
        self.which = which
        _, self.epilogue, arity = unfuse(problem)
        self.extras = problem.inputs[arity:] if self.epilogue is not None else ()
        rank = len(self.y.shape)
        self.axis = (rank - 1 if axis is None else axis) if rank else None
        wide = lanes if lanes is not None else natural_lanes(cpu, self.y.dtype)
        self.lanes = wide if self.axis is not None and self.y.strides[self.axis] == 1 else 1
        self.length = self.d(self.y.shape[self.axis]) if self.axis is not None else "1"
        others = [a for a in range(rank) if a != self.axis]
        self.outer: list[int] = []
        self.inner: list[int] = []
        tuned = 1
        for a in others:
            (self.outer if tuned < 64 else self.inner).append(a)
            tuned *= max(1, problem.at_tuned(self.y.shape[a]))
        row = self.y.shape[self.axis] if self.axis is not None else 1
        self.blocked = tuned < 64 and problem.at_tuned(row) > _BLOCK
        self.blocks: Dim = ceildiv(row, _BLOCK) if self.blocked else 1
        self.chunks: Dim = product([*(self.y.shape[a] for a in self.outer), self.blocks])
        self.pointers = [(e, arg(self.f, arity + k)) for k, e in enumerate(self.extras) if e is not None]
        self.target = arg(self.f, len(problem.inputs) + which)
        self._limits: tuple[str, str] | None = None

    @contextmanager
    def each(self) -> Iterator[dict[int, str]]:
        f, d = self.f, self.d
        sizes = [d(self.y.shape[a]) for a in self.outer]
        with ExitStack() as stack:
            index = stack.enter_context(f.loop("chunk", f.begin, f.end))
            if self.blocked:
                *_, block = split_index(f, index, ["0", d(self.blocks)])
                index = f.divide(index, d(self.blocks))
                low = f.mul(block, _BLOCK)
                self._limits = low, f.minimum(f.add(low, _BLOCK), self.length)
            coords = dict(zip(self.outer, split_index(f, index, sizes), strict=True))
            for a in self.inner:
                coords[a] = stack.enter_context(f.loop(f"i{a}_", "0", d(self.y.shape[a])))
            yield coords

    def write(self, coords: Mapping[int, str], begin: str, end: str, element: Element,
              lanes: int | None = None) -> None:
        """y[coords, i] = epilogue(element(i)) for begin ≤ i < end (clipped to the block at hand)."""
        f, lanes = self.f, min(lanes or self.lanes, self.lanes)
        if self._limits is not None:
            begin, end = f.maximum(begin, self._limits[0]), f.minimum(end, self._limits[1])
        put = self.putter(coords)
        if lanes == 1:
            with f.loop("i", begin, end) as i:
                put(i, 1, None, element(i, 1, None))
            return
        count = f.maximum(f.sub(end, begin), 0)
        full = f.mul(f.divide(count, lanes), lanes)
        rest = f.sub(count, full)
        stop = f.add(begin, full)
        if full != "0":
            with f.loop("i", begin, stop, lanes) as i:
                put(i, lanes, None, element(i, lanes, None))
        if rest.startswith("%"):
            with f.when(f.set(f"icmp ne i64 {rest}, 0")):
                mask = f.tail_mask(lanes, rest)
                put(stop, lanes, mask, element(stop, lanes, mask))
        elif rest != "0":
            mask = f.tail_mask(lanes, rest)
            put(stop, lanes, mask, element(stop, lanes, mask))

    def putter(self, coords: Mapping[int, str]) -> Callable[[str, int, str | None, str], None]:
        """put(i, lanes, mask, value): the epilogue and the store at one place of the row. Hoists addresses."""
        f, d = self.f, self.d
        target = f.at(self.target, offset(f, d, self.y, coords), "row")
        extras = [(e, f.at(p, offset(f, d, e, coords), "extra")) for e, p in self.pointers]
        out = storage(self.y.dtype) if self.epilogue is None else SCALAR[self.y.dtype]

        def put(i: str, lanes: int, mask: str | None, value: str) -> None:
            if self.epilogue is not None:
                values = [value]
                for e, p in extras:
                    step = d(e.strides[self.axis] * e.dtype.itemsize) if self.axis is not None else "0"
                    values.append(load_strided(f, SCALAR[e.dtype], f.at(p, f.mul(i, step)), step, lanes, mask))
                value = emit(f, self.epilogue, values, lanes, self.cpu)
            size = self.y.dtype.itemsize
            place = f.at(target, f.mul(i, d(self.y.strides[self.axis] * size)) if self.axis is not None else "0")
            if mask is None:
                f.store(vector(out, lanes), value, place)
            else:
                f.masked_store(vector(out, lanes), value, place, mask)

        return put


def merge_trailing(operands: Sequence[Operand], count: int) -> list[Operand] | None:
    """The operands with their last `count` axes as one, when all of them are dense or fully broadcast there."""
    merged: list[Operand] = []
    for x in operands:
        keep = len(x.shape) - count
        shape, strides = x.shape[keep:], x.strides[keep:]
        size = product(shape)
        if all(s == 0 for s in strides):
            stride: Dim = 0
        elif Operand(shape, strides, x.dtype).contiguous_axes() == count:
            stride = 1
        else:
            return None
        merged.append(Operand((*x.shape[:keep], size), (*x.strides[:keep], stride), x.dtype, x.constant))
    return merged
