"""OnnxParser: an ONNX model becomes the layers of a network definition."""

from __future__ import annotations

import os
import re
from typing import Any

from ..errors import InputError, ModelError, ShapeError, TensorwrightError, TypeMismatch, UnsupportedError
from ..ir import Network, OpaqueType, TensorType
from .enums import ErrorCode, OnnxParserFlag
from .foundation import Closed
from .layer import ILayer
from .layers import IIdentityLayer
from .logger import ILogger, say
from .network import INetworkDefinition
from .tensor import ITensor


class ParserError:
    """One thing the parser objected to. All accessors are methods; str() is one line."""

    def __init__(self, error: TensorwrightError) -> None:
        place = ", ".join(error.at)
        index = re.search(r"\bnode (\d+)", place)
        node = re.search(r"(\w+) '([^']*)'", place)
        self._code = next((code for kind, code in _CODES if isinstance(error, kind)), ErrorCode.INTERNAL_ERROR)
        facts = ", ".join(f"{name}: {value}" for name, value in error.facts.items())
        self._desc = f"{error.what} ({facts})" if facts else error.what
        self._node = int(index[1]) if index else -1
        self._operator, self._name = (node[1], node[2]) if node else ("", "")

    def code(self) -> ErrorCode:
        return self._code

    def desc(self) -> str:
        return self._desc

    def file(self) -> str:
        return ""

    def line(self) -> int:
        return 0

    def func(self) -> str:
        return ""

    def node(self) -> int:
        """Index of the node in the model's graph; -1 when no node is to blame."""
        return self._node

    def node_name(self) -> str:
        return self._name

    def node_operator(self) -> str:
        return self._operator

    def local_function_stack(self) -> list[str]:
        return []

    def local_function_stack_size(self) -> int:
        return 0

    def __str__(self) -> str:
        where = f"In node {self._node} with name: {self._name} and operator: {self._operator}: "
        return f"{where if self._node >= 0 else ''}{self._code.name}: {self._desc}"

    __repr__ = __str__


_CODES = ((ModelError, ErrorCode.MODEL_DESERIALIZE_FAILED), (UnsupportedError, ErrorCode.UNSUPPORTED_NODE),
          (ShapeError, ErrorCode.INVALID_NODE), (TypeMismatch, ErrorCode.UNSUPPORTED_NODE_DATATYPE),
          (InputError, ErrorCode.INVALID_VALUE))


class OnnxParser(Closed):
    """Fills a network from ONNX. parse and parse_from_file return False after logging what is wrong."""

    flags = 1 << int(OnnxParserFlag.NATIVE_INSTANCENORM)

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._logger = network, logger
        self._errors: list[ParserError] = []
        self._layers: dict[str, list[ILayer]] = {}
        self._closed = True

    def parse(self, model: Any, path: str | None = None) -> bool:
        """model: the bytes of an ONNX file. path: where it lies, for external weights beside it."""
        return self._parse(bytes(model), os.path.dirname(path) or "." if path else None)

    def parse_from_file(self, model: str) -> bool:
        return self._parse(os.fspath(model), None)

    def _parse(self, model: str | bytes, base: str | None) -> bool:
        from .. import importer
        self._errors = []
        try:
            if self._network.has_implicit_batch_dimension:
                raise UnsupportedError("ONNX models are parsed into networks of explicit batch", try_="builder."
                                       "create_network(1 << int(NetworkDefinitionCreationFlag.EXPLICIT_BATCH))")
            fill(self._network, importer.load(model, base_dir=base), self._layers)
        except TensorwrightError as error:
            self._errors.append(self._class(ParserError)(error))
            say(self._logger, ILogger.ERROR, str(error))
            return False
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]

    def clear_errors(self) -> None:
        self._errors = []

    def supports_operator(self, op_name: str) -> bool:
        """Whether op_name is an operator of the ONNX standard: all of them run."""
        import onnx
        return bool(onnx.defs.has(op_name))

    def set_flag(self, flag: OnnxParserFlag) -> None:
        self.flags |= 1 << int(flag)

    def clear_flag(self, flag: OnnxParserFlag) -> None:
        self.flags &= ~(1 << int(flag))

    def get_flag(self, flag: OnnxParserFlag) -> bool:
        return bool(self.flags >> int(flag) & 1)

    def get_layer_output_tensor(self, name: str, i: int) -> ITensor | None:
        """Output i of the layers that came from the ONNX node of that name; None when there is none."""
        layers = self._layers.get(name, [])
        return layers[-1].get_output(i) if layers else None

    def __enter__(self) -> OnnxParser:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def fill(to: INetworkDefinition, parsed: Network, by_node: dict[str, list[ILayer]]) -> None:
    """Append the layers of a network of ours to a definition, and mark its outputs."""
    tensors: dict[str, ITensor] = {}
    for name in parsed.inputs:
        given = parsed.types[name]
        if any(t.name == name for t in to._inputs):
            raise InputError(f"two inputs are named {name!r}")
        tensors[name] = to._class(ITensor)(to, name, given=given)
        to._inputs.append(tensors[name])
        if isinstance(given, TensorType):
            to._parsed_inputs.append((tensors[name], given))
    for name, array in parsed.constants.items():
        tensors[name] = to._class(ITensor)(to, name)
        tensors[name]._array = array
        to._constants.append((tensors[name], array))
    for record in parsed.layers:
        inputs = [None if i is None else tensors[i] for i in record.inputs]
        layer = to._class(ILayer)(to, inputs, len(record.outputs), record.name)
        layer._record = record.op
        layer._params["origin"] = record.origin
        layer._params["wanted"] = tuple(bool(o) for o in record.outputs)
        types = tuple(parsed.types[o] if o else OpaqueType() for o in record.outputs)
        if type(record.op).__name__ == "Host" or any(isinstance(t, OpaqueType) for t in types):
            layer._params["types"] = types
        for name, tensor in zip(record.outputs, layer._outputs, strict=True):
            if name:
                tensor._name = name
                tensors[name] = tensor
        to._layers.append(layer)
        for node in record.origin:                       # "Conv 'name'"
            by_node.setdefault(node.partition(" ")[2].strip("'"), []).append(layer)
    to._changed()
    if to.name == "network":
        to.name = parsed.name
    to._metadata.update(parsed.metadata)
    for name in parsed.outputs:
        if tensors[name] in to._outputs:                 # a tensor is marked only once
            copy = to._class(IIdentityLayer)(to, [tensors[name]], 1, f"{name}.copy")
            to._layers.append(copy)
            to.mark_output(copy._outputs[0])
        else:
            to.mark_output(tensors[name])
