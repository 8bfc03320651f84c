"""What a network takes for granted about its symbols: equalities and bounds that only actual shapes can confirm.

Shape rules refuse what certainly contradicts itself and believe the rest: (N,) + (M,) is accepted as N = M. Code made
for such a network is right, and touches only its own memory, where these conditions hold; so they are checked
whenever shapes are set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..dims import Dim, Expr, bounds, evaluate, symbols
from ..ir import Network, OpaqueType, TensorType
from .rules import ASSUMED


@dataclass(frozen=True)
class Condition:
    """`dim` must be 0 (kind "zero") or at least 0 (kind "natural"). layer: whose shape rule assumed it."""

    kind: str
    dim: Dim
    layer: str

    def holds(self, env: Mapping[str, int]) -> bool:
        value = evaluate(self.dim, env)
        return value == 0 if self.kind == "zero" else value >= 0

    def __str__(self) -> str:
        return f"{self.dim} {'=' if self.kind == 'zero' else '≥'} 0"


def conditions(network: Network, ranges: Mapping[str, tuple[int, int]] | None = None) -> tuple[Condition, ...]:
    """Each condition once, with the first layer that needs it. With the symbols' inclusive ranges, only those that do
    not hold everywhere in them."""
    found: dict[tuple[str, Dim], Condition] = {}
    for layer in network.layers:
        operands = [None if name is None else network.types[name] for name in layer.inputs]
        if layer.op.types_are_given or any(isinstance(t, OpaqueType) for t in operands):
            continue
        noted: list[tuple[str, Dim]] = []
        token = ASSUMED.set(noted)
        try:
            layer.op.infer(*(t for t in operands if not isinstance(t, OpaqueType)))
        finally:
            ASSUMED.reset(token)
        for t in map(network.types.get, layer.outputs):
            if isinstance(t, TensorType):
                noted += [("natural", d) for d in t.shape if not isinstance(d, int)]
        for kind, d in noted:
            found.setdefault((kind, d), Condition(kind, d, layer.name))
    return tuple(c for c in found.values() if not _certain(c, ranges))


def _certain(c: Condition, ranges: Mapping[str, tuple[int, int]] | None) -> bool:
    if c.kind == "natural" and is_sum_of_naturals(c.dim):
        return True
    if ranges is None or not symbols(c.dim) <= ranges.keys():
        return False
    low, high = bounds(c.dim, ranges)
    return low == high == 0 if c.kind == "zero" else low >= 0


def is_sum_of_naturals(d: Dim) -> bool:
    """Whether d is a sum of products of symbols, each counted a positive number of times: never negative."""
    return isinstance(d, Expr) and all(k > 0 and all(atom.kind == "symbol" for atom, _ in monomial)
                                       for monomial, k in d.terms)
