"""Tensors made from parameters alone: ramps, constants, and the values of symbolic dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...dims import Dim
from ...dims import Expr as DimExpr
from ...dtypes import NATIVE
from ...ops.create import Fill, Iota, ShapeVector
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, literal, module, vector
from ..problem import Phase, Problem, Source
from .rows import Rows, index_vector, natural_lanes, unfuse, vector_axis


@dataclass(frozen=True)
class Filling:
    """Rows of vectors, computed and stored once."""

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        op, _, _ = unfuse(problem)
        y, dims = problem.outputs[0], list[Dim]()
        if isinstance(op, ShapeVector) and op is problem.op:
            return _shape_vector(problem, op, symbol)
        rows = Rows(problem, cpu, symbol, dims, vector_axis(y) if y.shape else None, lanes=natural_lanes(cpu, y.dtype))
        f, d = rows.f, rows.d
        with rows.each() as coords:
            if isinstance(op, Fill):
                scalar = SCALAR[op.dtype]
                value = literal(op.dtype.numpy.type(op.value).item(), scalar)
                rows.write(coords, "0", rows.length, lambda i, lanes, mask: f.splat(vector(scalar, lanes), value))
            elif isinstance(op, Iota):
                along = op.axis == rows.axis
                rows.write(coords, "0", rows.length, lambda i, lanes, mask: _ramp(
                    f, d, op, index_vector(f, i, lanes) if along else
                    f.splat(vector("i64", lanes), coords[op.axis]), lanes))
            else:
                assert isinstance(op, ShapeVector)
                rows.write(coords, "0", rows.length, lambda i, lanes, mask: _pick(f, d, op, i), lanes=1)
        return Source(module(f), (Phase(symbol, rows.chunks),), tuple(dims))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is packed")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Filling]:
    op, _, _ = unfuse(problem)
    dtype = getattr(op, "dtype", problem.outputs[0].dtype)
    if dtype in NATIVE and problem.outputs[0].dtype in SCALAR:
        yield Filling()


def _ramp(f: Function, d: Dims, op: Iota, index: str, lanes: int) -> str:
    """start + step·index, in i64 or double as NumPy computes it, then in the operator's type."""
    wide, scalar = vector("double" if op.dtype.is_float else "i64", lanes), vector(SCALAR[op.dtype], lanes)

    def parameter(value: Dim | float) -> str:
        if not isinstance(value, DimExpr):
            return f.const(wide, value)
        number = d(value)
        return f.splat(wide, f.set(f"sitofp i64 {number} to double") if op.dtype.is_float else number)

    start, step = parameter(op.start), parameter(op.step)
    if op.dtype.is_float:
        x = f.set(f"sitofp {vector('i64', lanes)} {index} to {wide}")
        x = f.op("fadd", wide, f.op("fmul", wide, x, step), start)
        return x if scalar == wide else f.set(f"fptrunc {wide} {x} to {scalar}")
    x = f.op("add", wide, f.op("mul", wide, index, step), start)
    return x if scalar == wide else f.set(f"trunc {wide} {x} to {scalar}")


def _pick(f: Function, d: Dims, op: ShapeVector, i: str) -> str:
    """Element i of the shape vector."""
    value = "0"
    for k, dim in enumerate(op.dims):
        value = f.select(f.set(f"icmp eq i64 {i}, {k}"), "i64", d(dim), value)
    return value


def _shape_vector(problem: Problem, op: ShapeVector, symbol: str) -> Source:
    dims: list[Dim] = []
    f, y = entry(symbol), problem.outputs[0]
    d, target = Dims(f, dims), arg(f, 0)
    with f.when(f.set("icmp slt i64 %begin, %end")):
        for k, dim in enumerate(op.dims):
            f.store("i64", d(dim), f.at(target, f.mul(k, d(y.strides[0] * 8))))
    return Source(module(f), (Phase(symbol, 1),), tuple(dims))
