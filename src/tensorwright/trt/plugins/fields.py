"""PluginField and its collections: the named parameters that a creator makes a plugin of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..enums import PluginFieldType
from ..foundation import Closed

#: NumPy's form of a field's elements. CHAR is bytes of text: `field.data.tobytes().decode()`.
_NUMPY = {PluginFieldType.FLOAT16: np.float16, PluginFieldType.FLOAT32: np.float32, PluginFieldType.FLOAT64: np.float64,
          PluginFieldType.INT8: np.int8, PluginFieldType.INT16: np.int16, PluginFieldType.INT32: np.int32,
          PluginFieldType.INT64: np.int64, PluginFieldType.CHAR: np.int8}


class PluginField(Closed):
    """A parameter of a plugin: a name, elements in memory that is borrowed, their type and their number.

    PluginField(name="")                    a name alone: what a creator lists for a parameter it takes
    PluginField(name, data, type=UNKNOWN)   data: any buffer, held by reference, whose memory has elements of `type`
    """

    name = ""
    type: PluginFieldType = PluginFieldType.UNKNOWN
    size = 0

    def __init__(self, name: str = "", data: Any = None, type: PluginFieldType = PluginFieldType.UNKNOWN) -> None:
        self.name, self.type = name, type
        self._held: np.ndarray = np.empty(0, np.uint8)
        if data is not None:
            self.data = data
        self._closed = True

    @property
    def data(self) -> np.ndarray:
        """The elements, flat, over the borrowed memory. AttributeError for a type that NumPy lacks, and for more
        elements than the memory has. Of type UNKNOWN: what was given."""
        if self.type == PluginFieldType.UNKNOWN:
            return self._held
        kind = _NUMPY.get(self.type)
        if kind is None:
            raise AttributeError(f"field {self.name!r} is of {self.type}, which has no NumPy form")
        raw = memory(self._held)
        wanted = self.size * np.dtype(kind).itemsize
        if wanted > raw.size:
            raise AttributeError(f"field {self.name!r} of {self.size} elements of {self.type} lies in {raw.size} bytes")
        return raw[:wanted].view(kind)

    @data.setter
    def data(self, value: Any) -> None:
        if isinstance(value, str):
            raise TypeError(f"field {self.name!r}: text is given as bytes, numpy.frombuffer(text.encode(), numpy.int8)")
        array = value if isinstance(value, np.ndarray) else np.asarray(memoryview(value))
        if not array.flags.c_contiguous:
            raise ValueError(f"field {self.name!r} must be C-contiguous: use numpy.ascontiguousarray")
        self._held = array
        self.size = int(array.size)

    def _bytes(self) -> bytes:
        """The memory of the elements, whatever their type."""
        kind = _NUMPY.get(self.type)
        return memory(self._held)[:self.size * np.dtype(kind).itemsize].tobytes() if kind else self._held.tobytes()

    def __repr__(self) -> str:
        return f"<PluginField {self.name!r}: {self.size} of {self.type}>"


def memory(array: np.ndarray) -> np.ndarray:
    """The bytes of a C-contiguous array, without copying them."""
    return array.reshape(-1).view(np.uint8) if array.size else np.empty(0, np.uint8)


class PluginFieldCollection(list):
    """Fields in order, as a list of nothing else. What scripts make."""

    _number = 0

    def __init__(self, fields: Iterable[PluginField] = ()) -> None:
        super().__init__(_checked(f) for f in fields)

    def append(self, x: PluginField) -> None:
        super().append(_checked(x))

    def extend(self, iterable: Iterable[PluginField]) -> None:
        super().extend(_checked(f) for f in iterable)

    def insert(self, i: Any, x: PluginField) -> None:
        super().insert(i, _checked(x))

    def __setitem__(self, index: Any, x: Any) -> None:
        super().__setitem__(index, [_checked(f) for f in x] if isinstance(index, slice) else _checked(x))


class PluginFieldCollection_(Closed):
    """Fields in order, read only. What the library hands to creators."""

    def __init__(self, fields: Iterable[PluginField]) -> None:
        self._fields = [_checked(f) for f in fields]
        self._closed = True

    def __len__(self) -> int:
        return len(self._fields)

    def __getitem__(self, index: int) -> PluginField:
        return self._fields[index]

    def __iter__(self) -> Iterator[PluginField]:
        return iter(self._fields)


def _checked(field: Any) -> PluginField:
    if not isinstance(field, PluginField):
        raise TypeError(f"a collection of fields takes PluginField, not {type(field).__name__}")
    return field
