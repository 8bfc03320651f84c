"""CaffeParser: a deploy.prototxt and a .caffemodel become layers of a network definition (generations 5 to 8)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...errors import ModelError, TensorwrightError, UnsupportedError
from ..enums import DataType
from ..factories import PluginParser, written
from ..foundation import Closed, ours
from ..lifetime import Lifetime
from ..network import INetworkDefinition
from ..tensor import ITensor
from .layers import LAYERS, PASSED_ON, Place
from .messages import V1_NAMES, message
from .plugins import PLUGINS
from .weights import Weights, array

#: Bytes of the largest file that is read.
LARGEST = (1 << 31) - 1


class IBlobNameToTensor(Closed):
    """Name of a blob in the prototxt → the tensor it became."""

    def __init__(self) -> None:
        self._tensors: dict[str, ITensor] = {}
        self._closed = True

    def find(self, name: str) -> ITensor | None:
        """The tensor; None when no blob has the name."""
        return self._tensors.get(name)


class CaffeParser(PluginParser, Lifetime):
    """parse(deploy, model, network, dtype) fills a network and returns an IBlobNameToTensor; None after logging why.

    Inputs are float32 with the sizes of the prototxt; in a network of explicit batch the batch is 1, and a script sets
    another shape afterwards. Tensors keep four axes: Flatten and InnerProduct give (N, C, 1, 1). Layers of the phase
    TRAIN are left out. Nothing is marked as output.
    """

    protobuf_buffer_size = LARGEST
    plugin_factory_v2 = written("plugin_factory_v2")

    def __init__(self) -> None:
        super().__init__()
        self._closed = True

    def parse(self, deploy: str, model: str | None, network: INetworkDefinition, dtype: DataType
              ) -> IBlobNameToTensor | None:
        """deploy: path of the prototxt. model: path of the weights; without it, weights are random. dtype: what weights
        are rounded to."""
        try:
            return self._parse(_read(deploy), _read(model) if model else None, network, dtype)
        except (TensorwrightError, OSError) as error:
            self._failed(network, error)
            return None

    def parse_buffer(self, deploy_buffer: Any, model_buffer: Any, network: INetworkDefinition, dtype: DataType
                     ) -> IBlobNameToTensor | None:
        """parse, of the files' content."""
        try:
            return self._parse(bytes(deploy_buffer), None if model_buffer is None else bytes(model_buffer), network,
                               dtype)
        except TensorwrightError as error:
            self._failed(network, error)
            return None

    def parse_binary_proto(self, filename: str) -> np.ndarray | None:
        """The blob of a .binaryproto file (a mean image, say) in its shape, float32; None, with the reason on standard
        error, when it is none."""
        try:
            return array(_binary("BlobProto", _read(filename)))
        except (TensorwrightError, OSError) as error:
            print(f"CaffeParser: {filename}: {error}", file=sys.stderr)
            return None

    def _parse(self, deploy: bytes, model: bytes | None, network: INetworkDefinition, dtype: DataType
               ) -> IBlobNameToTensor:
        net = _text(deploy)
        kind = ours(dtype)
        if not kind.is_float:
            raise UnsupportedError(f"weights cannot be rounded to {kind}", try_="FLOAT or HALF")
        if model is not None and len(model) > self.protobuf_buffer_size:
            raise ModelError(f"the model file has {len(model)} bytes, protobuf_buffer_size is "
                             f"{self.protobuf_buffer_size}")
        weights = Weights(None if model is None else _binary("NetParameter", model), kind.numpy)
        result = self._class(IBlobNameToTensor)()
        for i, name in enumerate(net.input):
            shape = list(net.input_shape[i].dim) if i < len(net.input_shape) else list(net.input_dim[4 * i: 4 * i + 4])
            _input(network, name, shape, result._tensors, self._batch)
        for kind_of, layer in _layers(net):
            try:
                self._layer(kind_of, layer, network, weights, result._tensors)
            except TensorwrightError as error:
                raise error.located(f"layer {layer.name!r} ({kind_of})") from None
        for name, tensor in result._tensors.items():          # at last: layers in place give one name to two tensors
            if not tensor.is_network_input:
                tensor.name = name
        if net.name and network.name == "network":
            network.name = net.name
        return result

    def _layer(self, kind: str, layer: Any, network: INetworkDefinition, weights: Weights,
               tensors: dict[str, ITensor]) -> None:
        if kind == "Input":
            for top, shape in zip(layer.top, layer.input_param.shape, strict=False):
                _input(network, top, list(shape.dim), tensors, self._batch)
            return
        if missing := [b for b in layer.bottom if b not in tensors]:
            raise ModelError(f"no layer before gives {missing[0]!r}")
        inputs = [tensors[b] for b in layer.bottom]
        if kind in PASSED_ON:
            tensors.update((top, inputs[0]) for top in layer.top)
            return
        if not inputs or not layer.top:
            raise ModelError("a layer needs a bottom and a top")
        before = network.num_layers
        plugin = self._made_by_factory(network, layer.name, inputs, weights.all(layer.name))
        if plugin is None and kind in PLUGINS:
            name, fields = PLUGINS[kind]
            plugin = self._made_by_creator(network, name, layer.name, inputs, fields(layer, weights))
        if plugin is not None:
            plugin.name = layer.name
            if plugin.num_outputs != len(layer.top):
                raise ModelError(f"the plugin has {plugin.num_outputs} outputs, the layer {len(layer.top)}")
            tensors.update((top, plugin.get_output(i)) for i, top in enumerate(layer.top))
            return
        if kind not in LAYERS:
            raise UnsupportedError(f"layers of type {kind} are not known",
                                   try_="convert the model to ONNX, or make plugins of them: parser.plugin_factory_v2",
                                   known=", ".join(sorted({*LAYERS, *PASSED_ON, *PLUGINS, "Input"})))
        made = LAYERS[kind](Place(network, kind, layer, inputs, weights))
        outputs = made if isinstance(made, list) else [made]
        if None in outputs:
            raise ModelError("the network refused the layer: see the line before")
        for i in range(before, network.num_layers):
            _named(network._layers[i], layer.name, network.num_layers - 1 - i)
        for top, one in zip(layer.top, outputs, strict=False):
            tensors[top] = one.get_output(0)
            _ = tensors[top].shape                            # a layer that does not fit is refused here
        if failures := network._failures:
            raise failures[0]

    def __del__(self) -> None:
        """Nothing is held that must be given back."""


def _named(layer: Any, name: str, after: int) -> None:
    """The last layer of a translation has the Caffe layer's name."""
    layer.name = f"{name}.{after}" if after else name


def _read(path: str) -> bytes:
    if os.path.getsize(path) > LARGEST:
        raise ModelError(f"{os.fspath(path)} is larger than {LARGEST} bytes")
    with open(path, "rb") as file:
        return file.read()


def _binary(kind: str, content: bytes) -> Any:
    from google.protobuf.message import DecodeError
    found = message(kind)()
    try:
        found.ParseFromString(content)
    except DecodeError as error:
        raise ModelError(f"not a binary {kind}: {error}") from None
    return found


def _text(content: bytes) -> Any:
    from google.protobuf import text_format
    net = message("NetParameter")()
    try:
        text_format.Parse(content.decode("utf8"), net, allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ModelError(f"the deploy file is not a prototxt: {error}") from None
    if not len(net.layer) + len(net.layers):
        raise ModelError("the deploy file has no layers")
    return net


def _layers(net: Any) -> Iterator[tuple[str, Any]]:
    """(type, message) of the layers that inference needs, those of the first format by their new names."""
    names = None
    for layer in (*net.layers, *net.layer):
        if any(rule.HasField("phase") and rule.phase == 1 for rule in layer.exclude) or \
                (len(layer.include) and all(rule.HasField("phase") and rule.phase == 0 for rule in layer.include)):
            continue
        if isinstance(layer.type, str):
            yield layer.type, layer
            continue
        names = names or {v.number: v.name for v in layer.DESCRIPTOR.fields_by_name["type"].enum_type.values}
        yield V1_NAMES.get(names[layer.type], names[layer.type]), layer


def _input(network: INetworkDefinition, name: str, shape: Sequence[int], tensors: dict[str, ITensor], batch: int
           ) -> None:
    if not 1 <= len(shape) <= 8:
        raise ModelError(f"input {name!r} has no shape" if not shape else f"input {name!r} has {len(shape)} axes")
    sizes = list(shape[1:]) if network.has_implicit_batch_dimension else [batch, *shape[1:]]
    tensor = network.add_input(name, DataType.FLOAT, sizes)
    if tensor is None:
        raise ModelError(f"input {name!r} of shape {tuple(shape)} was refused")
    tensors[name] = tensor
