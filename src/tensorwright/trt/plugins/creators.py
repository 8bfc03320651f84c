"""Plugin creators: known by name, version and namespace, they make plugins of fields, or again of their bytes.

A creator sets name, plugin_version, plugin_namespace and field_names in its __init__, and is registered once.
"""

from __future__ import annotations

from typing import Any

from ..enums import QuickPluginCreationRequest, TensorRTPhase
from .fields import PluginFieldCollection
from .interfaces import IVersionedInterface
from .v2 import IPluginV2, undefined
from .v3 import IPluginV3


class IPluginCreatorInterface(IVersionedInterface):
    """The base of all creators."""


class IPluginCreator(IPluginCreatorInterface):
    """A creator of plugins of version 2."""

    _kind = "PLUGIN CREATOR_V1"
    name = ""
    plugin_version = ""
    plugin_namespace = ""
    field_names: Any = PluginFieldCollection()

    def __init__(self) -> None:
        pass

    @property
    def tensorrt_version(self) -> int:
        return (self._number or 10) * 1000

    def create_plugin(self, name: str, field_collection: PluginFieldCollection) -> IPluginV2 | None:
        raise undefined(self, "create_plugin(name, field_collection)")

    def deserialize_plugin(self, name: str, serialized_plugin: bytes) -> IPluginV2 | None:
        raise undefined(self, "deserialize_plugin(name, serialized_plugin)")


class IPluginCreatorV3One(IPluginCreatorInterface):
    """A creator of plugins of version 3. Asked in phase BUILD for a network, in phase RUNTIME for an engine, then with
    the fields that the plugin gave to be kept."""

    _kind = "PLUGIN CREATOR_V3ONE"
    name = ""
    plugin_version = ""
    plugin_namespace = ""
    field_names: Any = PluginFieldCollection()

    def __init__(self) -> None:
        pass

    def create_plugin(self, name: str, field_collection: PluginFieldCollection,
                      phase: TensorRTPhase) -> IPluginV3 | None:
        raise undefined(self, "create_plugin(name, field_collection, phase)")


class IPluginCreatorV3Quick(IPluginCreatorInterface):
    """A creator of decorated plugins (`tensorwright.plugin`)."""

    _kind = "PLUGIN CREATOR_V3QUICK"
    name = ""
    plugin_version = ""
    plugin_namespace = ""
    field_names: Any = PluginFieldCollection()

    def __init__(self) -> None:
        pass

    def create_plugin(self, name: str, namespace: str, field_collection: PluginFieldCollection, phase: TensorRTPhase,
                      quickPluginType: QuickPluginCreationRequest) -> IPluginV3 | None:
        raise undefined(self, "create_plugin(name, namespace, field_collection, phase, quickPluginType)")
