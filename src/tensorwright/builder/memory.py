"""One arena for all intermediate values: sizes and offsets fixed ahead of time from who is alive when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..dims import bounds
from ..errors import BuildError
from ..plan.records import Buffer

ALIGN = 64
#: Different buffers start in different cache sets: a multiple of 4 KiB between rows that are read together is slow.
STAGGER = 64 * 5
LIMIT = 1 << 46


@dataclass(frozen=True)
class Layout:
    """offsets: bytes from the arena's start, -1 for buffers that are not in it. size: bytes in all."""

    offsets: tuple[int, ...]
    size: int


def plan_arena(
    buffers: Sequence[Buffer],
    geometry: Mapping[int, tuple],
    uses: Sequence[Sequence[int]],
    ranges: Mapping[str, tuple[int, int]],
) -> Layout:
    """Offsets for arena buffers such that two that are alive at the same step do not overlap.

    geometry   of zeroed buffers: those of equal geometry may follow each other in one slot, which nobody else uses
    uses       per step, the buffers it touches
    ranges     symbol → (min, max), for sizes
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for step, touched in enumerate(uses):
        for b in touched:
            first.setdefault(b, step)
            last[b] = step
    sizes: dict[int, int] = {}
    for b in first:
        if buffers[b].kind == "arena":
            size = bounds(buffers[b].bytes, ranges)[1]
            if size > LIMIT:
                raise BuildError(
                    f"an intermediate value needs {size / 2**30:.0f} GiB at the profile's maximum",
                    try_="lower the maximum shapes of the profile",
                )
            sizes[b] = -(-max(size, 1) // ALIGN) * ALIGN + STAGGER
    offsets = [-1] * len(buffers)
    end = _place_zeroed({b: s for b, s in sizes.items() if buffers[b].zero}, geometry, first, last, offsets)
    placed: list[tuple[int, int, int, int]] = []  # (offset, end, first, last)
    for b in sorted((b for b in sizes if not buffers[b].zero), key=lambda b: (-sizes[b], first[b])):
        at = _lowest_gap(sizes[b], [p for p in placed if p[2] <= last[b] and first[b] <= p[3]], end)
        offsets[b] = at
        placed.append((at, at + sizes[b], first[b], last[b]))
    return Layout(tuple(offsets), max([end, *(p[1] for p in placed)]) + ALIGN)


def _lowest_gap(size: int, alive: list[tuple[int, int, int, int]], base: int) -> int:
    at = base
    for offset, end, _, _ in sorted(alive):
        if offset - at >= size:
            break
        at = max(at, end)
    return at


def _place_zeroed(
    sizes: dict[int, int],
    geometry: Mapping[int, tuple],
    first: Mapping[int, int],
    last: Mapping[int, int],
    offsets: list[int],
) -> int:
    """Slots for zeroed buffers; returns where the rest of the arena starts."""
    slots: dict[tuple, list[tuple[int, int]]] = {}  # geometry → [(offset, last step used)]
    end = 0
    for b in sorted(sizes, key=lambda b: first[b]):
        free = slots.setdefault(geometry[b], [])
        for k, (offset, until) in enumerate(free):
            if until < first[b]:
                offsets[b], free[k] = offset, (offset, last[b])
                break
        else:
            offsets[b] = end
            free.append((end, last[b]))
            end += sizes[b]
    return end
