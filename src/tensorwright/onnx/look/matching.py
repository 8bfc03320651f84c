"""Which node of one graph is which of another: by names where they say the same as the structure, else by structure.

A node's *past* is a hash of its operator and the pasts of its inputs' makers; its *future* one of its operator and the
futures of its readers. Nodes are paired by the strongest evidence first: name (of the node, or of what it makes), past
and future; then less and less of it; then as neighbours of pairs. Attributes and weights are no evidence: they are what
the comparison is about.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from ..structure.tensors import constant
from .nodes import label

if TYPE_CHECKING:
    import onnx_ir

#: Sequences of this many leftover nodes are compared in their order; more are left alone: it takes quadratic time.
MOST_ALIGNED = 1000

Pairs = dict["onnx_ir.Node", "onnx_ir.Node"]


def pair(a: Any, b: Any) -> Pairs:
    """Node of graph a → node of graph b. Constant nodes are weights and take no part."""
    return Matcher(a, b).pair()


def computing(graph: Any) -> list[onnx_ir.Node]:
    """The nodes of a graph that are not constants."""
    return [n for n in graph if not (n.op_type == "Constant" and n.outputs and constant(n.outputs[0]) is not None)]


class Matcher:
    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = computing(a), computing(b)
        self.past = {**pasts(a, self.a), **pasts(b, self.b)}
        self.future = {**futures(a, self.a), **futures(b, self.b)}
        self.pairs: Pairs = {}
        self.taken: set[onnx_ir.Node] = set()

    def pair(self) -> Pairs:
        past, future = self.past.__getitem__, self.future.__getitem__
        self.by(lambda n: (label(n), op(n), past(n), future(n)))
        self.by(lambda n: (op(n), past(n), future(n)))
        self.by(lambda n: (label(n), op(n), past(n)))
        self.by(lambda n: (label(n), op(n), future(n)))
        self.by(lambda n: (op(n), past(n)))
        self.by(lambda n: (op(n), future(n)))
        self.spread(list(self.pairs))
        self.spread(self.by(lambda n: (label(n), op(n))))
        self.spread(self.align())
        self.spread(self.by(label))
        return self.pairs

    def by(self, key: Callable[[onnx_ir.Node], Hashable]) -> list[onnx_ir.Node]:
        """Pair nodes with equal keys, in order, where both graphs have equally many. Gives the new ones of a."""
        groups: dict[Hashable, tuple[list[onnx_ir.Node], list[onnx_ir.Node]]] = defaultdict(lambda: ([], []))
        for side, nodes in enumerate((self.a, self.b)):
            for node in nodes:
                if node not in self.pairs and node not in self.taken:
                    groups[key(node)][side].append(node)
        made = []
        for left, right in groups.values():
            if len(left) == len(right):
                made += left
                for x, y in zip(left, right, strict=True):
                    self.put(x, y)
        return made

    def put(self, x: onnx_ir.Node, y: onnx_ir.Node) -> None:
        self.pairs[x] = y
        self.taken.add(y)

    def spread(self, work: list[onnx_ir.Node]) -> None:
        """Neighbours of pairs at the same place, with the same operator, are pairs."""
        while work:
            x = work.pop()
            y = self.pairs[x]
            for v, w in zip(x.inputs, y.inputs, strict=False):
                if v is not None and w is not None and v.index() == w.index():
                    work += self.meet([v.producer()], [w.producer()])
            for v, w in zip(x.outputs, y.outputs, strict=False):
                places: dict[Hashable, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
                for side, value in enumerate((v, w)):
                    for use in value.uses():
                        places[use.idx, op(use.node)][side].append(use.node)
                for left, right in places.values():
                    work += self.meet(left, right)

    def meet(self, left: Sequence[onnx_ir.Node | None], right: Sequence[onnx_ir.Node | None]) -> list[onnx_ir.Node]:
        """Pair the only free node on the left with the only one on the right, when they are of one kind."""
        free = [n for n in left if n is not None and n in self.past and n not in self.pairs]
        others = [n for n in right if n is not None and n in self.past and n not in self.taken]
        if len(free) == len(others) == 1 and op(free[0]) == op(others[0]):
            self.put(free[0], others[0])
            return free
        return []

    def align(self) -> list[onnx_ir.Node]:
        """Pair what is left by the order of operators, where that is few."""
        left = [n for n in self.a if n not in self.pairs]
        right = [n for n in self.b if n not in self.taken]
        if max(len(left), len(right)) > MOST_ALIGNED:
            return []
        made = []
        matcher = difflib.SequenceMatcher(None, list(map(op, left)), list(map(op, right)), autojunk=False)
        for i, j, n in matcher.get_matching_blocks():
            for k in range(n):
                self.put(left[i + k], right[j + k])
                made.append(left[i + k])
        return made


def op(node: onnx_ir.Node) -> tuple[str, str]:
    return node.domain, node.op_type


def pasts(graph: Any, nodes: Sequence[onnx_ir.Node]) -> dict[onnx_ir.Node, int]:
    places = {value: k for k, value in enumerate(graph.inputs)}
    found: dict[onnx_ir.Node, int] = {}

    def of(value: onnx_ir.Value | None) -> Hashable:
        if value is None:
            return None
        maker = value.producer()
        if constant(value) is not None:
            return "constant"
        return (found.get(maker, 0), value.index()) if maker is not None else places.get(value, "outside")
    for node in nodes:
        found[node] = hash((op(node), tuple(map(of, node.inputs)), len(node.outputs)))
    return found


def futures(graph: Any, nodes: Sequence[onnx_ir.Node]) -> dict[onnx_ir.Node, int]:
    results: dict[onnx_ir.Value, list[int]] = defaultdict(list)
    for k, value in enumerate(graph.outputs):
        results[value].append(k)
    found: dict[onnx_ir.Node, int] = {}
    for node in reversed(nodes):
        readers = [(tuple(sorted((found.get(use.node, 0), use.idx) for use in value.uses())),
                    tuple(results.get(value, ()))) for value in node.outputs]
        found[node] = hash((op(node), tuple(readers), len(node.inputs)))
    return found
