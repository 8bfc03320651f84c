"""Conditionals: two branches between input and output layers, of which one is run."""

from __future__ import annotations

from typing import Any

from ..dtypes import DType
from ..errors import BuildError, ShapeError, UnsupportedError
from ..ir import OpaqueType, TensorType, ValueType
from ..ops import Branch, Choice
from .enums import LayerType
from .layer import ILayer, Lowering, Param
from .loop_records import Mark, one_of, renamed
from .nesting import Construct, EndLayer, Inside
from .tensor import ITensor


class IIfConditionalBoundaryLayer(ILayer):
    """A layer between a conditional and what is outside of it."""

    _implicit_batch = False
    _conditional = Param(None)

    @property
    def conditional(self) -> IIfConditional:
        return self._conditional                          # type: ignore[no-any-return]


class IConditionLayer(IIfConditionalBoundaryLayer):
    """What decides: one bool from outside."""

    _layer_type = LayerType.CONDITION


class IIfConditionalInputLayer(IIfConditionalBoundaryLayer):
    """A value from outside for the branches. What depends on it is computed only in the branch that is taken."""

    _layer_type = LayerType.CONDITIONAL_INPUT


class IIfConditionalOutputLayer(IIfConditionalBoundaryLayer, EndLayer):
    """Input 0 where the condition holds, else input 1: of one shape and type."""

    _layer_type = LayerType.CONDITIONAL_OUTPUT

    def _construct(self) -> IIfConditional:
        return self.conditional


class IIfConditional(Construct):
    """A conditional of a network. Made by INetworkDefinition.add_if_conditional."""

    _kind = "conditional"

    def set_condition(self, condition: ITensor) -> IConditionLayer | None:
        """One bool. Once."""
        if self._of(IConditionLayer):
            self._network._error(f"set_condition: {self._label()} has a condition already")
            return None
        return self._made(self._network._add(IConditionLayer, [condition], 0, _conditional=self))

    def add_input(self, input: ITensor) -> IIfConditionalInputLayer | None:
        return self._made(self._network._add(IIfConditionalInputLayer, [input], _conditional=self))

    def add_output(self, true_subgraph_output: ITensor,
                   false_subgraph_output: ITensor) -> IIfConditionalOutputLayer | None:
        return self._made(self._network._add(IIfConditionalOutputLayer, [true_subgraph_output, false_subgraph_output],
                                             _conditional=self))

    def _of(self, kind: type[Any]) -> list[Any]:
        return [x for x in self._layers if issubclass(x._kind, kind)]

    def _sources(self) -> list[Any]:
        return self._of(IIfConditionalInputLayer)

    def _ends(self) -> list[Any]:
        return self._of(IIfConditionalOutputLayer)

    def _seeded(self, inside: Inside) -> None:
        for layer in self._sources():
            if (name := inside.find(layer._inputs[0])) is not None:
                inside.values[id(layer._outputs[0])] = name

    def _lowered(self, to: Lowering) -> dict[int, str]:
        conditions = self._of(IConditionLayer)
        if not conditions:
            raise BuildError(f"{self._label()} has no condition", try_="conditional.set_condition(tensor)")
        nesting = self._network._nesting
        for layer in (*conditions, *self._sources()):
            if self in nesting.inside(layer._inputs[0]):
                raise BuildError(f"it reads {layer._inputs[0].name!r} from inside {self._label()}, where it needs a "
                                 "value from outside", at=f"layer {layer.name!r}")
        name = to.find(conditions[0]._inputs[0])
        if name is None or not one_of(to.editor.types[name], (DType.bool,)):
            raise ShapeError(f"the condition is {to.editor.types[name] if name else 'unknown'}, it must be one bool",
                             at=f"layer {conditions[0].name!r}")
        decided = to.value(name).array
        if decided is not None:
            return self._inline(to, 0 if decided.all() else 1)
        if to.editor is self._network._lowering.editor and (found := self._both(to, name)) is not None:
            return found
        return self._apart(to, name)

    def _both(self, to: Lowering, condition: str) -> dict[int, str] | None:
        """Both branches in line, of which an engine runs the one it needs; None when data decide sizes in them."""
        mark, nesting, before = Mark(self._network, to), self._network._nesting, len(to.editor.layers)
        inside = Inside(to, nesting.members(self), False)
        self._seeded(inside)
        nesting.write(inside)
        sides = [[inside.needed(end._inputs[k], f"output {end.name!r}") for end in self._ends()] for k in (0, 1)]
        kinds = to.editor.types
        inner = [kinds[o] for layer in to.editor.layers[before:] for o in layer.outputs if o]
        if any(isinstance(t, OpaqueType) for t in [*inner, *(kinds[v] for side in sides for v in side)]) \
                or any(layer.op.has_effect for layer in to.editor.layers[before:]):
            mark.restore()
            return None
        found: dict[int, str] = {}
        for a, b, end in zip(*sides, self._ends(), strict=True):
            joined(kinds[a], kinds[b], end)
            found[id(end)] = end._last(to, Choice(), condition, a, b)[0]
        return found

    def _inline(self, to: Lowering, side: int) -> dict[int, str]:
        """The one branch that constants have chosen, in line."""
        members = self._network._nesting.members(self)
        inside = Inside(to, members, False)
        self._seeded(inside)
        found: dict[int, str] = {}
        for end in self._ends():
            tensor: Any = end._inputs[side]
            if tensor._producer is not None and id(tensor._producer) in members:
                self._network._write(tensor._producer, inside)
            found[id(end)] = renamed(to, end, inside.needed(tensor, f"output {end.name!r}"))
        return found

    def _apart(self, to: Lowering, condition: str) -> dict[int, str]:
        """Both branches as bodies of one operator."""
        nesting = self._network._nesting
        inside = Inside(to, nesting.members(self), True)
        self._seeded(inside)
        nesting.write(inside)
        if any(layer.op.has_effect for layer in inside.editor.layers):
            raise UnsupportedError(f"assertions inside {self._label()} are not in this version",
                                   try_="assert outside of it that the condition implies what must hold")
        sides = [[inside.needed(end._inputs[k], f"output {end.name!r}") for end in self._ends()]
                 for k in (0, 1)]
        kinds = inside.editor.types
        types = tuple(joined(kinds[a], kinds[b], end) for a, b, end in zip(*sides, self._ends(), strict=True))
        then, otherwise = (inside.body([], side) for side in sides)
        op = Branch(inside.padded(then, []), inside.padded(otherwise, []))
        names = [end._names(to)[0] for end in self._ends()]
        to.editor.add(op, condition, *inside.captured.values(), name=self._name, outputs=names, types=types)
        return {id(end): n for end, n in zip(self._ends(), names, strict=True)}


def joined(a: ValueType, b: ValueType, layer: ILayer) -> ValueType:
    """The type of what is one of two values."""
    if a.dtype != b.dtype or (isinstance(a, TensorType) and isinstance(b, TensorType) and a != b):
        raise ShapeError(f"the branches give {a} and {b}", at=f"layer {layer.name!r}",
                         try_="both must have one shape and type")
    return a if a == b else OpaqueType("of either branch", a.dtype)
