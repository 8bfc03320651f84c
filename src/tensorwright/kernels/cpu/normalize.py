"""Normalisation over axes: vectors along the row (layer norm), or across kept elements (channels-last instance norm).

The mean is found first and the variance from the differences to it, so nothing cancels; rows stay in cache between
the passes. The epilogue, usually scale and shift, runs in the last pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...dims import Dim, mul, product
from ...ops.fused import Fused
from ...ops.normalize import Normalize
from ...targets import CpuSpec
from ..llvm import entry, module
from ..problem import Phase, Problem, Source, Tactic, Workspace
from .access import lanes_for
from .normalize_writer import NormalizeWriter
from .row_form import Rows, normal_form
from .row_writer import row_entry, row_kernel
from .space import MOST, Axis, tuned


@dataclass(frozen=True)
class NormalizeRows:
    """across: vectors hold kept elements, else elements of the last normalised axis. parts: rows are cut along their
    first axis; a first phase finds the moments of each part, a second one joins them and normalises."""

    across: bool
    parts: int = 1

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        whole = normal_form(problem)
        core = problem.op.core if isinstance(problem.op, Fused) else problem.op
        assert whole is not None and isinstance(core, Normalize)
        if self.parts == 1:
            return row_kernel(problem, cpu, whole, self.across, symbol,
                              lambda f, order: NormalizeWriter(f, order, whole, cpu, core))
        rows, order, functions, phases = with_scratch(whole, len(problem.inputs) + 1), list[Dim](), [], []
        for stage in ("moments", "apply"):
            f = entry(f"{symbol}_{stage}")
            writer = NormalizeWriter(f, order, rows, cpu, core, self.parts, stage)
            phases.append(Phase(f.name, row_entry(problem, cpu, rows, self.across, writer, self.parts)))
            functions.append(f)
        size = mul(product(a.size for a in rows.kept), 2 * self.parts * rows.dtypes[0].itemsize)
        return Source(module(*functions), tuple(phases), tuple(order), (Workspace(size),))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is packed")


def with_scratch(rows: Rows, argument: int) -> Rows:
    """The same rows with one more operand: an element for every combination of kept axes."""
    dense = [product(a.size for a in rows.kept[k + 1:]) for k in range(len(rows.kept))]
    return replace(rows, dtypes=(*rows.dtypes, rows.dtypes[0]), arguments=(*rows.arguments, argument),
                   kept=tuple(Axis(a.size, (*a.strides, s)) for a, s in zip(rows.kept, dense, strict=True)),
                   reduced=tuple(Axis(a.size, (*a.strides, 0)) for a in rows.reduced))


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Tactic]:
    rows = normal_form(problem)
    if rows is None:
        return
    axis, lanes = rows.reduced[-1], lanes_for(cpu, [rows.dtypes[0]])
    contiguous = axis.strides[0] == 1 and axis.size != 1
    across = bool(rows.kept) and not contiguous
    count, length = tuned(problem, product(a.size for a in rows.kept)), tuned(problem, rows.length)
    parts = min(2 * cpu.cores, tuned(problem, rows.reduced[0].size))
    alone = -(-count // lanes) if across else count
    if cpu.cores > 1 and parts > 1 and alone < 2 * cpu.cores and count * length >= 4 * MOST:
        yield NormalizeRows(across, parts)
    yield NormalizeRows(across)
    if rows.kept and contiguous and tuned(problem, axis.size) < lanes:
        yield NormalizeRows(True)
