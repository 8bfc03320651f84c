"""The thread team: workers that wait in native code and run tables of phases together with the calling thread.

There is one team per process, shared by all engines. A caller that finds it busy runs its table alone, on its own
thread: kernels accept any split. Idle workers spin for a bounded time, then sleep.
"""

from __future__ import annotations

import atexit
import mmap
import os
import threading
import time
import warnings
from ctypes import addressof, c_char, c_int64, c_void_p
from numbers import Integral

from .. import settings
from ..errors import DeviceError, InputError
from . import cpu, driver
from .team_code import MAX_THREADS, TEAM_BYTES


class Team:
    """size: threads that can work at once, the caller included; grows on request. All methods are thread-safe."""

    def __init__(self, size: int = 1, spin_microseconds: int | None = None) -> None:
        self.memory = mmap.mmap(-1, max(mmap.PAGESIZE, TEAM_BYTES))
        self.address = addressof(c_char.from_buffer(self.memory))
        self.busy = threading.Lock()
        self.workers: list[threading.Thread] = []
        self.closed = False
        spin = settings.spin_microseconds() if spin_microseconds is None else spin_microseconds
        self.spins = max(1, int(spin * pauses_per_microsecond()))
        p, n = c_void_p, c_int64
        self.run_alone = driver.function("tw_run_alone", p, n)
        self.run_team = driver.function("tw_run_team", p, p, p, n, n)
        self.time_alone = driver.function("tw_time_alone", p, n, p)
        self.time_team = driver.function("tw_time_team", p, p, p, n, n, p)
        self.grow(size)

    @property
    def size(self) -> int:
        return 1 + len(self.workers)

    def grow(self, size: int) -> None:
        """Start workers until `size` threads can work. Fewer, with a warning, when the system gives no more."""
        if size > MAX_THREADS:
            raise DeviceError(f"a team of {size} threads was asked for, {MAX_THREADS} are possible")
        if size <= self.size:
            return
        with self.busy:
            seen = int.from_bytes(self.memory[:8], "little")
            while self.size < size and not self.closed:
                thread = threading.Thread(target=self._work, args=(self.size, seen), daemon=True,
                                          name=f"tensorwright-{self.size}")
                try:
                    thread.start()
                except RuntimeError as error:
                    warnings.warn(f"tensorwright runs on {self.size} threads instead of {size}: {error}", stacklevel=3)
                    return
                self.workers.append(thread)

    def _work(self, number: int, seen: int) -> None:
        """A worker's life. Its reference to the team keeps the memory that it looks at."""
        cores = settings.affinity()
        if cores and hasattr(os, "sched_setaffinity"):
            try:
                os.sched_setaffinity(0, {cores[number % len(cores)]})
            except OSError as error:
                warnings.warn(f"TENSORWRIGHT_AFFINITY: thread {number} cannot be bound to core "
                              f"{cores[number % len(cores)]}: {error.strerror}", stacklevel=2)
        work = driver.function("tw_worker", c_void_p, c_int64, c_int64, c_int64)
        work(self.address, number, seen, self.spins)

    def run(self, table: int, count: int, threads: int, groups: int = 0, group_count: int = 0) -> None:
        """Run `count` phases at address `table`: on `threads` threads if the team is free, else on this one.

        groups   address of (first phase, number of phases, halvings) rows; 0: every phase waits for the one before it
        """
        if threads > 1 and count and self.busy.acquire(False):
            try:
                if not self.closed:
                    self.run_team(self.address, table, groups, group_count if groups else count,
                                  min(threads, self.size))
                    return
            finally:
                self.busy.release()
        self.run_alone(table, count)

    def time(self, table: int, count: int, threads: int, stamps: int) -> None:
        """Like run, waiting for the team; writes count + 1 timespecs (seconds, nanoseconds) to address `stamps`."""
        if threads > 1 and count:
            with self.busy:
                if not self.closed:
                    self.time_team(self.address, table, 0, count, min(threads, self.size), stamps)
                    return
        self.time_alone(table, count, stamps)

    def shutdown(self, patience: float = 1.0) -> None:
        """Send the workers home. Later runs are done by their callers alone."""
        if not self.busy.acquire(timeout=patience):
            return                                        # a run that does not end: the process's exit ends it
        try:
            if self.closed:
                return
            self.closed = True
            driver.function("tw_stop", c_void_p)(self.address)
        finally:
            self.busy.release()
        for worker in self.workers:
            worker.join(patience)
        self.workers = [w for w in self.workers if w.is_alive()]


_pace = 0.0


def pauses_per_microsecond() -> float:
    """How many pause instructions this machine does per microsecond; measured once."""
    global _pace
    if not _pace:
        pauses, best = driver.function("tw_pauses", c_int64), float("inf")
        for _ in range(5):
            begin = time.perf_counter()
            pauses(2000)
            best = min(best, time.perf_counter() - begin)
        _pace = 2000 / max(best * 1e6, 1e-3)
    return _pace


_team: Team | None = None
_making = threading.Lock()


def default_threads() -> int:
    """TENSORWRIGHT_THREADS, else the cores this process may use."""
    return min(settings.threads() or cpu.usable_cores(), MAX_THREADS)


def check_threads(threads: int | None) -> None:
    """InputError unless a team can have this size; None stands for the default."""
    if threads is None:
        return
    if not isinstance(threads, Integral) or not 1 <= threads <= MAX_THREADS:
        raise InputError(f"threads is {threads!r}, not a whole number from 1 to {MAX_THREADS}",
                         cores=cpu.usable_cores(), try_="leave it out to use all cores")


def check_streams(streams: int, threads: int | None) -> None:
    """InputError unless so many runs at once are possible, of one thread each."""
    if not isinstance(streams, Integral) or isinstance(streams, bool) or not 1 <= streams <= MAX_THREADS:
        raise InputError(f"streams is {streams!r}, not a whole number from 1 to {MAX_THREADS}",
                         cores=cpu.usable_cores(), try_="as many as there are cores")
    if threads not in (None, 1):
        raise InputError(f"{streams} streams of {threads} threads were asked for: runs in streams have one thread each",
                         try_="leave threads out for throughput, or streams for latency")


def team(threads: int = 1) -> Team:
    """The process's team, with room for at least `threads` threads."""
    global _team
    found = _team
    if found is None:
        with _making:
            if _team is None:
                _team = Team()
            found = _team
    if found.size < threads:
        found.grow(threads)
    return found


def _shutdown() -> None:
    if _team is not None:
        _team.shutdown()


def _after_fork() -> None:
    """A forked child has none of the workers: it makes its own team when it needs one."""
    global _team, _making
    _team, _making = None, threading.Lock()


atexit.register(_shutdown)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
