"""Recognition of layer, group, instance and RMS normalisation, spelled out in reductions and arithmetic.

A mean of squares is where each spelling passes through. From there the element-wise layers that read it are taken
together as one expression (see `view`), in which (x − μ)/√(v + ε) is found as a product, its factors in any order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Union

from ..ir import Layer
from ..ir.pattern import Refusal
from ..ops import Normalize, Pointwise, Reduce
from ..ops.expr import Apply, Const, Expr, In, operands
from .graph import Graph, merged_origin
from .report import Report
from .simplify import call
from .tidy import tidy
from .view import Leaves

NAME = "recognise normalisation"


@dataclass(frozen=True)
class Statistics:
    """variance = mean over axes of (x − mean)², or of x² when mean is None; centered: values x − mean."""

    x: str
    mean: str | None
    variance: str
    axes: tuple[int, ...]
    centered: frozenset[str]


def recognise_normalization(graph: Graph, report: Report) -> None:
    """(x − mean(x)) / √(mean((x − mean(x))²) + ε)·k + t → normalize(x)·k + t, and x / √(mean(x²) + ε) alike"""
    for layer in graph.ordered():
        if layer.name in graph.layers and isinstance(layer.op, Reduce):
            found = _statistics(graph, layer)
            if found is not None:
                reason = _rewrite(graph, found)
                if isinstance(reason, Refusal):
                    report.decline(NAME, layer.name, reason.reason)
                else:
                    report.fire(NAME, reason)


def _statistics(graph: Graph, layer: Layer) -> Statistics | None:
    op, squares = layer.op, layer.inputs[0]
    assert isinstance(op, Reduce) and squares is not None
    t = graph.tensor(squares)
    if op.kind != "mean" or not op.keepdims or not op.axes or t is None or not t.dtype.is_float:
        return None
    leaves = Leaves(graph)
    e = leaves.of_layer(squares)
    if not (isinstance(e, Apply) and e.fn == "mul" and e.args[0] == e.args[1]):
        return None
    d = e.args[0]
    x, mean = _centered(graph, leaves, _difference(leaves, d), op.axes)
    if x is None or mean is None:
        if not isinstance(d, In):
            return None
        x = leaves.names[d.index]
    if graph.tensor(x) is None or graph.types[x].shape != t.shape:  # type: ignore[union-attr]
        return None
    centered = _all_centered(graph, leaves, x, mean) if mean is not None else frozenset()
    return Statistics(x, mean, layer.outputs[0], op.axes, centered)


def _difference(leaves: Leaves, d: Expr) -> Expr:
    """What d is before conversions between floating-point types: a difference where there is one."""
    while True:
        d = converted(d)
        part = leaves.of_layer(leaves.names[d.index]) if isinstance(d, In) else None
        plain = converted(part) if part is not None else None
        if plain is None or not (isinstance(plain, In) or (isinstance(plain, Apply) and plain.fn == "sub")):
            return d
        d = plain


def converted(e: Expr) -> Expr:
    """e without conversions between floating-point types."""
    while isinstance(e, Apply) and e.fn == "cast" and e.dtype.is_float and e.args[0].dtype.is_float:
        e = e.args[0]
    return e


def _all_centered(graph: Graph, leaves: Leaves, x: str, mean: str) -> frozenset[str]:
    """Values x − mean, in any floating-point type."""
    wanted = call("sub", leaves.leaf(x), leaves.leaf(mean))
    found: set[str] = set()
    stack = [mean]
    while stack:
        for reader in graph.readers(stack.pop()):
            e = leaves.of_layer(reader.outputs[0]) if isinstance(reader.op, Pointwise) else None
            plain = converted(e) if e is not None else None
            if plain is not None and (plain == wanted or leaves.name(plain) in found):
                found.add(reader.outputs[0])
                stack.append(reader.outputs[0])
    return frozenset(found)


def _centered(graph: Graph, leaves: Leaves, e: Expr | None, axes: tuple[int, ...]) -> tuple[str | None, str | None]:
    """(x, mean of x) when e is their difference."""
    if isinstance(e, Apply) and e.fn == "sub":
        x, mean = map(leaves.name, e.args)
        layer = graph.producer(mean) if mean is not None else None
        if layer is not None and layer.op == Reduce("mean", axes, True) and layer.inputs == (x,):
            return x, mean
    return None, None


def _rewrite(graph: Graph, s: Statistics) -> Refusal | str:
    """Put Normalize in, or say why not; returns the name of the first layer changed.

    Roundings of x − mean between floating-point types are left out.
    """
    leaves = Leaves(graph)
    found = _results(graph, s, leaves)
    if isinstance(found, Refusal):
        return found
    changes, epsilons, between = found
    if len(epsilons) != 1:
        return Refusal("the variance is read with several ε")
    statistics = [graph.producer(v) for v in (s.mean, s.variance, *s.centered, *between) if v]
    origin = merged_origin(*statistics, *(layer for layer, _ in changes))
    op = Normalize(s.axes, epsilons.pop(), s.mean is not None)
    first, e = changes[0]
    if len(changes) == 1 and leaves.name(e) == _PLACE:
        graph.swap(first, Layer(op, (s.x,), first.outputs, first.name, origin))
        _prune(graph, first)
        return first.name
    normalized = graph.insert(op, (s.x,), first, f"{s.x}.normalized", graph.tensor(s.x), origin)
    names = [normalized if n == _PLACE else n for n in leaves.names]
    for layer, e in changes:
        t = graph.tensor(layer.outputs[0])
        assert t is not None
        e, inputs = tidy(graph, e, names, t.shape)
        graph.swap(layer, Layer(Pointwise(e), tuple(inputs), layer.outputs, layer.name, layer.origin))
        _prune(graph, layer)
    return first.name


def _prune(graph: Graph, old: Layer) -> None:
    for name in old.inputs:
        graph.prune(name)


Results = tuple[list[tuple[Layer, Expr]], set[float], set[str]]


def _results(graph: Graph, s: Statistics, leaves: Leaves) -> Refusal | Results:
    """Element-wise layers the variance leads to, in which the normalised value is found: they with their expression
    over it; the ε seen; values on the way, which nothing else reads."""
    changes: list[tuple[Layer, Expr]] = []
    epsilons: set[float] = set()
    between: set[str] = set()
    waiting = {layer.name: layer for layer in graph.readers(s.variance)}
    if graph.is_output(s.variance):
        return Refusal(f"{s.variance}, computed from the variance, is a network output")
    while waiting:
        layer = waiting.pop(min(waiting, key=lambda name: graph.place(waiting[name])))
        y = layer.outputs[0]
        if not isinstance(layer.op, Pointwise) or graph.tensor(y) is None:
            return Refusal(f"{layer.name} uses the variance in another way")
        finder = _Finder(leaves, s)
        e = finder.walk(leaves.expression(y, between | s.centered))
        names = {leaves.names[x.index] for x in operands(e)}
        if finder.epsilons and s.variance not in names and s.mean not in names and _same_shape(graph, y, s.x):
            changes.append((layer, e))
            epsilons |= finder.epsilons
        elif graph.is_output(y):
            return Refusal(f"{y}, computed from the variance, is a network output")
        else:
            between.add(y)
            waiting.update({r.name: r for r in graph.readers(y)})
    return (changes, epsilons, between) if changes else Refusal("nothing is divided by the deviation")


def _same_shape(graph: Graph, a: str, b: str) -> bool:
    s, t = graph.tensor(a), graph.tensor(b)
    return s is not None and t is not None and s.shape == t.shape


_PLACE = "\0normalized"          # stands for the value that does not exist yet, among the names of leaves


Factors = tuple[list[Expr], list[Expr]]
Root = Union[tuple[Factors, float], None]


class _Finder:
    """Replaces (x − μ)/√(v + ε) in an expression."""

    def __init__(self, leaves: Leaves, s: Statistics) -> None:
        x = leaves.leaf(s.x)
        self.x, self.variance = x, leaves.leaf(s.variance)
        self.mean = leaves.leaf(s.mean) if s.mean else None
        self.deviation: Expr = call("sub", x, self.mean) if self.mean else x
        self.result = leaves.placeholder(_PLACE, x.dtype)
        self.epsilons: set[float] = set()
        self.memo: dict[Expr, Expr] = {}

    def walk(self, e: Expr) -> Expr:
        if e not in self.memo:
            new = self._scaled_difference(e) or self._product(e)
            if new is None:
                new = Apply(e.fn, tuple(map(self.walk, e.args)), e.dtype) if isinstance(e, Apply) else e
            self.memo[e] = new
        return self.memo[e]

    def _product(self, e: Expr) -> Expr | None:
        """(x − μ) · a / √(v + ε) / b → N · a / b"""
        if not (isinstance(e, Apply) and e.fn in ("mul", "div", "recip", "rsqrt")):
            return None
        root = self._without_root(factors(e))
        if root is None:
            return None
        (above, below), epsilon = root
        deviation = next((g for g in above if converted(g) == self.deviation), None)
        if deviation is None:
            return None
        above.remove(deviation)
        self.epsilons.add(epsilon)
        same = deviation.dtype == self.result.dtype
        return quotient(self.result if same else call("cast", self.result, dtype=deviation.dtype), above, below)

    def _without_root(self, f: Factors) -> Root:
        """The factors without 1/√(v + ε), and ε."""
        above, below = f
        for i, g in enumerate(below):
            if isinstance(g, Apply) and g.fn == "sqrt":
                epsilon = self._epsilon(g.args[0])
                if epsilon is not None:
                    return (above, below[:i] + below[i + 1:]), epsilon
        return None

    def _epsilon(self, e: Expr) -> float | None:
        if e == self.variance:
            return 0.0
        if isinstance(e, Apply) and e.fn == "add":
            for v, c in (e.args, e.args[::-1]):
                if v == self.variance and isinstance(c, Const):
                    return float(c.value)
        return None

    def _scaled_difference(self, e: Expr) -> Expr | None:
        """x·s + t − μ·s with s = a/√(v + ε) → N·a + t"""
        if self.mean is None or not (isinstance(e, Apply) and e.fn in ("add", "sub")):
            return None
        terms = summands(e)
        for i, (sign, p) in enumerate(terms):
            for j, (other, q) in enumerate(terms):
                if sign == other or i == j:
                    continue
                (above, below), (above_q, below_q) = factors(p), factors(q)
                if self.x not in above or self.mean not in above_q:
                    continue
                above.remove(self.x)
                above_q.remove(self.mean)
                root = self._without_root((above, below))
                if Counter(above) != Counter(above_q) or Counter(below) != Counter(below_q) or root is None:
                    continue
                (above, below), epsilon = root
                self.epsilons.add(epsilon)
                total: Expr = quotient(self.result, above, below)
                if sign < 0:
                    total = call("neg", total)
                for k, (positive, t) in enumerate(terms):
                    if k not in (i, j):
                        total = call("add" if positive > 0 else "sub", total, self.walk(t))
                return total
        return None


def factors(e: Expr) -> Factors:
    """(numerator, denominator) of a product; 1/√t counts as √t in the denominator."""
    if isinstance(e, Apply) and e.fn in ("mul", "div"):
        (a, b), (c, d) = factors(e.args[0]), factors(e.args[1])
        return (a + c, b + d) if e.fn == "mul" else (a + d, b + c)
    if isinstance(e, Apply) and e.fn == "recip":
        return factors(e.args[0])[::-1]
    if isinstance(e, Apply) and e.fn == "rsqrt":
        return [], [call("sqrt", e.args[0])]
    return [e], []


def summands(e: Expr, sign: int = 1) -> list[tuple[int, Expr]]:
    """Terms of a sum with their signs."""
    if isinstance(e, Apply) and e.fn in ("add", "sub"):
        return summands(e.args[0], sign) + summands(e.args[1], sign if e.fn == "add" else -sign)
    if isinstance(e, Apply) and e.fn == "neg":
        return summands(e.args[0], -sign)
    return [(sign, e)]


def quotient(first: Expr, above: list[Expr], below: list[Expr]) -> Expr:
    for a in above:
        first = call("mul", first, a)
    for b in below:
        first = call("div", first, b)
    return first
