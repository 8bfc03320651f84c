"""Simplification: every step that makes a model smaller and keeps what it computes, until none finds anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ModelError
from .duplicates import merge_duplicates, merge_initialisers
from .edit import edit
from .fold import fold
from .meaning import Meaning
from .model import Model
from .noops import merge_transposes, remove_casts, remove_identity, remove_reshapes, remove_slices
from .reshapes import constant_shapes
from .structure.unused import remove_unused

#: In this order; the first ones leave less to the later ones.
STEPS: dict[str, Callable[..., Any]] = {
    "fold": fold, "constant_shapes": constant_shapes, "remove_identity": remove_identity, "remove_casts": remove_casts,
    "merge_transposes": merge_transposes, "remove_reshapes": remove_reshapes, "remove_slices": remove_slices,
    "merge_initialisers": merge_initialisers, "merge_duplicates": merge_duplicates, "remove_unused": remove_unused,
}
#: Steps that ask for what is known of tensors.
READING = frozenset({"constant_shapes", "remove_reshapes", "remove_slices"})
MOST_ROUNDS = 20


@dataclass
class Simplified:
    """nodes_before, nodes_after: of all graphs. steps: step → names of what it took out. declined: what fold left."""

    nodes_before: int
    nodes_after: int = 0
    steps: dict[str, list[str]] = field(default_factory=dict)
    declined: dict[str, str] = field(default_factory=dict)


@edit
def simplify(model: Model, *, skip: Sequence[str] = (), largest: int = 1024, exclude: Iterable[str] = ()) -> Simplified:
    """Fold constants, take out nodes that change nothing, merge duplicates, drop what nobody reads.

    skip               steps to leave out, by name (STEPS)
    largest, exclude   as for `fold`
    Inputs and outputs, their names, types and order stay as they are.
    """
    for name in skip:
        if name not in STEPS:
            raise ModelError(f"there is no step {name!r}", at=model.label, try_=", ".join(STEPS))
    exclude = tuple([exclude] if isinstance(exclude, str) else exclude)
    report = Simplified(len(model.all_nodes()))
    for _ in range(MOST_ROUNDS):
        found = False
        meaning, read = Meaning(model), False            # read once per round: steps only take away what it knows
        for name, step in STEPS.items():
            if name in skip:
                continue
            if name == "fold":
                result, read = step(model, largest=largest, exclude=exclude, meaning=meaning), True
                report.declined, gone = result.declined, [*result.folded, *result.flattened]
            elif name == "remove_unused":
                result = step(model)
                gone = [*result.nodes, *result.weights, *result.functions]
            elif name in READING:
                gone, read = step(model, meaning=meaning if read else meaning.walk()), True
            else:
                gone = step(model)
            if gone:
                report.steps.setdefault(name, []).extend(gone)
                found = True
        if not found:
            break
    report.nodes_after = len(model.all_nodes())
    return report
