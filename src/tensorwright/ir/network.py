"""Layers and networks: frozen, printable; `NetworkEditor` makes the next network from this one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from ..dims import symbols
from ..dtypes import DType
from ..errors import ShapeError, TensorwrightError
from .op import Op
from .types import OpaqueType, TensorType, ValueType


@dataclass(frozen=True)
class Layer:
    """One application of an operator.

    op        the operator with its parameters
    inputs    value names, None where an optional input is absent
    outputs   value names; "" where an optional output is not wanted
    name      unique within the network, for people and profiles
    origin    where it came from: names of the model's nodes
    """

    op: Op
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    name: str
    origin: tuple[str, ...] = ()

    def __str__(self) -> str:
        args = ", ".join(x or "-" for x in self.inputs)
        return f"{', '.join(self.outputs)} = {self.op} [{args}]  # {self.name}"


@dataclass(frozen=True)
class Network:
    """A directed acyclic graph of layers in execution order.

    inputs      names of values the user gives, in order
    outputs     names of values the user gets, in order (an input or a constant may be an output)
    layers      in an order in which every value is written before it is read
    constants   name → array, read-only
    types       name → type of every value: inputs, constants and all layer outputs
    name        for people
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    constants: Mapping[str, np.ndarray]
    types: Mapping[str, ValueType]
    name: str = "network"
    metadata: Mapping[str, str] = field(default_factory=dict)

    def tensor(self, name: str) -> TensorType:
        """The type of a value that must be a tensor."""
        t = self.types[name]
        if not isinstance(t, TensorType):
            raise ShapeError(f"value {name!r} is {t}: its shape is not known before it is computed")
        return t

    def producers(self) -> dict[str, Layer]:
        return {out: layer for layer in self.layers for out in layer.outputs if out}

    def readers(self) -> dict[str, list[Layer]]:
        """Layers that read each value; a layer that reads a value twice is listed twice."""
        found: dict[str, list[Layer]] = {}
        for layer in self.layers:
            for name in layer.inputs:
                if name:
                    found.setdefault(name, []).append(layer)
        return found

    def symbols(self) -> tuple[str, ...]:
        """Names of the symbols of the inputs' shapes, in order of appearance."""
        found: dict[str, None] = {}
        for name in self.inputs:
            t = self.types[name]
            if isinstance(t, TensorType):
                for d in t.shape:
                    found.update(dict.fromkeys(sorted(symbols(d))))
        return tuple(found)

    def with_changes(self, **changes: object) -> Network:
        return replace(self, **changes)  # type: ignore[arg-type]

    def check(self) -> Network:
        """Raises when the records contradict each other; returns the network itself, for chaining."""
        known = set(self.inputs) | set(self.constants)
        names: set[str] = set()
        for layer in self.layers:
            for value in layer.inputs:
                if value is not None and value not in known:
                    raise ShapeError(f"layer {layer.name!r} reads {value!r} before it is written")
            for value in layer.outputs:
                if value and (value in known or value not in self.types):
                    raise ShapeError(f"layer {layer.name!r}: output {value!r} is written twice or has no type")
                if value:
                    known.add(value)
            if layer.name in names:
                raise ShapeError(f"two layers are named {layer.name!r}")
            names.add(layer.name)
        for value in self.outputs:
            if value not in known:
                raise ShapeError(f"network output {value!r} is never written")
        return self

    def __str__(self) -> str:
        lines = [f"network {self.name}"]
        lines += [f"  input  {n}: {self.types[n]}" for n in self.inputs]
        for layer in self.layers:
            lines.append(f"  {layer}   {', '.join(str(self.types[o]) for o in layer.outputs if o)}")
        lines += [f"  output {n}: {self.types[n]}" for n in self.outputs]
        return "\n".join(lines)


class NetworkEditor:
    """A network under construction. Add inputs, constants and layers; `finish()` freezes and checks it.

    Types are inferred on `add`. Names are made unique. Give `outputs` to fix the names of results.
    """

    def __init__(self, name: str = "network") -> None:
        self.name = name
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.layers: list[Layer] = []
        self.constants: dict[str, np.ndarray] = {}
        self.types: dict[str, ValueType] = {}
        self.metadata: dict[str, str] = {}
        self._layer_names: set[str] = set()
        self._counts: dict[str, int] = {}

    @classmethod
    def of(cls, network: Network) -> NetworkEditor:
        editor = cls(network.name)
        editor.inputs, editor.outputs = list(network.inputs), list(network.outputs)
        editor.layers, editor.constants = list(network.layers), dict(network.constants)
        editor.types, editor.metadata = dict(network.types), dict(network.metadata)
        editor._layer_names = {layer.name for layer in network.layers}
        return editor

    def fresh(self, hint: str) -> str:
        """A value name not in use, like hint."""
        if hint and hint not in self.types:
            return hint
        while True:
            n = self._counts[hint] = self._counts.get(hint, 0) + 1
            if (name := f"{hint or 'value'}.{n}") not in self.types:
                return name

    def _layer_name(self, hint: str) -> str:
        name, n = hint, 1
        while name in self._layer_names:
            name, n = f"{hint}.{n}", n + 1
        self._layer_names.add(name)
        return name

    def input(self, name: str, type: ValueType) -> str:
        if name in self.types:
            raise ShapeError(f"two values are named {name!r}")
        self.inputs.append(name)
        self.types[name] = type
        return name

    def constant(self, array: np.ndarray, name: str = "const") -> str:
        array = np.asanyarray(array)
        name = self.fresh(name)
        self.constants[name] = array
        self.types[name] = TensorType(array.shape, DType.of(array))
        return name

    def add(self, op: Op, *inputs: str | None, name: str = "", outputs: Iterable[str] | None = None,
            origin: tuple[str, ...] = (), types: tuple[ValueType, ...] | None = None) -> str | tuple[str, ...]:
        """Append a layer; returns its output name, or names when the operator has several outputs.

        types overrides inference (needed when an input is opaque, which only host operators accept).
        """
        if types is None:
            operands = [None if i is None else self.types[i] for i in inputs]
            try:
                inferred = op.infer(*operands)  # type: ignore[arg-type]
            except TensorwrightError as error:
                for i, t in zip(inputs, operands, strict=True):
                    if i is not None:
                        error.facts.setdefault(i, f"{t}{', constant' if i in self.constants else ''}")
                raise error.located(name or type(op).__name__) from None
            types = inferred if isinstance(inferred, tuple) else (inferred,)
        label = self._layer_name(name or (origin[0] if origin else type(op).__name__.lower()))
        names = list(outputs) if outputs is not None else [self.fresh(f"{label}.out")] * len(types)
        if outputs is None and len(types) > 1:
            names = [self.fresh(f"{label}.out{i}") for i in range(len(types))]
        for value, t in zip(names, types, strict=True):
            if value:
                if value in self.types:
                    raise ShapeError(f"two values are named {value!r}")
                self.types[value] = t
        self.layers.append(Layer(op, tuple(inputs), tuple(names), label, origin))
        return names[0] if len(names) == 1 else tuple(names)

    def finish(self) -> Network:
        return Network(tuple(self.inputs), tuple(self.outputs), tuple(self.layers),
                       MappingProxyType(dict(self.constants)), MappingProxyType(dict(self.types)), self.name,
                       dict(self.metadata)).check()


def is_opaque(t: ValueType) -> bool:
    return isinstance(t, OpaqueType)
