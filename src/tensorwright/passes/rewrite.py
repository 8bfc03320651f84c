"""Rewrites: a pattern and a function that says what to put there, applied until nothing changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Union

import numpy as np

from ..ir import Layer, Op, OpaqueType
from ..ir.pattern import Pattern, Refusal, Term, Value, match
from ..ir.refittable import Undecided
from .graph import Graph, merged_origin
from .report import Report

Result = Union[Value, Term, np.ndarray, Refusal, None]


@dataclass(frozen=True)
class Rewrite:
    """A named rewrite. `make` gets the pattern's bindings by name and returns

    Value      the matched value is that one already
    Term       the layers that compute it instead
    ndarray    its constant content
    Refusal    matched, declined: the reason goes to the report
    None       not what the rewrite is about
    """

    name: str
    pattern: Pattern
    make: Callable[..., Result]


def rewrite(pattern: Pattern) -> Callable[[Callable[..., Result]], Rewrite]:
    """Makes a Rewrite, named after the function, of a function of the pattern's bindings."""
    return lambda make: Rewrite(make.__name__.replace("_", " "), pattern, make)


def apply(graph: Graph, rewrites: Iterable[Rewrite], report: Report) -> None:
    """Try every rewrite at every layer, and again around every change, until none fires.

    Rewrites that undo each other would never end: past a bound that others stay far below, the report says so and the
    network stays as it is then, which is a valid one.
    """
    by_op: dict[type[Op], list[Rewrite]] = {}
    for r in rewrites:
        for op in r.pattern.ops:
            by_op.setdefault(op, []).append(r)
    work = deque(layer.name for layer in graph.ordered())
    waiting = set(work)
    fuel = 50 * len(work) + 1000
    while work:
        name = work.popleft()
        waiting.discard(name)
        layer = graph.layers.get(name)
        if layer is None or is_opaque(graph, layer):
            continue
        for r in by_op.get(type(layer.op), ()):
            again = fire(graph, r, layer, report)
            if again is not None:
                fuel -= 1
                if fuel == 0:
                    report.decline(r.name, name, "it and another rewrite undo each other")
                    return
                for other in (name, *again):
                    if other not in waiting:
                        waiting.add(other)
                        work.append(other)
                break


def fire(graph: Graph, r: Rewrite, layer: Layer, report: Report) -> list[str] | None:
    """Apply one rewrite at one layer. None when it does not fire; else names of layers to look at again."""
    for bound in match(graph, layer, r.pattern):
        graph.constants.touched = False
        try:
            result = r.make(**bound)
        except Undecided as reason:
            result = Refusal(str(reason))
        if isinstance(result, Refusal):
            report.decline(r.name, layer.name, result.reason)
        elif result is not None:
            matched = [bound[name].layer for name in _nodes(r.pattern) if bound.get(name)]  # type: ignore[union-attr]
            report.fire(r.name, layer.name)
            return graph.replace(layer, result, merged_origin(*matched, layer))
    return None


def _nodes(pattern: Pattern) -> list[str]:
    """Names the pattern gives to layers."""
    found = [pattern.name] if pattern.ops and pattern.name else []
    return found + [name for inner in pattern.inputs or () for name in _nodes(inner)]


def is_opaque(graph: Graph, layer: Layer) -> bool:
    return any(isinstance(graph.types[v], OpaqueType) for v in (*layer.inputs, *layer.outputs) if v)


def why_not(r: Rewrite, graph: Graph) -> str | None:
    """The reason for which a rewrite declines somewhere in a network; None when it never does. For tests."""
    report = Report()
    apply(graph, [r], report)
    return next((reason for _, _, reason in report.declined), None)
