"""UffParser: a UFF file becomes layers of a network definition (generations 5 to 8)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ...errors import ModelError, TensorwrightError, UnsupportedError
from ..enums import DataType, FieldType, UffInputOrder
from ..factories import FieldCollection, FieldMap, PluginParser
from ..foundation import Dims, Shape, ours
from ..lifetime import Lifetime
from ..network import INetworkDefinition
from . import movement as movement
from .messages import Fields, read
from .nodes import NODES
from .values import Making, Value

LARGEST = (1 << 31) - 1


class UffParser(PluginParser, Lifetime):
    """register_input and register_output name what a graph takes and gives; parse fills a network, and marks outputs.

    Shapes leave out the batch: in a network of explicit batch it is 1, and a script sets another shape afterwards.
    Tensors have their channels second, also where the framework had them last.
    """

    uff_required_version_major = 0
    uff_required_version_minor = 6
    uff_required_version_patch = 9

    def __init__(self) -> None:
        super().__init__()
        self._inputs: dict[str, tuple[Dims, UffInputOrder]] = {}
        self._outputs: list[str] = []
        self._closed = True

    def register_input(self, name: str, shape: Shape, order: UffInputOrder = UffInputOrder.NCHW) -> bool:
        """shape: without the batch, (C, H, W) for NCHW, (H, W, C) for NHWC."""
        if not name or not len(shape) or any(d < 1 for d in shape) or (order == UffInputOrder.NHWC and len(shape) != 3):
            return False
        self._inputs[name] = (Dims(shape), order)
        return True

    def register_output(self, name: str) -> bool:
        if not name or name in self._outputs:
            return False
        self._outputs.append(name)
        return True

    def parse(self, file: str, network: INetworkDefinition, weights_type: DataType = DataType.FLOAT) -> bool:
        """False after logging what is wrong."""
        try:
            if os.path.getsize(file) > LARGEST:
                raise ModelError(f"{os.fspath(file)} is larger than {LARGEST} bytes")
            with open(file, "rb") as stream:
                content = stream.read()
        except (TensorwrightError, OSError) as error:
            self._failed(network, error)
            return False
        return self.parse_buffer(content, network, weights_type)

    def parse_buffer(self, buffer: Any, network: INetworkDefinition, weights_type: DataType = DataType.FLOAT) -> bool:
        """parse, of a file's content."""
        try:
            if not ours(weights_type).is_float:
                raise UnsupportedError(f"weights cannot be {weights_type}", try_="FLOAT or HALF")
            self._parse(bytes(buffer), network)
        except TensorwrightError as error:
            self._failed(network, error)
            return False
        return True

    def _parse(self, content: bytes, network: INetworkDefinition) -> None:
        graph = read(content)
        referenced = {e.key: e.value for e in graph.referenced_data}
        nodes = {n.id: n for n in graph.graphs[0].nodes}
        if not self._outputs:
            raise ModelError("no output is registered", try_="parser.register_output(name)")
        if missing := [o for o in self._outputs if o not in nodes]:
            raise ModelError(f"the graph has no node {missing[0]!r}", try_="register one of its nodes",
                             has=", ".join(list(nodes)[-5:]))
        if missing := [i for i in self._inputs if i not in nodes]:
            raise ModelError(f"the graph has no input {missing[0]!r}")
        make = Making(network)
        values: dict[str, Value] = {}
        for name, (shape, order) in self._inputs.items():
            values[name] = _input(make, name, shape, order, self._batch)
        for name in _sorted(nodes, self._outputs, values):
            node = nodes[name]
            try:
                values[name] = self._node(make, node, [values[_source(i)] for i in node.inputs],
                                          Fields(node, referenced))
            except TensorwrightError as error:
                raise error.located(f"node {name!r} ({node.operation})") from None
        for name in self._outputs:
            tensor = values[name].tensor
            if tensor is None:
                raise ModelError(f"output {name!r} is a constant")
            if not tensor.is_network_input:
                tensor.name = name
            network.mark_output(tensor)

    def _node(self, make: Making, node: Any, inputs: list[Value], fields: Fields) -> Value:
        if node.operation == "Input":
            raise ModelError("this input is not registered", try_=f"parser.register_input({node.id!r}, shape)")
        tensors = [x.tensor for x in inputs if x.tensor is not None]
        arrays = [x.array for x in inputs if x.array is not None]
        made = self._made_by_factory(make.network, node.id, tensors, arrays, FieldCollection(fields_of(fields)))
        if made is None and node.operation.startswith("_"):
            given = [(f.name, f.data) for f in fields_of(fields)]
            made = self._made_by_creator(make.network, node.operation[1:], node.id, tensors, given)
        if made is not None:
            made.name = node.id
            return Value(made.get_output(0))
        if node.operation not in NODES:
            raise UnsupportedError(f"operations of type {node.operation} are not known",
                                   try_="export the model to ONNX, or register a plugin of this name",
                                   known=", ".join(sorted(NODES)))
        before = make.network.num_layers
        try:
            value = NODES[node.operation](make, inputs, fields)
        except (AttributeError, IndexError, ValueError, TypeError) as error:      # a refused layer, or damaged fields
            raise ModelError(f"the node cannot be translated: {error}") from error
        for i in range(before, make.network.num_layers):
            after = make.network.num_layers - 1 - i
            make.network._layers[i].name = f"{node.id}.{after}" if after else node.id
        if value.tensor is not None:
            _ = value.tensor.shape                        # a layer that does not fit is refused here
        if failures := make.network._failures:
            raise failures[0]
        return value

    def __del__(self) -> None:
        """Nothing is held that must be given back."""


def fields_of(fields: Fields) -> list[FieldMap]:
    """The fields of a node that are numbers or texts."""
    found = []
    for name in fields.names():
        value = fields[name]
        if isinstance(value, str):
            found.append(FieldMap(name, np.array([value.encode()]), FieldType.CHAR, len(value.encode())))
            continue
        if isinstance(value, list) and any(isinstance(v, list) for v in value):
            continue                                      # orders of axes
        array = np.atleast_1d(np.array(value))
        if array.dtype.kind in "bif":
            array = array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
            found.append(FieldMap(name, array, FieldType.FLOAT if array.dtype.kind == "f" else FieldType.INT32,
                                  array.size))
    return found


def _source(name: str) -> str:
    return name.partition(":")[0]


def _input(make: Making, name: str, shape: Dims, order: UffInputOrder, batch: int) -> Value:
    tensor = make.network.add_input(name, DataType.FLOAT, [batch] * (1 - make.lead) + list(shape))
    if tensor is None:
        raise ModelError(f"input {name!r} was refused")
    if order == UffInputOrder.NHWC:
        return Value(make.shuffled(tensor, transpose=(0, 3, 1, 2)), last=True)
    return Value(tensor)


def _sorted(nodes: dict[str, Any], outputs: list[str], given: dict[str, Value]) -> list[str]:
    """What the outputs need, each after what it reads. ModelError for a name that is missing, and for a cycle."""
    order: list[str] = []
    state: dict[str, int] = {}
    waiting = list(reversed(outputs))
    while waiting:
        name = waiting[-1]
        if name in given or state.get(name) == 2:
            waiting.pop()
            continue
        if name not in nodes:
            raise ModelError(f"the graph has no node {name!r}, which another one reads")
        before = [s for i in nodes[name].inputs if (s := _source(i)) not in given and state.get(s) != 2]
        if not before:
            state[name] = 2
            order.append(waiting.pop())
        elif state.get(name) == 1:
            raise ModelError(f"node {name!r} needs its own result")
        else:
            state[name] = 1
            waiting += before
    return order
