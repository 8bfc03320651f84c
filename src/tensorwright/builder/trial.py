"""One problem on its own, as the network would run it: operands laid out alike, and in caches as cold or warm.

Before every timed launch the activations are written anew, as the layer before would have done; outputs change places,
as in an arena; weights too large to stay in the second-level cache come from a region larger than all caches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ..device import cpu as device
from ..device import touch
from ..device.driver import PHASE_BYTES
from ..device.operands import reach, scatter, strided
from ..device.program import address_of
from ..device.team import team
from ..device.team_code import SERIAL
from ..dims import Dim, evaluate
from ..kernels.problem import Operand, Problem, Source, Tactic
from ..runtime.memory import Arena
from ..targets import CpuSpec

#: Constants larger than this share of L2 are not in the cache when a network comes round to them again.
COLD_SHARE = 0.25
#: Places that outputs rotate over, as long as all of them take no more than this many bytes.
PLACES, PLACES_BYTES = 3, 48 << 20
#: Bytes that trials share for their operands; what does not fit gets memory of its own.
SHARED_BYTES = 64 << 20
_ALIGN = 64
#: Begin and end of what a kernel fetches for later launches.
NOTHING_AHEAD = (0, 0)


class Memory:
    """Memory for trials, on huge pages like an engine's; after `reset` it is used again."""

    def __init__(self, cpu: CpuSpec) -> None:
        self.cpu, self.used = cpu, 0
        self.arena = Arena(SHARED_BYTES)
        self._weights = np.empty(0, np.uint8)

    def reset(self) -> None:
        self.used = 0

    def take(self, size: int) -> np.ndarray:
        """Zeroed bytes, aligned."""
        size = -(-max(size, 1) // _ALIGN) * _ALIGN
        if self.used + size > SHARED_BYTES:
            return Arena(size).bytes(0, size)
        found = self.arena.bytes(self.used, size)
        self.used += size
        found[...] = 0
        return found

    def weights(self, size: int) -> np.ndarray:
        """At least `size` bytes of small random float32, and more than the caches hold when `size` is not small."""
        if len(self._weights) < size:
            size = max(size, min(2 * self.cpu.l3, 80 << 20) if size > self.cpu.l2 * COLD_SHARE else 1 << 20)
            some = 0.05 * np.random.default_rng(0).standard_normal(1 << 18, dtype=np.float32)
            self._weights = Arena(size).bytes(0, size)
            for at in range(0, size, some.nbytes):
                part = self._weights[at : at + some.nbytes]
                part[...] = some.view(np.uint8)[: len(part)]
        return self._weights


@dataclass
class Block:
    """An operand: its bytes, and its elements as a strided view."""

    raw: np.ndarray
    view: np.ndarray

    @property
    def address(self) -> int:
        return address_of(self.view)


@dataclass
class TrialLaunch:
    """A kernel over a trial's operands, as tables for the native driver.

    check     the launch with its real weights, which are kept until it has run
    timed     `launches` launches, each after what readies its operands; rows of each: prepare, then the kernel's
    """

    check: np.ndarray
    weights: list[np.ndarray]
    timed: np.ndarray
    launches: int
    prepare: int
    outputs: list[Block]
    keep: list[object] = field(repr=False)
    position: int = 0

    def results(self) -> list[np.ndarray]:
        """Run once on this thread; the outputs, dense."""
        for block in self.outputs:
            block.view[...] = 0
        team().run(self.check.ctypes.data, len(self.check), 1)
        self.weights.clear()
        return [np.array(block.view) for block in self.outputs]

    def sample(self, threads: int, count: int) -> np.ndarray:
        """Seconds of each of the next `count` launches (fewer at the end of the table) on `threads` threads."""
        each = len(self.timed) // self.launches
        count = min(count, self.launches - self.position)
        stamps = np.zeros((count * each + 1, 2), np.int64)
        begin = self.timed.ctypes.data + self.position * each * PHASE_BYTES
        team(threads).time(begin, count * each, threads, stamps.ctypes.data)
        self.position = (self.position + count) % self.launches
        seconds = (stamps[1:, 0] - stamps[0, 0] + (stamps[1:, 1] - stamps[0, 1]) * 1e-9).reshape(count, each)
        return seconds[:, -1] - seconds[:, self.prepare - 1]


class Trial:
    """Random operands of one problem at its tuned sizes, shared by all tactics."""

    def __init__(self, problem: Problem, cpu: CpuSpec, threads: int, memory: Memory, seed: int = 0) -> None:
        self.problem, self.cpu, self.threads, self.memory = problem, cpu, threads, memory
        self.env = dict(problem.tuned)
        rng = np.random.default_rng(seed)
        self.values: list[np.ndarray | None] = [None if o is None else self._random(o, rng) for o in problem.inputs]
        self.inputs: list[Block | None] = [None] * len(problem.inputs)
        self.places = [[self._block(o) for o in problem.outputs]]
        size = sum(len(block.raw) for block in self.places[0])
        for _ in range(1, PLACES if size * PLACES <= PLACES_BYTES else 1):
            self.places.append([self._block(o) for o in problem.outputs])

    def _values(self, dims: tuple[Dim, ...]) -> tuple[int, ...]:
        return tuple(evaluate(d, self.env) for d in dims)

    def _random(self, o: Operand, rng: np.random.Generator) -> np.ndarray:
        """Values as broadcast as the operand is: axes of stride 0 have one element."""
        shape = tuple(1 if s == 0 else n for n, s in zip(self._values(o.shape), o.strides, strict=True))
        if o.dtype.is_float:
            array = rng.standard_normal(shape, dtype=np.float32)
            if o.constant and len(shape) > 1:
                array *= 1 / math.sqrt(max(1, array.size // max(1, shape[0])))
            return array.astype(o.dtype.numpy)
        return rng.integers(0, 2, shape).astype(o.dtype.numpy)

    def _block(self, o: Operand) -> Block:
        shape, strides, item = self._values(o.shape), self._values(o.strides), o.dtype.itemsize
        low, high = reach(shape, strides, o.border)
        before = -(low * item // _ALIGN) * _ALIGN                        # element 0 begins a cache line
        raw = self.memory.take(before + (high + 1) * item)
        return Block(raw, strided(raw, before, shape, [s * item for s in strides], o.dtype.numpy))

    def _input(self, i: int) -> Block:
        found = self.inputs[i]
        if found is None:
            operand, value = self.problem.inputs[i], self.values[i]
            assert operand is not None and value is not None
            found = self.inputs[i] = self._block(operand)
            scatter(found.view, value)
        return found

    def launch(self, source: Source, tactic: Tactic, library: device.Library) -> TrialLaunch:
        """The tactic's launches over this trial's operands."""
        keep: list[object] = [library, touch.library(), self.inputs, self.places]
        packed = {
            i: np.ascontiguousarray(tactic.pack(self.problem, self.cpu, i, self._logical(i))) for i in source.packed
        }
        copies = {i: self._copy(array) for i, array in packed.items()}
        real = {i: address_of(copy) for i, copy in copies.items()}
        scratch = []
        for w in source.workspaces:
            raw = self.memory.take(evaluate(w.bytes, self.env) * (self.threads if w.per_thread else 1))
            scratch.append(address_of(raw))
            keep.append(raw)
        dims = np.array([*self._values(source.dims), 0], np.int64)                # the 0 is for tw_touch
        keep.append(dims)

        def kernel(place: list[Block], weights: dict[int, int]) -> list[tuple[int, ...]]:
            pointers = [0 if o is None else weights[i] if i in weights else self._input(i).address
                        for i, o in enumerate(self.problem.inputs)]
            args = np.array([*pointers, *(b.address for b in place), *scratch, *NOTHING_AHEAD], np.uint64)
            keep.append(args)
            rows = [(library.address(p.entry), evaluate(p.chunks, self.env)) for p in source.phases]
            return [(entry, address_of(args), address_of(dims), chunks, SERIAL if chunks <= 1 else 0)
                    for entry, chunks in rows]

        check = kernel(self.places[0], real)
        before = self._before(set(source.packed), address_of(dims) + 8 * len(source.dims), keep)
        floats = {i: a for i, a in packed.items() if a.dtype == np.float32}
        keep += [copies.pop(i) for i in packed if i not in floats]
        cycle = self._cycle(floats)
        keep.append(self.memory.weights(0))              # a later launch may get a larger region in its place
        timed: list[tuple[int, ...]] = []
        for k, weights in enumerate(cycle):
            timed += [*before, *kernel(self.places[k % len(self.places)], {**real, **weights})]
        return TrialLaunch(_table(check), list(copies.values()), _table(timed), len(cycle), len(before),
                           self.places[0], keep)

    def _before(self, packed: set[int], zero: int, keep: list[object]) -> list[tuple[int, ...]]:
        """Phases that write all activations again, the first input last; at least one, where all threads meet."""
        entry = touch.library().address("tw_touch")
        rows: list[tuple[int, ...]] = [(0, 0, 0, 0, 0)]
        for i, operand in reversed(list(enumerate(self.problem.inputs))):
            if operand is not None and not operand.constant and i not in packed:
                args = np.array([address_of(self._input(i).raw)], np.uint64)
                keep.append(args)
                rows.append((entry, address_of(args), zero, len(self._input(i).raw) // touch.PIECE, 0))
        return rows

    def _cycle(self, packed: dict[int, np.ndarray]) -> list[dict[int, int]]:
        """Where the weights of every timed launch lie; any numbers will do, they take the same time."""
        size = sum(-(-a.nbytes // _ALIGN) * _ALIGN for a in packed.values())
        region = self.memory.weights(size)
        is_cold = size > self.cpu.l2 * COLD_SHARE
        copies = max(1, min(128, len(region) // size)) if is_cold else 2 * PLACES
        found = []
        for k in range(copies):
            at, here = address_of(region) + (k * size if is_cold else 0), {}
            for i, array in packed.items():
                here[i], at = at, at + -(-array.nbytes // _ALIGN) * _ALIGN
            found.append(here)
        return found

    def _copy(self, array: np.ndarray) -> np.ndarray:
        raw = self.memory.take(array.nbytes)
        raw[: array.nbytes] = array.reshape(-1).view(np.uint8)
        return raw

    def _logical(self, i: int) -> np.ndarray:
        operand, value = self.problem.inputs[i], self.values[i]
        assert operand is not None and value is not None
        return np.ascontiguousarray(np.broadcast_to(value, self._values(operand.shape)))


def _table(rows: list[tuple[int, ...]]) -> np.ndarray:
    return np.array(rows, np.uint64).reshape(-1, PHASE_BYTES // 8)
