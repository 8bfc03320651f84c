"""Matrix products: B constant and packed, B used in place, or B packed by a first phase."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Union

import numpy as np

from ...dims import Dim, evaluate
from ...targets import CpuSpec
from ..llvm import module
from ..problem import Phase, Problem, Source, Workspace
from .blocking import Blocking, blocked_functions
from .dot import DotBlock, DotWriter
from .packing import pack_panels, padded_columns
from .product_form import NormalForm, normal_form
from .repack import repack_function
from .tiling import candidates


@dataclass(frozen=True)
class BlockedMatMul:
    """Register tiles over rows × columns.

    b   "constant": packed at build. "in place": rows of B are read where they lie. "repacked": by a first phase.
    """

    blocking: Blocking
    b: str

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        form = normal_form(problem)
        assert form is not None
        c, k = form.contraction, self.blocking
        order: list[Dim] = []
        if self.b != "repacked":
            functions, chunks = blocked_functions(c, k, cpu, symbol, order)
            packed = (1,) if self.b == "constant" else ()
            return Source(module(*functions), (Phase(symbol, chunks),), tuple(order), packed=packed)
        target = len(problem.inputs) + 1
        first, first_chunks = repack_function(form.matrices(target), k.nr, k.lanes, f"{symbol}_pack", order)
        functions, chunks = blocked_functions(form.reading(target), k, cpu, symbol, order)
        size = padded_columns(c.n, k.nr * k.lanes, k.lanes) * c.steps * c.groups * c.dtype.itemsize
        return Source(module(first, *functions), (Phase(first.name, first_chunks), Phase(symbol, chunks)), tuple(order),
                      (Workspace(size),))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        k, n = (array.shape[-2], array.shape[-1]) if array.ndim > 1 else (array.shape[0], 1)
        b = self.blocking
        return pack_panels(array.reshape(math.prod(array.shape[:-2]), k, n), b.nr * b.lanes, b.lanes)


@dataclass(frozen=True)
class DotProducts:
    """Vectors along k, which has stride 1 in A and in B."""

    block: DotBlock

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        form = normal_form(problem, any_columns=True)
        assert form is not None
        order: list[Dim] = []
        writer = DotWriter(form.contraction, form.n_stride, self.block, cpu, symbol, order)
        return Source(module(writer.write()), (Phase(symbol, writer.chunks),), tuple(order))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is packed")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Union[BlockedMatMul, DotProducts]]:
    """Blocked products, when y's columns have stride 1; dot products, when k has stride 1 in A and in B."""
    form, general = normal_form(problem), normal_form(problem, any_columns=True)
    if general is None:
        return
    tuned, dots = dict(problem.tuned), list(_dots(general, dict(problem.tuned)))
    c = general.contraction
    if form is None:
        yield from dots
    elif form.b.constant and isinstance(c.n, int) and isinstance(c.steps, int):
        yield from dots
        yield from (BlockedMatMul(k, "constant") for k in candidates(c, cpu, tuned))
    else:
        in_place = [BlockedMatMul(k, "in place") for k in candidates(c, cpu, tuned, packed=False)]
        repacked = [BlockedMatMul(k, "repacked") for k in candidates(c, cpu, tuned)]
        if form.n_stride != 1:
            in_place = []
        rows = evaluate(c.pixels[-1].extent, tuned) * evaluate(c.pixels[-2].extent, tuned)
        first, second = (in_place, repacked) if rows <= 64 and in_place else (repacked, in_place)
        yield from dots
        yield from [*first[:1], *second[:2], *first[1:3]]


def _dots(form: NormalForm, tuned: dict[str, int]) -> Iterator[DotProducts]:
    """Dot products where there are few columns, or few rows and B would have to be copied."""
    c = form.contraction
    rows, columns, steps = (evaluate(d, tuned) for d in (c.pixels[-1].extent, c.n, c.steps))
    unit = c.taps[-1][1] == 1 and form.k_stride == 1
    few = columns <= 2 or (rows <= 4 and form.n_stride != 1) or c.y_n != 1
    if not unit or not few:
        return
    mr, nr = (8, 1) if columns == 1 else (4, 2) if columns <= 2 else (1, 8) if rows == 1 else (2, 4)
    mr = min(mr, rows) if isinstance(c.pixels[-1].extent, int) else mr
    yield DotProducts(DotBlock(mr, nr, max(1, 50_000 // max(1, steps * mr * nr))))
