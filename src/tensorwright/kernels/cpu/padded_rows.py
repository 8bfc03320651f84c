"""Direct convolution of images whose buffer has no zero border, such as a network's input in the user's memory.

Each chunk copies the few rows of inputs that its outputs need between zeros, into a workspace of the thread that stays
in the cache, and convolves from there. The layout does not change: planes of channels stay planes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...dims import Dim, ceildiv, evaluate
from ...ops.convolution import Convolution
from ...ops.fused import Fused
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, module, vector
from ..problem import Operand, Phase, Problem, Source, Workspace
from .blocking import Blocking, blocked_functions
from .contraction import Contraction, core_of
from .convolution import DirectConvolution, contraction, padding_readable
from .padded_copy import fill
from .tiling import candidates

CHANNELS = 4              # with more of them, one copy of the whole input into channels last costs less than it brings
PIECES = 8                # chunks per core that balance well


@dataclass(frozen=True)
class PaddedRows:
    """rows: rows of outputs per chunk. blocking: of the convolution of one chunk."""

    rows: int
    blocking: Blocking

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        order: list[Dim] = []
        part = Part.of(problem, self.rows)
        c = None if part is None else part.contraction
        assert part is not None and c is not None
        functions, chunks = blocked_functions(c, self.blocking, cpu, f"{symbol}_rows", order)
        main = _Writer(problem, part, chunks, cpu, symbol, order).write()
        n, _, p, _ = problem.outputs[0].shape
        return Source(module(main, *functions), (Phase(symbol, n * ceildiv(p, self.rows)),), tuple(order),
                      (Workspace(part.bytes, per_thread=True),), packed=(1,))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        part = Part.of(problem, self.rows)
        assert part is not None
        return DirectConvolution(self.blocking).pack(part.problem, cpu, index, array)


@dataclass(frozen=True)
class Part:
    """One chunk as a convolution by itself, without padding, from the rows in the workspace.

    rows      rows of outputs
    planes    runs of elements that are copied per row of inputs: one, or one per channel
    pixel     elements per pixel within a run
    height    rows of inputs per plane
    """

    problem: Problem
    rows: int
    planes: int
    pixel: int
    height: int

    @classmethod
    def of(cls, problem: Problem, rows: int) -> Part | None:
        """None where pixels of a row do not lie one after the other."""
        op, _, _ = core_of(problem.op)
        x, w, y = problem.inputs[0], problem.inputs[1], problem.outputs[0]
        assert isinstance(op, Convolution) and x is not None and w is not None
        channels, window = x.shape[1], w.shape[2]
        if len(x.shape) != 4 or not isinstance(channels, int) or not isinstance(window, int):
            return None
        planes, pixel = (channels, 1) if x.strides[3] == 1 else (1, channels)
        if x.strides[3] != pixel or (pixel > 1 and x.strides[1] != 1):
            return None
        height = (rows - 1) * op.strides[0] + (window - 1) * op.dilations[0] + 1
        width = x.shape[3] + sum(op.pads[1])
        step = width * pixel
        copied = Operand((1, channels, height, width), (step * height * planes, 1 if planes == 1 else step * height,
                                                        step, pixel), x.dtype)
        inner = replace(op, pads=((0, 0), (0, 0)))
        whole = Fused(inner, problem.op.epilogue, problem.op.arity) if isinstance(problem.op, Fused) else inner
        arity = problem.op.arity if isinstance(problem.op, Fused) else len(problem.inputs)
        extras = [e and _of_rows(e, rows) for e in problem.inputs[arity:]]
        inputs = (copied, *problem.inputs[1:arity], *extras)
        return cls(Problem(whole, inputs, (_of_rows(y, rows),), problem.tuned), rows, planes, pixel, height)

    @property
    def contraction(self) -> Contraction | None:
        """Its normal form, if the rows of outputs are still an axis of their own there."""
        c = contraction(self.problem)
        return c if c is not None and c.pixels[-2].extent == self.rows else None

    @property
    def bytes(self) -> Dim:
        x = self.problem.inputs[0]
        assert x is not None
        return x.strides[0] * x.dtype.itemsize


def _of_rows(x: Operand, rows: int) -> Operand:
    return replace(x, shape=(1, x.shape[1], rows, x.shape[3]))


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[PaddedRows]:
    """Needs images of at most CHANNELS channels whose padding is not readable, one group and constant filters."""
    op, _, _ = core_of(problem.op)
    assert isinstance(op, Convolution)
    x, w = problem.inputs[:2]
    if x is None or w is None or not w.constant or op.groups != 1 or len(x.shape) != 4 or padding_readable(op, problem):
        return
    if not isinstance(x.shape[1], int) or x.shape[1] > CHANNELS or any(d == 0 for d in problem.outputs[0].shape):
        return
    tuned = dict(problem.tuned)
    n, _, p, _ = (max(1, evaluate(d, tuned)) for d in problem.outputs[0].shape)
    most, rows = max(1, n * p // (PIECES * cpu.cores)), 1
    part = Part.of(problem, 1)
    for more in range(2, min(p, most) + 1):
        larger = Part.of(problem, more)
        if larger is not None and larger.contraction is not None and evaluate(larger.bytes, tuned) <= cpu.l2 // 16:
            part, rows = larger, more
    c = None if part is None else part.contraction
    if c is None:
        return
    found = (replace(k, rows=1, order="pixels", chunk_rows=1, chunk_tiles=0, prefetch=0)
             for k in candidates(c, cpu, tuned))
    yield from (PaddedRows(rows, k) for k in dict.fromkeys(found))


class _Writer:
    """The entry @symbol; @symbol_rows convolves the rows, `chunks` chunks of it for all of them."""

    def __init__(self, problem: Problem, part: Part, chunks: Dim, cpu: CpuSpec, symbol: str, order: list[Dim]) -> None:
        self.problem, self.part, self.chunks, self.cpu, self.symbol = problem, part, chunks, cpu, symbol
        x, y, (op, _, arity) = problem.inputs[0], problem.outputs[0], core_of(problem.op)
        assert x is not None and isinstance(op, Convolution)
        self.x, self.y, self.op, self.arity = x, y, op, arity or len(problem.inputs)
        self.f = entry(symbol)
        self.d = Dims(self.f, order)

    def write(self) -> Function:
        f, d, inputs = self.f, self.d, len(self.problem.inputs)
        rows = self.part.rows
        scratch = f.at(arg(f, inputs + 1), f.mul("%thread", d(self.part.bytes)))
        local = f.alloca(f"[{inputs + 1} x ptr]", "local")
        for i in range(inputs + 1):
            f.store("ptr", arg(f, i) if i else scratch, f.at(local, 8 * i), 8)
        moving = [(inputs, self.y)] + [(i, e) for i, e in enumerate(self.problem.inputs) if i >= self.arity and e]
        starts = {i: arg(f, i) for i, _ in moving}
        x, blocks = arg(f, 0), d(ceildiv(self.y.shape[2], rows))
        with f.loop("chunk", f.begin, f.end) as chunk:
            n, first = f.divide(chunk, blocks), f.mul(f.remainder(chunk, blocks), rows)
            count = f.minimum(f.sub(d(self.y.shape[2]), first), rows)
            self._copy(f.at(x, f.mul(n, d(self.x.strides[0] * self.x.dtype.itemsize))), scratch, first, count)
            for i, operand in moving:
                size = operand.dtype.itemsize
                place = f.add(f.mul(n, d(operand.strides[0] * size)), f.mul(first, d(operand.strides[2] * size)))
                f.store("ptr", f.at(starts[i], place), f.at(local, 8 * i), 8)
            per_row = f.divide(d(self.chunks), rows)
            f.call("void", f"{self.symbol}_rows", ("ptr", local), ("ptr", "%dims"), ("i64", "0"),
                   ("i64", f.mul(count, per_row)), ("i64", "0"))
        return f

    def _copy(self, x: str, scratch: str, first: str, count: str) -> None:
        """The rows of inputs that rows first..first + count of outputs need, between zeros."""
        f, d, op, part, size = self.f, self.d, self.op, self.part, self.x.dtype.itemsize
        scalar, lanes = SCALAR[self.x.dtype], self.cpu.lanes
        before, after = (p * part.pixel for p in op.pads[1])
        run = self.x.shape[3] * part.pixel
        step = (run + before + after) * size
        needed = f.add(f.mul(f.sub(count, 1), op.strides[0]), part.height - (part.rows - 1) * op.strides[0])
        top = f.sub(f.mul(first, op.strides[0]), op.pads[0][0])
        with f.loop("plane", 0, part.planes) as plane, f.loop("i", 0, needed) as i:
            to = f.at(scratch, f.mul(f.add(f.mul(plane, part.height), i), d(step)))
            row = f.add(top, i)
            exists = f.set(f"icmp ult i64 {row}, {d(self.x.shape[2])}")      # unsigned: a negative row does not exist
            with f.when(exists):
                place = f.add(f.mul(plane, d(self.x.strides[1] * size)), f.mul(row, d(self.x.strides[2] * size)))
                fill(f, to, str(before), scalar, size, lanes)
                inner = f.at(to, before * size)
                _copy_run(f, f.at(x, place), inner, d(run), scalar, size, lanes)
                fill(f, f.at(inner, d(run * size)), str(after), scalar, size, lanes)
            with f.when(f.op("xor", "i1", exists, "true")):
                fill(f, to, d(run + before + after), scalar, size, lanes)


def _copy_run(f: Function, source: str, target: str, count: str, scalar: str, size: int, lanes: int) -> None:
    whole = f.mul(f.divide(count, lanes), lanes)
    for name, first, last, width in (("v", "0", whole, lanes), ("c", whole, count, 1)):
        with f.loop(name, first, last, step=width) as i:
            at = f.mul(i, size)
            f.store(vector(scalar, width), f.load(vector(scalar, width), f.at(source, at)), f.at(target, at))
