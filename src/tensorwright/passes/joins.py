"""Element-wise work on joined tensors is done on the parts, where it fuses with what computes them.

A rectified concatenation of convolutions becomes their epilogues; a rotary embedding, x·cos + [−x₂, x₁]·sin, two passes
over halves of x instead of a negation, a copy and a pass over the whole.
"""

from __future__ import annotations

import numpy as np

from ..dims import Dim
from ..ir.pattern import Operand, Refusal, Term, Value, node, some, term
from ..ops import Concat, Pointwise, Slice
from .pointwise import CORES
from .rewrite import rewrite


@rewrite(some(Pointwise, node(Concat, name="joined"), name="e"))
def split_pointwise_over_concat(e: Value, joined: Value) -> Term | Refusal | None:
    """e(concat(x, y), z) → concat(e(x, z's first part), e(y, z's rest)), when a layer computes x or y for this alone"""
    parts = [v for v in joined.inputs if v is not None]
    assert isinstance(joined.op, Concat)
    axis = joined.op.axis
    fusable = [v.layer is not None and isinstance(v.op, (*CORES, Pointwise)) and v.readers == 1 for v in parts]
    if not any(fusable) or len({v.name for v in parts}) < len(parts):
        return None
    if joined.readers > 1:
        return Refusal("the joined tensor has another reader")
    if joined.shape != e.shape:
        return Refusal("the joined tensor is broadcast")
    if not all(f or (v.layer is not None and isinstance(v.op, Slice)) for f, v in zip(fusable, parts, strict=True)):
        return Refusal("a part comes from a layer that cannot take the work in")
    results: list[Operand] = []
    start: Dim = 0
    for part in parts:
        size = part.shape[axis]
        operands: list[Operand] = []
        for v in e.inputs:
            assert v is not None
            operands.append(part if v.name == joined.name else _part(v, axis - e.rank, start, size))
        results.append(term(e.op, *operands))
        start = start + size
    return term(joined.op, *results)


def _part(v: Value, axis: int, start: Dim, size: Dim) -> Operand:
    """Elements start .. start + size of v along an axis counted from the end; all of v where it is broadcast."""
    if v.rank < -axis or v.shape[axis] == 1:
        return v
    at = v.rank + axis
    if v.array is not None and isinstance(start, int) and isinstance(size, int):
        return np.ascontiguousarray(v.array[(slice(None),) * at + (slice(start, start + size),)])
    starts = tuple(start if i == at else 0 for i in range(v.rank))
    return term(Slice(starts, tuple(size if i == at else d for i, d in enumerate(v.shape)), (1,) * v.rank), v)


JOINS = (split_pointwise_over_concat,)
