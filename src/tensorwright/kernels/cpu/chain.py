"""Chains of layers: depth first in bands of rows, or layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Union

from ...dims import evaluate
from ...targets import CpuSpec
from ..problem import Problem, Tactic
from . import tactics as family_tactics
from .chain_band import Banded, inner_source, window_bytes, windows
from .chain_form import Form, form_of
from .chain_separate import Separate

Choices = Sequence[Sequence[Tactic]]


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Union[Banded, Separate]]:
    """Chains of 2-D convolutions and pointwise layers with constant weights; only the batch may be symbolic."""
    yield from chain_tactics(problem, cpu, ())


def stage_problems(problem: Problem, cpu: CpuSpec) -> list[Problem]:
    """Every stage over its whole tensor, as `Separate` runs it. Empty where there is no tactic for the chain."""
    form = form_of(problem)
    return [] if form is None else [form.problem(k) for k in range(len(form.stages))]


def chain_tactics(problem: Problem, cpu: CpuSpec, stage_choices: Choices) -> Iterator[Union[Banded, Separate]]:
    """stage_choices: for every stage, tactics of its whole problem to try, best first. () for the first guesses."""
    form = form_of(problem)
    if form is None:
        return
    whole = [list(stage_choices[k]) if stage_choices else _first(form.problem(k), cpu) for k in range(len(form.stages))]
    shapes = _shapes(form, cpu)
    inner = [_inner(form, k, cpu, whole[k], shapes[0][0]) for k in range(len(form.stages))]
    if all(inner):
        best = tuple(choices[0] for choices in inner)
        for rows, bands in shapes:
            yield Banded(rows, bands, best)
        for k, choices in enumerate(inner):
            for choice in choices[1:2]:
                yield Banded(*shapes[0], (*best[:k], choice, *best[k + 1:]))
    if all(whole):
        yield Separate(tuple(choices[0] for choices in whole))


def _first(problem: Problem, cpu: CpuSpec) -> list[Tactic]:
    """The first guess that is exact."""
    found = (t for t in family_tactics(problem, cpu) if not getattr(t, "approximate", False))
    return [t for t, _ in zip(found, range(1), strict=False)]


def _inner(form: Form, k: int, cpu: CpuSpec, whole: list[Tactic], rows: int) -> list[Tactic]:
    """Tactics for stage k in a band: those of the whole tensor that can, and the first guess for the band itself."""
    problem = form.band_problem(k, cpu, windows(form, rows)[k].step)
    found = [*whole, *_first(problem, cpu)]
    return [t for t in dict.fromkeys(found) if inner_source(t, problem, cpu, "k") is not None]


def _shapes(form: Form, cpu: CpuSpec) -> list[tuple[int, int]]:
    """(rows per band, bands per chunk), best guess first."""
    height, found = form.stages[-1].shape[2], list[tuple[int, int]]()
    images = max(1, evaluate(form.stages[-1].shape[0], dict(form.tuned)))
    for pieces in (2 * cpu.cores, cpu.cores):
        chunk = -(-height // max(1, -(-pieces // images)))
        for share in (0.5, 0.25):
            most = max(1, max((r for r in range(1, chunk + 1) if _bytes(form, cpu, r) <= share * cpu.l2), default=1))
            bands = -(-chunk // most)
            found.append((-(-chunk // bands), bands))
    return list(dict.fromkeys(found))


def _bytes(form: Form, cpu: CpuSpec, rows: int) -> int:
    """What a band keeps in the cache: its windows and the weights."""
    flowing = sum(window_bytes(form.band(k, cpu), w.length) for k, w in enumerate(windows(form, rows)[:-1]))
    weights = 0
    for stage in form.stages:
        if not stage.pointwise:
            w = stage.operands[1]
            assert w is not None
            size = 1
            for d in w.shape:
                size *= int(d)  # type: ignore[arg-type]
            weights += size * w.dtype.itemsize
    return flowing + weights
