"""Plugins that were not written for TensorRT (`tensorwright.custom_op`, those of ours) as creators make them."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ...errors import InputError
from ...plugins import REQUIRED, Attribute, Definition
from ..enums import PluginFieldType
from .creators import IPluginCreator
from .fields import PluginField, PluginFieldCollection
from .finding import CreatorDefinition
from .v2 import IPluginV2DynamicExt

_creators: dict[type, WeakKeyDictionary[Definition, IPluginCreator]] = {}

_FIELD_TYPES = {"bool": PluginFieldType.INT32, "int": PluginFieldType.INT32, "float": PluginFieldType.FLOAT32,
                "str": PluginFieldType.CHAR, "bytes": PluginFieldType.CHAR, "bools": PluginFieldType.INT32,
                "ints": PluginFieldType.INT32, "floats": PluginFieldType.FLOAT32, "strs": PluginFieldType.CHAR,
                "array": PluginFieldType.UNKNOWN}


def creator_for(definition: Definition, of: Any, make: bool = True) -> Any:
    """A definition's creator: its own, or one that makes it usable as one; of the generation of `of`."""
    if isinstance(definition, CreatorDefinition):
        return definition.creator
    kind = of._class(IPluginCreator)
    known = _creators.setdefault(kind, WeakKeyDictionary())
    if make and definition not in known:
        body = {"__module__": __name__, "_definition": definition, "__doc__": DefinitionCreator.__doc__}
        bases = (DefinitionCreator,) if kind is IPluginCreator else (DefinitionCreator, kind)
        known[definition] = type("DefinitionCreator", bases, body)(definition)
    return known.get(definition)


class DefinitionCreator(IPluginCreator):
    """Makes a plugin of tensorwright's registry, for add_plugin_v2 and add_plugin_v3. Its fields are the attributes."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self.name, self.plugin_version = definition.name, definition.version
        self.plugin_namespace = definition.namespace
        field, types = self._class(PluginField), self._class(PluginFieldType)
        self.field_names = self._class(PluginFieldCollection)(
            field(name, None, types[_FIELD_TYPES[a.kind].name]) for name, a in definition.attributes.items())

    def create_plugin(self, name: str, field_collection: Any, phase: Any = None) -> DefinedPlugin | None:
        """None, with the reason in the log, for fields that are unknown or of another type."""
        import logging

        from ...plugins.attributes import checked
        try:
            given = {f.name: value_of(f, self._definition) for f in field_collection}
            checked(self._definition.attributes, given, self._definition.title)
        except InputError as error:
            logging.getLogger("tensorwright").error("%s", error)
            return None
        return self._class(DefinedPlugin)(self._definition, given)

    def deserialize_plugin(self, name: str, serialized_plugin: bytes) -> Any:
        """None: a plan keeps such a plugin's attributes itself."""
        return None


class DefinedPlugin(IPluginV2DynamicExt):
    """A plugin of tensorwright's registry with its attributes. A network takes it as it is, without its hooks."""

    def __init__(self, definition: Definition, attributes: dict[str, Any]) -> None:
        self._definition, self._attributes = definition, attributes
        self.plugin_type, self.plugin_version = definition.name, definition.version
        self.plugin_namespace = definition.namespace

    def clone(self) -> DefinedPlugin:
        return type(self)(self._definition, dict(self._attributes))


def value_of(field: PluginField, definition: Definition) -> Any:
    """A field's content as an attribute. InputError for an attribute that the plugin lacks."""
    attribute: Attribute | None = definition.attributes.get(field.name)
    if attribute is None:
        raise InputError(f"plugin {definition.title} has no attribute {field.name!r}",
                         attributes=", ".join(definition.attributes) or "none")
    kind, data = attribute.kind, np.asarray(field.data)
    if kind in ("str", "bytes"):
        raw = field._bytes().rstrip(b"\0")
        return raw.decode("utf8", "replace") if kind == "str" else field._bytes()
    if kind == "strs":
        return [t.decode("utf8", "replace") for t in field._bytes().rstrip(b"\0").split(b"\0")]
    if kind == "array":
        return data
    items = data.reshape(-1).tolist()
    if kind.endswith("s"):
        return [bool(x) for x in items] if kind == "bools" else items
    if not items and attribute.default is not REQUIRED:
        return attribute.default
    if len(items) != 1:
        raise InputError(f"plugin {definition.title}: field {field.name!r} has {len(items)} elements, 1 is needed")
    return bool(items[0]) if kind == "bool" else items[0]
