"""Running sums and products along one axis, for any strides. Floating point accumulates in double precision.

Vectors run along another axis where the output has stride 1; along the scanned axis itself elements go one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...dims import Dim, ceildiv, product
from ...dtypes import NATIVE, DType
from ...ops.scan import CumProd, CumSum
from ...targets import CpuSpec
from ..llvm import SCALAR, arg, module, vector
from ..problem import Phase, Problem, Source
from .rows import Rows, load_strided, natural_lanes, offset, split_index, unfuse


@dataclass(frozen=True)
class Running:
    """across: the axis that vectors run along; None: the scanned axis is walked one element at a time."""

    across: int | None

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        op, _, _ = unfuse(problem)
        x, y = problem.inputs[0], problem.outputs[0]
        assert isinstance(op, (CumSum, CumProd)) and x is not None
        dims: list[Dim] = []
        lanes = natural_lanes(cpu, DType.float32, x.dtype)
        rows = Rows(problem, cpu, symbol, dims, op.axis if self.across is None else self.across, lanes=lanes)
        f, d, lanes = rows.f, rows.d, 1 if self.across is None else rows.lanes
        scalar = SCALAR[x.dtype]
        kind, wide = vector(scalar, lanes), vector("double" if x.dtype.is_float else scalar, lanes)
        name = {"CumSum": "add", "CumProd": "mul"}[type(op).__name__]
        neutral = f.const(wide, 0 if isinstance(op, CumSum) else 1)
        others = [a for a in range(len(y.shape)) if a not in (op.axis, self.across)]
        source, length = arg(f, 0), d(x.shape[op.axis])
        step = "0" if self.across is None else d(x.strides[self.across] * x.dtype.itemsize)
        pieces: Dim = 1 if self.across is None else ceildiv(y.shape[self.across], lanes)

        def walk(coords: dict[int, str], place: str, i: str, mask: str | None) -> None:
            with f.reduce_loop("s", "0", length, [(wide, neutral)]) as (s, (total,), following):
                at = f.sub(f.sub(length, 1), s) if op.reverse else s
                p = f.at(place, f.mul(at, d(x.strides[op.axis] * x.dtype.itemsize)))
                value = load_strided(f, scalar, p, step, lanes, mask)
                value = value if kind == wide else f.set(f"fpext {kind} {value} to {wide}")
                new = f.op(f"f{name}" if x.dtype.is_float else name, wide, total, value)
                out = total if op.exclusive else new
                out = out if kind == wide else f.set(f"fptrunc {wide} {out} to {kind}")
                if self.across is None:
                    rows.putter(coords)(at, 1, None, out)
                else:
                    rows.putter({**coords, op.axis: at})(i, lanes, mask, out)
                following.append(new)

        with f.loop("chunk", "%begin", "%end") as chunk:
            *where, piece = split_index(f, chunk, [*(d(y.shape[a]) for a in others), d(pieces)])
            coords = dict(zip(others, where, strict=True))
            i = f.mul(piece, lanes)
            place = f.at(f.at(source, offset(f, d, x, coords)), f.mul(i, step))
            if self.across is None or lanes == 1:
                walk(coords, place, i, None)
            else:
                rest = f.sub(d(y.shape[self.across]), i)
                whole, part, done = f.new_label("whole"), f.new_label("part"), f.new_label("next")
                f.branch(f.set(f"icmp sge i64 {rest}, {lanes}"), whole, part)
                f.label(whole)
                walk(coords, place, i, None)
                f.br(done)
                f.label(part)
                walk(coords, place, i, f.tail_mask(lanes, rest))
                f.br(done)
                f.label(done)
        chunks = product([*(y.shape[a] for a in others), pieces])
        return Source(module(f), (Phase(symbol, chunks),), tuple(dims))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("scans pack nothing")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Running]:
    op, _, _ = unfuse(problem)
    x, y = problem.inputs[0], problem.outputs[0]
    if not isinstance(op, (CumSum, CumProd)) or x is None or x.dtype not in NATIVE or x.dtype is DType.bool:
        return
    unit = [a for a in range(len(y.shape)) if a != op.axis and y.strides[a] == 1 and y.shape[a] != 1]
    both = [a for a in unit if x.strides[a] == 1]
    yield Running(both[-1] if both else unit[-1] if unit else None)
