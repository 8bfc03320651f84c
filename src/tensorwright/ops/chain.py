"""Layers executed together, band by band, so that what flows between them stays in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ir import Cost, Op, TensorType


@dataclass(frozen=True)
class Chain(Op):
    """y = stages[-1](... stages[1](stages[0](inputs), inputs), inputs)

    Inputs  those of stages[0]; then those of stages[1] without the value that flows; and so on.
    Output  the last stage's.
    Params  stages: operators with one output (Convolution, Pointwise, ..., plain or Fused), at least two.
            arities: how many inputs each stage has, the value that flows included.
            flows: for every stage but the first, which of its inputs is the result of the stage before.
    Cost    the stages' operations; the values that flow are not counted as memory traffic.
    """

    stages: tuple[Op, ...]
    arities: tuple[int, ...]
    flows: tuple[int, ...]

    def split(self, inputs: Sequence[Any], flowing: Sequence[Any] = ()) -> list[list[Any]]:
        """The inputs of every stage; the place of the value that flows into stage i + 1 holds flowing[i], or None."""
        left, result = list(inputs), []
        for k, arity in enumerate(self.arities):
            own = left[: arity - (k > 0)]
            del left[: len(own)]
            if k:
                own.insert(self.flows[k - 1], flowing[k - 1] if k - 1 < len(flowing) else None)
            result.append(own)
        if left:
            raise ShapeError(f"a chain of {len(self.stages)} stages takes {len(inputs) - len(left)} inputs",
                             got=len(inputs))
        return result

    def types(self, inputs: Sequence[TensorType | None]) -> list[TensorType]:
        """The output type of every stage."""
        found: list[TensorType] = []
        for k, op in enumerate(self.stages):
            t = op.infer(*self.split(inputs, found)[k])
            assert isinstance(t, TensorType)
            found.append(t)
        return found

    def infer(self, *inputs: TensorType | None) -> TensorType:
        return self.types(inputs)[-1]

    def reference(self, *inputs: np.ndarray | None) -> Any:
        results: list[np.ndarray] = []
        for k, op in enumerate(self.stages):
            results.append(op.reference(*self.split(inputs, results)[k]))
        return results[-1]

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        types = self.types(inputs)
        operands = self.split(inputs, types)
        costs = [op.cost(own, [t]) for op, own, t in zip(self.stages, operands, types, strict=True)]
        flops, moved = costs[0].flops, costs[0].bytes
        for cost in costs[1:]:
            flops, moved = flops + cost.flops, moved + cost.bytes
        for t in types[:-1]:
            moved = moved - 2 * t.size * t.dtype.itemsize
        return Cost(flops, moved)
