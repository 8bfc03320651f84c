"""Which intermediate values can be looked at after a run: for programs in which every value has memory of its own."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from ..plan.records import Launch, Program
from .lower import Lowering
from .storage import Place
from .work import KernelWork

#: Plan.metadata: per program, [step, operand of the step, name of the value] as JSON.
KEPT = "kept_values"
Row = tuple[int, int, str]


def kept_values(lowering: Lowering, program: Program, names: Collection[str]) -> list[Row]:
    """The values of these names that steps leave in the arena: number of the step, and of its argument (of a launch)
    or its output (of a host step)."""
    places = {_where(p): name for name, p in lowering.places.items() if name in names}
    rows: list[Row] = []
    for number, (work, step) in enumerate(zip(lowering.works, program.steps, strict=True)):
        first = len(work.inputs) if isinstance(step, Launch) and isinstance(work, KernelWork) else 0
        for k, place in enumerate(work.outputs):
            if isinstance(place, Place) and (name := places.get(_where(place))) is not None \
                    and program.buffers[place.buffer].kind == "arena":
                rows.append((number, first + k, name))
    return rows


def as_metadata(programs: Sequence[Sequence[Row]]) -> dict[str, str]:
    return {KEPT: json.dumps(programs)}


def _where(place: Place) -> tuple[object, ...]:
    return place.buffer, place.offset, place.shape, place.strides
