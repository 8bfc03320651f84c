"""Chains of layers, executed depth first in bands of rows. Whether that pays is for who asks for them to judge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from ...dims import evaluate, product
from ...ops.convolution import Convolution
from ...targets import CpuSpec
from ..problem import Problem, Tactic
from . import tactics as family_tactics
from .chain_band import Banded, inner_source, window_bytes, windows
from .chain_form import Form, form_of

Choices = Sequence[Sequence[Tactic]]


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Banded]:
    """Chains of 2-D convolutions with constant weights, pools and pointwise layers; only the batch may be symbolic."""
    yield from chain_tactics(problem, cpu, ())


def stage_problems(problem: Problem, cpu: CpuSpec) -> list[Problem]:
    """Every stage as a layer of its own. Empty where there is no tactic for the chain."""
    form = form_of(problem)
    return [] if form is None else [form.problem(k) for k in range(len(form.stages))]


def chain_tactics(problem: Problem, cpu: CpuSpec, stage_choices: Choices) -> Iterator[Banded]:
    """stage_choices: for every stage, tactics of its whole problem to try, best first. () for the first guesses."""
    form = form_of(problem)
    if form is None:
        return
    whole = [list(stage_choices[k]) if stage_choices else _first(form.problem(k), cpu) for k in range(len(form.stages))]
    bands = _bands(form, cpu)
    inner = [_inner(form, k, cpu, whole[k], bands[0][0]) for k in range(len(form.stages))]
    if all(inner):
        best = tuple(choices[0] for choices in inner)
        yield from (Banded(*cut, best) for cut in bands)
        for k, choices in enumerate(inner):
            for choice in choices[1:2]:
                yield Banded(*bands[0], (*best[:k], choice, *best[k + 1:]))


def _first(problem: Problem, cpu: CpuSpec) -> list[Tactic]:
    """The first guess that is exact."""
    return list(islice((t for t in family_tactics(problem, cpu) if not _approximate(t)), 1))


def _approximate(tactic: Tactic) -> bool:
    return bool(getattr(tactic, "approximate", False))


def _inner(form: Form, k: int, cpu: CpuSpec, whole: list[Tactic], rows: int) -> list[Tactic]:
    """Tactics for stage k in a band: those of the whole tensor that can, and the first guess for the band itself.

    Approximate ones are made for a size: of these the band has its own, of the same kind.
    """
    problem = form.band_problem(k, cpu, windows(form, rows)[k].step)
    offered = list(family_tactics(problem, cpu))

    def able(found: Iterable[Tactic]) -> Iterator[Tactic]:
        return (t for t in found if inner_source(t, problem, cpu, "k") is not None)

    alike = [islice(able(o for o in offered if type(o) is type(t)), 1) if _approximate(t) else able([t]) for t in whole]
    exact = able(t for t in offered if not _approximate(t))
    return list(dict.fromkeys([*(t for own in alike for t in own), *islice(exact, 1)]))


def _bands(form: Form, cpu: CpuSpec) -> list[tuple[int, int]]:
    """(rows per band, bands per chunk), best guess first: half of the second-level cache or more of it."""
    height = form.stages[-1].shape[2]
    images = max(1, evaluate(form.stages[-1].shape[0], dict(form.tuned)))
    copied = {r: 0.1 * sum(w.kept / w.step for w in windows(form, r)[:-1]) for r in range(1, height + 1)}

    def cut(rows: int) -> tuple[float, int]:
        """Rows that the thread with most work computes, copies from band to band included; bands per chunk.

        Chunks are as large as leaves all threads busy.
        """
        found = []
        for pieces in range(1, 2 * cpu.cores + 1):
            bands = -(-height // (pieces * rows))
            chunks = -(-(-(-height // (rows * bands)) * images) // cpu.cores)
            found.append((min(chunks * bands * rows, images * height) * (1 + copied[rows]), -bands))
        busiest, bands = min(found)
        return busiest, -bands

    found = []
    for share in (0.5, 0.75, 1.0):
        fits = [r for r in range(1, height + 1) if _bytes(form, cpu, r) <= share * cpu.l2] or [1]
        rows = min((r for r in fits if 2 * r > fits[-1]), key=lambda r: (cut(r)[0], -r))
        found.append((rows, cut(rows)[1]))
    return list(dict.fromkeys(found))


def _bytes(form: Form, cpu: CpuSpec, rows: int) -> int:
    """What a band keeps in the cache: its windows and the weights."""
    flowing = sum(window_bytes(form.band(k, cpu), w.length) for k, w in enumerate(windows(form, rows)[:-1]))
    weights = 0
    for stage in form.stages:
        if isinstance(stage.core, Convolution):
            w = stage.operands[1]
            assert w is not None
            weights += evaluate(product(w.shape), {}) * w.dtype.itemsize
    return flowing + weights
