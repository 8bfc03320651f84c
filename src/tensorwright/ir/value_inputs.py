"""Inputs whose values decide shapes.

Each such value is a symbol, and so that it is bound, bounded and checked like every other symbol, it is the size of a
companion: a further input of the network, (value, 0) bool, without elements and without readers. Whoever runs the
network makes the companions of the values that are fed; users do not see them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..dims import Expr, identifier, symbol
from ..dtypes import DType
from ..errors import InputError
from .types import TensorType

_NAME = re.compile(r"value (\d+) of (.+)", re.DOTALL)
#: More values than a shape can have are data.
MOST_VALUES = 16


def value_symbols(name: str, count: int) -> tuple[Expr, ...]:
    """The symbols of an input's values."""
    return tuple(symbol(identifier(f"{name}_value_{i}")) for i in range(count))


def companion(name: str, index: int) -> str:
    """The name of the companion of value `index` of an input."""
    return f"value {index} of {name}"


def companion_type(value: Expr) -> TensorType:
    return TensorType((value, 0), DType.bool)


def companion_of(name: str) -> tuple[str, int] | None:
    """(input, number of its value) that a companion stands for; None for an input like any other."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found[2], int(found[1]))


def companions(names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Those of the names that are companions, with what they stand for."""
    known = list(names)
    found = {n: c for n in known if (c := companion_of(n)) is not None}
    return {n: c for n, c in found.items() if c[0] in known}


def sizes_of(values: Mapping[str, Any], names: Mapping[str, tuple[str, int]]) -> dict[str, tuple[int, int]]:
    """The shapes of the companions whose inputs are among the values. InputError for a value below 0."""
    found: dict[str, tuple[int, int]] = {}
    for name, (source, index) in names.items():
        if source in values:
            flat = np.asarray(values[source]).reshape(-1)
            if index >= flat.size:
                continue                                  # its shape is wrong, which is said where shapes are checked
            if flat[index] < 0:
                raise InputError(f"value {index} of input {source!r} is {flat[index]}: it decides a shape, and must "
                                 "not be negative")
            found[name] = (int(flat[index]), 0)
    return found


def completed(feeds: Mapping[str, Any], names: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    """The feeds with the companions of their values, whatever companions are among them."""
    sizes = sizes_of(feeds, names)
    return {**feeds, **{name: np.empty(shape, np.bool_) for name, shape in sizes.items()}}
