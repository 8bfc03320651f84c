"""The weights of a model, and how each is stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..model import Model
from ..structure.tensors import constant, named

if TYPE_CHECKING:
    import onnx_ir


@dataclass(frozen=True)
class Weight:
    """One constant tensor.

    tensor   its content, read when asked for
    place    "initializer" or "Constant node"
    readers  nodes that read it
    """

    name: str
    tensor: onnx_ir.TensorProtocol
    place: str
    readers: tuple[onnx_ir.Node, ...]

    @property
    def dtype(self) -> str:
        return named(self.tensor.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(d) for d in self.tensor.shape.numpy())

    @property
    def storage(self) -> str:
        """Where its elements are: see storage_of."""
        return storage_of(self.tensor)


def inventory(model: Model) -> tuple[Weight, ...]:
    """All initialisers and Constant nodes, of all graphs and functions, in order."""
    found = []
    for graph in model.graphs():
        for value in (*getattr(graph, "initializers", {}).values(), *(v for node in graph for v in node.outputs)):
            if (content := constant(value)) is not None:
                place = "initializer" if value.producer() is None else "Constant node"
                found.append(Weight(str(value.name), content, place, tuple(value.consumers())))
    return tuple(found)


def storage_of(tensor: Any) -> str:
    """ "file": raw data; "fields": a field of the message per element; "external FILE"; "memory": in none of them."""
    import onnx_ir
    if tensor.dtype == onnx_ir.DataType.STRING:
        return "fields"
    if isinstance(tensor, onnx_ir.TensorProtoTensor):
        return "file" if tensor.raw.HasField("raw_data") or tensor.size == 0 else "fields"
    owner = tensor.raw if isinstance(tensor, (onnx_ir.Tensor, onnx_ir.PackedTensor)) else None
    while owner is not None and not isinstance(owner, np.memmap):        # the array over the mapped file
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
        if type(owner).__name__ == "mmap":
            return "file"
    return f"external {Path(str(owner.filename)).name}" if owner is not None else "memory"
