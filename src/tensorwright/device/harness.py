"""One kernel by itself: lay its operands out, run it, time it. For tests of kernels and for the tuner's checks.

Operands lie between guard zones. Everything that is neither element nor promised border holds a pattern that turns
into NaN or absurd numbers when read, and is checked afterwards: a kernel that writes outside its outputs is reported.
"""

from __future__ import annotations

import ctypes
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dims import evaluate
from ..errors import DeviceError
from ..targets import CpuSpec
from . import cpu as device
from .driver import PHASE_BYTES, function
from .operands import reach, scatter, strided

GUARD = 4096
_POISON = 0xFF                                # NaN for every float type, -1 for integers
_UNWRITTEN = 0xA5                             # differs from it: a NaN that was read keeps its bits when stored

_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


@dataclass
class Block:
    """Memory of one operand: raw bytes with guards, and the operand's elements as a strided view."""

    raw: np.ndarray
    view: np.ndarray
    address: int


class Prepared:
    """A kernel compiled and loaded, with operands laid out and workspaces allocated, ready to launch.

    source, problem, tactic   as in `kernels.problem`
    inputs    one array per problem input (None where absent), of the operand's shape or broadcastable to it
    threads   parts that every phase is split into
    env       values of the problem's symbols; those missing are taken from problem.tuned
    offset    elements that operands are moved from 64-byte alignment, to catch alignment assumptions
    """

    def __init__(self, source: Any, problem: Any, tactic: Any, inputs: Sequence[np.ndarray | None], cpu: CpuSpec,
                 threads: int = 1, env: Mapping[str, int] | None = None, offset: int = 0,
                 library: device.Library | None = None) -> None:
        self.threads, self.env = threads, {**dict(problem.tuned), **(env or {})}
        self.library = library or device.load([device.compile(source.text, cpu)])
        self.offset, self.keep = offset, list[object]()
        if len(inputs) != len(problem.inputs):
            raise DeviceError(f"{len(inputs)} arrays given, the problem has {len(problem.inputs)} inputs")
        pointers: list[int] = []
        for i, (operand, array) in enumerate(zip(problem.inputs, inputs, strict=True)):
            if operand is None or array is None:
                pointers.append(0)
            elif i in source.packed:
                packed = np.ascontiguousarray(tactic.pack(problem, cpu, i, array))
                pointers.append(self._scratch(packed.nbytes, packed))
            else:
                block = self._lay_out(operand)
                scatter(block.view, array)
                self.keep.append(block)
                pointers.append(block.address)
        self.outputs = [self._lay_out(operand, _UNWRITTEN) for operand in problem.outputs]
        pointers += [block.address for block in self.outputs]
        for workspace in source.workspaces:
            size = self._value(workspace.bytes) * (threads if workspace.per_thread else 1)
            pointers.append(self._scratch(size))
        pointers += [0, 0]                                                # nothing is fetched for later launches
        self.args = np.array(pointers, np.uint64)
        self.dims = np.array([self._value(d) for d in source.dims] or [0], np.int64)
        self.phases = [(self.library.address(p.entry), self._value(p.chunks)) for p in source.phases]
        self.before = [block.raw.copy() for block in self.outputs]

    def _value(self, dim: Any) -> int:
        return evaluate(dim, self.env)

    def _scratch(self, size: int, content: np.ndarray | None = None) -> int:
        raw = np.full(size + 64 + 2 * GUARD, _POISON, np.uint8)
        start = GUARD + (-(raw.ctypes.data + GUARD)) % 64
        if content is not None:
            raw[start:start + size] = content.reshape(-1).view(np.uint8)
        self.keep.append(raw)
        return raw.ctypes.data + start

    def _lay_out(self, operand: Any, fill: int = _POISON) -> Block:
        shape, strides = ([self._value(d) for d in ds] for ds in (operand.shape, operand.strides))
        item, border = operand.dtype.itemsize, operand.border or ((0, 0),) * len(shape)
        low, high = reach(shape, strides, border)
        size = (high - low + 1) * item
        raw = np.full(size + 64 + item * self.offset + 2 * GUARD, fill, np.uint8)
        start = GUARD + (-(raw.ctypes.data + GUARD)) % 64 + (self.offset - low) * item
        dtype, steps = operand.dtype.numpy, [s * item for s in strides]
        if any(b or a for b, a in border):
            origin = start - sum(b * s for (b, _), s in zip(border, steps, strict=True))
            strided(raw, origin, [n + b + a for n, (b, a) in zip(shape, border, strict=True)], steps, dtype)[...] = 0
        return Block(raw, strided(raw, start, shape, steps, dtype), raw.ctypes.data + start)

    def run(self) -> list[np.ndarray]:
        """Launch once, part after part; the outputs as dense arrays. Checks that nothing else was written."""
        for address, chunks in self.phases:
            entry = _ENTRY(address)
            for t in range(self.threads):
                entry(self.args.ctypes.data, self.dims.ctypes.data, chunks * t // self.threads,
                      chunks * (t + 1) // self.threads, t)
        for number, (block, before) in enumerate(zip(self.outputs, self.before, strict=True)):
            after = block.raw.copy()
            for raw in (after, before):                                   # elements may change, nothing else
                strided(raw, block.address - block.raw.ctypes.data, block.view.shape, block.view.strides,
                         block.view.dtype)[...] = 0
            if (wrong := np.flatnonzero(after != before)).size:
                at = int(wrong[0]) - (block.address - block.raw.ctypes.data)
                raise DeviceError(f"the kernel wrote outside output {number}: {wrong.size} bytes, the first at byte "
                                  f"{at} from the first element", shape=block.view.shape, strides=block.view.strides)
        return [block.view.copy() for block in self.outputs]

    def table(self) -> np.ndarray:
        """The launch as a table for the native driver."""
        rows = [(a, self.args.ctypes.data, self.dims.ctypes.data, chunks, 0) for a, chunks in self.phases]
        return np.array(rows, np.uint64).reshape(-1, PHASE_BYTES // 8)

    def time(self, budget: float = 0.02) -> float:
        """Seconds of one launch on one thread: minimum over repeats inside native code, for about `budget` seconds."""
        table, repeat = self.table(), function("tw_repeat", ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        times, best, end = 1, float("inf"), time.perf_counter() + budget
        for turn in itertools.count():
            begin = time.perf_counter()
            repeat(table.ctypes.data, len(table), times)
            now = time.perf_counter()
            if now - begin < 50e-6 and now < end:                         # too short to trust one clock reading
                times *= 4
                continue
            best = min(best, (now - begin) / times)
            if now >= end and turn >= 2:
                return best
        raise AssertionError


def run_kernel(source: Any, problem: Any, tactic: Any, inputs: Sequence[np.ndarray | None], cpu: CpuSpec,
               threads: int = 1, env: Mapping[str, int] | None = None, offset: int = 0) -> list[np.ndarray]:
    """Compile, lay out, run every phase in `threads` parts, and return the outputs as dense arrays."""
    return Prepared(source, problem, tactic, inputs, cpu, threads, env, offset).run()


def time_kernel(source: Any, problem: Any, tactic: Any, inputs: Sequence[np.ndarray | None], cpu: CpuSpec,
                env: Mapping[str, int] | None = None, budget: float = 0.02) -> float:
    """Seconds of one warm launch on one thread (minimum)."""
    return Prepared(source, problem, tactic, inputs, cpu, 1, env).time(budget)
