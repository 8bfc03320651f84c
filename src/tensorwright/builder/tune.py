"""Choosing a tactic for every distinct problem: candidates in the analytical order, timing on this machine decides.

Equal problems share the result. Every candidate's result is compared with the first exact candidate's on the same
random operands before it may win: approximate tactics (Winograd) must stay within a tenth of the build's tolerance.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..device import cpu as device
from ..errors import BuildError, DeviceError
from ..kernels.cpu import tactics
from ..kernels.problem import Problem, Source, Tactic
from ..targets import CpuSpec
from . import trace
from .cache import TimingCache, problem_key
from .options import BuildOptions
from .trial import Trial
from .work import KernelWork, Load, load_of

#: A candidate slower than the best by this factor in its first launches is not timed further.
HOPELESS = 2.5


@dataclass(frozen=True)
class Choice:
    """The kernel for one problem. seconds is None when it was not timed."""

    tactic: Tactic
    source: Source
    code: bytes
    symbol: str
    seconds: float | None
    candidates: int


def symbol_of(problem: Problem, tactic: Tactic) -> str:
    """Name of the kernel's functions: equal for equal machine code on equal targets."""
    return "k" + hashlib.sha256(f"{problem_key(problem)}|{tactic!r}".encode()).hexdigest()[:20]


class Tuner:
    def __init__(self, cpu: CpuSpec, threads: int, options: BuildOptions, cache: TimingCache, tolerance: float) -> None:
        self.cpu, self.threads, self.options, self.cache, self.tolerance = cpu, threads, options, cache, tolerance
        self.chosen: dict[Problem, Choice] = {}
        self.banned: set[str] = set()
        self.notes: list[str] = []

    def choose(self, works: Sequence[KernelWork]) -> Mapping[Problem, Choice]:
        """A choice for the problem of every work. Problems that cost most are timed first."""
        problems = list(dict.fromkeys(w.problem for w in works))
        loads = {p: load_of(p) for p in problems}
        problems.sort(key=lambda p: -loads[p].flops - 4 * loads[p].bytes)
        weights = [loads[p].flops + 4 * loads[p].bytes + 1e6 for p in problems]
        begin, total, done = time.perf_counter(), sum(weights), 0.0
        budget = self.options.tune_budget
        for problem, weight in zip(problems, weights, strict=True):
            spent = time.perf_counter() - begin
            left = None if budget is None else max(0.0, budget - spent)
            if problem not in self.chosen:
                self.chosen[problem] = self._choose(problem, loads[problem], left)
            done += weight
            if self.options.progress:
                spent = time.perf_counter() - begin
                self.options.progress("tune", done / total, spent * (total - done) / done)
        self.cache.save()
        return self.chosen

    def _choose(self, problem: Problem, load: Load, seconds_left: float | None) -> Choice:
        candidates = [t for t in tactics(problem, self.cpu) if symbol_of(problem, t) not in self.banned]
        if not candidates:
            raise BuildError(f"no kernel is left for {problem.op}", try_="report this build with TENSORWRIGHT_DEBUG=2")
        replayed = (self.options.replay or {}).get(problem_key(problem))
        if replayed is not None:
            found = [t for t in candidates if repr(t) == replayed]
            if not found:
                raise BuildError(
                    f"the replayed choice {replayed} is not a tactic of {problem.op}",
                    try_="rebuild without replay: the generators have changed",
                )
            return self._finish(problem, found[0], None, 1)
        known = self.cache.known(problem)
        if len(candidates) == 1 or seconds_left == 0 or load.bytes == 0:
            exact = [t for t in candidates if not approximate(t)] or candidates
            return self._finish(problem, exact[0], known.get(self._entry(exact[0])), len(candidates))
        if all(self._entry(t) in known for t in candidates):
            best = min(candidates, key=lambda t: known[self._entry(t)])
            return self._finish(problem, best, known[self._entry(best)], len(candidates))
        return self._time(problem, candidates, 1 if load.is_serial else self.threads, seconds_left)

    def _time(self, problem: Problem, candidates: list[Tactic], threads: int, seconds_left: float | None) -> Choice:
        trial = Trial(problem, self.cpu, self.threads, self.options.seed)
        end = None if seconds_left is None else time.perf_counter() + seconds_left
        best: tuple[float, Tactic, Source, bytes] | None = None
        expected: list[np.ndarray] | None = None
        for tactic in sorted(candidates, key=approximate):
            if best is not None and end is not None and time.perf_counter() > end:
                break
            symbol = symbol_of(problem, tactic)
            try:
                source, code = self._compile(problem, tactic, symbol)
                launch = trial.launch(source, tactic, device.load([code]))
            except DeviceError as error:
                self.notes.append(f"{tactic!r} was dropped: {error.what}")
                continue
            results = launch.results()
            if expected is None:
                expected = results
            elif (error_ := _difference(results, expected)) > self._allowed(tactic):
                self.notes.append(f"{tactic!r} was dropped: its result differs by {error_:.1e}")
                self.cache.add(problem, self._entry(tactic), float("inf"))
                continue
            seconds = launch.seconds(threads, None if best is None else best[0] * HOPELESS)
            self.cache.add(problem, self._entry(tactic), seconds)
            if best is None or seconds < best[0]:
                best = (seconds, tactic, source, code)
        if best is None:
            raise BuildError(f"no kernel of {problem.op} works on this machine", try_="; ".join(self.notes[-3:]))
        seconds, tactic, source, code = best
        return Choice(tactic, source, code, symbol_of(problem, tactic), seconds, len(candidates))

    def _entry(self, tactic: Tactic) -> str:
        """The tactic's name in the timing cache. Whether an approximate one may run depends on the tolerance."""
        return f"{tactic!r} within {self._allowed(tactic):.0e}" if approximate(tactic) else repr(tactic)

    def _allowed(self, tactic: Tactic) -> float:
        return self.tolerance / 10 if approximate(tactic) else self.tolerance

    def _finish(self, problem: Problem, tactic: Tactic, seconds: float | None, candidates: int) -> Choice:
        symbol = symbol_of(problem, tactic)
        source, code = self._compile(problem, tactic, symbol)
        return Choice(tactic, source, code, symbol, seconds, candidates)

    def _compile(self, problem: Problem, tactic: Tactic, symbol: str) -> tuple[Source, bytes]:
        source = tactic.source(problem, self.cpu, symbol)
        trace.say(trace.SOURCE, lambda: f"; {tactic!r} for {problem}\n{source.text}")
        trace.say(trace.ASSEMBLY, lambda: device.assembly(source.text, self.cpu))
        return source, device.compile(source.text, self.cpu)


def approximate(tactic: Tactic) -> bool:
    """Whether the tactic's rounding error is larger than the plain algorithm's."""
    return bool(getattr(tactic, "approximate", False))


def _difference(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """Largest difference relative to the largest magnitude; infinite when NaN or infinity differ."""
    worst = 0.0
    for x, y in zip(a, b, strict=True):
        if x.dtype.kind not in "fc":
            worst = max(worst, 0.0 if np.array_equal(x, y) else float("inf"))
            continue
        finite = np.isfinite(y)
        if not np.array_equal(finite, np.isfinite(x)):
            return float("inf")
        if finite.any():
            scale = float(np.abs(y[finite]).max()) or 1.0
            worst = max(worst, float(np.abs(x[finite] - y[finite]).max()) / scale)
    return worst
