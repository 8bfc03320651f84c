"""Attributes of plugins: which types they have, their defaults, and how they are kept in a plan."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Union, get_args, get_origin

import numpy as np

from ..dtypes import DType
from ..errors import InputError

#: The default of an attribute that has to be given.
REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()


@dataclass(frozen=True)
class Array:
    """An array as an operator's parameter: element type, shape, elements in C order."""

    dtype: DType
    shape: tuple[int, ...]
    data: bytes

    def __post_init__(self) -> None:
        if self.dtype is DType.string or len(self.data) != math.prod(self.shape) * self.dtype.itemsize \
                or min(self.shape, default=0) < 0:
            raise InputError(f"{len(self.data)} bytes are no array {self.dtype} {self.shape}")

    @classmethod
    def of(cls, array: np.ndarray) -> Array:
        return cls(DType.of(array), tuple(array.shape), np.ascontiguousarray(array).tobytes())

    @property
    def numpy(self) -> np.ndarray:
        """The array, read-only."""
        return np.frombuffer(self.data, self.dtype.numpy).reshape(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


#: An attribute's value as an operator keeps it. None: an optional one that was not given.
Stored = Union[None, bool, int, float, str, bytes, tuple[bool, ...], tuple[int, ...], tuple[float, ...],
               tuple[str, ...], Array]

_SCALARS: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str, "bytes": bytes}
_SERIES = {"bools": bool, "ints": int, "floats": float, "strs": str}
#: Names of the types an attribute may have, and what they hold for people.
KINDS = {"bool": "true or false", "int": "a whole number of 64 bits", "float": "a number", "str": "text",
         "bytes": "bytes", "bools": "a sequence of bools", "ints": "a sequence of whole numbers of 64 bits",
         "floats": "a sequence of numbers", "strs": "a sequence of texts", "array": "an array"}


@dataclass(frozen=True)
class Attribute:
    """One attribute of a plugin. kind: one of KINDS. default: REQUIRED, None (then it is optional), or a value."""

    kind: str
    default: Any = REQUIRED

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"an attribute has the type {self.kind!r}", types=", ".join(KINDS))


def kind_of(annotation: Any) -> str | None:
    """The kind that a Python annotation stands for: float, tuple[int, ...], list[str], Sequence[float], and each with
    `| None`; None for any other. Arrays are inputs, not attributes, unless they are declared as Attribute("array")."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        given = [a for a in args if a is not type(None)]
        return kind_of(given[0]) if len(given) == 1 else None
    for name, cls in _SCALARS.items():
        if annotation is cls:
            return name
    if origin in (tuple, list, Sequence) and args and all(a in (args[0], Ellipsis) for a in args):
        return next((name for name, cls in _SERIES.items() if args[0] is cls), None)
    return None


def checked(declared: Mapping[str, Attribute], given: Mapping[str, Any], plugin: str
            ) -> tuple[tuple[str, Stored], ...]:
    """The attributes of one use of a plugin, complete and in the declared order. InputError for what does not fit."""
    for name in given:
        if name not in declared:
            near = get_close_matches(name, declared, 1)
            raise InputError(f"plugin {plugin} has no attribute {name!r}", attributes=", ".join(declared) or "none",
                             try_=f"did you mean {near[0]!r}?" if near else None)
    missing = [name for name, a in declared.items() if a.default is REQUIRED and name not in given]
    if missing:
        raise InputError(f"plugin {plugin} needs the attribute {missing[0]!r}: {KINDS[declared[missing[0]].kind]}")
    return tuple((name, stored(a, given.get(name, a.default), name, plugin)) for name, a in declared.items())


def stored(attribute: Attribute, x: Any, name: str, plugin: str) -> Stored:
    """A value as an operator keeps it. InputError naming plugin, attribute and type when it is of another type."""
    if x is None and attribute.default is None:
        return None
    kind = attribute.kind
    try:
        if kind == "array":
            array = np.asarray(x.numpy if isinstance(x, Array) else x)
            if array.dtype.hasobject or array.dtype.kind in "US":
                raise ValueError
            return Array.of(array)
        if kind in _SERIES:
            if isinstance(x, (str, bytes)) or np.ndim(x) != 1:
                raise ValueError
            return tuple(_scalar(_SERIES[kind], item) for item in x)
        return _scalar(_SCALARS[kind], x)
    except (TypeError, ValueError):
        text = repr(x)
        raise InputError(f"plugin {plugin}: attribute {name!r} must be {KINDS[kind]}, not "
                         f"{text if len(text) < 80 else text[:77] + '...'} ({type(x).__name__})") from None


def _scalar(cls: type, x: Any) -> Any:
    """x as cls; ValueError when it is something else. Whole numbers are numbers; 0 and 1 are bools."""
    if isinstance(x, np.generic) or (isinstance(x, np.ndarray) and x.ndim == 0):
        x = x.item()
    if cls is bool and isinstance(x, int) and x in (0, 1):
        return bool(x)
    if cls is float and isinstance(x, (int, float)) and not isinstance(x, bool):
        return float(x)
    if cls is int and (isinstance(x, bool) or not isinstance(x, int) or not -(1 << 63) <= x < 1 << 63):
        raise ValueError
    if not isinstance(x, cls):
        raise ValueError
    return x


def plain(x: Stored) -> Any:
    """A kept value as the plugin's functions get it: arrays as (read-only) NumPy arrays."""
    return x.numpy if isinstance(x, Array) else x
