"""Reading a model with the compiler's importer, node by node: which layers each node becomes, and all types.

Unlike the importer's own way, a node it does not know does not stop the reading: its results are taken as inputs of
what follows. Weights stay where they are, mapped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...dtypes import DType
from ...errors import ModelError, TensorwrightError
from ...importer import families
from ...importer.graph import Frame, GraphImporter
from ...importer.source import ModelSource
from ...importer.values import Value
from ...ir import Layer, Network, OpaqueType, TensorType, ValueType
from ..model import Model
from ..storage import message
from ..wire import Buffer
from .sizes import Shapes, Sizes, sizes_of

if TYPE_CHECKING:
    import onnx
    import onnx_ir

assert families.COUNT, "no lowering is registered"


@dataclass
class Held(ModelSource):
    """A model in memory whose large tensors lie in buffers, by location."""

    held: Mapping[str, Buffer] = field(default_factory=dict)

    def external_bytes(self, location: str, name: str, need: int, offset: int, length: int) -> np.ndarray:
        if location not in self.held:
            return super().external_bytes(location, name, need, offset, length)
        raw = np.frombuffer(self.held[location], np.uint8)
        if raw.size != need:
            raise ModelError(f"tensor {name!r} holds {raw.size} bytes, its shape and type need {need}", at=self.label)
        return raw


@dataclass(frozen=True)
class Read:
    """One node of the main graph as the importer read it.

    layers    those it became; none when it is computed while building, or when nothing is left to do
    results   the values among theirs that others may read
    why_not   the reason when the importer could not read it
    """

    layers: tuple[Layer, ...]
    results: frozenset[str | None] = frozenset()
    why_not: str = ""


@dataclass(frozen=True)
class Reading:
    """A model at fixed sizes of its inputs.

    nodes     one per node of the main graph, in order
    types     tensor of the main graph → its type at these sizes
    values    type of every value that `Read.layers` names
    network   all layers together, under the model's names, before the compiler's passes
    """

    sizes: Sizes
    nodes: tuple[Read, ...]
    types: Mapping[str, ValueType]
    values: Mapping[str, ValueType]
    network: Network


def read(model: Model, shapes: Shapes | None = None) -> Reading:
    """The model at these sizes of its inputs. Errors of the importer when its graph or operator set is unreadable."""
    sizes = sizes_of(model, shapes)
    proto, held = message(model)
    importer = Reader(Held(proto, model.label, model.base, held=held), model.values(), sizes.symbols)
    try:
        network = importer.network(sizes.shapes)
    except TensorwrightError:
        raise
    except Exception as error:                           # as importer.load: a model is untrusted
        raise ModelError(f"the model is inconsistent: {type(error).__name__}: {error}", at=model.label,
                         try_="`wright onnx check` may say more") from error
    return Reading(sizes, tuple(importer.read), importer.types, importer.editor.types, network)


class Reader(GraphImporter):
    """The importer, keeping notes per node.

    values    the model's tensors, for types of results of nodes that cannot be read
    symbols   sizes of named dimensions
    """

    def __init__(self, source: ModelSource, values: Mapping[str, onnx_ir.Value], symbols: Mapping[str, int]) -> None:
        super().__init__(source)
        self.values, self.sizes = values, symbols
        self.read: list[Read] = []
        self.types: dict[str, ValueType] = {}

    def nodes(self, nodes: Iterable[onnx.NodeProto], frame: Frame) -> None:
        if frame.depth:
            return super().nodes(nodes, frame)
        self.types.update({name: value.type for name, value in frame.scope.items()})
        for index, proto in enumerate(nodes):
            before = len(self.editor.layers)
            try:
                self.node(proto, index, frame)
                results = frozenset(frame.scope[o].name for o in proto.output if o)
                self.read.append(Read(tuple(self.editor.layers[before:]), results))
            except Exception as error:                   # whatever it is, it is about this node
                why = error.what if isinstance(error, TensorwrightError) else f"{type(error).__name__}: {error}"
                self.read.append(Read((), why_not=why or type(error).__name__))
                self.skip(proto, frame)
            self.types.update({name: frame.scope[name].type for name in proto.output if name in frame.scope})

    def skip(self, proto: onnx.NodeProto, frame: Frame) -> None:
        """What the node reads stays needed, what it makes comes from outside."""
        for name in proto.input:
            value = frame.scope.get(name)
            if value is not None and value.name is not None and (name, value) not in self.also:
                self.also.append((name, value))
        for name in proto.output:
            if name and name not in frame.scope:
                t = self.stored_type(name)
                frame.scope[name] = Value(t, self.editor.input(self.editor.fresh(name), t), hint=name)

    def stored_type(self, name: str) -> ValueType:
        """What the model itself says of a tensor, at these sizes."""
        value = self.values.get(name)
        if value is None or value.dtype is None or value.shape is None:
            return OpaqueType()
        dims = [d if isinstance(d, int) else self.sizes.get(str(d.value)) for d in value.shape]
        try:
            dtype = DType.of(value.dtype.numpy())
        except TypeError:
            return OpaqueType()
        known = [d for d in dims if d is not None]
        return TensorType(tuple(known), dtype) if len(known) == len(dims) and dtype is not DType.string else \
            OpaqueType(f"{dtype} {tuple('?' if d is None else d for d in dims)}", dtype)
