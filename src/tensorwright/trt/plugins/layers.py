"""Layers that are plugins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ... import plugins
from ...dims import Dim
from ...errors import InputError, ShapeError
from ...ir import TensorType
from ...plugins import Plugin, expansion
from ...plugins.op import keywords
from ..enums import LayerType
from ..layer import ILayer, Lowering, Param
from ..layers.nodes import node
from .adapters import Adapter
from .defined import DefinedPlugin
from .finding import CreatorDefinition, adapter_of, known
from .plans import Use
from .uses import asked, held

if TYPE_CHECKING:
    import onnx


class _Fixed(Param):
    """A parameter that a script reads and cannot write."""

    def __set__(self, layer: ILayer, value: Any) -> None:
        raise AttributeError(f"{self.name} of layer {layer.name!r} cannot be set")


class PluginLayer(ILayer):
    """A layer whose outputs a plugin computes. Its last inputs may be shape inputs, which give sizes: the plugin gets
    their values, as expressions, where it says its output shapes, and is not handed their memory."""

    plugin: Any = _Fixed(None)

    @property
    def _size_inputs(self) -> tuple[int, ...]:            # type: ignore[override]
        first = len(self._inputs) - self._params.get("shape_inputs", 0)
        return tuple(range(first, len(self._inputs)))

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        at = len(values) - self._params.get("shape_inputs", 0)
        if any(v is None for v in values):
            raise InputError(f"layer {self._name!r}: an input is missing")
        types = [to.type(v) for v in values[:at]]
        plugin = self._params["plugin"]
        if isinstance(plugin, DefinedPlugin) and plugin._definition.expand is not None and at == len(values):
            body = body_of(plugin, types)
            ends = [node("Identity", name, f"y{i}") for i, name in enumerate(body.output)]
            return self._appended(to, values, [*body.node, *ends])
        sizes = [to.sizes(values, i, self._name) or () for i in range(at, len(values))]
        op = operator(plugin, types, sizes, self._name, to.lead, self._held())
        if op.count != len(self._outputs):
            raise ShapeError(f"layer {self._name!r} was made with {len(self._outputs)} outputs, its plugin has now "
                             f"{op.count}")
        for output, source in zip(self._outputs, aliases(op), strict=False):
            given = self._inputs[source] if source >= 0 else None
            if given is not None:
                to.editor.metadata[f"aliased/{output.name}"] = given.name
        return self._last(to, op, *values[:at])

    def _held(self) -> tuple[Adapter, int] | None:
        """The adapter of the plugin object and its token: made once, so that they live as long as the layer."""
        plugin = self._params["plugin"]
        if isinstance(plugin, DefinedPlugin):
            return None
        if "held" not in self._params:
            adapter = adapter_of(plugin)
            self._params["held"] = adapter, held(adapter)
        found: tuple[Adapter, int] = self._params["held"]
        return found


def operator(plugin: Any, types: Sequence[TensorType], sizes: Sequence[tuple[Dim, ...]], layer: str, lead: int,
             held: tuple[Adapter, int] | None) -> Plugin:
    """The operator that runs a plugin object on inputs of these types."""
    if isinstance(plugin, DefinedPlugin):
        if sizes:
            raise InputError(f"plugin {plugin.plugin_type} takes no shape inputs")
        return plugins.use(plugin._definition, plugin._attributes, tuple(types))
    assert held is not None
    adapter, token = held
    use = asked(adapter, types, sizes, layer=layer, lead=lead, token=token)
    definition = known(adapter)
    return Plugin(definition.name, definition.version, definition.namespace, state=use.encode(), count=len(use.rules),
                  values=tuple(tuple(s) for s in sizes))


def body_of(plugin: DefinedPlugin, types: Sequence[TensorType]) -> onnx.FunctionProto:
    """The function of x0, x1, ... that a plugin which is an expression stands for."""
    return expansion(plugin._definition, keywords(plugin._definition, plugin._attributes), types)


def aliases(op: Plugin) -> tuple[int, ...]:
    """Per output of a plugin: the input in whose memory it lies, or -1."""
    return Use.decode(op.state).aliased if isinstance(op.definition, CreatorDefinition) else ()


class IPluginV2Layer(PluginLayer):
    """A layer with a plugin of version 2."""

    _layer_type = LayerType.PLUGIN_V2


class IPluginV3Layer(PluginLayer):
    """A layer with a plugin of version 3."""

    _layer_type = LayerType.PLUGIN_V3


class IPluginLayer(PluginLayer):
    """A layer with an IPlugin: generations 5 to 7."""

    _layer_type = LayerType.PLUGIN
