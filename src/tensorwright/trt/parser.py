"""OnnxParser: an ONNX model becomes the layers of a network definition."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from ..dtypes import DType
from ..errors import InputError, TensorwrightError, UnsupportedError
from ..importer.survey import Fault
from ..ir import Network, OpaqueType, TensorType, ValueType
from ..ir.refittable import is_free, plain
from ..ir.value_inputs import companions
from .enums import DataType, OnnxParserFlag, WeightsRole
from .layer import ILayer
from .layers import ICastLayer, IIdentityLayer
from .lifetime import Lifetime
from .logger import ILogger
from .network import INetworkDefinition
from .parser_error import ParserError
from .parser_support import ModelSupport
from .tensor import ITensor
from .weights import Constant, derived


class OnnxParser(ModelSupport, Lifetime):
    """Fills a network from ONNX. parse and parse_from_file return False after logging what is wrong."""

    flags = 1 << int(OnnxParserFlag.NATIVE_INSTANCENORM)

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._logger = network, logger
        self._errors: list[ParserError] = []
        self._layers: dict[str, list[ILayer]] = {}
        self._groups, self._config, self._loaded = [], None, None
        self._closed = True

    def parse(self, model: Any, path: str | None = None) -> bool:
        """model: the bytes of an ONNX file. path: where it lies, for external weights beside it."""
        return self._parse(bytes(model), os.path.dirname(path) or "." if path else None)

    def parse_from_file(self, model: str) -> bool:
        return self._parse(os.fspath(model), None)

    def _parse(self, model: Any, base: Any) -> bool:
        """model: a path, bytes, or an onnx.ModelProto. base: the folder of external weights."""
        from .. import importer
        try:
            if self._network.has_implicit_batch_dimension:
                raise UnsupportedError("ONNX models are parsed into networks of explicit batch", try_="builder."
                                       "create_network(1 << int(NetworkDefinitionCreationFlag.EXPLICIT_BATCH))")
            loaded = importer.load(model, base_dir=base, values_are_sizes=True, keep_weights=True,
                                   plugins_first=self.get_flag(OnnxParserFlag.ENABLE_PLUGIN_OVERRIDE))
            fill(self._network, loaded, self._layers)
        except TensorwrightError as error:
            known = self._network.has_implicit_batch_dimension
            return self._object(([] if known else self._tried(model, base).faults) or [Fault(error)])
        return self._object([])

    def get_refit_map(self) -> tuple[list[str], list[str], list[WeightsRole]]:
        """(names of the model's weights, layers, roles): what Refitter.set_weights calls them, in generation 7."""
        try:
            found = [w for w in self._network._finish_for_refit()[1] if w.name]
        except TensorwrightError as error:
            self._network._error(str(error))
            found = []
        return [w.name for w in found], [w.layer for w in found], [WeightsRole[w.role] for w in found]

    def supports_operator(self, op_name: str) -> bool:
        """Whether op_name is an operator of the ONNX standard, which all run, or the name of a plugin."""
        import onnx

        from ..plugins import registry
        return bool(onnx.defs.has(op_name) or registry.versions(op_name, ""))

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


def fill(to: INetworkDefinition, parsed: Network, by_node: dict[str, list[ILayer]]) -> None:
    """Append the layers of a network of ours to a definition, and mark its outputs."""
    tensors: dict[str, ITensor] = {}
    inputs: dict[str, ITensor] = {}
    known = companions(parsed.inputs)
    for name in (n for n in parsed.inputs if n not in known):
        given = parsed.types[name]
        if any(t.name == name for t in to._inputs):
            raise InputError(f"two inputs are named {name!r}")
        narrow = is_narrowed(to, given)
        inputs[name] = tensors[name] = to._class(ITensor)(
            to, name, given=TensorType(parsed.tensor(name).shape, DType.int32) if narrow else given)
        to._inputs.append(tensors[name])
        if isinstance(given, TensorType):
            to._parsed_inputs.append((tensors[name], given))
        if narrow:
            tensors[name] = converted(to, tensors[name], f"{name}.int64", DataType.INT64)
    for name, (source, _) in known.items():
        tensor, size = inputs[source], parsed.tensor(name).shape[0]
        tensor._values, tensor._parsed_values = (*(tensor._values or ()), size), source
    constants = {n: Constant(to._class(ITensor)(to, n), plain(a), is_free(a)) for n, a in parsed.constants.items()}
    for record in parsed.layers:
        if (made := derived(record, parsed, constants)) is not None:
            constants[record.outputs[0]] = replace(made, tensor=to._class(ITensor)(to, record.outputs[0]))
    for name, constant in constants.items():
        tensors[name] = constant.tensor
        tensors[name]._array = constant.array
        to._constants.append(constant)
    for record in parsed.layers:
        if record.outputs[0] in constants:
            continue
        operands = [None if i is None else tensors[i] for i in record.inputs]
        layer = to._class(ILayer)(to, operands, len(record.outputs), record.name)
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
        if is_narrowed(to, parsed.types[name]):
            tensors[name]._name = f"{name}.int64" if name not in inputs else tensors[name]._name
            tensors[name] = converted(to, tensors[name], name, DataType.INT32)
        if tensors[name] in to._outputs:                 # a tensor is marked only once
            copy = to._class(IIdentityLayer)(to, [tensors[name]], 1, f"{name}.copy")
            to._layers.append(copy)
            to.mark_output(copy._outputs[0])
        else:
            to.mark_output(tensors[name])


def is_narrowed(network: INetworkDefinition, given: ValueType) -> bool:
    """Whether an input or output of a model is INT32 here though the model says int64: in generations 5 to 8, which
    have no INT64."""
    return 0 < network._number < 10 and getattr(given, "dtype", None) == DType.int64


def converted(to: INetworkDefinition, tensor: ITensor, name: str, dtype: DataType) -> ITensor:
    """The tensor in another type, by a layer of its own."""
    layer = to._class(ICastLayer)(to, [tensor], 1, f"{name}.conversion", to_type=dtype)
    layer._outputs[0]._name = name
    to._layers.append(layer)
    return layer._outputs[0]
