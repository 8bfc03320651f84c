"""ONNX nodes that plugins compute: which plugin a node means, and its attributes as the plugin takes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError, UnsupportedError
from . import registry
from .attributes import Attribute
from .definition import Definition

if TYPE_CHECKING:
    import onnx

    Array = Callable[[onnx.TensorProto], np.ndarray]

#: Attributes that say which plugin is meant, and are not the plugin's own unless it declares them.
WHICH = ("plugin_version", "plugin_namespace")
#: Where an `info` of an older exporter keeps the fields, when it wraps them.
WRAPPERS = ("attributes", "attrs", "fields")


def plugin_of(proto: onnx.NodeProto, array_of: Array) -> tuple[Definition, dict[str, Any]] | None:
    """The plugin that computes a node, and the attributes it gets; None when none is registered by its name.

    The name is the node's operator type; the namespace its attribute plugin_namespace, else its domain, else none; the
    version its attribute plugin_version, else any. The node `Plugin` of older exporters has the name as attribute
    `name` and the plugin's attributes as JSON in `info`.
    array_of   the content of a tensor attribute
    UnsupportedError when only other versions are registered; ModelError when `info` cannot be read.
    """
    given = {a.name: a for a in proto.attribute}
    name, listed = proto.op_type, None
    if name == "Plugin" and "name" in given and registry.find(name, None, proto.domain) is None:
        name, listed = _text(given["name"]), _info(given.get("info"))
    version = _text(given["plugin_version"]) if "plugin_version" in given else None
    wanted = [_text(given["plugin_namespace"])] if "plugin_namespace" in given else [proto.domain, ""]
    for namespace in wanted:
        if versions := registry.versions(name, namespace):
            break
    else:
        if listed is None:
            return None
        raise UnsupportedError(f"no plugin {name!r} is registered", try_=how_to_register(name, ""))
    definition = registry.find(name, version, namespace)
    if definition is None:
        raise UnsupportedError(f"version {version} of plugin {name!r} is asked for, registered is version "
                               f"{', '.join(versions)}", try_="import the module that registers the other version")
    if listed is not None:
        return definition, listed
    own = {k: a for k, a in given.items() if k not in WHICH or k in definition.attributes}
    return definition, {k: _value(a, definition.attributes.get(k), array_of) for k, a in own.items()}


def how_to_register(name: str, domain: str) -> str:
    title = f"{domain}::{name}" if domain else name
    return f"register a plugin, @tensorwright.custom_op({title!r}), or add the operator to the model as a function"


def _text(a: onnx.AttributeProto) -> str:
    import onnx
    if a.type == onnx.AttributeProto.INT:
        return str(a.i)
    if a.type != onnx.AttributeProto.STRING:
        raise ModelError(f"attribute {a.name!r} must be text")
    return a.s.decode("utf-8", "replace")


def _value(a: onnx.AttributeProto, declared: Attribute | None, array_of: Array) -> Any:
    """An attribute's value; the plugin's own check says whether it is of the right type."""
    import onnx
    kind, T = declared.kind if declared else "", onnx.AttributeProto
    if a.type == T.STRING:
        return a.s if kind == "bytes" else a.s.decode("utf-8", "replace")
    if a.type == T.STRINGS:
        return [s.decode("utf-8", "replace") for s in a.strings]
    if a.type == T.TENSOR:
        array = array_of(a.t)
        if kind == "bytes":
            return array.tobytes()
        return array if kind == "array" else array.reshape(-1).tolist() if kind.endswith("s") else array.item() \
            if array.size == 1 else array
    if a.type in (T.INT, T.FLOAT):
        return a.i if a.type == T.INT else a.f
    if a.type in (T.INTS, T.FLOATS):
        found: Sequence[Any] = list(a.ints) if a.type == T.INTS else list(a.floats)
        return np.array(found, np.int64 if a.type == T.INTS else np.float32) if kind == "array" else found
    raise ModelError(f"attribute {a.name!r} is of type {T.AttributeType.Name(a.type)}, which plugins do not take")


def _info(a: onnx.AttributeProto | None) -> dict[str, Any]:
    """The attributes in `info`: an object name → value, or a list of objects with "name" and "value" (or "data")."""
    if a is None or not a.s.strip():
        return {}
    try:
        data = json.loads(a.s)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"attribute 'info' is not JSON: {str(error)[:100]}", info=repr(a.s[:80])) from None
    if isinstance(data, Mapping) and len(data) == 1 and (inner := next(iter(data))) in WRAPPERS \
            and isinstance(data[inner], (dict, list)):
        data = data[inner]
    if isinstance(data, list) and all(isinstance(x, dict) and isinstance(x.get("name"), str) and
                                      ("value" in x or "data" in x) for x in data):
        data = {x["name"]: x["value"] if "value" in x else x["data"] for x in data}
    if not isinstance(data, dict):
        raise ModelError("attribute 'info' is neither an object nor a list of fields with name and value",
                         info=repr(a.s[:80]))
    return {k: v for k, v in data.items() if v is not None}
