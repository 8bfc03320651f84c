"""Weights that leave memory after use: those beyond a budget are read again from the plan's file when they are needed.

They lie in a mapping of that file, so they come by themselves when a kernel touches them. What is done here is to
choose which ones stay, and to give the pages of the others back after each few launches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..plan.records import Launch, Program, Step, View
from ..plan.tensors import StoredTensors

#: Bytes of streamed weights that launches one after the other may use before their pages are given back, at least.
SEGMENT = 1 << 20


class Streaming:
    """Which constants of a program stay in memory.

    budget     bytes of them that may; the first ones used do
    leaving    buffer → name, of the others
    scratch    bytes of those that may be in memory at once, beside the budget
    """

    def __init__(self, program: Program, weights: StoredTensors, budget: int) -> None:
        self.weights = weights
        self.leaving: dict[int, str] = {}
        largest, kept = 0, set[int]()
        for step in program.steps:
            views = step.args if isinstance(step, Launch) else (*step.inputs, *step.outputs)
            own = dict.fromkeys(v.buffer for v in views if isinstance(v, View)
                                and program.buffers[v.buffer].kind == "constant" and v.buffer not in kept)
            for buffer in own:
                size = weights.nbytes(program.buffers[buffer].name)
                if size <= budget and buffer not in self.leaving:
                    budget -= size
                    kept.add(buffer)
                else:
                    self.leaving[buffer] = program.buffers[buffer].name
            largest = max(largest, self.size(own))
        self.scratch = max(largest, SEGMENT) if self.leaving else 0

    def of(self, step: Step) -> set[int]:
        """Buffers of a step that leave."""
        views = step.args if isinstance(step, Launch) else (*step.inputs, *step.outputs)
        return {v.buffer for v in views if isinstance(v, View) and v.buffer in self.leaving}

    def size(self, buffers: Iterable[int]) -> int:
        """Bytes of those of the buffers that leave."""
        return sum(self.weights.nbytes(self.leaving[b]) for b in buffers if b in self.leaving)

    def forget(self, buffers: Iterable[int] | None = None) -> None:
        """Give back the pages of these buffers (default: of all that leave)."""
        for buffer in self.leaving if buffers is None else buffers:
            self.weights.forget(self.leaving[buffer])


class Forget:
    """A piece of work that only gives memory back."""

    def __init__(self, streaming: Streaming, buffers: Iterable[int]) -> None:
        self.streaming, self.buffers = streaming, tuple(buffers)

    def run(self, user: Mapping[int, int], opaque: dict[str, Any]) -> None:
        self.streaming.forget(self.buffers)


def streamable(program: Program, weights: StoredTensors) -> int:
    """Bytes of the constants that steps read."""
    return Streaming(program, weights, -1).size(range(len(program.buffers)))
