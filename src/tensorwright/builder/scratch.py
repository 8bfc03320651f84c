"""Scratch memory that kernels need at the largest sizes of a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..dims import bounds, evaluate, mul
from ..kernels.problem import Problem, Source
from .work import KernelWork


class Scratch:
    """ranges: symbol of the network → (min, max)."""

    def __init__(self, works: Sequence[KernelWork], ranges: Mapping[str, tuple[int, int]], threads: int) -> None:
        self.ranges, self.threads = ranges, threads
        self.works: dict[Problem, list[KernelWork]] = {}
        for work in works:
            self.works.setdefault(work.problem, []).append(work)

    def need(self, problem: Problem, source: Source) -> int:
        """Bytes for one launch: the most of all layers that are this problem; of a problem that is no layer's, at its
        tuned sizes."""
        sizes = [mul(w.bytes, self.threads if w.per_thread else 1) for w in source.workspaces]
        works = self.works.get(problem)
        if not works:
            return sum(evaluate(size, dict(problem.tuned)) for size in sizes)
        return max(sum(bounds(work.to_network(size), self.ranges)[1] for size in sizes) for work in works)
