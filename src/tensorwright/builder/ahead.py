"""Weights on their way before they are needed: launches that compute fetch those of launches that mostly read.

A classifier, or a layer of squeeze and excite, does a few operations with every weight: its time is that of reading
them from memory. The convolutions before it leave the memory idle. Their tiles can fetch a cache line with every step
(`Source.ahead`), so each launch is given a part of what comes later, as close before its use as there is room.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass, replace

from ..dtypes import DType
from ..plan.records import Launch, Step, View

#: Layers with fewer operations than this for a byte of weights wait for memory most of their time. To fetch for others
#: costs a launch a third of what these gain (Zen 4); it would be more than the others gain.
BOUND = 8
#: What is fetched longer than this before it is used, in seconds, has often left the caches, if others share them.
HORIZON = 0.6e-3
#: Less is not worth the arguments, and a kernel's share of it is rounded down to bytes per chunk.
LEAST = 16 << 10
#: Part of what a launch could fetch that it is given: its last chunks and tiles may be smaller.
ROOM = 0.9
_LINE = 64


@dataclass(frozen=True)
class Station:
    """A launch as far as fetching is concerned.

    step      its number among the steps
    fetches   its kernel takes the arguments for it
    room      bytes that it can fetch
    flops     its operations
    seconds   what it takes, about
    weights   (buffer, bytes) of its constants
    """

    step: int
    fetches: bool
    room: int
    flops: int
    seconds: float
    weights: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class _Wanted:
    """The first `left` bytes of a buffer that is used at time `used`, before which nobody fetches them yet."""

    buffer: int
    left: int
    used: float


def fetch_ahead(steps: MutableSequence[Step], stations: Sequence[Station]) -> None:
    """Give every launch whose kernel can fetch the two arguments that say what; null where there is nothing."""
    wanted: list[_Wanted] = []                                     # what is used soonest comes last
    now = 0.0
    for s in reversed(stations):
        now -= s.seconds
        if s.fetches:
            launch = steps[s.step]
            assert isinstance(launch, Launch)
            wanted = [w for w in wanted if w.used < now + HORIZON]
            steps[s.step] = replace(launch, args=(*launch.args, *_take(wanted, int(s.room * ROOM))))
        if s.flops < BOUND * sum(size for _, size in s.weights):
            wanted += [_Wanted(buffer, size, now) for buffer, size in s.weights if size >= LEAST]


def _take(wanted: list[_Wanted], room: int) -> tuple[View | None, View | None]:
    """The end of the last of what is wanted, as much as there is room for; the rest of it stays."""
    if not wanted or room < LEAST:
        return None, None
    w = wanted.pop()
    begin = max(0, w.left - room) // _LINE * _LINE
    if begin >= LEAST:
        wanted.append(replace(w, left=begin))
    return _byte(w.buffer, begin), _byte(w.buffer, w.left - 1)


def _byte(buffer: int, offset: int) -> View:
    return View(buffer, offset, (1,), (1,), DType.uint8)
