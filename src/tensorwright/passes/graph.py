"""A network under rewriting: every change is local, producers and readers are known at any time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ..dtypes import DType
from ..ir import Layer, Network, Op, TensorType, ValueType
from ..ir.pattern import Operand, Term, Value
from ..ir.refittable import Constants, Refittable
from ..ops import Pointwise
from ..ops.expr import In


class Graph:
    """Layers, constants and types of a network, with the edges between them.

    A layer that replaces another takes its place in the execution order; `freeze` sorts what that leaves out of order.
    Network inputs and outputs keep their names through every change.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.inputs, self.outputs = network.inputs, network.outputs
        self.constants = Constants(network.constants)
        self.types: dict[str, ValueType] = dict(network.types)
        self.layers: dict[str, Layer] = {}
        self._place: dict[str, float] = {}
        self._producer: dict[str, str] = {}
        self._readers: dict[str, dict[str, None]] = {}
        self._is_output = frozenset(network.outputs)
        self._counts: dict[str, int] = {}
        for i, layer in enumerate(network.layers):
            self._put(layer, i)

    # ---- looking

    def producer(self, value: str) -> Layer | None:
        name = self._producer.get(value)
        return None if name is None else self.layers[name]

    def readers(self, value: str) -> list[Layer]:
        return [self.layers[name] for name in self._readers.get(value, ())]

    def is_output(self, value: str) -> bool:
        return value in self._is_output

    def is_dead(self, value: str) -> bool:
        return not self._readers.get(value) and value not in self._is_output

    def value(self, name: str) -> Value:
        return Value(self, name)

    def tensor(self, name: str) -> TensorType | None:
        """The type of a tensor of known rank; None for anything else."""
        t = self.types[name]
        return t if isinstance(t, TensorType) else None

    def ordered(self) -> list[Layer]:
        """Layers in the order of their places; producers may come after readers until `freeze` sorts."""
        return sorted(self.layers.values(), key=lambda layer: self._place[layer.name])

    def place(self, layer: Layer) -> float:
        return self._place[layer.name]

    # ---- names

    def fresh(self, hint: str) -> str:
        """A value name not in use, like hint."""
        while True:
            n = self._counts[hint] = self._counts.get(hint, 0) + 1
            if (name := f"{hint}.{n}") not in self.types:
                return name

    def _layer_name(self, hint: str) -> str:
        name, n = hint, 1
        while name in self.layers:
            name, n = f"{hint}.{n}", n + 1
        return name

    # ---- changing

    def _put(self, layer: Layer, place: float) -> None:
        self.layers[layer.name] = layer
        self._place[layer.name] = place
        for value in layer.outputs:
            if value:
                self._producer[value] = layer.name
        for read in layer.inputs:
            if read is not None:
                self._readers.setdefault(read, {})[layer.name] = None

    def _take(self, layer: Layer) -> float:
        del self.layers[layer.name]
        for value in layer.outputs:
            self._producer.pop(value, None)
        for read in layer.inputs:
            if read is not None:
                self._readers[read].pop(layer.name, None)
        return self._place.pop(layer.name)

    def swap(self, layer: Layer, new: Layer) -> None:
        """Put `new`, which writes the same values, in the place of `layer`."""
        self._put(new, self._take(layer))

    def merge(self, layers: Sequence[Layer], new: Layer) -> None:
        """Put `new`, which writes the last layer's values, in its place; the others, which only these read, go."""
        places = [self._take(layer) for layer in layers]
        self._put(new, places[-1])
        for layer in layers:
            for name in layer.inputs:
                self.prune(name)

    def constant(self, array: np.ndarray, hint: str) -> str:
        name = self.fresh(hint)
        self.constants[name] = self._made(array)
        self.types[name] = TensorType(array.shape, DType.of(array))
        return name

    def _made(self, array: np.ndarray) -> np.ndarray:
        """A new constant: Refittable when one that is was read on the way to it."""
        return Refittable.of(array) if self.constants.touched else array

    def insert(self, op: Op, inputs: Iterable[str | None], before: Layer, hint: str,
               type: TensorType | None = None, origin: tuple[str, ...] = ()) -> str:
        """A new layer with one output, placed before a layer; returns the name of its value."""
        inputs = tuple(inputs)
        if type is None:
            inferred = op.infer(*(None if i is None else self.tensor(i) for i in inputs))
            assert isinstance(inferred, TensorType)
            type = inferred
        value = self.fresh(hint)
        self.types[value] = type
        layer = Layer(op, inputs, (value,), self._layer_name(hint), origin or before.origin)
        self._put(layer, self._place[before.name])
        return value

    def add_after(self, layer: Layer, op: Op, inputs: tuple[str | None, ...], output: str) -> None:
        """A new layer that writes an existing value, placed after a layer."""
        self._put(Layer(op, inputs, (output,), self._layer_name(output), layer.origin), self._place[layer.name])

    def replace(self, layer: Layer, result: Operand, origin: tuple[str, ...] = ()) -> list[str]:
        """Let the only output of `layer` come from `result` instead; returns names of layers to look at again.

        origin: what the replaced layers came from, the layer's own when empty.
        """
        (y,) = layer.outputs
        origin = origin or layer.origin
        if isinstance(result, np.ndarray):
            return self.become_constant(y, result)
        if isinstance(result, Value):
            return self.become(y, result.name)
        assert isinstance(result, Term)
        made: list[str] = []
        inputs = tuple(self._build(part, layer, origin, made) for part in result.inputs)
        inferred = result.op.infer(*(None if i is None else self.tensor(i) for i in inputs))
        old = self.types[y]
        assert isinstance(inferred, TensorType) and isinstance(old, TensorType), (layer, result)
        assert same_shape(inferred, old), f"{layer}: {old} would become {inferred}"
        self.swap(layer, Layer(result.op, inputs, (y,), layer.name, origin))
        made.append(layer.name)
        for name in layer.inputs:
            self.prune(name)
        return made + [r.name for r in self.readers(y)]

    def _build(self, part: Operand, before: Layer, origin: tuple[str, ...], made: list[str]) -> str | None:
        if part is None:
            return None
        if isinstance(part, Value):
            return part.name
        if isinstance(part, np.ndarray):
            return self.constant(part, f"{before.outputs[0]}.const")
        inputs = [self._build(x, before, origin, made) for x in part.inputs]
        hint = f"{before.outputs[0]}.{type(part.op).__name__.lower()}"
        name = self.insert(part.op, inputs, before, hint, part.type, origin)
        made.append(self._producer[name])
        return name

    def become_constant(self, y: str, array: np.ndarray) -> list[str]:
        """Make a layer's output a constant under its own name; the layer goes when no other output is in use."""
        layer = self.producer(y)
        assert layer is not None
        self.constants[y] = self._made(array)
        self.types[y] = TensorType(array.shape, DType.of(array))
        again = [r.name for r in self.readers(y)]
        outputs = tuple("" if o == y else o for o in layer.outputs)
        if any(outputs):
            self.swap(layer, replace(layer, outputs=outputs))
        else:
            self._take(layer)
            for name in layer.inputs:
                self.prune(name)
        return again

    def become(self, y: str, x: str) -> list[str]:
        """Let readers of y read x. A network output keeps its name: x takes it over, or a copying layer stays."""
        layer = self.producer(y)
        assert layer is not None and len(layer.outputs) == 1
        if y not in self._is_output:
            again = self.redirect(y, x)
            self._take(layer)
        elif x in self.constants:
            return self.become_constant(y, self.constants[x])
        elif x in self.inputs or x in self._is_output:
            again = self.redirect(y, x)
            copy = Pointwise(In(0, self.types[x].dtype))  # type: ignore[arg-type]
            self.swap(layer, Layer(copy, (x,), (y,), layer.name, layer.origin))
            again.append(layer.name)
        else:
            source = self.producer(x)
            assert source is not None
            self._take(layer)
            self.swap(source, replace(source, outputs=tuple(y if o == x else o for o in source.outputs)))
            again = [*self.redirect(x, y), source.name, *(r.name for r in self.readers(y))]
        for name in layer.inputs:
            self.prune(name)
        return again

    def redirect(self, old: str, new: str) -> list[str]:
        """Let every layer that reads `old` read `new`; returns their names."""
        again = []
        for reader in self.readers(old):
            self.swap(reader, replace(reader, inputs=tuple(new if i == old else i for i in reader.inputs)))
            again.append(reader.name)
        return again

    def drop(self, layer: Layer) -> None:
        """Remove a layer that nothing reads, and what only led to it."""
        self._take(layer)
        for name in layer.inputs:
            self.prune(name)

    def alias(self, layer: Layer, first: Layer) -> None:
        """Remove `layer`, whose outputs equal those of `first`."""
        if len(layer.outputs) == 1:
            self.become(layer.outputs[0], first.outputs[0])
            return
        for old, new in zip(layer.outputs, first.outputs, strict=True):
            if old:
                self.redirect(old, new)
        self.drop(layer)

    def prune(self, value: str | None) -> None:
        """Remove the layers that only led to this value, when nothing reads it."""
        stack = [value]
        while stack:
            value = stack.pop()
            if value is None or not self.is_dead(value):
                continue
            layer = self.producer(value)
            if layer is not None and all(not o or self.is_dead(o) for o in layer.outputs):
                self._take(layer)
                stack += layer.inputs

    # ---- and back

    def execution_order(self) -> list[Layer]:
        """Layers in an order in which every value is written before it is read."""
        return list(self._sorted())

    def freeze(self) -> Network:
        """The network, its layers in execution order, without unused constants and types."""
        layers = tuple(self._sorted())
        used = set(self.inputs) | set(self.outputs)
        for layer in layers:
            used.update(x for x in (*layer.inputs, *layer.outputs) if x)
        constants = {n: a for n, a in self.constants.items() if n in used and n not in self._producer}
        types = {n: t for n, t in self.types.items() if n in used}
        return self.network.with_changes(layers=layers, constants=MappingProxyType(constants),
                                         types=MappingProxyType(types)).check()

    def _sorted(self) -> Iterator[Layer]:
        done: set[str] = set()
        for first in self.ordered():
            stack = [(first, False)]
            while stack:
                layer, ready = stack.pop()
                if ready:
                    yield layer
                elif layer.name not in done:
                    done.add(layer.name)
                    stack.append((layer, True))
                    sources = (self.producer(i) for i in reversed(layer.inputs) if i is not None)
                    stack += [(s, False) for s in sources if s is not None and s.name not in done]


def same_shape(a: TensorType, b: TensorType) -> bool:
    """Whether the types agree as far as known: equal element type and rank, no two different numbers."""
    return a.dtype == b.dtype and a.rank == b.rank and all(
        d == e or not (isinstance(d, int) and isinstance(e, int)) for d, e in zip(a.shape, b.shape, strict=True))


def merged_origin(*layers: Layer | None) -> tuple[str, ...]:
    """The origins of several layers, each once, in order."""
    return tuple(dict.fromkeys(o for layer in layers if layer is not None for o in layer.origin))


def is_static_layer(graph: Graph, layer: Layer) -> bool:
    """Whether the shapes of all operands and results of a layer are numbers."""
    types = [graph.tensor(v) for v in (*layer.inputs, *layer.outputs) if v]
    return all(t is not None and t.is_static for t in types)
