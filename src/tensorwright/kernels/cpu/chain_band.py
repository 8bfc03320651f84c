"""Depth-first execution of a chain: a band of rows goes through all stages before the next band begins.

What flows between stages lies in windows: buffers of a thread's own that hold the rows one band needs. From band to
band a window moves down: rows that are needed again are copied to its top, only the others are computed. The first band
of a call, and of an image, computes its whole window.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from ...dims import Dim, evaluate, maximum
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, arg, entry, linked, vector
from ..problem import Operand, Phase, Problem, Source, Tactic, Workspace
from .chain_form import FLOW, ROWS, Form, form_of
from .pool import least

ALIGN = 64


@dataclass(frozen=True)
class Banded:
    """All stages band by band.

    rows     output rows of the last stage per band
    bands    bands per chunk: few chunks, for each that begins a call computes its first windows as a whole
    stages   how each stage is done
    """

    rows: int
    bands: int
    stages: tuple[Tactic, ...]

    @property
    def approximate(self) -> bool:
        return any(getattr(t, "approximate", False) for t in self.stages)

    @property
    def error_factor(self) -> float:
        return max(getattr(t, "error_factor", 1.0) for t in self.stages)

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        form = form_of(problem)
        assert form is not None
        return _Writer(form, self, cpu, symbol).write(len(problem.inputs))

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        form = form_of(problem)
        assert form is not None
        k = next(k for k, stage in enumerate(form.stages) if index in stage.numbers)
        place = form.stages[k].numbers.index(index)
        return self.stages[k].pack(form.band_problem(k, cpu, self.rows), cpu, place, array)


@dataclass(frozen=True)
class Window:
    """Rows of a stage's output that a band of `rows` rows of the last stage's needs.

    Band number b needs rows step·b − offset ... + length − 1; those outside 0..extent − 1 are zeros.
    """

    step: int
    offset: int
    length: int
    extent: int

    @property
    def kept(self) -> int:
        """Rows that the next band needs too."""
        return max(0, self.length - self.step)


def windows(form: Form, rows: int) -> list[Window]:
    """One per stage; the last one's is the band itself."""
    found = [Window(rows, 0, rows, form.stages[-1].shape[2])]
    for stage, before in zip(reversed(form.stages[1:]), reversed(form.stages[:-1]), strict=True):
        w = found[0]
        found.insert(0, Window(w.step * stage.stride, w.offset * stage.stride + stage.before,
                               (w.length - 1) * stage.stride + stage.span, before.shape[2]))
    return found


def window_bytes(operand: Operand, rows: int) -> int:
    """Memory of a window of so many rows, aligned."""
    row = operand.strides[2]
    assert isinstance(row, int)
    return -(-rows * row * operand.dtype.itemsize // ALIGN) * ALIGN


def inner_source(tactic: Tactic, problem: Problem, cpu: CpuSpec, symbol: str) -> Source | None:
    """The stage's kernel, or None when it cannot run inside a band: several phases, or memory shared by threads."""
    source = tactic.source(problem, cpu, symbol)
    usable = len(source.phases) == 1 and all(w.per_thread and isinstance(w.bytes, int) for w in source.workspaces)
    return source if usable else None


class _Writer:
    def __init__(self, form: Form, tactic: Banded, cpu: CpuSpec, symbol: str) -> None:
        self.form, self.tactic, self.cpu, self.symbol = form, tactic, cpu, symbol
        self.windows = windows(form, tactic.rows)
        self.sources: list[Source] = []
        for k, (t, w) in enumerate(zip(tactic.stages, self.windows, strict=True)):
            source = inner_source(t, form.band_problem(k, cpu, w.step), cpu, f"{symbol}_s{k}")
            assert source is not None
            self.sources.append(source)
        self.flowing = [form.band(k, cpu) for k in range(len(form.stages) - 1)]
        sizes = [window_bytes(x, w.length) for x, w in zip(self.flowing, self.windows, strict=False)]
        scratch = [w.bytes for s in self.sources for w in s.workspaces if isinstance(w.bytes, int)]
        self.places = [0, *accumulate([*sizes, *(-(-size // ALIGN) * ALIGN for size in scratch)])]
        self.ahead = [evaluate(s.ahead, {str(ROWS): w.step}) for s, w in zip(self.sources, self.windows, strict=True)]
        self.f = entry(symbol)
        self.order: list[Dim] = []
        self.d = Dims(self.f, self.order)

    def write(self, inputs: int) -> Source:
        f, tactic = self.f, self.tactic
        bands = -(-self.windows[-1].extent // tactic.rows)
        pieces = -(-bands // tactic.bands)
        own = f.at(arg(f, inputs + 1), f.mul(f.thread, self.places[-1]))
        self.buffers = [f.at(own, self.places[k]) for k in range(len(self.flowing))]
        self.pointers = [arg(f, i) for i in range(inputs + 1)]
        self.locals = [self._arguments(k, own) for k in range(len(self.sources))]
        fetched = self._fetched(inputs + 2, bands) if any(self.ahead) else ("0", "0")
        for k in range(len(self.flowing)):
            self._clear_columns(k)
        with f.loop("chunk", f.begin, f.end) as chunk:
            image, piece = f.divide(chunk, pieces), f.remainder(chunk, pieces)
            starts = f.op("or", "i1", f.set(f"icmp eq i64 {piece}, 0"), f.set(f"icmp eq i64 {chunk}, {f.begin}"))
            first = f.mul(piece, tactic.bands)
            with f.loop("band", first, f.minimum(f.add(first, tactic.bands), bands)) as band:
                fresh = f.op("and", "i1", starts, f.set(f"icmp eq i64 {band}, {first}"))
                share = f.add(fetched[0], f.mul(f.add(f.mul(image, bands), band), fetched[1]))
                for k in range(len(self.sources)):
                    self._fetch(k, share, fetched[1])
                    self._stage(k, image, band, fresh)
        tables = [self._table(k) for k in range(len(self.sources))]
        packed = tuple(sorted({number for stage, s in zip(self.form.stages, self.sources, strict=True)
                               for number in (stage.numbers[i] for i in s.packed) if number is not None}))
        text = linked("\n".join(tables), f, *(s.text for s in self.sources))
        chunks = self.form.stages[-1].shape[0] * pieces
        return Source(text, (Phase(self.symbol, chunks),), tuple(self.order),
                      (Workspace(self.places[-1], per_thread=True),), packed,
                      self.form.stages[-1].shape[0] * (bands * sum(self.ahead)))

    def _arguments(self, k: int, own: str) -> str:
        """The argument array of stage k's kernel, with all that does not move filled in."""
        f, stage, source = self.f, self.form.stages[k], self.sources[k]
        count = len(stage.operands) + 1 + len(source.workspaces) + (2 if self.ahead[k] else 0)
        array = f.alloca(f"[{count} x ptr]", "args")
        for i, number in enumerate(stage.numbers):
            if number is None or (number != FLOW and not stage.moves(i)):
                f.store("ptr", "null" if number is None else self.pointers[number], f.at(array, 8 * i), 8)
        before = len(self.flowing) + sum(len(s.workspaces) for s in self.sources[:k])
        for i in range(len(source.workspaces)):
            f.store("ptr", f.at(own, self.places[before + i]), f.at(array, 8 * (len(stage.operands) + 1 + i)), 8)
        return array

    def _table(self, k: int) -> str:
        """A constant: for every number of rows that stage k may be asked for, its chunks and run-time dimensions."""
        source, most = self.sources[k], self.windows[k].length
        numbers = [evaluate(d, {str(ROWS): rows}) for rows in range(most + 1)
                   for d in (source.phases[0].chunks, *source.dims)]
        values = ", ".join(f"i64 {n}" for n in numbers)
        return f"@{self.symbol}_t{k} = internal constant [{len(numbers)} x i64] [{values}], align 64"

    def _fetched(self, at: int, bands: int) -> tuple[str, str]:
        """Address of what is fetched for later launches, and each band's share of it in bytes."""
        f = self.f
        begin, end = (f.load("i64", f.at("%args", 8 * (at + i))) for i in range(2))
        return begin, f.divide(f.sub(end, begin), self.d(maximum(1, self.form.stages[-1].shape[0] * bands)))

    def _fetch(self, k: int, begin: str, size: str) -> None:
        """Give stage k its part of a band's share."""
        f, stage, source = self.f, self.form.stages[k], self.sources[k]
        if not self.ahead[k]:
            return
        at = len(stage.operands) + 1 + len(source.workspaces)
        for i in range(2):
            before = f.divide(f.mul(size, sum(self.ahead[: k + i])), sum(self.ahead))
            f.store("i64", f.add(begin, before), f.at(self.locals[k], 8 * (at + i)), 8)

    # one band -----------------------------------------------------------------------------------------------------
    def _stage(self, k: int, image: str, band: str, fresh: str) -> None:
        """Rows of stage k that the band needs and the window does not hold yet."""
        f, w = self.f, self.windows[k]
        low = self._low(k, band)
        start = low
        if w.kept:
            start = f.add(low, f.set(f"select i1 {fresh}, i64 0, i64 {w.kept}"))
        end = f.add(low, w.length)
        if k < len(self.flowing):
            if w.kept:
                with f.when(f.op("xor", "i1", fresh, "true")):
                    self._keep(k)
            self._clear_rows(k, low, start, f.minimum(end, 0))
            self._clear_rows(k, low, f.maximum(start, w.extent), end)
        begin, stop = f.maximum(start, 0), f.minimum(end, w.extent)
        count = f.sub(stop, begin)
        with f.when(f.set(f"icmp sgt i64 {count}, 0")):
            self._call(k, image, band, begin, count)

    def _low(self, k: int, band: str) -> str:
        """First row of stage k's window."""
        return self.f.sub(self.f.mul(band, self.windows[k].step), self.windows[k].offset)

    def _call(self, k: int, image: str, band: str, begin: str, count: str) -> None:
        f, stage, source = self.f, self.form.stages[k], self.sources[k]
        array = self.locals[k]
        for i, number in enumerate(stage.numbers):
            if number is None or not stage.moves(i):
                continue
            factor, before = stage.row(i)
            row = f.sub(f.mul(begin, factor), before)
            operand = stage.operands[i]
            if number == FLOW:
                pointer = self._in_window(k - 1, f.sub(row, self._low(k - 1, band)))
            else:
                assert operand is not None
                pointer = self._in_tensor(self.pointers[number], operand, image, row)
            f.store("ptr", pointer, f.at(array, 8 * i), 8)
        if k < len(self.flowing):
            out = self._in_window(k, f.sub(begin, self._low(k, band)))
        else:
            out = self._in_tensor(self.pointers[-1], self.form.result, image, begin)
        f.store("ptr", out, f.at(array, 8 * len(stage.numbers)), 8)
        line = f.at(f"@{self.symbol}_t{k}", f.mul(count, 8 * (1 + len(source.dims))))
        chunks = f.load("i64", line)
        f.call("void", source.phases[0].entry, ("ptr", array), ("ptr", f.at(line, 8)), ("i64", "0"), ("i64", chunks),
               ("i64", "0"))

    def _in_tensor(self, pointer: str, operand: Operand, image: str, row: str) -> str:
        f, size = self.f, operand.dtype.itemsize
        offset = f.add(f.mul(image, self.d(operand.strides[0] * size)), f.mul(row, self.d(operand.strides[2] * size)))
        return f.at(pointer, offset)

    def _in_window(self, k: int, slot: str) -> str:
        """The first pixel of a row of window k."""
        x = self.flowing[k]
        size, left = x.dtype.itemsize, x.border_of(3)[0]
        return self.f.at(self.f.at(self.buffers[k], self.f.mul(slot, self.d(x.strides[2] * size))),
                         self.d(left * x.strides[3] * size))

    # window memory ------------------------------------------------------------------------------------------------
    def _keep(self, k: int) -> None:
        """Copy the rows that are needed again to the top, upwards: what is overwritten has been read."""
        f, x, w = self.f, self.flowing[k], self.windows[k]
        row = int(x.strides[2]) * x.dtype.itemsize  # type: ignore[arg-type]
        type_ = vector(SCALAR[x.dtype], max(1, self.cpu.vector_bits // 8 // x.dtype.itemsize))
        top = self.buffers[k]
        source = f.at(top, w.step * row)
        with f.loop("keep", 0, w.kept * row, self.cpu.vector_bits // 8) as i:
            f.store(type_, f.load(type_, f.at(source, i)), f.at(top, i))

    def _clear_rows(self, k: int, low: str, first: str, end: str) -> None:
        """What lies outside the image in rows first ... end − 1, numbered as there; nothing when end ≤ first."""
        f, x, outside = self.f, self.flowing[k], self.form.stages[k + 1].outside
        row = int(x.strides[2]) * x.dtype.itemsize  # type: ignore[arg-type]
        base = self.f.at(self.buffers[k], f.mul(f.sub(first, low), row))
        self._fill(k, base, f.mul(f.sub(end, first), row), least(x.dtype) if outside is None else outside)

    def _clear_columns(self, k: int) -> None:
        """Zeros left and right of every row of the window; kernels do not write there."""
        f, x = self.f, self.flowing[k]
        row, pixel = (int(s) * x.dtype.itemsize for s in x.strides[2:])  # type: ignore[arg-type]
        (left, right), width = x.border_of(3), int(x.shape[3])  # type: ignore[arg-type]
        with f.loop("row", 0, self.windows[k].length if left or right else 0) as i:
            base = f.at(self.buffers[k], f.mul(i, row))
            self._fill(k, base, str(left * pixel), 0)
            self._fill(k, f.at(base, (left + width) * pixel), str(right * pixel), 0)

    def _fill(self, k: int, pointer: str, count: str, value: float) -> None:
        """`count` bytes of window k: whole elements."""
        f, x = self.f, self.flowing[k]
        scalar, size = SCALAR[x.dtype], x.dtype.itemsize
        bytes_ = max(size, self.cpu.vector_bits // 8)
        type_ = vector(scalar, bytes_ // size)
        whole = f.sub(count, f.set(f"srem i64 {count}, {bytes_}"))
        with f.loop("zero", 0, whole, bytes_) as i:
            f.store(type_, f.const(type_, value), f.at(pointer, i))
        with f.loop("zero", whole, count, size) as i:
            f.store(scalar, f.const(scalar, value), f.at(pointer, i))
