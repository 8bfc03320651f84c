"""Steps that only the branch of a conditional needs: they are skipped when the condition takes the other one.

A step may be left out when whatever reads its results is left out, or is a choice (ops.Choice) that takes the other
side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Union

import numpy as np

from ..ops import Choice
from ..plan.check import Place
from ..plan.records import HostStep, Program, View
from .memory import array_at

#: Conditions with the values at which a step is needed: all must hold.
Guard = frozenset[tuple[View, bool]]
ALWAYS: Guard = frozenset()
_Key = Union[int, str]


def guards(program: Program) -> list[Guard]:
    """One per step."""
    if not any(isinstance(s, HostStep) and isinstance(s.op, Choice) for s in program.steps) \
            or len(program.layers) != len(program.steps):
        return [ALWAYS] * len(program.steps)
    ports = [_ports(program, k) for k in range(len(program.steps))]
    written = {key: k for k, (_, results) in enumerate(ports) for key in results}     # by which step last
    needed: dict[_Key, Guard] = dict.fromkeys(program.output_values, ALWAYS)
    needed.update({b: ALWAYS for b, x in enumerate(program.buffers) if x.kind == "output"})
    found: list[Guard] = [ALWAYS] * len(program.steps)
    for k in range(len(program.steps) - 1, -1, -1):
        step, (operands, results) = program.steps[k], ports[k]
        wanted = [needed[r] for r in results if r in needed]
        guard = frozenset.intersection(*wanted) if wanted else ALWAYS
        guard = frozenset(g for g in guard if written.get(g[0].buffer, -1) < k)       # the condition is known by then
        found[k] = guard
        choice = isinstance(step, HostStep) and isinstance(step.op, Choice)
        for i, key in enumerate(operands):
            condition = step.inputs[0] if choice and i and isinstance(step, HostStep) else None
            own = guard | {(condition, i == 1)} if isinstance(condition, View) else guard
            needed[key] = needed[key] & own if key in needed else own
    return found


def _ports(program: Program, k: int) -> tuple[list[_Key], list[_Key]]:
    """(buffers or opaque values that a step reads, those it writes)."""
    step, info = program.steps[k], program.layers[k]
    if isinstance(step, HostStep):
        read, written = step.inputs, step.outputs
    else:
        end = info.reads + len(info.types)
        read, written = step.args[: info.reads], step.args[info.reads : end]
    return [_key(x) for x in read if x is not None], [_key(x) for x in written if x is not None]


def _key(x: View | str) -> _Key:
    return x.buffer if isinstance(x, View) else x


class Question:
    """A guard with its conditions' places known."""

    def __init__(self, guard: Guard, place: Callable[[View, str], Place]) -> None:
        self.parts = [(view, place(view, "condition"), wanted) for view, wanted in sorted(guard, key=str)]

    def holds(self, user: Mapping[int, int]) -> bool:
        return all(self._value(view, at, user) == wanted for view, at, wanted in self.parts)

    @staticmethod
    def _value(view: View, at: Place, user: Mapping[int, int]) -> bool:
        base = user[view.buffer] if at.base is None else at.base
        return bool(np.all(array_at(base + at.offset, at.shape, at.strides, view.dtype.numpy)))


def questions(found: Sequence[Guard], place: Callable[[View, str], Place]) -> dict[Guard, Question | None]:
    """Each guard once; None for what is always needed."""
    return {g: Question(g, place) if g else None for g in dict.fromkeys(found)}
