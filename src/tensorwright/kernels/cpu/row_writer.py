"""What Softmax and Normalize share: the walk over rows, and the last pass's epilogue and store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...dims import Dim, ceildiv, mul
from ...ops.expr import operands
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, module
from ..problem import Phase, Problem, Source
from .access import lanes_for, load, masks_are_cheap, store
from .lanes import Lanes
from .pointwise_printer import emit
from .row_form import Rows
from .space import Axis, Walk, chunk_size, split, tuned


class RowWriter:
    """Base of the writers of one row (`along`) or of vectors of rows (`across`). Operands are x, y, extras."""

    def __init__(self, f: Function, order: list[Dim], rows: Rows, cpu: CpuSpec) -> None:
        self.f, self.rows, self.cpu = f, rows, cpu
        self.d = Dims(f, order)
        self.w = Walk(f, self.d, [t.itemsize for t in rows.dtypes])
        self.x, self.y = rows.dtypes[:2]
        self.scalar, self.lanes = SCALAR[self.x], lanes_for(cpu, [self.x])
        self.ends = [self.d(a.size) for a in rows.reduced]
        self.cheap_masks = masks_are_cheap(cpu, rows.dtypes)
        self.part = "0"
        self.used = {node.index for node in operands(rows.epilogue)}

    def along(self, pointers: list[str]) -> None:
        raise NotImplementedError

    def across(self, pointers: list[str], row: Axis, begin: str, end: str) -> None:
        raise NotImplementedError

    def enter_part(self, start: Sequence[str], chunk: str, chunks: str, parts: int) -> tuple[list[str], str]:
        """(pointers at the chunk's part of a row's first axis, the chunk within the part). Sets part and ends[0]."""
        f, first = self.f, self.rows.reduced[0]
        block = self.d(ceildiv(first.size, parts))
        self.part = f.divide(chunk, chunks)
        begin = f.mul(self.part, block)
        self.ends[0] = f.maximum(f.minimum(block, f.sub(self.d(first.size), begin)), 0)
        return self.w.step(start, first, begin), f.remainder(chunk, chunks)

    def vector(self, lanes: int) -> Lanes:
        return Lanes(self.f, lanes, self.cpu, self.scalar)

    def read(self, here: Sequence[str], strides: Sequence[Dim], lanes: int, mask: str = "") -> str:
        """x at one place."""
        return load(self.f, self.d, self.x, here[0], strides[0], lanes, mask)

    def finish(self, value: str, here: Sequence[str], strides: Sequence[Dim], lanes: int, mask: str = "") -> None:
        """The epilogue of a result, and the store, at one place."""
        f, d = self.f, self.d
        values = [value, *("" for _ in self.rows.dtypes[2:])]
        for k, t in enumerate(self.rows.dtypes[2:], 1):
            if k in self.used:
                values[k] = load(f, d, t, here[1 + k], strides[1 + k], lanes, "" if strides[1 + k] == 0 else mask)
        y = emit(f, self.rows.epilogue, values, lanes, self.cpu)
        store(f, d, self.y, y, here[1], strides[1], lanes, mask)


def row_entry(problem: Problem, cpu: CpuSpec, rows: Rows, across: bool, writer: RowWriter,
              parts: int = 1) -> Dim:
    """Fills the writer's function; returns its number of chunks. Chunks are rows; for `across`, blocks of vectors along
    the last kept axis; with parts, one part of such rows."""
    f = writer.f
    start = [arg(f, k) for k in rows.arguments]
    row = rows.kept[-1] if across and rows.kept else Axis(1, (1,) * len(start))
    outer = rows.kept[:-1] if across else rows.kept
    elements, weight = chunk_size(problem, problem.outputs[0].shape, cpu), max(tuned(problem, rows.length) // parts, 1)
    cut = split(problem, [*outer, row], 1, elements, writer.lanes, weight) if across else None
    whole = cut is None or bool(cut.inner)                       # a chunk has all of the vector axis
    if cut is None or cut.inner:
        cut = split(problem, outer, row.size, elements, 1, weight)
    with f.loop("chunk", f.begin, f.end) as chunk:
        here, at = start, chunk
        if parts > 1:
            here, at = writer.enter_part(start, chunk, writer.d(cut.chunks), parts)
        if not whole:
            with cut.cuts(writer.w, here, at) as (pointers, begin, end):
                writer.across(pointers, row, begin, end)
        else:
            with cut.walk(writer.w, here, at) as pointers:
                if across:
                    writer.across(pointers, row, "0", writer.d(row.size))
                else:
                    writer.along(pointers)
    return mul(cut.chunks, parts)


def row_kernel(problem: Problem, cpu: CpuSpec, rows: Rows, across: bool, symbol: str,
               make: Callable[[Function, list[Dim]], RowWriter]) -> Source:
    """A source of one entry."""
    f, order = entry(symbol), list[Dim]()
    chunks = row_entry(problem, cpu, rows, across, make(f, order))
    return Source(module(f), (Phase(symbol, chunks),), tuple(order))
