"""What is inside loops and conditionals: layers between boundary layers become records of their own.

A layer is inside a construct when it depends on what the construct's sources give (recurrences, iterators, inputs of a
conditional) otherwise than through the construct's outputs. Everything else is outside, and may be read inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import BuildError, ShapeError
from ..importer.values import Value
from ..ir import Layer, ValueType
from ..ops import Body
from .foundation import Closed
from .layer import ILayer, Lowering
from .tensor import ITensor

if TYPE_CHECKING:
    from .network import INetworkDefinition

Chain = frozenset["Construct"]


class Construct(Closed):
    """A loop or a conditional: its boundary layers. `_sources` give values inside, `_ends` outside."""

    _kind = "construct"

    def __init__(self, network: Any, name: str) -> None:
        self._network, self._name = network, name
        self._layers: list[Any] = []
        self._closed = True

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value
        self._network._changed()

    def _made(self, layer: Any) -> Any:
        """A boundary layer, remembered; None when it was refused."""
        if layer is not None:
            self._layers.append(layer)
            self._network._changed()
        return layer

    def _sources(self) -> list[Any]:
        raise NotImplementedError(type(self).__name__)

    def _ends(self) -> list[Any]:
        raise NotImplementedError(type(self).__name__)

    def _seeded(self, inside: Inside) -> None:
        """Give the sources their values inside."""
        raise NotImplementedError(type(self).__name__)

    def _lowered(self, to: Lowering) -> dict[int, str]:
        """Write the construct; its outputs' values, by the id of the boundary layer."""
        raise NotImplementedError(type(self).__name__)

    def _label(self) -> str:
        return f"{self._kind} {self._name!r}"


class EndLayer(ILayer):
    """An output of a construct. The first that is written writes the construct, with all its outputs."""

    _implicit_batch = False

    def _construct(self) -> Construct:
        raise NotImplementedError(type(self).__name__)

    def _reads(self) -> list[ITensor]:
        nesting = self._network._nesting
        return [] if nesting is None else nesting.reads(self._construct())

    def _operands(self, to: Lowering) -> list[Any]:
        return []

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        construct = self._construct()
        if id(construct) not in to.constructs:
            to.constructs[id(construct)] = construct._lowered(to)
        return [to.constructs[id(construct)][id(self)]]


class Inside(Lowering):
    """The records inside a construct: apart, in an editor of their own in which outer values are inputs; or in line."""

    def __init__(self, outer: Lowering, members: set[int], apart: bool) -> None:
        super().__init__(outer.editor.name, outer.lead)
        self.outer, self.members, self.renamed = outer, members, outer.renamed
        self.captured: dict[str, str] = {}               # name inside → name outside
        self.contents: dict[str, Value] = {}
        if not apart:
            self.editor, self.known = outer.editor, outer.known

    def find(self, tensor: ITensor) -> str | None:
        found = self.values.get(id(tensor))
        if found is None and (outside := self.outer.find(tensor)) is not None:
            found = outside if self.editor is self.outer.editor else self.capture(outside)
            self.values[id(tensor)] = found
        return found

    def capture(self, outside: str) -> str:
        """A value of the outer records, inside."""
        for inner, outer in self.captured.items():
            if outer == outside:
                return inner
        inner = self.editor.input(self.editor.fresh(outside), self.outer.editor.types[outside])
        self.captured[inner] = outside
        value = self.outer.value(outside)
        seen = Value(value.type, inner, value.array, value.dims, inner)
        (self.known if outside in self.outer.known else self.contents)[inner] = seen
        return inner

    def value(self, name: str) -> Value:
        return self.contents.get(name) or super().value(name)

    def needed(self, tensor: ITensor, what: str) -> str:
        """The value of a tensor that a boundary layer reads. ShapeError when it could not be made."""
        found = self.find(tensor)
        if found is None:
            raise ShapeError(f"{what} reads {tensor.name!r}, which could not be inferred")
        return found

    def body(self, given: list[str], wanted: list[str]) -> Body:
        """The records that the values wanted need. Constants of theirs become captured values."""
        for name, array in list(self.editor.constants.items()):
            del self.editor.constants[name]
            self.editor.inputs.append(name)
            self.captured[name] = self.outer.constant(array, name)
        return Body((*given, *self.captured), tuple(wanted), tuple(pruned(self.editor.layers, wanted)))

    def padded(self, body: Body, given: list[str]) -> Body:
        """The body with all values that are captured by now among its inputs."""
        return Body((*given, *self.captured), body.outputs, body.layers)


def pruned(layers: list[Layer], wanted: Iterable[str]) -> Iterator[Layer]:
    """The layers that the values wanted depend on, in order."""
    needed, kept = set(wanted), []
    for layer in reversed(layers):
        if needed.intersection(layer.outputs) or layer.op.has_effect:
            needed.update(i for i in layer.inputs if i)
            kept.append(layer)
    return reversed(kept)


class Nesting:
    """Which constructs each layer's outputs are inside of."""

    def __init__(self, network: INetworkDefinition) -> None:
        self.network = network
        self.constructs: list[Construct] = network._constructs
        self.around: dict[int, Chain] = {}               # construct → those it is inside of
        self.of: dict[int, Chain] = {}                   # layer → those its outputs are inside of
        ends = {id(x): c for c in self.constructs for x in c._ends()}
        sources = {id(x): c for c in self.constructs for x in c._sources()}
        self.boundary = {id(x) for c in self.constructs for x in c._layers} - ends.keys()
        changed = True
        while changed:
            changed = False
            for c in self.constructs:
                found = frozenset(k for x in c._layers for k in self._inputs(x)) - {c}
                changed, self.around[id(c)] = changed or self.around.get(id(c)) != found, found
            for layer in network._layers:
                if (c_ := sources.get(id(layer))) is not None:
                    found = self.around[id(c_)] | {c_}
                elif (c_ := ends.get(id(layer))) is not None:
                    found = self.around[id(c_)]
                else:
                    found = frozenset(self._inputs(layer))
                changed, self.of[id(layer)] = changed or self.of.get(id(layer)) != found, found

    def _inputs(self, layer: ILayer) -> Iterator[Construct]:
        for t in layer._inputs:
            if t is not None:
                yield from self.inside(t)

    def inside(self, tensor: ITensor) -> Chain:
        return frozenset() if tensor._producer is None else self.of.get(id(tensor._producer), frozenset())

    def members(self, construct: Construct | None) -> set[int]:
        """Layers whose records are the construct's own, not those of constructs in it. None: those of the network."""
        chain: Chain = frozenset() if construct is None else self.around[id(construct)] | {construct}
        return {id(x) for x in self.network._layers if self.of[id(x)] == chain and id(x) not in self.boundary}

    def reads(self, construct: Construct) -> list[ITensor]:
        """Tensors from outside that the construct, or a construct in it, reads."""
        layers = [x for x in self.network._layers if construct in self.of[id(x)]] + construct._layers
        found = {id(t): t for x in layers for t in x._inputs if t is not None and construct not in self.inside(t)}
        return list(found.values())

    def innermost(self, tensor: ITensor) -> Construct | None:
        """The construct whose own member makes the tensor; None outside of all."""
        chain = self.inside(tensor)
        return next((c for c in chain if self.around[id(c)] | {c} == chain), None)

    def mixed(self) -> list[BuildError]:
        """Layers that read values from inside constructs of which none is inside the other."""
        orders: set[Chain] = {self.around[id(c)] | {c} for c in self.constructs} | {frozenset()}
        return [BuildError(f"it reads values from inside {' and '.join(sorted(c._label() for c in self.of[id(x)]))}",
                           at=f"layer {x.name!r}", try_="values leave a loop or conditional through its output layers")
                for x in self.network._layers if self.of[id(x)] not in orders]

    def type_of(self, tensor: ITensor) -> ValueType | None:
        """The type of a tensor inside a construct."""
        construct, failures = self.innermost(tensor), list(self.network._failures)
        try:
            inside = None if construct is None else self.written(construct)
        finally:
            self.network._failures[:] = failures
        name = None if inside is None else inside.find(tensor)
        return None if inside is None or name is None else inside.editor.types[name]

    def written(self, construct: Construct) -> Inside:
        """The construct's members apart, to look at."""
        chain = self.around[id(construct)]
        parent = next((c for c in chain if self.around[id(c)] | {c} == chain), None)
        assert self.network._lowering is not None
        inside = Inside(self.network._lowering if parent is None else self.written(parent),
                        self.members(construct), True)
        construct._seeded(inside)
        self.write(inside)
        return inside

    def write(self, inside: Inside) -> None:
        """Write all members of the construct that `inside` is of."""
        for layer in self.network._layers:
            if inside.members is not None and id(layer) in inside.members:
                self.network._write(layer, inside)
