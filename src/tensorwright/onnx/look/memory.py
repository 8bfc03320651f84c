"""Memory over time: the bytes of intermediate tensors that are alive while each node runs.

Nodes run one after the other in the order of the file; every tensor has memory of its own, from the node that makes it
to the last that reads it. Inputs are alive from the beginning to their last reader, outputs to the end. Weights are not
counted: they are always there. An engine does better than this: it shares and skips buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from ...ir import ValueType
from ..model import Model
from ..structure.tensors import constant
from ..structure.walk import captured
from .cost import nbytes


@dataclass(frozen=True)
class Memory:
    """live: bytes alive while each node runs. peak: the largest, while node `at` runs (−1: there are no nodes).

    alive     (tensor, bytes) at the peak, largest first
    unknown   tensors whose size is not known; not counted
    """

    live: tuple[int, ...]
    peak: int
    at: int
    alive: tuple[tuple[str, int], ...]
    unknown: tuple[str, ...]


def memory(model: Model, types: Mapping[str, ValueType]) -> Memory:
    """types: tensor → its type at fixed sizes (Costs.types)."""
    nodes = model.nodes
    weights = set(model.graph.initializers) | {str(v.name) for n in nodes for v in n.outputs if constant(v) is not None}
    first: dict[str, int] = {str(v.name): 0 for v in model.inputs}
    last: dict[str, int] = {}
    for step, node in enumerate(nodes):
        for value in captured(node):
            last[str(value.name)] = step
        for value in node.outputs:
            if value.name and value.name not in weights:
                first[value.name] = last[value.name] = step
    for value in model.outputs:
        last[str(value.name)] = len(nodes) - 1
    sizes = {name: nbytes(types.get(name)) for name in first}
    change = [0] * (len(nodes) + 1)
    for name, begin in first.items():
        if (size := sizes[name]) and nodes:
            change[begin] += size
            change[last.get(name, begin) + 1] -= size
    live = tuple(accumulate(change))[: len(nodes)]
    at = max(range(len(nodes)), key=live.__getitem__, default=-1)
    alive = [(n, sizes[n] or 0) for n, begin in first.items() if begin <= at <= last.get(n, begin) and sizes[n]]
    return Memory(live, live[at] if nodes else 0, at, tuple(sorted(alive, key=lambda x: -x[1])),
                  tuple(n for n, size in sizes.items() if size is None))
