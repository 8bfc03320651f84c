"""What patterns ask of tensors and attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..structure.tensors import array, constant
from .terms import ANY, Capture, Condition, Kind, Literal

if TYPE_CHECKING:
    import onnx_ir


def accepts(condition: Condition, value: Any, taken: Mapping[str, Any]) -> dict[str, Any] | None:
    """Names the condition takes the attribute's value as, when it holds; None when it does not.

    value   None: not set, and without a default
    taken   values that other conditions took
    """
    for wanted in condition.values:
        if isinstance(wanted, Capture):
            if condition.relation == "=" and wanted.name not in taken:
                return {wanted.name: value} if value is not None else None
            wanted = taken.get(wanted.name)
        if wanted is ANY:
            if (value is not None) == (condition.relation == "="):
                return {}
        elif holds(value, condition.relation, wanted):
            return {}
    return None


def equals(term: Literal, value: onnx_ir.Value | None) -> bool:
    """Is the tensor a constant of this value? A number stands for any tensor of one element."""
    content = fixed(value)
    if content is None or (term.dtype is not None and content.dtype != term.dtype):
        return False
    wanted = np.asarray(term.value)
    if content.size != wanted.size or (wanted.ndim and tuple(content.shape.numpy()) != wanted.shape):
        return False
    if content.dtype.is_integer() or content.dtype.numpy().kind == "b":
        return bool((array(content).reshape(wanted.shape) == wanted).all())
    return content.dtype.is_floating_point() and bool(np.allclose(
        array(content).astype(np.float64).reshape(wanted.shape), wanted.astype(np.float64), 1e-6, 1e-9, equal_nan=True))


def fixed(value: onnx_ir.Value | None) -> onnx_ir.TensorProtocol | None:
    """The content of a constant; None for others, and for weights that are inputs too: the user may feed others."""
    return None if value is None or value.is_graph_input() else constant(value)


def is_of(kind: Kind, value: onnx_ir.Value) -> bool:
    """Is the tensor of the kind asked for?"""
    content = fixed(value) if kind.const or kind.scalar else None
    if (kind.const or kind.scalar) and (content is None or (kind.scalar and content.size != 1)):
        return False
    if kind.input and not (value.is_graph_input() and not value.is_initializer()):
        return False
    content = constant(value) if value.type is None or value.shape is None else None
    dtype, shape = (content.dtype, content.shape) if content is not None else (value.dtype, value.shape)
    if kind.dtype is not None and dtype != kind.dtype:
        return False
    return kind.shape is None or (shape is not None and len(shape) == len(kind.shape) and all(
        wanted is None or wanted == size for wanted, size in zip(kind.shape, shape, strict=True)))


def same(a: Any, b: Any) -> bool:
    """Equality of attributes' values; floats to float32's precision."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(p, q) for p, q in zip(a, b, strict=True))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or math.isclose(a, b, rel_tol=1e-6)
    return bool(a == b)


def holds(value: Any, relation: str, wanted: Any) -> bool:
    if value is None:
        return False                                     # not set, and without a default
    if relation in ("=", "!="):
        return same(value, wanted) == (relation == "=")
    if not isinstance(value, (int, float)) or not isinstance(wanted, (int, float)):
        return False
    return bool({"<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[relation])
