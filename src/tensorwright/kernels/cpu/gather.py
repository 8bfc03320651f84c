"""Reading by index: Gather, GatherElements and GatherND, for any strides, element types and index types.

Where the slices that indices name are long, rows run along them and are copied as vectors (embeddings); else rows run
along the indices and elements are gathered. Indices are clamped: a wrong one never reads outside the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ...dims import Dim
from ...dtypes import DType
from ...ops.gather import Gather, GatherElements, GatherND
from ...targets import CpuSpec
from ..llvm import SCALAR, Function, arg, module, vector
from ..problem import Operand, Phase, Problem, Source
from .rows import (
    Rows,
    index_vector,
    load_at,
    load_strided,
    merge_trailing,
    natural_lanes,
    offset,
    storage,
    unfuse,
    vector_axis,
)

INDEX_TYPES = frozenset({DType.int32, DType.int64, DType.int16, DType.int8, DType.uint8, DType.uint16, DType.uint32})


@dataclass(frozen=True)
class Gathering:
    """axis: of the output, the one that rows run along; None for a scalar. merged: trailing axes taken as one."""

    axis: int | None
    merged: int = 1

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        problem = _merge(problem, self.merged) or problem
        op, _, _ = unfuse(problem)
        data, indices = problem.inputs[:2]
        assert data is not None and indices is not None
        dims: list[Dim] = []
        lanes = natural_lanes(cpu, data.dtype, problem.outputs[0].dtype)
        rows = Rows(problem, cpu, symbol, dims, self.axis, lanes=lanes)
        taken = _taken(op, data, indices)
        base, index_base = arg(rows.f, 0), arg(rows.f, 1)
        with rows.each() as coords:
            _row(rows, taken, data, indices, base, index_base, coords)
        return Source(module(rows.f), (Phase(symbol, rows.chunks),), tuple(dims))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("gathering packs nothing")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Gathering]:
    op, _, _ = unfuse(problem)
    data, indices, y = problem.inputs[0], problem.inputs[1], problem.outputs[0]
    if data is None or indices is None or data.dtype not in SCALAR or indices.dtype not in INDEX_TYPES:
        return
    if not y.shape:
        yield Gathering(None)
        return
    slice_rank = _taken(op, data, indices).slice_rank
    merged = next((n for n in range(slice_rank, 1, -1) if _merge(problem, n)), 1)
    small = _merge(problem, merged) or problem
    y = small.outputs[0]
    last = len(y.shape) - 1
    along_slices = bool(slice_rank) and (y.strides[last] == 1 or small.at_tuned(y.shape[last]) >= 4)
    if along_slices:
        yield Gathering(last, merged)
    axis = vector_axis(y)
    if not along_slices or axis != last:
        yield Gathering(axis, merged)


def _merge(problem: Problem, count: int) -> Problem | None:
    """The problem with the last `count` axes of data, output and extras as one; None if they are not dense."""
    if count < 2:
        return None
    data, indices, *extras = problem.inputs
    assert data is not None
    merged = merge_trailing([data, *problem.outputs, *(e for e in extras if e is not None)], count)
    if merged is None:
        return None
    data, y, *rest = merged
    found = iter(rest)
    return replace(problem, inputs=(data, indices, *(None if e is None else next(found) for e in extras)), outputs=(y,))


@dataclass(frozen=True)
class _Taken:
    """How output axes correspond to data and indices.

    data      output axis → data axis, for axes that are copied
    indices   output axis → index axis
    named     data axes that index components name, in order
    slice_rank  trailing output axes that are copied from data
    """

    data: Mapping[int, int]
    indices: Mapping[int, int]
    named: tuple[int, ...]
    component: int | None
    slice_rank: int


def _taken(op: object, data: Operand, indices: Operand) -> _Taken:
    rank, width = len(data.shape), len(indices.shape)
    if isinstance(op, Gather):
        a = op.axis
        copied = {i: i for i in range(a)} | {i + width - 1: i for i in range(a + 1, rank)}
        return _Taken(copied, {a + i: i for i in range(width)}, (a,), None, rank - a - 1)
    if isinstance(op, GatherElements):
        return _Taken({i: i for i in range(rank) if i != op.axis}, {i: i for i in range(rank)}, (op.axis,), None, 0)
    assert isinstance(op, GatherND) and isinstance(indices.shape[-1], int)
    b, n = op.batch_dims, indices.shape[-1]
    copied = {i: i for i in range(b)} | {width - 1 + i - b - n: i for i in range(b + n, rank)}
    return _Taken(copied, {i: i for i in range(width - 1)}, tuple(range(b, b + n)), width - 1, rank - b - n)


def _row(rows: Rows, taken: _Taken, data: Operand, indices: Operand, base: str, index_base: str,
         coords: dict[int, str]) -> None:
    f, d, axis = rows.f, rows.d, -1 if rows.axis is None else rows.axis
    pointer = f.at(base, offset(f, d, data, {taken.data[a]: c for a, c in coords.items() if a in taken.data}))
    where = {taken.indices[a]: c for a, c in coords.items() if a in taken.indices}
    place = f.at(index_base, offset(f, d, indices, where))
    size, index_size = data.dtype.itemsize, indices.dtype.itemsize
    components = [f.at(place, f.mul(k, d(indices.strides[taken.component] * index_size)) if taken.component is not None
                       else "0") for k in range(len(taken.named))]
    step = d(data.strides[taken.data[axis]] * size) if axis in taken.data else "0"

    if axis not in taken.indices:                                    # one slice per row
        for component, named in zip(components, taken.named, strict=True):
            i = load_index(f, indices.dtype, component, "0", 1, None, d(data.shape[named]))
            pointer = f.at(pointer, f.mul(i, d(data.strides[named] * size)))
        rows.write(coords, "0", rows.length, lambda i, lanes, mask: load_strided(
            f, storage(data.dtype), f.at(pointer, f.mul(i, step)), step, lanes, mask))
        return

    index_step = d(indices.strides[taken.indices[axis]] * index_size)

    def element(i: str, lanes: int, mask: str | None) -> str:
        wide = vector("i64", lanes)
        total = ""
        for component, named in zip(components, taken.named, strict=True):
            p = f.at(component, f.mul(i, index_step))
            k = load_index(f, indices.dtype, p, index_step, lanes, mask, d(data.shape[named]))
            term = f.op("mul", wide, k, f.splat(wide, d(data.strides[named] * size)))
            total = f.op("add", wide, total, term) if total else term
        if step != "0":                                              # the row also runs along an axis of data
            total = f.op("add", wide, total, f.op("mul", wide, index_vector(f, i, lanes), f.splat(wide, step)))
        return load_at(f, storage(data.dtype), pointer, total, lanes, mask)

    rows.write(coords, "0", rows.length, element)


def load_index(f: Function, dtype: DType, pointer: str, step: str, lanes: int, mask: str | None, extent: str) -> str:
    """Indices `step` bytes apart as i64: negative ones count from the end, wrong ones are clamped."""
    wide, scalar = vector("i64", lanes), SCALAR[dtype]
    k = load_strided(f, scalar, pointer, step, lanes, mask)
    if scalar != "i64":
        k = f.set(f"{'sext' if dtype.is_signed else 'zext'} {vector(scalar, lanes)} {k} to {wide}")
    size, zero = f.splat(wide, extent), f.const(wide, 0)
    k = f.select(f.set(f"icmp slt {wide} {k}, {zero}"), wide, f.op("add", wide, k, size), k)
    last = f.splat(wide, f.sub(extent, 1))
    k = f.select(f.set(f"icmp sgt {wide} {k}, {last}"), wide, last, k)
    return f.select(f.set(f"icmp slt {wide} {k}, {zero}"), wide, zero, k)
