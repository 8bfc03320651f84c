"""Loops of a network: recurrences, iterators, trip limits and outputs."""

from __future__ import annotations

from typing import Any

from ..errors import BuildError, ShapeError
from ..ir import TensorType, ValueType
from .enums import LayerType, LoopOutput, TripLimit
from .layer import ILayer, Lowering, Param
from .loop_records import written
from .nesting import Construct, EndLayer, Inside
from .tensor import ITensor


class ILoopBoundaryLayer(ILayer):
    """A layer between a loop and what is outside of it."""

    _implicit_batch = False
    _loop = Param(None)

    @property
    def loop(self) -> ILoop:
        return self._loop                                 # type: ignore[no-any-return]


class ITripLimitLayer(ILoopBoundaryLayer):
    """COUNT: the number of iterations, from outside. WHILE: asked inside before each iteration whether it happens."""

    _layer_type = LayerType.TRIP_LIMIT
    _limit = Param(TripLimit.COUNT)

    @property
    def kind(self) -> TripLimit:
        return self._limit                                # type: ignore[no-any-return]


class IRecurrenceLayer(ILoopBoundaryLayer):
    """In the first iteration input 0, from outside; then what input 1, from inside, was in the iteration before."""

    _layer_type = LayerType.RECURRENCE
    _optional_inputs = 1

    def _initial(self) -> ITensor:
        assert self._inputs[0] is not None
        return self._inputs[0]

    def _fed(self) -> ITensor:
        assert self._inputs[1] is not None
        return self._inputs[1]


class IIteratorLayer(ILoopBoundaryLayer):
    """In iteration i slice i of a tensor along an axis; slice count − 1 − i when reverse."""

    _layer_type = LayerType.ITERATOR
    axis = Param(0, int)
    reverse = Param(False, bool)


class ILoopOutputLayer(ILoopBoundaryLayer, EndLayer):
    """LAST_VALUE: a recurrence's value after the last iteration. CONCATENATE and REVERSE: a tensor's values of all
    iterations along a new axis, whose length is input 1."""

    _layer_type = LayerType.LOOP_OUTPUT
    _optional_inputs = 1
    axis = Param(0, int)
    _output = Param(LoopOutput.LAST_VALUE)

    @property
    def kind(self) -> LoopOutput:
        return self._output                               # type: ignore[no-any-return]

    def _construct(self) -> ILoop:
        return self.loop


class ILoop(Construct):
    """A loop of a network. Made by INetworkDefinition.add_loop."""

    _kind = "loop"

    def add_trip_limit(self, tensor: ITensor, kind: TripLimit) -> ITripLimitLayer | None:
        """At most one limit of each kind; at least one."""
        if any(x.kind == kind for x in self._of(ITripLimitLayer)):
            self._network._error(f"add_trip_limit: {self._label()} has a limit of kind {kind} already")
            return None
        return self._made(self._network._add(ITripLimitLayer, [tensor], 0, _loop=self, _limit=kind))

    def add_recurrence(self, initial_value: ITensor) -> IRecurrenceLayer | None:
        """set_input(1, tensor) says what is fed back."""
        return self._made(self._network._add(IRecurrenceLayer, [initial_value], _loop=self))

    def add_iterator(self, tensor: ITensor, axis: int = 0, reverse: bool = False) -> IIteratorLayer | None:
        return self._made(self._network._add(IIteratorLayer, [tensor], _loop=self, axis=axis, reverse=reverse))

    def add_loop_output(self, tensor: ITensor, kind: LoopOutput, axis: int = 0) -> ILoopOutputLayer | None:
        """CONCATENATE and REVERSE need set_input(1, length)."""
        return self._made(self._network._add(ILoopOutputLayer, [tensor], _loop=self, _output=kind, axis=axis))

    def _of(self, kind: type[Any]) -> list[Any]:
        return [x for x in self._layers if issubclass(x._kind, kind)]

    def _recurrences(self) -> list[IRecurrenceLayer]:
        return self._of(IRecurrenceLayer)

    def _iterators(self) -> list[IIteratorLayer]:
        return self._of(IIteratorLayer)

    def _sources(self) -> list[Any]:
        return [*self._recurrences(), *self._iterators()]

    def _ends(self) -> list[Any]:
        return self._of(ILoopOutputLayer)

    def _limit(self, kind: TripLimit) -> ITensor | None:
        return next((x._inputs[0] for x in self._of(ITripLimitLayer) if x.kind == kind), None)

    def _check(self) -> None:
        """BuildError when a part is missing, or where it must not be."""
        nesting = self._network._nesting
        if not self._of(ITripLimitLayer):
            raise BuildError(f"{self._label()} has no trip limit", try_="loop.add_trip_limit(tensor, kind)")
        for layer in self._of(IRecurrenceLayer):
            if len(layer._inputs) < 2 or layer._inputs[1] is None:
                raise BuildError("the recurrence has no second input, the value to feed back", at=f"layer "
                                 f"{layer.name!r}", try_="recurrence.set_input(1, tensor)")
        for layer in self._ends():
            last = layer.kind == LoopOutput.LAST_VALUE
            producer = layer._inputs[0]._producer
            if last and not any(producer is x for x in self._recurrences()):
                raise BuildError("LAST_VALUE takes the output of a recurrence of the same loop",
                                 at=f"layer {layer.name!r}")
            if not last and (len(layer._inputs) < 2 or layer._inputs[1] is None):
                raise BuildError(f"{layer.kind} has no second input, the length of its axis", at=f"layer "
                                 f"{layer.name!r}", try_="layer.set_input(1, length)")
        outside = [*self._outer("count"), *self._outer("initial"), *self._outer("length")]
        for layer, tensor in outside:
            if self in nesting.inside(tensor):
                raise BuildError(f"it reads {tensor.name!r} from inside {self._label()}, where it needs a value from "
                                 "outside", at=f"layer {layer.name!r}")

    def _outer(self, what: str) -> list[tuple[Any, Any]]:
        """Boundary layers with the inputs of theirs that come from outside."""
        if what == "count":
            return [(x, x._inputs[0]) for x in self._of(ITripLimitLayer) if x.kind == TripLimit.COUNT]
        if what == "initial":
            return [(x, x._inputs[0]) for x in self._sources()]
        return [(x, x._inputs[1]) for x in self._ends() if x.kind != LoopOutput.LAST_VALUE]

    def _seeded(self, inside: Inside) -> None:
        for layer in self._sources():
            if (outer := inside.outer.find(layer._inputs[0])) is not None:
                t = inside.outer.editor.types[outer]
                name = inside.editor.fresh(layer._outputs[0].name)
                inside.values[id(layer._outputs[0])] = inside.editor.input(
                    name, sliced(t, layer) if issubclass(layer._kind, IIteratorLayer) else t)

    def _lowered(self, to: Lowering) -> dict[int, str]:
        self._check()
        return written(self, to)


def sliced(t: ValueType, layer: IIteratorLayer) -> ValueType:
    """The type of a slice that an iterator gives."""
    if not isinstance(t, TensorType) or not -t.rank <= layer.axis < t.rank:
        raise ShapeError(f"there is no axis {layer.axis} in {t}", at=f"layer {layer.name!r}")
    axis = layer.axis % t.rank
    return TensorType(t.shape[:axis] + t.shape[axis + 1 :], t.dtype)
