"""Attributes of an ONNX node as the fields of a plugin, the way TensorRT's parser fills them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import InputError, UnsupportedError
from ..enums import PluginFieldType

_log = logging.getLogger("tensorwright")
#: The attribute by which a model says that some inputs are shape inputs.
_SHAPE_INPUTS = "tensorrt_plugin_shape_input_indices"

_BY_KIND: dict[str, dict[str, Any]] = {"i": {"INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64},
            "f": {"FLOAT16": np.float16, "FLOAT32": np.float32, "FLOAT64": np.float64}}
_BY_NUMPY = {np.dtype(t): name for types in _BY_KIND.values() for name, t in types.items()}

Field = tuple[str, str, int, bytes]


def fields_for(creator: Any, attributes: Mapping[str, Any]) -> tuple[Field, ...]:
    """(name, PluginFieldType's name, count, bytes) for each field that the creator lists and the node has.

    Whole numbers are INT32 and others FLOAT32, or of the width that the creator lists; text is CHAR; tensors have their
    own type. Attributes that no field is for are not the plugin's. What the node lacks is the creator's to default.
    """
    if attributes.get(_SHAPE_INPUTS):
        raise UnsupportedError(f"the node's attribute {_SHAPE_INPUTS} is not in this version",
                               try_="network.add_plugin_v3(inputs, shape_inputs, plugin)")
    made = []
    for field in creator.field_names or ():
        if field.name in attributes:
            made.append(field_of(field.name, attributes[field.name], field.type))
        else:
            _log.warning("plugin %s: the node has no attribute %r; its creator must have a default", creator.name,
                         field.name)
    return tuple(made)


def field_of(name: str, value: Any, listed: PluginFieldType) -> Field:
    """InputError for values that no field can hold."""
    if isinstance(value, (str, bytes)):
        data = value.encode() if isinstance(value, str) else value
        return name, "CHAR", len(data), data
    array = np.asarray(value)
    if isinstance(value, np.ndarray) and array.dtype in _BY_NUMPY:
        return name, _BY_NUMPY[array.dtype], int(array.size), np.ascontiguousarray(array).tobytes()
    kind = "i" if array.dtype.kind in "biu" else "f" if array.dtype.kind == "f" or not array.size else ""
    if not kind:
        raise InputError(f"attribute {name!r} is {value!r}: plugin fields hold numbers and text")
    type_ = listed.name if listed.name in _BY_KIND[kind] else "INT32" if kind == "i" else "FLOAT32"
    dtype = _BY_KIND[kind][type_]
    if kind == "i" and array.size and not (np.iinfo(dtype).min <= array.min() and array.max() <= np.iinfo(dtype).max):
        raise InputError(f"attribute {name!r} is {value!r}: field type {type_} does not hold it",
                         try_="let the creator list the field as INT64")
    return name, type_, int(array.size), array.astype(dtype).tobytes()
