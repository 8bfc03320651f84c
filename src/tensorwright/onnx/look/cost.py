"""What a model costs at given sizes of its inputs: arithmetic, memory traffic, and the type of every tensor.

The formulas are those of the compiler's operators (`Op.cost` in ops/): a convolution is 2·N·K·P·Q·(C/groups)·R·S
operations, an element-wise function one per element and function it consists of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...dims import Dim
from ...ir import TensorType, ValueType
from ..model import Model
from .reading import Read, Reading, read
from .sizes import Shapes, Sizes

#: Bits per element of the types that are packed.
PACKED = {"int4": 4, "uint4": 4, "float4_e2m1": 4, "int2": 2, "uint2": 2}


@dataclass(frozen=True)
class NodeCost:
    """One execution of one node of the main graph.

    flops   arithmetic operations; None when not known
    bytes   memory read and written if nothing is cached (what passes inside the node is); None when not known
    way     "compiled", "host step", "constant" (computed while building, or no work), or "unknown"
    why     why it is a host step or unknown
    """

    flops: int | None
    bytes: int | None
    way: str = "compiled"
    why: str = ""


@dataclass(frozen=True)
class Costs:
    """nodes: one per node of the main graph, in order. types: tensor of the main graph → its type at these sizes."""

    sizes: Sizes
    nodes: tuple[NodeCost, ...]
    types: Mapping[str, ValueType]

    @property
    def flops(self) -> int:
        """Operations of all nodes whose number is known."""
        return sum(n.flops or 0 for n in self.nodes)

    @property
    def bytes(self) -> int:
        return sum(n.bytes or 0 for n in self.nodes)

    @property
    def unknown(self) -> int:
        """Nodes whose operations are not known."""
        return sum(n.flops is None for n in self.nodes)


def costs(model: Model, shapes: Shapes | None = None) -> Costs:
    """What every node of the main graph costs.

    shapes   input → shape, or dynamic dimension → size; others get 1 on axis 0 and 64 elsewhere (Sizes.assumed)
    Raises   ModelError when the model cannot be read at all, InputError when shapes contradicts it
    """
    return of_reading(read(model, shapes))


def of_reading(reading: Reading) -> Costs:
    return Costs(reading.sizes, tuple(node_cost(n, reading.values) for n in reading.nodes), reading.types)


def node_cost(node: Read, types: Mapping[str, ValueType]) -> NodeCost:
    if node.why_not:
        return NodeCost(None, None, "unknown", node.why_not)
    if not node.layers:
        return NodeCost(0, 0, "constant")
    flops: Dim = 0
    moved: Dim = 0
    host = [layer for layer in node.layers if layer.op.on_host]
    known = not host
    for layer in node.layers:
        inputs = [None if i is None else types[i] for i in layer.inputs]
        outputs = [types[o] for o in layer.outputs if o]
        if not all(isinstance(t, TensorType) for t in (*(i for i in inputs if i is not None), *outputs)):
            return NodeCost(None, None, "host step" if host else "unknown", "its shapes depend on the data")
        cost = layer.op.cost(inputs, outputs)            # type: ignore[arg-type]
        flops, moved = flops + cost.flops, moved + cost.bytes
    moved = moved - within(node, types)
    if not isinstance(flops, int) or not isinstance(moved, int):
        return NodeCost(None, None, "unknown", f"it depends on {flops}")
    return NodeCost(flops if known else None, moved, "host step" if host else "compiled",
                    host[0].op.on_host if host else "")


def within(node: Read, types: Mapping[str, ValueType]) -> Dim:
    """Bytes of values that pass from one of the node's layers to the next: nobody else sees them."""
    made = {o for layer in node.layers for o in layer.outputs if o} - node.results
    passed: Dim = 0
    for name in (*made, *(i for layer in node.layers for i in layer.inputs if i in made)):
        t = types[name]
        passed = passed + (t.size * t.dtype.itemsize if isinstance(t, TensorType) else 0)
    return passed


def nbytes(t: ValueType | None) -> int | None:
    """Bytes a tensor occupies; None when its shape is not known."""
    if not isinstance(t, TensorType) or not isinstance(t.size, int):
        return None
    return -(-t.size * PACKED.get(t.dtype.value, 8 * t.dtype.itemsize) // 8)
