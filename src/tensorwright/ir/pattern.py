"""Patterns over networks: what a rewrite looks for, the values it finds, and the replacement it gives back.

    node(Transpose, node(Transpose, "x", name="inner"), name="outer")

matches a Transpose of a Transpose and binds x, inner and outer to `Value`s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Union

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from .network import Layer
from .op import Op
from .refittable import Refittable
from .types import TensorType, ValueType


class Surroundings(Protocol):
    """What a matcher asks of the network it looks at."""

    @property
    def constants(self) -> Mapping[str, np.ndarray]: ...
    @property
    def types(self) -> Mapping[str, ValueType]: ...
    def producer(self, value: str) -> Layer | None: ...
    def readers(self, value: str) -> Sequence[Layer]: ...
    def is_output(self, value: str) -> bool: ...


@dataclass(frozen=True)
class Value:
    """A value found in a network, with the layer that writes it. Absent optional inputs are bound to None instead."""

    graph: Surroundings = field(repr=False, compare=False)
    name: str

    @property
    def type(self) -> TensorType:
        t = self.graph.types[self.name]
        assert isinstance(t, TensorType), f"{self.name} is {t}"
        return t

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.type.shape

    @property
    def rank(self) -> int:
        return self.type.rank

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def array(self) -> np.ndarray | None:
        """The content of a constant."""
        return self.graph.constants.get(self.name)

    @property
    def scalar(self) -> float | int | bool | None:
        """The content of a constant of one element; None for one that may be refitted."""
        array = self.array
        known = array is not None and array.size == 1 and not isinstance(array, Refittable)
        return array.item() if array is not None and known and array.dtype.kind in "fiub" else None

    @property
    def readers(self) -> int:
        """How many layers read it; the user of a network output counts as one."""
        return len(self.graph.readers(self.name)) + self.graph.is_output(self.name)

    @property
    def layer(self) -> Layer | None:
        return self.graph.producer(self.name)

    @property
    def op(self) -> Op:
        """The operator that writes it. For values bound by `node`."""
        layer = self.layer
        assert layer is not None, f"{self.name} is written by no layer"
        return layer.op

    @property
    def inputs(self) -> tuple[Value | None, ...]:
        """What the operator that writes it reads."""
        layer = self.layer
        return () if layer is None else tuple(None if n is None else Value(self.graph, n) for n in layer.inputs)


@dataclass(frozen=True)
class Term:
    """A layer to be made: an operator over values, arrays (new constants) and further terms.

    type   the result's type when the shape rule alone would say it in other words
    """

    op: Op
    inputs: tuple[Operand, ...]
    type: TensorType | None = None


Operand = Union[Value, Term, np.ndarray, None]


def term(op: Op, *inputs: Operand, type: TensorType | None = None) -> Term:
    return Term(op, inputs, type)


@dataclass(frozen=True)
class Refusal:
    """A rewrite matched and declines: why."""

    reason: str


@dataclass(frozen=True)
class Pattern:
    """A layer with one output whose operator is one of `ops` (none: any value), its inputs matching `inputs`.

    some       the one pattern in `inputs` may match any of the layer's inputs; else inputs match in order, and inputs
               beyond the last pattern must be absent
    constant   only a constant of the network (with optional: or an absent input)
    """

    ops: tuple[type[Op], ...] = ()
    inputs: tuple[Pattern, ...] | None = None
    name: str = ""
    some: bool = False
    constant: bool = False
    optional: bool = False


def _pattern(x: str | Pattern) -> Pattern:
    return Pattern(name=x) if isinstance(x, str) else x


def node(ops: type[Op] | tuple[type[Op], ...], *inputs: str | Pattern, name: str = "") -> Pattern:
    """A layer by operator class. Strings are values of any origin; the same name twice must be the same value.

    Without any input pattern the inputs are not looked at.
    """
    return Pattern(ops if isinstance(ops, tuple) else (ops,), tuple(map(_pattern, inputs)) or None, name)


def some(ops: type[Op] | tuple[type[Op], ...], inner: Pattern, name: str = "") -> Pattern:
    """A layer one of whose inputs, whichever, matches `inner`."""
    return Pattern(ops if isinstance(ops, tuple) else (ops,), (inner,), name, some=True)


def const(name: str) -> Pattern:
    """A constant of the network."""
    return Pattern(name=name, constant=True)


def maybe(x: str | Pattern) -> Pattern:
    """An optional input: bound to None when it is absent."""
    p = _pattern(x)
    return Pattern(p.ops, p.inputs, p.name, p.some, p.constant, optional=True)


Bindings = dict[str, Union[Value, None]]


def match(graph: Surroundings, layer: Layer, pattern: Pattern) -> Iterator[Bindings]:
    """Every way in which the pattern fits with `layer` at its root."""
    if len(layer.outputs) == 1:
        yield from _fit(graph, layer.outputs[0], pattern, {})


def _fit(graph: Surroundings, value: str | None, pattern: Pattern, bound: Bindings) -> Iterator[Bindings]:
    if value is None:
        if pattern.optional:
            yield {**bound, pattern.name: None} if pattern.name else bound
        return
    if pattern.constant and value not in graph.constants:
        return
    if pattern.name:
        known = bound.get(pattern.name)
        if known is not None and known.name != value:
            return
        bound = {**bound, pattern.name: Value(graph, value)}
    if not pattern.ops:
        yield bound
        return
    layer = graph.producer(value)
    if layer is None or not isinstance(layer.op, pattern.ops) or len(layer.outputs) != 1:
        return
    if pattern.inputs is None:
        yield bound
    elif pattern.some:
        for name in dict.fromkeys(layer.inputs):
            yield from _fit(graph, name, pattern.inputs[0], bound)
    else:
        given = [*layer.inputs, *[None] * (len(pattern.inputs) - len(layer.inputs))]
        if not any(name is not None for name in given[len(pattern.inputs):]):
            yield from _fit_all(graph, given, pattern.inputs, bound)


def _fit_all(graph: Surroundings, names: Sequence[str | None], patterns: tuple[Pattern, ...],
             bound: Bindings) -> Iterator[Bindings]:
    if not patterns:
        yield bound
        return
    for now in _fit(graph, names[0], patterns[0], bound):
        yield from _fit_all(graph, names[1:], patterns[1:], now)
