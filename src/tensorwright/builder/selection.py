"""A user's say in which tactic a layer gets: what there is to choose from, after timing and before assembly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from ..dims import Dim, bounds, evaluate
from ..dtypes import DType
from ..errors import BuildError
from ..kernels.problem import Operand, Problem, Source, Tactic
from ..plan.records import Profile
from .tune import Choice, Tuner
from .work import KernelWork


@dataclass(frozen=True)
class Offer:
    """One tactic. seconds: None where it was not timed. workspace: bytes of scratch memory at the tuned sizes."""

    tactic: Tactic
    seconds: float | None
    workspace: int


@dataclass(frozen=True)
class Tensor:
    """An operand that is no weight. shapes: smallest, usual, largest. strides: in elements, at the usual shape."""

    dtype: DType
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Question:
    """A layer, its operands, its offers, and which of them stands so far."""

    layer: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    offers: tuple[Offer, ...]
    chosen: int


#: The numbers of offers that the layer may get: what the builder would take when it is among them, else the fastest.
#: Raises what shall end the build.
Ask = Callable[[Question], Sequence[int]]


def selected(tuner: Tuner, works: Iterable[KernelWork], profile: Profile, ask: Ask,
             tell: Callable[[Question], None]) -> dict[Problem, Choice]:
    """A choice for each problem. Equal layers share a kernel, which all must allow: BuildError when there is none.

    tell    told of every layer with what stands in the end
    """
    alike: dict[Problem, list[KernelWork]] = {}
    for work in works:
        alike.setdefault(work.problem, []).append(work)
    choices: dict[Problem, Choice] = {}
    for problem, sharing in alike.items():
        before = tuner.chosen[problem]
        offers = offers_of(tuner, problem, before)
        first = [o.tactic for o in offers].index(before.tactic)
        allowed = list(range(len(offers)))
        for work in sharing:
            answer = set(ask(question(work, profile, offers, first)))
            allowed = [i for i in allowed if i in answer]
        if not allowed:
            raise BuildError(f"no tactic was selected for {', '.join(work.name for work in sharing)}",
                             try_="layers that are equal share one: select one that all of them have in common")
        best = first if first in allowed else min(
            allowed, key=lambda i: inf if (seconds := offers[i].seconds) is None else seconds)
        choices[problem] = before if best == first else tuner.forced(problem, offers[best].tactic, offers[best].seconds)
        for work in sharing:
            tell(question(work, profile, offers, best))
    return choices


def offers_of(tuner: Tuner, problem: Problem, chosen: Choice) -> tuple[Offer, ...]:
    """All tactics that can run, those of wrong results aside."""
    found = [Offer(tactic, seconds, workspace(source, problem, tuner.threads))
             for tactic, source, seconds in tuner.known(problem) if seconds is None or seconds < inf]
    if not any(o.tactic == chosen.tactic for o in found):
        found.append(Offer(chosen.tactic, chosen.seconds, workspace(chosen.source, problem, tuner.threads)))
    return tuple(found)


def workspace(source: Source, problem: Problem, threads: int) -> int:
    env = dict(problem.tuned)
    return sum(evaluate(w.bytes, env) * (threads if w.per_thread else 1) for w in source.workspaces)


def question(work: KernelWork, profile: Profile, offers: tuple[Offer, ...], chosen: int) -> Question:
    problem = work.problem
    inputs = tuple(tensor(work, profile, o) for o in problem.inputs if o is not None and not o.constant)
    return Question(work.name, inputs, tuple(tensor(work, profile, o) for o in problem.outputs), offers, chosen)


def tensor(work: KernelWork, profile: Profile, operand: Operand) -> Tensor:
    env, ranges = dict(work.problem.tuned), {s: (low, high) for s, (low, _, high) in profile.ranges}

    def range_of(d: Dim) -> tuple[int, int]:
        return bounds(work.to_network(d), ranges)
    usual = tuple(evaluate(d, env) for d in operand.shape)
    return Tensor(operand.dtype, (tuple(range_of(d)[0] for d in operand.shape), usual,
                                  tuple(range_of(d)[1] for d in operand.shape)),
                  tuple(evaluate(d, env) for d in operand.strides))
