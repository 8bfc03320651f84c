"""A table of phases with all its memory, ready to run: what a context and the tuner hand to the driver."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DeviceError
from .driver import PHASE_BYTES
from .team import team
from .team_code import MAX_GROUPS, MAX_HALVINGS, SERIAL

_MOST_CHUNKS = 1 << 47                       # chunks · threads · pieces stays below 2^64
_PIECE_SECONDS = 100e-6                      # how long a piece may take, about


@dataclass(frozen=True)
class Call:
    """One launch with its numbers known.

    entries   address of each phase's function
    chunks    work of each phase
    args      addresses of operands and workspaces
    dims      values of run-time dimensions
    serial    one thread does it all
    seconds   what it is expected to take, 0 when nobody knows: long ones are split finer
    """

    entries: tuple[int, ...]
    chunks: tuple[int, ...]
    args: Sequence[int]
    dims: Sequence[int] = ()
    serial: bool = False
    seconds: float = 0.0


class Table:
    """Calls in order, as the driver reads them. The pointers in `args` may be changed between runs.

    args      one array of all pointers; call i's start at first_arg[i]
    threads   most threads that may share the work
    """

    def __init__(self, calls: Iterable[Call], threads: int = 1) -> None:
        calls = list(calls)
        self.threads = threads
        self.first_arg = np.cumsum([0, *(len(c.args) for c in calls)]).tolist()
        first_dim = np.cumsum([0, *(len(c.dims) for c in calls)]).tolist()
        self.args = np.array([a for c in calls for a in c.args] or [0], np.uint64)
        self.dims = np.array([d for c in calls for d in c.dims] or [0], np.int64)
        rows: list[list[int]] = []
        groups: list[list[int]] = []
        self.ends: list[int] = []                                        # number of rows up to the end of each call
        for call, arg, dim in zip(calls, self.first_arg, first_dim, strict=False):
            for entry, chunks in zip(call.entries, call.chunks, strict=True):
                if not 0 <= chunks <= _MOST_CHUNKS:
                    raise DeviceError(f"a launch has {chunks} chunks of work, 0 to {_MOST_CHUNKS} are possible")
                flags = SERIAL if call.serial or chunks <= 1 or threads == 1 else 0
                if rows and flags and rows[-1][4] & SERIAL:
                    groups[-1][1] += 1                                   # one thread does both, nobody waits between
                else:
                    groups.append([len(rows), 1, 0 if flags else _halvings(call.seconds, chunks, threads)])
                rows.append([entry, self.args.ctypes.data + 8 * arg, self.dims.ctypes.data + 8 * dim, chunks, flags])
            self.ends.append(len(rows))
        self.rows = np.array(rows or [[0] * 5], np.uint64).reshape(-1, PHASE_BYTES // 8)
        self.count = len(rows)
        self.address = int(self.rows.ctypes.data)
        self.groups = np.array(groups or [[0, 0, 0]], np.int64)
        self.group_count, self.groups_address = len(groups), int(self.groups.ctypes.data)
        if self.count > MAX_GROUPS:
            raise DeviceError(f"a table of {self.count} phases, {MAX_GROUPS} are possible")
        if all(flags & SERIAL for *_, flags in rows):
            self.threads = 1

    def run(self) -> None:
        """Run all calls. Uses the process's team when it is free and the table is for several threads."""
        team(self.threads).run(self.address, self.count, self.threads, self.groups_address, self.group_count)

    def time(self) -> np.ndarray:
        """Run once; seconds each call took, the barrier after it included."""
        rows = np.vstack([np.zeros_like(self.rows[:1]), self.rows[:self.count]])    # all meet first, doing nothing
        stamps = np.zeros((self.count + 2, 2), np.int64)
        team(self.threads).time(rows.ctypes.data, len(rows), self.threads, stamps.ctypes.data)
        seconds = (stamps[1:, 0] - stamps[1, 0]) + (stamps[1:, 1] - stamps[1, 1]) * 1e-9
        marks = seconds[np.array([0, *self.ends])]
        return np.diff(marks)


def _halvings(seconds: float, chunks: int, threads: int) -> int:
    """A thread's part of a phase falls into 2^this pieces, of at least two chunks each."""
    pieces = min(int(seconds / _PIECE_SECONDS), chunks // (2 * threads))
    return max(0, min(pieces.bit_length() - 1, MAX_HALVINGS))


def address_of(array: np.ndarray) -> int:
    """Address of an array's first element, the quick way."""
    return int(array.__array_interface__["data"][0])


def pointer(buffer: object) -> int:
    """Address of a writable buffer (mmap, bytearray)."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))  # type: ignore[arg-type]
