"""Where values go: into the user's memory, into a place inside a concatenation, or into a buffer with a border."""

from __future__ import annotations

import numpy as np

from ..dims import Dim
from ..dtypes import DType
from ..ir import Network, TensorType
from ..ops import Concat, Convolution, Expand, Reshape, Slice, Transpose
from .layout import canonical, choose_orders, core
from .storage import Border, Buffers, Place, sliced


class Placement:
    """Gives every value of a network its place when it is asked for.

    places      value → where it is, of those written so far
    constants   weight name → array, as constant buffers name them
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.buffers = Buffers()
        self.places: dict[str, Place] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.orders = choose_orders(network)
        self.producers = network.producers()
        self.targets = self._concat_targets()
        self.borders = self._borders()
        self._constant_of_buffer: dict[int, np.ndarray] = {}

    def _is_computed(self, name: str) -> bool:
        """Whether a kernel writes the value itself, so that we choose where."""
        layer = self.producers.get(name)
        return (
            layer is not None
            and not isinstance(layer.op, (Transpose, Reshape, Slice, Expand))
            and not layer.op.on_host
            and all(isinstance(self.network.types[v], TensorType) for v in (*layer.inputs, *layer.outputs) if v)
        )

    def _concat_targets(self) -> dict[str, tuple[str, int, Dim]]:
        """value → (concatenation it is written into, axis, start): such a Concat costs nothing for it."""
        found: dict[str, tuple[str, int, Dim]] = {}
        for layer in reversed(self.network.layers):
            if not isinstance(layer.op, Concat) or not isinstance(self.network.types[layer.outputs[0]], TensorType):
                continue
            out = layer.outputs[0]
            start: Dim = 0
            for name in layer.inputs:
                assert name is not None
                t = self.network.tensor(name)
                if (
                    self._is_computed(name)
                    and name not in found
                    and name not in self.network.outputs
                    and layer.inputs.count(name) == 1
                    and self.orders[name] == self.orders[out]
                ):
                    found[name] = (out, layer.op.axis, start)
                start = start + t.shape[layer.op.axis]
        return found

    def _borders(self) -> dict[str, Border]:
        """value → zero border that convolutions reading it (or a slice with whole padded axes) would like around it."""
        found: dict[str, list[list[int]]] = {}

        def ask(name: str, pads: tuple[tuple[int, int], ...]) -> None:
            if name in self.targets:
                return ask(self.targets[name][0], pads)
            layer = self.producers.get(name)
            if layer is not None and isinstance(layer.op, Slice) and layer.inputs[0]:
                t = self.network.tensor(layer.inputs[0])
                cut = (size != d or step != 1 for size, d, step
                       in zip(layer.op.sizes[2:], t.shape[2:], layer.op.steps[2:], strict=True))
                if not any(c and any(p) for c, p in zip(cut, pads, strict=True)):
                    return ask(layer.inputs[0], pads)
            reshaped_ = layer is not None and isinstance(layer.op, Reshape)  # if it turns out to need a copy
            if (self._is_computed(name) or reshaped_) and not (name in self.network.outputs and self._is_c_order(name)):
                have = found.setdefault(name, [[0, 0] for _ in range(len(pads) + 2)])
                for axis, (before, after) in enumerate(pads):
                    have[axis + 2] = [max(have[axis + 2][0], before), max(have[axis + 2][1], after)]

        for layer in self.network.layers:
            op = core(layer.op)
            if isinstance(op, Convolution) and layer.inputs[0] and any(map(any, op.pads)):
                if isinstance(self.network.types[layer.inputs[0]], TensorType):
                    ask(layer.inputs[0], op.pads)
        return {name: tuple((b, a) for b, a in border) for name, border in found.items()}

    def _is_c_order(self, name: str) -> bool:
        return self.orders[name] == canonical(len(self.orders[name]))

    def allocate(self, name: str) -> Place:
        """The place a layer writes value `name` to."""
        if name in self.places:
            return self.places[name]
        t = self.network.tensor(name)
        if name in self.targets:
            parent_name, axis, start = self.targets[name]
            parent = self.allocate(parent_name)
            starts: tuple[Dim, ...] = tuple(start if a == axis else 0 for a in range(t.rank))
            place = sliced(parent, starts, t.shape, (1,) * t.rank)
        elif name in self.network.outputs and self._is_c_order(name):
            place = self.buffers.dense("output", t.shape, t.dtype, name)
            self.buffers.user[name] = place.buffer
        else:
            place = self.buffers.ordered(t.shape, t.dtype, self.orders[name], self.borders.get(name, ()))
        self.places[name] = place
        return place

    def constant(self, array: np.ndarray, name: str) -> Place:
        """A constant buffer for the array, in C order."""
        array = np.asarray(array, order="C")  # unlike ascontiguousarray: scalars stay scalars
        key, n = name, 1
        while key in self.constants and self.constants[key] is not array:
            key, n = f"{name}~{n}", n + 1
        self.constants[key] = array

        place = self.buffers.dense("constant", array.shape, DType.of(array), key)
        self._constant_of_buffer[place.buffer] = array
        return place

    def place(self, name: str) -> Place:
        """Where value `name` is; constants get their buffer when first read."""
        if name not in self.places:
            assert name in self.network.constants, name
            self.places[name] = self.constant(self.network.constants[name], name)
        return self.places[name]
