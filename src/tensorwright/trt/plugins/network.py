"""The part of INetworkDefinition that adds plugins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import TensorwrightError, UnsupportedError
from ...ir import TensorType
from ..enums import NetworkDefinitionCreationFlag, QuickPluginCreationRequest
from ..foundation import Closed
from ..logger import ILogger, say
from ..recorder import Voice
from ..tensor import ITensor
from .adapters_quick import QuickAdapter
from .defined import DefinedPlugin
from .elder import IPlugin, IPluginExt
from .finding import adapter_of
from .layers import IPluginLayer, IPluginV2Layer, IPluginV3Layer, body_of, operator
from .v2 import IPluginV2
from .v3 import IPluginV3

_TAKES = "add_plugin takes (inputs, plugin) with an IPlugin, or what trt.plugin.op.<namespace>.<name>(...) gives"


class NetworkPlugins(Closed):
    """add_plugin_v2, add_plugin_v3, add_plugin, add_plugin_ext: a layer, or None after logging why it was refused."""

    _logger: Voice

    def _add(self, kind: Any, inputs: list[Any], outputs: int = 1, **params: Any) -> Any:
        raise NotImplementedError

    def _error(self, text: str) -> None:
        raise NotImplementedError

    def add_plugin_v2(self, inputs: Sequence[ITensor], plugin: IPluginV2) -> IPluginV2Layer | None:
        """TypeError for what is no IPluginV2."""
        return self._add_plugin(IPluginV2Layer, inputs, (), plugin, IPluginV2)

    def add_plugin_v3(self, inputs: Sequence[ITensor], shape_inputs: Sequence[ITensor],
                      plugin: IPluginV3) -> IPluginV3Layer | None:
        """shape_inputs: tensors that give sizes; the plugin gets their values as expressions, in get_output_shapes."""
        return self._add_plugin(IPluginV3Layer, inputs, shape_inputs, plugin, (IPluginV3, DefinedPlugin))

    def add_plugin_ext(self, inputs: Sequence[ITensor], plugin: IPluginExt) -> IPluginLayer | None:
        return self._add_plugin(IPluginLayer, inputs, (), plugin, IPluginExt)

    def add_plugin(self, *given: Any, **named: Any) -> Any:
        """Generations 5 to 7: add_plugin(inputs, plugin) with an IPlugin. From 10 on: add_plugin(made), or
        add_plugin(made, aot=False), with what `trt.plugin.op.<namespace>.<name>(...)` gives, or with a tuple (inputs,
        shape_inputs, plugin). aot=True asks for a kernel compiled for a GPU, and is refused."""
        names = ("inputs", "plugin") if {"inputs", "plugin"} & named.keys() or (
            len(given) == 2 and isinstance(given[1], IPlugin)) else ("func" if "func" in named else "tuple", "aot")
        if len(given) > 2 or set(named) - set(names[len(given):]):
            raise TypeError(_TAKES)
        values = {**dict(zip(names, given, strict=False)), **named}
        if names[0] == "inputs":
            if len(values) != 2:
                raise TypeError(_TAKES)
            return self._add_plugin(IPluginLayer, values["inputs"], (), values["plugin"], IPlugin)
        if names[0] not in values:
            raise TypeError(_TAKES)
        return self._add_decorated(values[names[0]], values.get("aot"))

    def _add_decorated(self, made: Any, aot: bool | None) -> IPluginV3Layer | None:
        try:
            if callable(made):
                made = made(self._request(aot))
            elif aot is not None:
                raise TypeError("aot is for what trt.plugin.op.<namespace>.<name>(...) gives")
        except TensorwrightError as error:
            self._error(f"add_plugin: {error}")
            return None
        if not (isinstance(made, tuple) and len(made) == 3):
            raise TypeError(_TAKES)
        inputs, shape_inputs, plugin = made
        layer: IPluginV3Layer | None = self.add_plugin_v3(list(inputs), list(shape_inputs), plugin)
        return layer

    def _request(self, aot: bool | None) -> QuickPluginCreationRequest:
        """Which implementation of a decorated plugin is asked for: by the call, else by the network's flags."""
        if aot is not None:
            return QuickPluginCreationRequest.STRICT_AOT if aot else QuickPluginCreationRequest.STRICT_JIT
        flags: Any = NetworkDefinitionCreationFlag
        get = getattr(self, "get_flag", None)
        for flag, request in ((flags.PREFER_AOT_PYTHON_PLUGINS, QuickPluginCreationRequest.PREFER_AOT),
                              (flags.PREFER_JIT_PYTHON_PLUGINS, QuickPluginCreationRequest.PREFER_JIT)):
            if get is not None and get(flag):
                return request
        return QuickPluginCreationRequest.UNKNOWN

    def _add_plugin(self, kind: Any, inputs: Sequence[Any], shape_inputs: Sequence[Any], plugin: Any,
                    wanted: Any) -> Any:
        if not isinstance(plugin, wanted):
            raise TypeError(f"{kind.__name__[1:].removesuffix('Layer')} is needed, not {type(plugin).__name__}")
        metadata = ""
        try:
            if not all(isinstance(x, ITensor) for x in (*inputs, *shape_inputs)):
                return self._add(kind, [*inputs, *shape_inputs])           # words the refusal
            if isinstance(plugin, DefinedPlugin):
                types = [t._type() for t in inputs]
                if not all(isinstance(t, TensorType) for t in types):
                    raise UnsupportedError(f"plugin {plugin.plugin_type} has an input whose shape only run time knows")
                if plugin._definition.expand is not None:
                    count = len(body_of(plugin, types).output)
                else:
                    count = operator(plugin, types, [() for _ in shape_inputs], "", 0, None).count
            else:
                adapter = adapter_of(plugin)
                types = [t._type() for t in inputs]
                if isinstance(adapter, QuickAdapter):     # it knows of its outputs when it knows types and ranks
                    adapter.output_types([t.dtype for t in types], [t.rank for t in types])
                for text in getattr(plugin, "_notes", ()):
                    say(self._logger, ILogger.WARNING, text)
                count, metadata = adapter.count, adapter.metadata
        except TensorwrightError as error:
            self._error(f"{kind.__name__}: {error}")
            return None
        layer = self._add(kind, [*inputs, *shape_inputs], count, plugin=plugin)
        if layer is not None:
            layer._params["shape_inputs"] = len(shape_inputs)
            layer._metadata = metadata
        return layer
