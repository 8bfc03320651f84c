"""Loops and branches that only the run can decide: layers inside an operator, evaluated as often as they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from ..errors import InputError, ShapeError, TensorwrightError
from ..ir import Layer, Op, OpaqueType, TensorType, ValueType


@dataclass(frozen=True)
class Body:
    """Layers in execution order, and the names of the values that they are given and that they give."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[Layer, ...]

    def run(self, given: Sequence[Any], env: Mapping[str, int] | None = None) -> list[Any]:
        """The outputs. env: values of the symbols in the layers' parameters, where they have not been replaced yet."""
        values: dict[str, Any] = dict(zip(self.inputs, given, strict=True))
        for layer in self.layers:
            try:
                op: Any = layer.op.bind(env) if env else layer.op
                results = op.reference(*(None if i is None else values[i] for i in layer.inputs))
            except TensorwrightError as error:
                raise error.located(layer.name) from None
            results = results if isinstance(results, tuple) else (results,)
            values.update((o, y) for o, y in zip(layer.outputs, results, strict=False) if o)
        return [values[o] for o in self.outputs]


@dataclass(frozen=True)
class Scanned:
    """A tensor of which iteration i sees slice i along an axis; slice count − 1 − i when reverse."""

    axis: int
    reverse: bool = False


@dataclass(frozen=True)
class Stacked:
    """One value per iteration along a new axis; that of iteration i is at length − 1 − i when reverse.

    shape, dtype: of one value; shape None: only the run knows, and a loop without iterations cannot make it.
    """

    axis: int
    reverse: bool
    shape: tuple[Dim, ...] | None
    dtype: DType


class Bodied(Op):
    """An operator whose bodies run in NumPy: it is as ready, and as repeatable, as the layers in them."""

    @property
    def repeatable(self) -> bool:
        return all(layer.op.repeatable for layer in layers_inside(self))

    def ready(self) -> None:
        for layer in layers_inside(self):
            layer.op.ready()


@dataclass(frozen=True)
class Loop(Bodied):
    """A body that is evaluated count times, or as long as a condition holds; its states are fed back

    Inputs  the count, when counted; the first value of each state; the tensors that are scanned; the length of each
            stack; operands that are the same in all iterations. Counts and lengths are integers of one element.
    Output  the last value of each state; then the stacks, zero beyond the last iteration. Types are given.
    Params  body: (states, slices, operands) → (next states, values to stack). condition: (states, slices, operands) →
            whether an iteration takes place, asked before it; None: always. states: how many.
    Cost    not known: one operation per output element.
    Errors  InputError when a scanned tensor or a stack is too short for the iterations.
    """

    body: Body
    condition: Body | None
    counted: bool
    states: int
    scanned: tuple[Scanned, ...]
    stacked: tuple[Stacked, ...]
    types_are_given: ClassVar[bool] = True

    @property
    def on_host(self) -> str:
        return "only the run knows how often it goes round"

    def infer(self, *inputs: ValueType | None) -> ValueType | tuple[ValueType, ...]:   # type: ignore[override]
        return tuple(OpaqueType() for _ in range(self.states + len(self.stacked)))

    def reference(self, *inputs: Any) -> tuple[Any, ...]:
        given = list(inputs)
        count = whole(given.pop(0)) if self.counted else None
        states, given = given[: self.states], given[self.states :]
        sequences, given = given[: len(self.scanned)], given[len(self.scanned) :]
        lengths, operands = [whole(n) for n in given[: len(self.stacked)]], given[len(self.stacked) :]
        sequences = [np.moveaxis(x, s.axis, 0) for x, s in zip(sequences, self.scanned, strict=True)]
        stacks: list[list[Any]] = [[] for _ in self.stacked]
        step = 0
        while count is None or step < count:
            values = [*states, *self._slices(sequences, step, count), *operands]
            if self.condition is not None and not np.asarray(self.condition.run(values)[0]).all():
                break
            results = self.body.run(values)
            states = results[: self.states]
            for stack, y in zip(stacks, results[self.states :], strict=True):
                stack.append(y)
            step += 1
        return (*states, *(stack_of(s, parts, n) for s, parts, n in zip(self.stacked, stacks, lengths, strict=True)))

    def _slices(self, sequences: Sequence[np.ndarray], step: int, count: int | None) -> list[np.ndarray]:
        found = []
        for x, s in zip(sequences, self.scanned, strict=True):
            place = step if not s.reverse or count is None else count - 1 - step
            if place >= len(x):
                raise InputError(f"iteration {step} reads slice {place} of a tensor that has {len(x)}",
                                 try_="fewer iterations, or a longer tensor")
            found.append(x[place])
        return found


def stack_of(s: Stacked, parts: Sequence[Any], length: int) -> np.ndarray:
    """The values in an array of `length` places along a new axis; zero where there was no iteration."""
    if len(parts) > length:
        raise InputError(f"the loop made {len(parts)} iterations, its output has room for {length}",
                         try_="give the output's length as the loop's trip limit")
    if parts:
        shape = np.shape(parts[0])
    elif s.shape is not None:
        shape = tuple(int(d) for d in s.shape)         # type: ignore[arg-type]
    else:
        raise InputError("the loop made no iteration, and what shape its outputs have only an iteration tells")
    found = np.zeros((length, *shape), s.dtype.numpy)
    for i, y in enumerate(parts):
        found[length - 1 - i if s.reverse else i] = y
    return np.moveaxis(found, 0, s.axis)


def whole(x: Any) -> int:
    """An integer of one element, as a count: not below 0."""
    return max(0, int(np.asarray(x).reshape(())))


@dataclass(frozen=True)
class Branch(Bodied):
    """(y0, y1, ...) = what one of two bodies gives for the operands; only that body is evaluated

    Inputs  a condition, bool of one element; then the operands, of any type.
    Output  what the body gives. Types are given where the layer is added, the same for both bodies.
    Params  then, otherwise: bodies that take all operands.
    Cost    not known: one operation per output element.
    """

    then: Body
    otherwise: Body
    types_are_given: ClassVar[bool] = True

    @property
    def on_host(self) -> str:
        return "only the run knows which branch is taken"

    def infer(self, *inputs: ValueType | None) -> ValueType | tuple[ValueType, ...]:   # type: ignore[override]
        return tuple(OpaqueType() for _ in self.then.outputs)

    def reference(self, *inputs: Any) -> tuple[Any, ...]:
        condition, *operands = inputs
        body = self.then if np.asarray(condition).all() else self.otherwise
        return tuple(body.run(operands))


@dataclass(frozen=True)
class Choice(Op):
    """y = a where the condition holds, else b; the engine leaves out what only the other one needs

    Inputs  a condition, bool of one element; a and b of one type.
    Output  of that type.
    Errors  ShapeError when the types differ.
    """

    @property
    def on_host(self) -> str:
        return "only the run knows which branch is taken"

    def infer(self, condition: TensorType, a: TensorType, b: TensorType) -> TensorType:   # type: ignore[override]
        if a != b:
            raise ShapeError("the branches give different types", a=a, b=b)
        return a

    def reference(self, condition: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return a if np.asarray(condition).all() else b


def layers_inside(op: Op) -> list[Layer]:
    """The layers of an operator's bodies, and of the bodies in them; none for operators that have no body."""
    bodies = [op.then, op.otherwise] if isinstance(op, Branch) else \
        [op.body, *([op.condition] if op.condition else [])] if isinstance(op, Loop) else \
        [body] if isinstance(body := getattr(op, "body", None), Body) else []
    found: list[Layer] = []
    for body in bodies:
        for layer in body.layers:
            found += [layer, *layers_inside(layer.op)]
    return found
