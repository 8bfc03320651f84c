"""Padding and cropping, for any strides: rows are copied as vectors, what lies beyond them is filled or looked up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...dims import Dim, maximum
from ...dims import Expr as DimExpr
from ...ops.pad import Pad
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, module, vector
from ..problem import Operand, Phase, Problem, Source
from .rows import Element, Rows, constant, load_strided, natural_lanes, offset, storage, unfuse, vector_axis


@dataclass(frozen=True)
class Padding:
    """axis: the one that rows run along; None for a scalar."""

    axis: int | None

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        op, _, _ = unfuse(problem)
        x, dims = problem.inputs[0], list[Dim]()
        assert isinstance(op, Pad) and x is not None
        rows = Rows(problem, cpu, symbol, dims, self.axis, lanes=natural_lanes(cpu, x.dtype, problem.outputs[0].dtype))
        base = arg(rows.f, 0)
        with rows.each() as coords:
            if op.mode == "constant":
                _constant(rows, op, x, base, coords)
            else:
                _repeated(rows, op, x, base, coords)
        return Source(module(rows.f), (Phase(symbol, rows.chunks),), tuple(dims))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("padding packs nothing")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Padding]:
    x, y = problem.inputs[0], problem.outputs[0]
    if x is not None and x.dtype in SCALAR:
        yield Padding(vector_axis(y, x) if y.shape else None)


def _kept(d: Dims, op: Pad, x: Operand, axis: int) -> tuple[str, str]:
    """(first element of x that cropping leaves, how many it leaves)."""
    before, after = op.pads[axis]
    return d(_crop(before)), d(x.shape[axis] - _crop(before) - _crop(after))


def _crop(pad: Dim) -> Dim:
    return maximum(-pad, 0) if isinstance(pad, DimExpr) else max(-pad, 0)


def _segments(rows: Rows, op: Pad, x: Operand, axis: int) -> tuple[str, str]:
    """Output range along axis that holds elements of x."""
    before = op.pads[axis][0]
    first = rows.d(maximum(before, 0) if isinstance(before, DimExpr) else max(before, 0))
    return first, rows.f.add(first, _kept(rows.d, op, x, axis)[1])


def _copy(rows: Rows, x: Operand, pointer: str, shift: str) -> Element:
    """Element i of the output row is x's element i + shift along the row."""
    f = rows.f
    assert rows.axis is not None
    step = rows.d(x.strides[rows.axis] * x.dtype.itemsize)
    return lambda i, lanes, mask: load_strided(
        f, storage(x.dtype), f.at(pointer, f.mul(f.add(i, shift), step)), step, lanes, mask)


def _constant(rows: Rows, op: Pad, x: Operand, base: str, coords: dict[int, str]) -> None:
    f, d, scalar = rows.f, rows.d, storage(x.dtype)
    value = constant(op.value, x.dtype)
    inside, places = "true", dict[int, str]()
    for axis, c in coords.items():
        if op.pads[axis] == (0, 0):
            places[axis] = c
            continue
        begin, end = _segments(rows, op, x, axis)
        ok = f.op("and", "i1", f.set(f"icmp sge i64 {c}, {begin}"), f.set(f"icmp slt i64 {c}, {end}"))
        inside = ok if inside == "true" else f.op("and", "i1", inside, ok)
        places[axis] = f.sub(c, d(op.pads[axis][0]))

    def fill(i: str, lanes: int, mask: str | None) -> str:
        return f.splat(vector(scalar, lanes), value)

    yes, no, done = f.new_label("inside"), f.new_label("outside"), f.new_label("next")
    f.branch(inside, yes, no)
    f.label(yes)
    if rows.axis is None:
        rows.write(coords, "0", "1", lambda i, lanes, mask: f.load(scalar, base))
    else:
        begin, end = _segments(rows, op, x, rows.axis)
        copy = _copy(rows, x, f.at(base, offset(f, d, x, places)), f.sub("0", d(op.pads[rows.axis][0])))
        if begin != "0":
            rows.write(coords, "0", begin, fill)
        rows.write(coords, begin, end, copy)
        if end != rows.length:
            rows.write(coords, end, rows.length, fill)
    f.br(done)
    f.label(no)
    rows.write(coords, "0", rows.length, fill)
    f.br(done)
    f.label(done)


def _repeated(rows: Rows, op: Pad, x: Operand, base: str, coords: dict[int, str]) -> None:
    f, d = rows.f, rows.d

    def place(axis: int, c: str) -> str:
        if op.pads[axis] == (0, 0):
            return c
        first, count = _kept(d, op, x, axis)
        return f.add(first, _mapped(f, op.mode, f.sub(f.sub(c, d(op.pads[axis][0])), first), count))

    pointer = f.at(base, offset(f, d, x, {axis: place(axis, c) for axis, c in coords.items()}))
    if rows.axis is None:
        rows.write(coords, "0", "1", lambda i, lanes, mask: f.load(storage(x.dtype), base))
        return
    axis, step = rows.axis, d(x.strides[rows.axis] * x.dtype.itemsize)

    def beyond(i: str, lanes: int, mask: str | None) -> str:
        return f.load(storage(x.dtype), f.at(pointer, f.mul(place(axis, i), step)))

    begin, end = _segments(rows, op, x, axis)
    if begin != "0":
        rows.write(coords, "0", begin, beyond, lanes=1)
    rows.write(coords, begin, end, _copy(rows, x, pointer, f.sub("0", d(op.pads[axis][0]))))
    if end != rows.length:
        rows.write(coords, end, rows.length, beyond, lanes=1)


def _mapped(f: Function, mode: str, j: str, count: str) -> str:
    """Which of `count` elements stands at place j, which may lie before or after them."""
    last = f.sub(count, 1)
    if mode == "edge":
        return f.maximum(f.minimum(j, last), 0)
    period = count if mode == "wrap" else f.maximum(f.mul(last, 2), 1)
    m = f.set(f"srem i64 {j}, {period}")
    m = f.select(f.set(f"icmp slt i64 {m}, 0"), "i64", f.add(m, period), m)
    return m if mode == "wrap" else f.minimum(m, f.sub(f.mul(last, 2), m))
