"""Writing by index: ScatterElements and ScatterND with every reduction, any strides.

The data is copied first, then updates are applied in the order of their indices: lines of ScatterElements are
independent of each other, as are the elements of ScatterND's slices; within those one chunk does all updates, so equal
indices give the same result with any number of threads. Indices are clamped: nothing outside the output is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...dims import Dim, ceildiv, product
from ...dtypes import DType
from ...ops.expr import Apply, Expr, In
from ...ops.scatter import ScatterElements, ScatterND
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, module, vector
from ..problem import Operand, Phase, Problem, Source
from .gather import INDEX_TYPES, load_index
from .pointwise_printer import emit
from .rows import Rows, load_strided, merge_trailing, natural_lanes, offset, split_index, storage, vector_axis

_PIECE = 256                                        # elements of a slice that one chunk updates


@dataclass(frozen=True)
class Scattering:
    """merged: trailing axes of ScatterND's slices taken as one."""

    merged: int = 1

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        dims: list[Dim] = []
        copy, chunks = _copy(problem, cpu, f"{symbol}_copy", dims)
        f = entry(f"{symbol}_update")
        write = _elements if isinstance(problem.op, ScatterElements) else _slices
        updates = write(f, Dims(f, dims), _merge(problem, self.merged) or problem, cpu)
        return Source(module(copy, f), (Phase(copy.name, chunks), Phase(f.name, updates)), tuple(dims))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("scattering packs nothing")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Scattering]:
    op = problem.op
    if not isinstance(op, (ScatterElements, ScatterND)):
        return
    data, indices = problem.inputs[:2]
    if data is None or indices is None or data.dtype not in SCALAR or indices.dtype not in INDEX_TYPES:
        return
    rank = 0 if isinstance(op, ScatterElements) else len(data.shape) - _depth(indices)
    yield Scattering(next((n for n in range(rank, 1, -1) if _merge(problem, n)), 1))


def _depth(indices: Operand) -> int:
    n = indices.shape[-1]
    assert isinstance(n, int)
    return n


def _merge(problem: Problem, count: int) -> Problem | None:
    """The problem with the last `count` axes of updates and output as one; None if they are not dense."""
    if count < 2:
        return None
    data, indices, updates = problem.inputs
    assert updates is not None
    merged = merge_trailing([updates, *problem.outputs], count)
    return replace(problem, inputs=(data, indices, merged[0]), outputs=(merged[1],)) if merged else None


def _copy(problem: Problem, cpu: CpuSpec, symbol: str, dims: list[Dim]) -> tuple[Function, Dim]:
    """Phase: y = data."""
    data, indices, updates = problem.inputs
    assert data is not None
    whole = merge_trailing([data, *problem.outputs], len(data.shape))
    if whole is not None and whole[0].strides == whole[1].strides:
        data, y = whole
        problem = replace(problem, inputs=(data, indices, updates), outputs=(y,))
    axis = vector_axis(problem.outputs[0], data)
    rows = Rows(problem, cpu, symbol, dims, axis, lanes=natural_lanes(cpu, data.dtype))
    f, step, source, x = rows.f, rows.d(data.strides[axis] * data.dtype.itemsize), arg(rows.f, 0), data
    with rows.each() as coords:
        row = f.at(source, offset(f, rows.d, x, coords))
        rows.write(coords, "0", rows.length, lambda i, lanes, mask: load_strided(
            f, storage(x.dtype), f.at(row, f.mul(i, step)), step, lanes, mask))
    return f, rows.chunks


def _combined(f: Function, reduction: str, t: DType, old: str, new: str, lanes: int, cpu: CpuSpec) -> str:
    if reduction == "none":
        return new
    if t is DType.bool:
        function: str = {"add": "or", "max": "or", "mul": "and", "min": "and"}[reduction]
    else:
        function = reduction
    e: Expr = Apply(function, (In(0, t), In(1, t)), t)
    return emit(f, e, [old, new], lanes, cpu)


def _elements(f: Function, d: Dims, problem: Problem, cpu: CpuSpec) -> Dim:
    """ScatterElements' updates: one chunk per line along the axis."""
    op, (_, indices, updates), y = problem.op, problem.inputs, problem.outputs[0]
    assert isinstance(op, ScatterElements) and indices is not None and updates is not None
    others = [a for a in range(len(y.shape)) if a != op.axis]
    index_base, update_base, target = arg(f, 1), arg(f, 2), arg(f, 3)
    scalar, size = storage(y.dtype), y.dtype.itemsize
    with f.loop("chunk", "%begin", "%end") as chunk:
        coords = dict(zip(others, split_index(f, chunk, [d(indices.shape[a]) for a in others]), strict=True))
        line = f.at(target, offset(f, d, y, coords))
        named = f.at(index_base, offset(f, d, indices, coords))
        given = f.at(update_base, offset(f, d, updates, coords))
        with f.loop("i", "0", d(indices.shape[op.axis])) as i:
            p = f.at(named, f.mul(i, d(indices.strides[op.axis] * indices.dtype.itemsize)))
            k = load_index(f, indices.dtype, p, "0", 1, None, d(y.shape[op.axis]))
            place = f.at(line, f.mul(k, d(y.strides[op.axis] * size)))
            value = f.load(scalar, f.at(given, f.mul(i, d(updates.strides[op.axis] * size))))
            old = f.load(scalar, place) if op.reduction != "none" else ""
            f.store(scalar, _combined(f, op.reduction, y.dtype, old, value, 1, cpu), place)
    return product(indices.shape[a] for a in others)


def _slices(f: Function, d: Dims, problem: Problem, cpu: CpuSpec) -> Dim:
    """ScatterND's updates: one chunk per piece of a slice's last axis, which does all of them there."""
    op, (_, indices, updates), y = problem.op, problem.inputs, problem.outputs[0]
    assert isinstance(op, ScatterND) and indices is not None and updates is not None
    n, lead = _depth(indices), len(indices.shape) - 1
    inner = list(range(n, len(y.shape)))
    middle, last = inner[:-1], inner[-1] if inner else None
    index_base, update_base, target = arg(f, 1), arg(f, 2), arg(f, 3)
    scalar, size = storage(y.dtype), y.dtype.itemsize
    lanes = natural_lanes(cpu, y.dtype) if last is not None and y.strides[last] == 1 else 1
    length: Dim = y.shape[last] if last is not None else 1
    pieces = ceildiv(length, _PIECE)
    size_of = [d(x) for x in indices.shape[:-1]]
    count = d(product(indices.shape[:-1]))
    with f.loop("chunk", "%begin", "%end") as chunk:
        *where, piece = split_index(f, chunk, [*(d(y.shape[a]) for a in middle), d(pieces)])
        begin = f.mul(piece, _PIECE)
        end = f.minimum(f.add(begin, _PIECE), d(length))
        base = f.at(target, offset(f, d, y, dict(zip(middle, where, strict=True))))
        given = f.at(update_base, offset(f, d, updates, {a - n + lead: c for a, c in zip(middle, where, strict=True)}))
        with f.loop("u", "0", count) as u:
            rows = split_index(f, u, size_of)
            named = f.at(index_base, offset(f, d, indices, dict(enumerate(rows))))
            source, place = f.at(given, offset(f, d, updates, dict(enumerate(rows)))), base
            for axis in range(n):
                p = f.at(named, f.mul(axis, d(indices.strides[-1] * indices.dtype.itemsize)))
                k = load_index(f, indices.dtype, p, "0", 1, None, d(y.shape[axis]))
                place = f.at(place, f.mul(k, d(y.strides[axis] * size)))
            to = d(y.strides[last] * size) if last is not None else "0"
            step = d(updates.strides[last - n + lead] * size) if last is not None else "0"

            def apply(i: str, lanes: int, mask: str | None, source: str = source, place: str = place, to: str = to,
                      step: str = step) -> None:
                kind, at = vector(scalar, lanes), f.at(place, f.mul(i, to))
                value = load_strided(f, scalar, f.at(source, f.mul(i, step)), step, lanes, mask)
                if op.reduction != "none":
                    old = load_strided(f, scalar, at, to, lanes, mask)
                    value = _combined(f, op.reduction, y.dtype, old, value, lanes, cpu)
                if mask is None:
                    f.store(kind, value, at)
                else:
                    f.masked_store(kind, value, at, mask)

            full = f.add(begin, f.mul(f.divide(f.sub(end, begin), lanes), lanes))
            with f.loop("i", begin, full, lanes) as i:
                apply(i, lanes, None)
            if lanes > 1:
                with f.when(f.set(f"icmp slt i64 {full}, {end}")):
                    apply(full, lanes, f.tail_mask(lanes, f.sub(end, full)))
    return product([*(y.shape[a] for a in middle), pieces])
