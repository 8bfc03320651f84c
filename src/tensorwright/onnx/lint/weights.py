"""Facts about weights that rules share, from one pass over the bytes in blocks that stay in the cache.

A float's bits without its sign are ordered like its magnitude: infinity and NaN are at the top, denormals at the
bottom. So a block is judged by the largest and the number of the smallest, without converting a single element.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..meaning import array_of, constant_tensor
from ..model import Model

if TYPE_CHECKING:
    import onnx_ir

#: Bytes looked at together; three buffers of that size stay in a core's cache.
BLOCK = 1 << 18


@dataclass(frozen=True)
class Layout:
    """bits: the unsigned type of the same size. infinity, normal: bits of infinity, of the smallest normal number.

    half   bits of the smallest number that rounds to infinity in float16: 65520; None where the type cannot hold it
    """

    bits: type
    infinity: int
    normal: int
    half: int | None


#: ONNX element type → how its bits are laid out.
FLOATS = {
    "FLOAT": Layout(np.uint32, 0x7F800000, 0x00800000, 0x477FF000),
    "DOUBLE": Layout(np.uint64, 0x7FF0000000000000, 0x0010000000000000, 0x40EFFE0000000000),
    "FLOAT16": Layout(np.uint16, 0x7C00, 0x0400, None),
    "BFLOAT16": Layout(np.uint16, 0x7F80, 0x0080, 0x4780),
}


@dataclass(frozen=True)
class Facts:
    """How many elements are that. overflow: finite, and infinite in float16. largest: the largest finite magnitude."""

    nan: int = 0
    plus_infinity: int = 0
    minus_infinity: int = 0
    denormal: int = 0
    overflow: int = 0
    largest: float = 0.0


@dataclass(eq=False)
class Weight:
    """One constant tensor: an initialiser, or a Constant node's.

    value    the tensor's place in the graph
    tensor   its content
    """

    value: onnx_ir.Value
    tensor: Any = field(repr=False)

    @property
    def name(self) -> str:
        return str(self.value.name)

    @property
    def size(self) -> int:
        return int(np.prod([int(d) for d in self.tensor.shape], dtype=np.int64))

    @property
    def readers(self) -> tuple[onnx_ir.Node, ...]:
        return tuple(dict.fromkeys(use.node for use in self.value.uses()))

    @cached_property
    def facts(self) -> Facts | None:
        """None for types that are not floating point. ModelError when the tensor is damaged."""
        layout = FLOATS.get(self.tensor.dtype.name)
        return None if layout is None else facts(array_of(self.tensor), layout)


def weights_of(model: Model) -> list[Weight]:
    """All initialisers and Constant nodes, of all graphs and functions, in order."""
    found = []
    for graph in model.graphs():
        for value in getattr(graph, "initializers", {}).values():
            if value.const_value is not None:
                found.append(Weight(value, value.const_value))
        for node in graph:
            if node.op_type == "Constant" and node.outputs and (tensor := constant_tensor(node.outputs[0])) is not None:
                found.append(Weight(node.outputs[0], tensor))
    return found


def facts(array: np.ndarray, layout: Layout) -> Facts:
    """Counts over an array of any shape whose element type has this layout."""
    flat: np.ndarray = np.ascontiguousarray(array).reshape(-1).view(layout.bits)
    step = BLOCK // flat.itemsize
    sign = layout.bits(1 << (flat.itemsize * 8 - 1))
    magnitude: np.ndarray = np.empty(min(step, flat.size), layout.bits)
    small = np.empty(min(step, flat.size), bool)
    nan = plus = minus = denormal = overflow = largest = 0
    for at in range(0, flat.size, step):
        block = flat[at : at + step]
        bits, flags = magnitude[: block.size], small[: block.size]
        np.bitwise_and(block, ~sign, out=bits)
        top = int(bits.max())
        if top >= layout.infinity:
            nan += int(np.count_nonzero(bits > layout.infinity))
            infinite = bits == layout.infinity
            minus += int(np.count_nonzero(infinite & (block != bits)))
            plus += int(np.count_nonzero(infinite & (block == bits)))
            top = int(bits[bits < layout.infinity].max(initial=0))
        largest = max(largest, top)
        if layout.half is not None and top >= layout.half:
            overflow += int(np.count_nonzero((bits >= layout.half) & (bits < layout.infinity)))
        np.subtract(bits, layout.bits(1), out=bits)      # zero wraps around to the largest
        np.less(bits, layout.bits(layout.normal - 1), out=flags)
        denormal += int(np.count_nonzero(flags))
    number = float(np.array([largest], layout.bits).view(array.dtype)[0]) if flat.size else 0.0
    return Facts(nan, plus, minus, denormal, overflow, number)
