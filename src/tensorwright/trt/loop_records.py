"""Loops as records.

A loop whose trip count is known when the network is built is written once per iteration, and compiled like layers
outside; a loop that only the run can end is one operator with a body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..dims import Dim, Expr
from ..dtypes import DType
from ..errors import BuildError, ShapeError
from ..importer.unroll import MOST_ITERATIONS, MOST_NODES
from ..ir import OpaqueType, TensorType, ValueType
from ..ops import Loop, Pointwise, Scanned, Stacked
from ..ops.expr import In
from .enums import LoopOutput, TripLimit
from .layer import ILayer, Lowering
from .layers.nodes import constant, node
from .nesting import Inside
from .tensor import ITensor

if TYPE_CHECKING:
    from .loops import ILoop

WHOLE = (DType.int32, DType.int64)


class Undecided(Exception):
    """What a loop does depends on values that only the run knows."""


def written(loop: ILoop, to: Lowering) -> dict[int, str]:
    """Write a loop; the values of its output layers, by their id."""
    counted = loop._limit(TripLimit.COUNT)
    if counted is None and any(x.reverse for x in loop._iterators()):
        raise BuildError(f"{loop._label()} has a reverse iterator, which needs a trip limit of kind COUNT")
    count = None
    if counted is not None:
        if not one_of(type_at(to, counted), WHOLE):
            raise ShapeError(f"the trip count is {type_at(to, counted)}, it must be one int32 or int64")
        count = whole(to, counted)
    mark = Mark(loop._network, to)
    try:
        if isinstance(count, Expr):
            raise Undecided
        return Unrolled(loop, to).run(count, counted is not None)
    except Undecided:
        mark.restore()
        return apart(loop, to, counted)


def apart(loop: ILoop, to: Lowering, counted: ITensor | None) -> dict[int, str]:
    """The loop as one operator with a body."""
    nesting = loop._network._nesting
    inside = Inside(to, nesting.members(loop), True)
    loop._seeded(inside)
    nesting.write(inside)
    recurrences, iterators = loop._recurrences(), loop._iterators()
    given = [inside.needed(x._outputs[0], loop._label()) for x in (*recurrences, *iterators)]
    following: list[str] = []
    for layer in recurrences:
        value = inside.needed(layer._fed(), f"recurrence {layer.name!r}")
        same_type(inside.editor.types[given[len(following)]], inside.editor.types[value], layer)
        following.append(value)
    stacks = [x for x in loop._ends() if x.kind != LoopOutput.LAST_VALUE]
    collected = [inside.needed(x._inputs[0], f"output {x.name!r}") for x in stacks]
    condition = loop._limit(TripLimit.WHILE)
    asked = None if condition is None else inside.needed(condition, "trip limit")
    if asked is not None and not one_of(inside.editor.types[asked], (DType.bool,)):
        raise ShapeError(f"the loop's condition is {inside.editor.types[asked]}, it must be one bool")
    body = inside.body(given, [*following, *collected])
    question = None if asked is None else inside.body(given, [asked])
    body = inside.padded(body, given)
    records, kinds = [], []
    for layer, value in zip(stacks, collected, strict=True):
        record, kind = stacked(to, layer, inside.editor.types[value])
        records.append(record)
        kinds.append(kind)
    operands = [*([counted] if counted is not None else []), *(x._inputs[0] for x in (*recurrences, *iterators)),
                *(x._inputs[1] for x in stacks)]
    values = [to.find(t) for t in operands]
    op = Loop(body, question, counted is not None, len(recurrences), tuple(
        Scanned(axis_of(x, to), x.reverse) for x in iterators), tuple(records))
    types = (*(inside.editor.types[g] for g in given[: len(recurrences)]), *kinds)
    first = {id(x._inputs[0]._producer): x for x in loop._ends() if x.kind == LoopOutput.LAST_VALUE}
    names = [first[id(x)]._names(to)[0] if id(x) in first else to.editor.fresh(f"{x.name}.last")
             for x in recurrences] + [x._names(to)[0] for x in stacks]
    to.editor.add(op, *values, *inside.captured.values(), name=loop._name, outputs=names, types=types)
    last = {id(x._outputs[0]): n for x, n in zip(recurrences, names, strict=False)}
    found = {id(x): n for x, n in zip(stacks, names[len(recurrences):], strict=True)}
    for end in loop._ends():
        if end.kind == LoopOutput.LAST_VALUE:
            name = last[id(end._inputs[0])]
            found[id(end)] = name if first[id(end._inputs[0]._producer)] is end else renamed(to, end, name)
    return found


class Mark:
    """The records written so far, to go back to."""

    def __init__(self, network: Any, to: Lowering) -> None:
        self.network, self.to, editor = network, to, to.editor
        self.layers, self.failures = len(editor.layers), len(network._failures)
        self.types, self.known = set(editor.types), set(to.known)

    def restore(self) -> None:
        editor = self.to.editor
        editor._layer_names -= {layer.name for layer in editor.layers[self.layers :]}
        del editor.layers[self.layers :], self.network._failures[self.failures :]
        for name in editor.types.keys() - self.types:
            editor.constants.pop(name, None)
            del editor.types[name]
        for name in self.to.known.keys() - self.known:
            del self.to.known[name]


class Unrolled:
    """A loop written once per iteration. Undecided when only the run knows whether there is another."""

    def __init__(self, loop: ILoop, to: Lowering) -> None:
        self.loop, self.to, self.network = loop, to, loop._network
        self.nesting = loop._network._nesting
        self.members = self.nesting.members(loop)

    def run(self, count: int | None, counted: bool) -> dict[int, str]:
        loop, to = self.loop, self.to
        most = min(MOST_ITERATIONS, MOST_NODES // max(1, len(self.members)))
        if counted and (count is None or count > most):
            raise Undecided
        recurrences = loop._recurrences()
        states = [self._found(x._initial()) for x in recurrences]
        for state in states:
            value = to.value(state)
            if value.array is not None and value.array.size <= 16:
                to.known[state] = value                   # what is computed from it is computed now
        stacks: dict[int, list[str]] = {id(x): [] for x in loop._ends()}
        ends = [x for x in loop._ends() if x.kind != LoopOutput.LAST_VALUE]
        condition, step = loop._limit(TripLimit.WHILE), 0
        while count is None or step < count:
            if step >= most:
                raise Undecided
            inside = Inside(to, self.members, False)
            for layer, state in zip(recurrences, states, strict=True):
                inside.values[id(layer._outputs[0])] = state
            for iterator in loop._iterators():
                inside.values[id(iterator._outputs[0])] = self._slice(iterator, step, count)
            if condition is not None and not self._holds(condition, inside):
                break
            self.nesting.write(inside)
            following = [inside.needed(x._fed(), f"recurrence {x.name!r}") for x in recurrences]
            for layer, old, new in zip(recurrences, states, following, strict=True):
                same_type(to.editor.types[old], to.editor.types[new], layer)
            for end in ends:
                stacks[id(end)].append(inside.needed(end._inputs[0], f"output {end.name!r}"))
            states, step = following, step + 1
        last = {id(x._outputs[0]): s for x, s in zip(recurrences, states, strict=True)}
        return {id(x): renamed(to, x, last[id(x._inputs[0])]) if x.kind == LoopOutput.LAST_VALUE
                else self._stack(x, stacks[id(x)]) for x in loop._ends()}

    def _found(self, tensor: ITensor) -> str:
        name = self.to.find(tensor)
        if name is None:
            raise ShapeError(f"{self.loop._label()} reads {tensor.name!r}, which could not be inferred")
        return name

    def _holds(self, condition: ITensor, inside: Inside) -> bool:
        producer = condition._producer
        if producer is not None and id(producer) in self.members:
            self.network._write(producer, inside)
        value = inside.value(inside.needed(condition, "trip limit"))
        if not one_of(value.type, (DType.bool,)):
            raise ShapeError(f"the loop's condition is {value.type}, it must be one bool")
        if value.array is None:
            raise Undecided
        return bool(value.array.all())

    def _slice(self, layer: Any, step: int, count: int | None) -> str:
        value, axis = self._found(layer._inputs[0]), axis_of(layer, self.to)
        place = count - 1 - step if layer.reverse and count is not None else step
        size = self.to.type(value).shape[axis]
        if isinstance(size, int) and place >= size:
            raise ShapeError(f"iteration {step} reads slice {place} of a tensor that has {size}",
                             at=f"layer {layer.name!r}")
        nodes = [constant("place", place, np.int64), node("Gather", "x0 place", axis=axis)]
        return self.to.appended(nodes, [value], [self.to.editor.fresh(f"{layer._outputs[0].name}.{step}")],
                                layer.name)[0]

    def _stack(self, end: Any, parts: list[str]) -> str:
        length = whole(self.to, end._inputs[1])
        kind = self.to.type(parts[0]) if parts else self.nesting.type_of(end._inputs[0])
        if not isinstance(length, int) or not isinstance(kind, TensorType) or \
                (length > len(parts) and not kind.is_static):
            raise Undecided
        if len(parts) > length:
            raise ShapeError(f"the loop makes {len(parts)} iterations, the output's length is {length}",
                             at=f"layer {end.name!r}")
        axis = end.axis % (kind.rank + 1)
        if length > len(parts):
            rest = np.zeros((*kind.shape[:axis], length - len(parts), *kind.shape[axis:]), kind.dtype.numpy)
            if not parts:
                return renamed(self.to, end, self.to.constant(rest, end.name))
        order = [*range(len(parts))][:: -1 if end.kind == LoopOutput.REVERSE else 1]
        nodes = [constant("axis", [axis], np.int64), *(node("Unsqueeze", f"x{i} axis", f"u{i}") for i in order)]
        names = [f"u{i}" for i in order]
        if length > len(parts):
            nodes.append(constant("rest", rest, rest.dtype))
            names = ["rest", *names] if end.kind == LoopOutput.REVERSE else [*names, "rest"]
        if not names:
            rest = np.zeros((*kind.shape[:axis], 0, *kind.shape[axis:]), kind.dtype.numpy)
            return renamed(self.to, end, self.to.constant(rest, end.name))
        return self.to.appended([*nodes, node("Concat", " ".join(names), axis=axis)], parts, end._names(self.to),
                                end.name)[0]


def renamed(to: Lowering, layer: ILayer, value: str) -> str:
    """The value under the name of the layer's output."""
    return layer._last(to, Pointwise(In(0, to.type(value).dtype)), value)[0]


def type_at(to: Lowering, tensor: ITensor) -> ValueType:
    name = to.find(tensor)
    if name is None:
        raise ShapeError(f"{tensor.name!r} could not be inferred")
    return to.editor.types[name]


def one_of(t: ValueType, kinds: tuple[DType, ...]) -> bool:
    """Whether a type is one element of one of the element types."""
    return isinstance(t, TensorType) and t.dtype in kinds and t.size == 1


def whole(to: Lowering, tensor: ITensor) -> Dim | None:
    """A count that is known when the network is built, or a function of its shapes; None for any other."""
    name = to.find(tensor)
    content = None if name is None else to.value(name).content
    if content is None or content.size != 1:
        return None
    d = content.reshape(-1)[0]
    return d if isinstance(d, Expr) else max(0, int(d))


def axis_of(layer: Any, to: Lowering) -> int:
    rank = to.type(str(to.find(layer._inputs[0]))).rank
    if not -rank <= layer.axis < rank:
        raise ShapeError(f"there is no axis {layer.axis} in {rank}", at=f"layer {layer.name!r}")
    return int(layer.axis) % rank


def stacked(to: Lowering, layer: Any, t: ValueType) -> tuple[Stacked, ValueType]:
    """How an output is stacked from values of a type, and the type of the result."""
    if not one_of(type_at(to, layer._inputs[1]), WHOLE):
        raise ShapeError(f"the length of the axis is {type_at(to, layer._inputs[1])}, it must be one int32 or int64",
                         at=f"layer {layer.name!r}")
    reverse, length = layer.kind == LoopOutput.REVERSE, whole(to, layer._inputs[1])
    if not isinstance(t, TensorType):
        raise ShapeError(f"{t}: values of a shape that only the run knows are not stacked", at=f"layer {layer.name!r}")
    axis = layer.axis % (t.rank + 1)
    if length is None:
        dims = (*t.shape[:axis], None, *t.shape[axis:])
        text = ", ".join("?" if d is None else str(d) for d in dims)
        return Stacked(axis, reverse, t.shape, t.dtype), OpaqueType(f"{t.dtype} ({text})", t.dtype, dims)
    return Stacked(axis, reverse, t.shape, t.dtype), TensorType((*t.shape[:axis], length, *t.shape[axis:]), t.dtype)


def same_type(before: ValueType, after: ValueType, layer: ILayer) -> None:
    if before != after:
        raise ShapeError(f"the recurrence begins with {before} and is fed {after}", at=f"layer {layer.name!r}",
                         try_="both inputs must have one shape and type")
