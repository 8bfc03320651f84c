"""Operands for timing one problem: laid out as in the network, random, weights as cold as the network finds them."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass

import numpy as np

from ..device import cpu as device
from ..device.driver import PHASE_BYTES
from ..device.team import team
from ..dims import evaluate
from ..kernels.problem import Operand, Problem, Source, Tactic
from ..targets import CpuSpec

#: Constants larger than this share of L2 are not in the cache when a network comes round to them again.
COLD_SHARE = 0.25
MAX_COPIES_BYTES = 80 << 20
#: Seconds spent on one candidate, and seconds a call costs by itself.
BUDGET, CALL = 0.008, 0.5e-6
#: Launches per walk when weights stay in the cache: a call has its own cost, short kernels must not drown in it.
WARM_LAUNCHES = 16


@dataclass
class Block:
    """raw memory, kept alive; the operand as a strided view; its address."""

    raw: np.ndarray
    view: np.ndarray

    @property
    def address(self) -> int:
        return int(self.view.__array_interface__["data"][0])


@dataclass
class TrialLaunch:
    """A launch table for the native driver; `copies` launches in one walk, each with weights of its own."""

    table: np.ndarray
    copies: int
    outputs: list[Block]
    keep: list[object]

    def results(self) -> list[np.ndarray]:
        """Run once on this thread; the outputs, dense."""
        for block in self.outputs:
            block.view[...] = 0
        team().run(self.table.ctypes.data, len(self.table) // self.copies, 1)
        return [np.array(block.view) for block in self.outputs]

    def seconds(self, threads: int, limit: float | None = None) -> float:
        """Seconds of one launch on `threads` threads: the minimum over walks of the table for about 8 ms.

        limit: after the first few walks, give up on a launch slower than this.
        """
        squad, address, rows = team(threads), self.table.ctypes.data, len(self.table)
        best, end = float("inf"), time.perf_counter() + BUDGET
        for turn in itertools.count():
            begin = time.perf_counter()
            squad.run(address, rows, threads)
            now = time.perf_counter()
            best = min(best, (now - begin) / self.copies)
            if turn >= 2 and (now > end or (limit is not None and best > limit)):
                return max(best - CALL / self.copies, 1e-8)
        raise AssertionError


class Trial:
    """Random operands of one problem at its tuned sizes, shared by all tactics."""

    def __init__(self, problem: Problem, cpu: CpuSpec, threads: int, seed: int = 0) -> None:
        self.problem, self.cpu, self.threads = problem, cpu, threads
        self.env = dict(problem.tuned)
        rng = np.random.default_rng(seed)
        self.values: list[np.ndarray | None] = [None if o is None else self._random(o, rng) for o in problem.inputs]
        self.inputs: list[Block | None] = [None] * len(problem.inputs)
        self.outputs = [self._block(o) for o in problem.outputs]

    def _shape(self, o: Operand) -> tuple[int, ...]:
        return tuple(evaluate(d, self.env) for d in o.shape)

    def _random(self, o: Operand, rng: np.random.Generator) -> np.ndarray:
        """Values as broadcast as the operand is: axes of stride 0 have one element."""
        shape = tuple(1 if s == 0 else n for n, s in zip(self._shape(o), o.strides, strict=True))
        if o.dtype.is_float:
            array = rng.standard_normal(shape, dtype=np.float32)
            if o.constant and len(shape) > 1:
                array *= 1 / math.sqrt(max(1, array.size // max(1, shape[0])))
            return array.astype(o.dtype.numpy)
        return rng.integers(0, 2, shape).astype(o.dtype.numpy)

    def _block(self, o: Operand) -> Block:
        shape, strides = self._shape(o), [evaluate(s, self.env) for s in o.strides]
        border = o.border or ((0, 0),) * len(shape)
        low = high = 0
        for n, s, (before, after) in zip(shape, strides, border, strict=True):
            ends = (-before * s, max(n - 1 + after, 0) * s)
            low, high = low + min(ends), high + max(ends)
        item = o.dtype.itemsize
        raw = np.zeros((high - low + 1) * item + 128, np.uint8)
        start = (-raw.ctypes.data) % 64 - low * item
        if 0 in shape:
            return Block(raw, np.empty(shape, o.dtype.numpy))
        first = raw[start : start + item].view(o.dtype.numpy).reshape(())
        view = np.lib.stride_tricks.as_strided(first, shape, [s * item for s in strides])
        return Block(raw, view)

    def _input(self, i: int) -> Block:
        found = self.inputs[i]
        if found is None:
            operand, value = self.problem.inputs[i], self.values[i]
            assert operand is not None and value is not None
            found = self.inputs[i] = self._block(operand)
            target = found.view
            for axis, s in enumerate(operand.strides):
                if s == 0 and target.shape[axis] > 1:
                    target = target[(slice(None),) * axis + (slice(0, 1),)]
            target[...] = value
        return found

    def launch(self, source: Source, tactic: Tactic, library: device.Library) -> TrialLaunch:
        """The tactic's launch table over this trial's operands."""
        keep: list[object] = [library]
        packed = {
            i: np.ascontiguousarray(tactic.pack(self.problem, self.cpu, i, self._logical(i))) for i in source.packed
        }
        cold = sum(a.nbytes for a in packed.values())
        is_cold = cold > self.cpu.l2 * COLD_SHARE
        copies = max(1, min(32, MAX_COPIES_BYTES // cold)) if is_cold else WARM_LAUNCHES
        warm = {} if is_cold else {i: _aligned_copy(a, keep) for i, a in packed.items()}
        scratch = []
        for w in source.workspaces:
            raw = np.zeros(evaluate(w.bytes, self.env) * (self.threads if w.per_thread else 1) + 64, np.uint8)
            scratch.append(raw.ctypes.data + (-raw.ctypes.data) % 64)
            keep.append(raw)
        dims = np.array([evaluate(d, self.env) for d in source.dims] or [0], np.int64)
        keep.append(dims)
        rows: list[tuple[int, ...]] = []
        for _ in range(copies):
            pointers = []
            for i, operand in enumerate(self.problem.inputs):
                if operand is None:
                    pointers.append(0)
                elif i in packed:
                    pointers.append(_aligned_copy(packed[i], keep) if is_cold else warm[i])
                else:
                    pointers.append(self._input(i).address)
            args = np.array([*pointers, *(b.address for b in self.outputs), *scratch, 0], np.uint64)
            keep.append(args)
            rows += [
                (library.address(p.entry), args.ctypes.data, dims.ctypes.data, evaluate(p.chunks, self.env), 0)
                for p in source.phases
            ]
        return TrialLaunch(np.array(rows, np.uint64).reshape(-1, PHASE_BYTES // 8), copies, self.outputs, keep)

    def _logical(self, i: int) -> np.ndarray:
        operand, value = self.problem.inputs[i], self.values[i]
        assert operand is not None and value is not None
        return np.ascontiguousarray(np.broadcast_to(value, self._shape(operand)))


def _aligned_copy(array: np.ndarray, keep: list[object]) -> int:
    raw = np.empty(array.nbytes + 64, np.uint8)
    start = (-raw.ctypes.data) % 64
    raw[start : start + array.nbytes] = array.reshape(-1).view(np.uint8)
    keep.append(raw)
    return int(raw.ctypes.data) + start
