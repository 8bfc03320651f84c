"""Resampling: nearest, linear and cubic, any number of axes, any strides, with an epilogue.

Indices and weights come from tables, one set per axis. Rows run along an axis on which both tensors have stride 1, if
possible one that keeps its size (channels last: weights are scalars). Else the input rows that make an output row are
blended into a row of scratch memory first, from which elements are picked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from ...dims import Dim
from ...dtypes import NATIVE, DType
from ...ops.resize import Resize
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, entry, literal, module, vector
from ..problem import Operand, Phase, Problem, Source, Workspace
from .resize_tables import Computed, Table, global_text, tables
from .rows import Rows, load_at, load_strided, natural_lanes, offset, unfuse

_UNROLL = 16                                        # taps of one output element that are written out


@dataclass(frozen=True)
class Resampling:
    """axis: the one that rows run along. staged: input rows are blended in scratch memory, elements picked from it."""

    axis: int
    staged: bool = False

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        op, _, _ = unfuse(problem)
        x = problem.inputs[0]
        assert isinstance(op, Resize) and x is not None
        found = tables(op, x.shape, x.dtype.numpy)
        assert found is not None
        dims: list[Dim] = []
        functions: list[Function] = []
        phases: list[Phase] = []
        workspaces: tuple[Workspace, ...] = ()
        if any(t.constants is None for t in found[0]):
            f = entry(f"{symbol}_tables")
            with f.when(f.set("icmp slt i64 %begin, %end")):
                space, d = arg(f, len(problem.inputs) + 1), Dims(f, dims)
                for t in found[0]:
                    if t.constants is None:
                        Computed(f, d, op, t, SCALAR[x.dtype] if x.dtype.is_float else "float").fill(space)
            functions.append(f)
            phases.append(Phase(f.name, 1))
            workspaces = (Workspace(found[1]),)
        if self.staged:
            row = (x.shape[self.axis] + 3 * cpu.vector_bits // 8) * x.dtype.itemsize
            workspaces = (*workspaces, Workspace((row + 63) // 64 * 64, per_thread=True))
        rows = Rows(problem, cpu, f"{symbol}_rows", dims, self.axis,
                    lanes=natural_lanes(cpu, x.dtype, problem.outputs[0].dtype))
        writer = _Writer(rows, problem, op, x, found[0], symbol, workspaces)
        writer.write()
        text = module(*writer.globals, *functions, rows.f)
        return Source(text, (*phases, Phase(rows.f.name, rows.chunks)), tuple(dims), workspaces)

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        raise AssertionError("resizing packs nothing")


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Resampling]:
    op, _, _ = unfuse(problem)
    x, y = problem.inputs[0], problem.outputs[0]
    if not isinstance(op, Resize) or x is None or x.dtype not in NATIVE or not y.shape:
        return
    if op.mode != "nearest" and x.dtype not in (DType.float32, DType.float64):
        return
    found = tables(op, x.shape, x.dtype.numpy)
    if found is None or any(isinstance(t.extent, int) and t.extent < 1 for t in found[0]):
        return
    changed = {t.axis for t in found[0]}
    unit = [a for a in range(len(y.shape)) if y.strides[a] == 1 and y.shape[a] != 1]
    kept = [a for a in unit if a not in changed and x.strides[a] == 1]
    axis = (kept[-1:] or unit[-1:] or [len(y.shape) - 1])[0]
    shrinks = problem.at_tuned(x.shape[axis]) > 8 * problem.at_tuned(y.shape[axis])
    yield Resampling(axis, staged=axis in changed and y.strides[axis] == 1 and not shrinks)


class _Writer:
    def __init__(self, rows: Rows, problem: Problem, op: Resize, x: Operand, found: list[Table], symbol: str,
                 workspaces: tuple[Workspace, ...]) -> None:
        self.rows, self.f, self.d, self.op, self.x, self.symbol = rows, rows.f, rows.d, op, x, symbol
        self.cpu = rows.cpu
        self.scalar, self.size = SCALAR[x.dtype], x.dtype.itemsize
        self.globals: list[str] = []
        self.source = arg(self.f, 0)
        first = len(problem.inputs) + 1
        space = arg(self.f, first) if any(t.constants is None for t in found) else ""
        self.row = ""                                                # scratch, when rows are staged
        if workspaces and workspaces[-1].per_thread:
            scratch = workspaces[-1].bytes
            self.row = self.f.at(arg(self.f, first + len(workspaces) - 1), self.f.mul("%thread", self.d(scratch)))
        self.places = {t.axis: self.pointers(t, space) for t in found}
        self.unrolled = prod(t.taps for t in found) <= _UNROLL
        self.outer = [t for t in found if t.axis != rows.axis]
        self.along = next((t for t in found if t.axis == rows.axis), None)

    def pointers(self, t: Table, space: str) -> tuple[str, str, str]:
        """Indices, weights, outside."""
        if t.constants is None:
            a, b, c = (self.f.at(space, self.d(o)) for o in t.offsets)
            return a, b, c
        names = [f"{self.symbol}_{what}{t.axis}" for what in ("index", "weight", "outside")]
        wanted = (True, t.weighted, t.flagged)
        for name, array, scalar, want in zip(names, t.constants, ("i32", self.scalar, "i8"), wanted, strict=True):
            if want:
                self.globals.append(global_text(name, array, scalar))
        a, b, c = (f"@{name}" for name in names)
        return a, b, c

    def write(self) -> None:
        f, changed = self.f, {t.axis for t in self.outer}
        with self.rows.each() as coords:
            base = f.at(self.source, offset(f, self.d, self.x, {a: c for a, c in coords.items() if a not in changed}))
            outside = "false"
            for t in self.outer:
                if t.flagged:
                    flag = f.load("i8", f.at(self.places[t.axis][2], coords[t.axis]))
                    bit = f.set(f"icmp ne i8 {flag}, 0")
                    outside = bit if outside == "false" else f.op("or", "i1", outside, bit)
            hoisted = {t.axis: [self.tap(t, str(k), coords[t.axis]) for k in range(t.taps)]
                       for t in self.outer} if self.unrolled else {}

            step = self.d(self.x.strides[self.rows.axis] * self.size) if self.rows.axis is not None else "0"
            if self.row:
                self.stage(base, coords, hoisted, step)

            def element(i: str, lanes: int, mask: str | None) -> str:
                if self.row:
                    value = self.pick(self.row, str(self.size), i, lanes, mask)
                elif self.along is not None:
                    value = self.nest(0, base, coords, hoisted, lanes, lambda p: self.pick(p, step, i, lanes, mask))
                else:
                    value = self.nest(0, base, coords, hoisted, lanes, lambda p: load_strided(
                        f, self.scalar, f.at(p, f.mul(i, step)), step, lanes, mask))
                return self.extrapolated(value, outside, i, lanes, mask)

            self.rows.write(coords, "0", self.rows.length, element)

    def tap(self, t: Table, k: str, o: str) -> tuple[str, str]:
        """(byte offset, weight) of tap k of output index o, an axis across the row."""
        f = self.f
        place = f.add(f.mul(k, self.d(t.length)), o)
        index = f.set(f"sext i32 {f.load('i32', f.at(self.places[t.axis][0], f.mul(place, 4)))} to i64")
        weight = f.load(self.scalar, f.at(self.places[t.axis][1], f.mul(place, self.size))) if t.weighted else ""
        return f.mul(index, self.d(self.x.strides[t.axis] * self.size)), weight

    def stage(self, base: str, coords: dict[int, str], hoisted: dict[int, list[tuple[str, str]]], step: str) -> None:
        """The input row, or the blend of several that makes the output row at coords, as a dense row in scratch."""
        f, lanes = self.f, self.rows.lanes
        assert self.along is not None
        vec, length = vector(self.scalar, lanes), self.d(self.along.extent)

        def put(c: str, mask: str | None) -> None:
            value = self.nest(0, base, coords, hoisted, lanes, lambda p: load_strided(
                f, self.scalar, f.at(p, f.mul(c, step)), step, lanes, mask))
            f.store(vec, value, f.at(self.row, f.mul(c, self.size)))

        full = f.mul(f.divide(length, lanes), lanes)
        with f.loop("c", "0", full, lanes) as c:
            put(c, None)
        if full != length:
            with f.when(f.set(f"icmp slt i64 {full}, {length}")):
                put(full, f.tail_mask(lanes, f.sub(length, full)))

    def nest(self, level: int, pointer: str, coords: dict[int, str], hoisted: dict[int, list[tuple[str, str]]],
             lanes: int, leaf: Callable[[str], str]) -> str:
        """Σ over the taps of axes number `level` and on, of what leaf reads at the input row's pointer."""
        f, vec = self.f, vector(self.scalar, lanes)
        if level == len(self.outer):
            return leaf(pointer)
        t = self.outer[level]

        def one(tap: tuple[str, str], total: str) -> str:
            value = self.nest(level + 1, f.at(pointer, tap[0]), coords, hoisted, lanes, leaf)
            return self.weighted(vec, value, f.splat(vec, tap[1]) if tap[1] else "", total)

        if self.unrolled:
            total = ""
            for tap in hoisted[t.axis]:
                total = one(tap, total)
            return total
        with f.reduce_loop("tap", "0", t.taps, [(vec, f.const(vec, 0))]) as (k, (now,), following):
            following.append(one(self.tap(t, k, coords[t.axis]), now))
        return now

    def weighted(self, vec: str, value: str, weight: str, total: str) -> str:
        if not weight:
            return value
        return self.f.fma(vec, weight, value, total) if total else self.f.op("fmul", vec, weight, value)

    def pick(self, row: str, step: str, i: str, lanes: int, mask: str | None) -> str:
        """Σ over the taps along the row, of output elements i, i + 1, ...; `step` bytes between the row's elements."""
        f, t, vec = self.f, self.along, vector(self.scalar, lanes)
        assert t is not None
        indices, weights, _ = self.places[t.axis]
        near = self.near(t, lanes)
        if near:                                                     # all taps lie in two vectors: pick from registers
            start = f.set(f"sext i32 {f.load('i32', f.at(indices, f.mul(i, 4)))} to i64")
            window = [f.load(vec, f.at(row, f.mul(f.add(start, k * lanes), self.size))) for k in range(2)]
            origin = f.splat(f"<{lanes} x i32>", f.set(f"trunc i64 {start} to i32"))

        def one(k: str, total: str) -> str:
            place = f.add(f.mul(k, self.d(t.length)), i)
            raw = load_strided(f, "i32", f.at(indices, f.mul(place, 4)), "4", lanes, mask)
            if near:
                value = self.permute(window[0], f.op("sub", f"<{lanes} x i32>", raw, origin), window[1])
            else:
                wide = vector("i64", lanes)
                index = f.set(f"sext {vector('i32', lanes)} {raw} to {wide}")
                value = load_at(f, self.scalar, row, f.op("mul", wide, index, f.splat(wide, step)), lanes, mask)
            weight = load_strided(f, self.scalar, f.at(weights, f.mul(place, self.size)), str(self.size), lanes,
                                  mask) if t.weighted else ""
            return self.weighted(vec, value, weight, total)

        if self.unrolled:
            total = ""
            for number in range(t.taps):
                total = one(str(number), total)
            return total
        with f.reduce_loop("tap", "0", t.taps, [(vec, f.const(vec, 0))]) as (k, (now,), following):
            following.append(one(k, now))
        return now

    def near(self, t: Table, lanes: int) -> bool:
        """Whether each vector of outputs reads from the two vectors that begin at its first tap's element."""
        wide = self.cpu.vector_bits == 512 and self.cpu.triple.startswith("x86_64")
        if not (wide and self.row and lanes == 16 and self.scalar == "float" and t.constants is not None):
            return False
        index = t.constants[0]
        blocks = [index[:, b:b + lanes] - index[0, b] for b in range(0, index.shape[1], lanes)]
        return all(0 <= b.min() and b.max() < 2 * lanes for b in blocks)

    def permute(self, a: str, index: str, b: str) -> str:
        """Elements of the 32 in a and b, by index."""
        name = "llvm.x86.avx512.vpermi2var.ps.512"
        self.f.declare(f"<16 x float> @{name}(<16 x float>, <16 x i32>, <16 x float>)")
        return self.f.call("<16 x float>", name, ("<16 x float>", a), ("<16 x i32>", index), ("<16 x float>", b))

    def extrapolated(self, value: str, outside: str, i: str, lanes: int, mask: str | None) -> str:
        """The value, or op.extrapolation where some axis lies outside x."""
        f, vec, bits = self.f, vector(self.scalar, lanes), vector("i1", lanes)
        if outside == "false" and (self.along is None or not self.along.flagged):
            return value
        where = f.splat(bits, outside)
        if self.along is not None and self.along.flagged:
            flags = load_strided(f, "i8", f.at(self.places[self.along.axis][2], i), "1", lanes, mask)
            v = vector("i8", lanes)
            where = f.op("or", bits, where, f.set(f"icmp ne {v} {flags}, {f.const(v, 0)}"))
        number = literal(self.x.dtype.numpy.type(self.op.extrapolation).item(), self.scalar)
        return f.select(where, vec, f.splat(vec, number), value)
