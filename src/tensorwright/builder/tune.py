"""Choosing a tactic for every distinct problem: candidates in the analytical order, timing on this machine decides.

Equal problems share the result. Every candidate's result is compared with the first exact candidate's on the same
random operands before it may win: approximate tactics (Winograd) must stay within a tenth of the build's tolerance.
Of tactics that are about as fast, one with small weights is taken.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from ..device import cpu as device
from ..device.compilers import Compilers
from ..dims import evaluate, product
from ..errors import BuildError, DeviceError
from ..kernels.cpu import tactics
from ..kernels.cpu.chain import chain_tactics, stage_problems
from ..kernels.problem import Problem, Source, Tactic
from ..ops import Chain
from ..targets import CpuSpec
from . import trace
from .agreement import difference
from .cache import TimingCache, problem_key
from .options import BuildOptions
from .race import InTurn, race
from .scratch import Scratch
from .trial import Memory, Trial, TrialLaunch
from .work import KernelWork, Load, load_of

#: In the timing cache, beside the tactics of a chain: its stages one after the other.
APART = "layer by layer"
#: Candidates that are compiled together, before any of them is timed.
BATCH = 64
#: A chain may be that much slower than its stages: it leaves more of the caches to the layers before and after it.
TIE = 1.12
#: Seconds that a byte of weights counts beside the time of a launch, which has read it with nobody else reading:
#: engines keep it as long as they live, and other launches and programs read memory too.
PRICE = 1.2e-11


@dataclass(frozen=True)
class Choice:
    """The kernel for one problem. seconds is None when it was not timed."""

    tactic: Tactic
    source: Source
    code: bytes
    symbol: str
    seconds: float | None
    candidates: int


@dataclass
class Candidate:
    """A tactic on its way to a choice. code: empty when there is none."""

    tactic: Tactic
    symbol: str
    source: Source
    code: bytes = b""

    def chosen(self, seconds: float | None, candidates: int) -> Choice:
        return Choice(self.tactic, self.source, self.code, self.symbol, seconds, candidates)


def symbol_of(problem: Problem, tactic: Tactic) -> str:
    """Name of the kernel's functions: equal for equal machine code on equal targets."""
    return "k" + hashlib.sha256(f"{problem_key(problem)}|{tactic!r}".encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Task:
    """A problem to be decided: the tactics to compile; known: seconds of the first one, when it need not be timed."""

    problem: Problem
    load: Load
    tactics: list[Tactic]
    candidates: int
    timed: bool = False
    known: float | None = None


class Tuner:
    def __init__(self, cpu: CpuSpec, threads: int, options: BuildOptions, cache: TimingCache, tolerance: float) -> None:
        self.cpu, self.threads, self.options, self.cache, self.tolerance = cpu, threads, options, cache, tolerance
        self.chosen: dict[Problem, Choice] = {}
        self.lost: set[Problem] = set()
        self.banned: set[str] = set()
        self.notes: list[str] = []
        self.memory: Memory | None = None
        self.scratch = Scratch((), {}, threads)

    def choose(self, works: Sequence[KernelWork], ranges: Mapping[str, tuple[int, int]] | None = None
               ) -> Mapping[Problem, Choice]:
        """A choice for the problem of every work. Problems that cost most are timed first; chains after their stages.

        ranges: symbol → (min, max), which the bound of scratch memory holds for
        `lost` then has the chains that had better be executed layer by layer.
        """
        self.scratch = Scratch(works, ranges or {}, self.threads)
        self.chosen = {p: c for p, c in self.chosen.items() if self._fits(p, c.source)}
        problems = list(dict.fromkeys([*(w.problem for w in works), *self._stages(works)]))
        loads = {p: load_of(p) for p in problems}
        problems.sort(key=lambda p: (isinstance(p.op, Chain), -loads[p].flops - 4 * loads[p].bytes))
        weights = {p: loads[p].flops + 4 * loads[p].bytes + 1e6 for p in problems}
        begin, total = time.perf_counter(), sum(weights.values())
        end = None if self.options.tune_budget is None else begin + self.options.tune_budget
        done = sum(weights[p] for p in problems if p in self.chosen)
        waiting = [p for p in problems if p not in self.chosen]
        with Compilers() as compilers:
            while waiting:
                tasks, kind = list[Task](), isinstance(waiting[0].op, Chain)
                while waiting and isinstance(waiting[0].op, Chain) == kind and (
                    sum(len(t.tactics) for t in tasks) < (BATCH if end is None else BATCH // 4)
                ):
                    tasks.append(self._task(waiting[0], loads[waiting.pop(0)], end))
                for task, compiled in zip(tasks, self._compile(tasks, compilers), strict=True):
                    self.chosen[task.problem] = self._decide(task, compiled, end)
                    if kind and self._loses(task.problem):
                        self.lost.add(task.problem)
                    done += weights[task.problem]
                    if self.options.progress:
                        spent = time.perf_counter() - begin
                        self.options.progress("tune", done / total, spent * (total - done) / done)
        self.memory = None
        self.cache.save()
        return self.chosen

    def _stages(self, works: Sequence[KernelWork]) -> list[Problem]:
        """What chains are compared with: their stages as layers of their own. None when nothing is timed."""
        if self.options.replay or self.options.tune_budget == 0:
            return []
        return [p for w in works if isinstance(w.problem.op, Chain) for p in stage_problems(w.problem, self.cpu)]

    def _tactics(self, problem: Problem) -> Iterator[Tactic]:
        """All candidates. A chain's are made of what was fastest for each of its stages, or is to be replayed."""
        if not isinstance(problem.op, Chain):
            return tactics(problem, self.cpu)
        recorded = (self.options.replay or {}).get(problem_key(problem), "")
        stages = stage_problems(problem, self.cpu)
        if recorded:
            choices = [[t for t in tactics(p, self.cpu) if repr(t) in recorded] for p in stages]
        elif all(p in self.chosen for p in stages):
            choices = [self._fastest(p) for p in stages]
        else:
            choices = []
        return chain_tactics(problem, self.cpu, choices)

    def _fastest(self, problem: Problem, count: int = 2) -> list[Tactic]:
        """The choice for a problem and what comes next to it, as far as it was timed."""
        first, known = self.chosen[problem].tactic, self.cache.known(problem)
        others = [t for t in tactics(problem, self.cpu) if t != first and known.get(self._entry(t), inf) < inf]
        return [first, *sorted(others, key=lambda t: known[self._entry(t)])][:count]

    def _loses(self, problem: Problem) -> bool:
        """Whether a chain is slower than its stages one after the other, or was, when choices are replayed."""
        if self.options.replay:
            return problem_key(problem) not in self.options.replay
        apart, seconds = self.cache.known(problem).get(APART), self.chosen[problem].seconds
        return apart is not None and seconds is not None and seconds > TIE * apart

    def _task(self, problem: Problem, load: Load, end: float | None) -> Task:
        """What must be compiled and perhaps timed."""
        candidates = [t for t in self._tactics(problem) if symbol_of(problem, t) not in self.banned]
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
            return Task(problem, load, found, 1)
        candidates = self._within_workspace(problem, candidates)
        candidates.sort(key=approximate)
        if (pin := self.cache.pinned(problem)) is not None and self.options.pinned:
            return self._pinned(problem, load, candidates, pin)
        candidates = candidates[: self.options.max_tactics]
        known, count = self.cache.known(problem), len(candidates)
        compared = [APART] if isinstance(problem.op, Chain) else []
        if count + len(compared) == 1 or load.bytes == 0 or (end is not None and time.perf_counter() >= end):
            return Task(problem, load, candidates[:1], count, known=known.get(self._entry(candidates[0])))
        if all(entry in known for entry in (*map(self._entry, candidates), *compared)):
            best = min(candidates, key=lambda t: known[self._entry(t)] + price(problem, t))
            return Task(problem, load, [best], count, known=known[self._entry(best)])
        if self.options.cached_only:
            raise BuildError(f"the timing cache lacks times of {problem.op}", key=problem_key(problem),
                             try_="build once without asking for cached times only, and keep the cache")
        return Task(problem, load, candidates, count, timed=True)

    def _pinned(self, problem: Problem, load: Load, candidates: list[Tactic], pin: str) -> Task:
        found = [t for t in candidates if self._entry(t) == pin]
        if not found:
            raise BuildError(f"the timing cache asks for {pin}, which is not a tactic of {problem.op} here",
                             key=problem_key(problem), try_="update the cache's entry with another tactic")
        return Task(problem, load, found, len(candidates), known=self.cache.known(problem).get(pin))

    def _fits(self, problem: Problem, source: Source) -> bool:
        limit = self.options.workspace
        return limit is None or self.scratch.need(problem, source) <= limit

    def _within_workspace(self, problem: Problem, candidates: list[Tactic]) -> list[Tactic]:
        """The tactics whose scratch memory is allowed. BuildError when there is none."""
        if self.options.workspace is None:
            return candidates
        needs = {t: self.scratch.need(problem, t.source(problem, self.cpu, "probe")) for t in candidates}
        found = [t for t in candidates if needs[t] <= self.options.workspace]
        if not found:
            raise BuildError(f"every kernel of {problem.op} needs more scratch memory than the workspace limit of "
                             f"{self.options.workspace} bytes; the least is {min(needs.values())}",
                             try_="raise the limit of the workspace")
        return found

    def _compile(self, tasks: Sequence[Task], compilers: Compilers) -> list[list[Candidate]]:
        """Every task's candidates that the compiler accepts, side by side on all cores; nothing is timed meanwhile."""
        candidates = [[self._candidate(task.problem, tactic) for tactic in task.tactics] for task in tasks]
        flat = [c for own in candidates for c in own]
        for c, code in zip(flat, compilers.compile([c.source.text for c in flat], self.cpu), strict=True):
            if isinstance(code, DeviceError):
                self.notes.append(f"{c.tactic!r} was dropped: {code.what}")
            c.code = code if isinstance(code, bytes) else b""
        return [[c for c in own if c.code] for own in candidates]

    def _candidate(self, problem: Problem, tactic: Tactic) -> Candidate:
        symbol = symbol_of(problem, tactic)
        source = tactic.source(problem, self.cpu, symbol)
        trace.say(trace.SOURCE, lambda: f"; {tactic!r} for {problem}\n{source.text}")
        trace.say(trace.ASSEMBLY, lambda: device.assembly(source.text, self.cpu))
        return Candidate(tactic, symbol, source)

    def _decide(self, task: Task, compiled: list[Candidate], end: float | None) -> Choice:
        if not compiled:
            raise BuildError(f"no kernel of {task.problem.op} can be compiled for this machine",
                             try_="; ".join(self.notes[-3:]))
        if task.timed and (end is None or time.perf_counter() < end):
            return self._time(task, compiled, end)
        return compiled[0].chosen(task.known, task.candidates)

    def _time(self, task: Task, compiled: list[Candidate], end: float | None) -> Choice:
        """The fastest of those whose results are right."""
        problem = task.problem
        self.memory = self.memory or Memory(self.cpu)
        self.memory.reset()
        trial = Trial(problem, self.cpu, self.threads, self.memory, self.options.seed)
        runners: list[tuple[Candidate, TrialLaunch]] = []
        expected: list[np.ndarray] | None = None
        for c in compiled:
            try:
                launch = trial.launch(c.source, c.tactic, device.load([c.code]))
            except DeviceError as error:
                self.notes.append(f"{c.tactic!r} was dropped: {error.what}")
                continue
            results = launch.results()
            if expected is None:
                expected = results
            elif (error_ := difference(results, expected)) > self._allowed(c.tactic):
                self.notes.append(f"{c.tactic!r} was dropped: its result differs by {error_:.1e}")
                self.cache.add(problem, self._entry(c.tactic), inf)
                continue
            runners.append((c, launch))
        if not runners:
            raise BuildError(f"no kernel of {problem.op} works on this machine", try_="; ".join(self.notes[-3:]))
        apart = [InTurn(self._stage_launches(problem))] if isinstance(problem.op, Chain) else []
        threads = 1 if task.load.is_serial else self.threads
        times = race([*(launch for _, launch in runners), *apart], threads, end, self.options.least_launches)
        for entry, seconds in zip([*(self._entry(c.tactic) for c, _ in runners), APART], times, strict=False):
            self.cache.add(problem, entry, seconds)
        best = min(range(len(runners)), key=lambda i: times[i] + price(problem, runners[i][0].tactic))
        return runners[best][0].chosen(times[best], task.candidates)

    def _stage_launches(self, problem: Problem) -> list[TrialLaunch]:
        """The kernels chosen for a chain's stages, each over operands of its own."""
        assert self.memory is not None
        launches = []
        for stage in stage_problems(problem, self.cpu):
            c = self.chosen[stage]
            trial = Trial(stage, self.cpu, self.threads, self.memory, self.options.seed)
            launches.append(trial.launch(c.source, c.tactic, device.load([c.code])))
        return launches

    def known(self, problem: Problem) -> list[tuple[Tactic, Source, float | None]]:
        """Every tactic for a problem that the options allow, its source, and its seconds where it was timed; infinite
        where it was wrong."""
        times, found = self.cache.known(problem), list[tuple[Tactic, Source, float | None]]()
        for tactic in sorted(self._tactics(problem), key=approximate):
            symbol = symbol_of(problem, tactic)
            source = tactic.source(problem, self.cpu, symbol)
            if symbol not in self.banned and self._fits(problem, source):
                found.append((tactic, source, times.get(self._entry(tactic))))
        return found[:self.options.max_tactics]

    def forced(self, problem: Problem, tactic: Tactic, seconds: float | None) -> Choice:
        """This tactic for the problem. BuildError when it cannot be compiled."""
        candidate = self._candidate(problem, tactic)
        try:
            candidate.code = device.compile(candidate.source.text, self.cpu)
        except DeviceError as error:
            raise BuildError(f"{tactic!r}, which was selected, cannot be compiled: {error.what}") from None
        return candidate.chosen(seconds, 1)

    def _entry(self, tactic: Tactic) -> str:
        """The tactic's name in the timing cache. Whether an approximate one may run depends on the tolerance."""
        return f"{tactic!r} within {self._allowed(tactic):.0e}" if approximate(tactic) else repr(tactic)

    def _allowed(self, tactic: Tactic) -> float:
        return self.tolerance / 10 if approximate(tactic) else self.tolerance


def approximate(tactic: Tactic) -> bool:
    """Whether the tactic's rounding error is larger than the plain algorithm's."""
    return bool(getattr(tactic, "approximate", False))


def price(problem: Problem, tactic: Tactic) -> float:
    """What the weights cost that the tactic keeps, in seconds. `growth`: elements kept per element of the weights."""
    sizes = [evaluate(product(x.shape), dict(problem.tuned)) * x.dtype.itemsize
             for x in problem.inputs if x is not None and x.constant]
    return max(sizes, default=0) * float(getattr(tactic, "growth", 1.0)) * PRICE
