"""What scripts of generations 5 to 8 gave the parsers of Caffe and UFF models, to make plugins of layers by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ModelError
from .callbacks import guarded
from .enums import FieldType
from .foundation import Closed, Weights
from .network import INetworkDefinition
from .recorder import IErrorRecorder, Voice
from .tensor import ITensor


class ICaffePluginFactory:
    """Subclass it and define is_plugin(layer_name) -> bool and create_plugin(layer_name, weights) -> IPlugin."""

    def is_plugin(self, layer_name: str) -> bool:
        raise NotImplementedError

    def create_plugin(self, layer_name: str, weights: list[Weights]) -> Any:
        raise NotImplementedError


class ICaffePluginFactoryExt:
    """Subclass it and define is_plugin_ext(layer_name) -> bool and create_plugin(layer_name, weights) -> IPluginExt."""

    def get_version(self) -> int:
        return 1

    def is_plugin_ext(self, layer_name: str) -> bool:
        raise NotImplementedError


class ICaffePluginFactoryV2:
    """Subclass it and define is_plugin_v2(layer_name) -> bool and create_plugin(layer_name, weights) -> IPluginV2."""

    def is_plugin_v2(self, layer_name: str) -> bool:
        raise NotImplementedError

    def create_plugin(self, layer_name: str, weights: list[Weights]) -> Any:
        raise NotImplementedError


class FieldMap:
    """A parameter of a node: name, data (a NumPy array), type and the number of its elements."""

    name = ""
    data: Any = None
    type = FieldType.UNKNOWN
    length = 1

    def __init__(self, name: str, data: Any, type: FieldType, length: int = 1) -> None:
        self.name, self.data, self.type, self.length = name, data, type, length


class FieldCollection:
    """The parameters of a node: `fields`, a list of FieldMap, and num_fields."""

    fields: Sequence[FieldMap] = ()
    num_fields = 0

    def __init__(self, fields: Sequence[FieldMap] = ()) -> None:
        self.fields = list(fields)
        self.num_fields = len(self.fields)


class IUffPluginFactory:
    """Subclass it and define is_plugin(layer_name) -> bool and
    create_plugin(layer_name, weights, field_collection) -> IPlugin."""

    def __init__(self) -> None:
        pass

    def is_plugin(self, layer_name: str) -> bool:
        raise NotImplementedError

    def create_plugin(self, layer_name: str, weights: list[Weights], field_collection: FieldCollection) -> Any:
        raise NotImplementedError


class IUffPluginFactoryExt:
    """An IUffPluginFactory that makes IPluginExt: is_plugin_ext(layer_name) -> bool in place of is_plugin."""

    def get_version(self) -> int:
        return 1

    def is_plugin_ext(self, layer_name: str) -> bool:
        raise NotImplementedError


#: What a parser's property holds → the question to a factory, and the network's call for its plugin.
_ASKED = {"plugin_factory_v2": ("is_plugin_v2", "add_plugin_v2"), "plugin_factory_ext": ("is_plugin_ext",
          "add_plugin_ext"), "plugin_factory": ("is_plugin", "add_plugin")}


def written(name: str) -> property:
    def write(parser: Any, factory: Any) -> None:
        parser._factories[name] = factory

    return property(lambda parser: parser._factories.get(name), write,
                    doc=f"A factory that is asked for each layer by {_ASKED[name][0]}(layer_name); or None.")


class PluginParser(Closed):
    """The part of a parser that turns layers into plugins, and that says what went wrong."""

    #: Namespace in which plugins are looked up by the type of a layer.
    plugin_namespace = ""
    error_recorder: IErrorRecorder | None = None
    #: Batch of the inputs in a network of explicit batch.
    _batch = 1
    plugin_factory = written("plugin_factory")
    plugin_factory_ext = written("plugin_factory_ext")

    def __init__(self) -> None:
        self._factories: dict[str, Any] = {}

    def _failed(self, network: INetworkDefinition, error: Exception) -> None:
        """Log an error where the network logs, and record it."""
        voice = Voice(network._logger)
        voice.recorder = self.error_recorder or voice.recorder
        voice.error(error)

    def _made_by_factory(self, network: INetworkDefinition, layer: str, inputs: list[ITensor],
                         weights: Sequence[np.ndarray], *more: Any) -> Any:
        """The plugin layer that a factory makes; None when none wants the layer. ModelError when it fails."""
        for name, (question, add) in _ASKED.items():
            factory = self._factories.get(name)
            if factory is None or not guarded(getattr(factory, question), layer, failed=False):
                continue
            plugin = guarded(factory.create_plugin, layer, [Weights(w) for w in weights], *more)
            made = None if plugin is None else getattr(network, add)(inputs, plugin)
            if made is None:
                raise ModelError(f"the {name} said that it makes a plugin of the layer, and made none")
            return made
        return None

    def _made_by_creator(self, network: INetworkDefinition, kind: str, layer: str, inputs: list[ITensor],
                         fields: Sequence[tuple[str, np.ndarray]]) -> Any:
        """The plugin layer of a registered creator; None when there is no creator of this type."""
        from .enums import PluginFieldType as Type
        from .plugins import PluginField, PluginFieldCollection, get_plugin_registry
        creator = get_plugin_registry().get_plugin_creator(kind, "1", self.plugin_namespace)
        if creator is None:
            return None
        types = {"f": Type.FLOAT32, "i": Type.INT32, "S": Type.CHAR}
        given = PluginFieldCollection([PluginField(name, np.frombuffer(value.tobytes(), np.int8) if value.dtype.kind ==
                                                   "S" else value, types[value.dtype.kind]) for name, value in fields])
        plugin = guarded(creator.create_plugin, layer, given)
        made = None if plugin is None else network.add_plugin_v2(inputs, plugin)
        if made is None:
            raise ModelError(f"the creator of {kind} made no plugin of the layer: see the lines before")
        return made
