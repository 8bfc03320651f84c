"""Reading JSON that nobody vouches for: each value by name and type, in range, or a PlanError that says where."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from .. import dims
from ..dims import Dim
from ..dtypes import DType
from ..errors import PlanError

T = TypeVar("T")
LIMIT = 1 << 47                                    # of every number: more than any machine addresses
MAX_ITEMS = 1 << 22


def parse(data: bytes, what: str) -> Any:
    """JSON text → values. PlanError when it is not JSON, too deep, or uses numbers JSON does not have."""
    def refuse(text: str) -> Any:
        raise ValueError(f"{text} is not JSON")
    try:
        return json.loads(data.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError, MemoryError) as error:
        raise PlanError(f"{what} is not JSON: {str(error)[:100]}") from None


def shown(x: Any) -> str:
    """The beginning of a value, without walking all of it."""
    if isinstance(x, (list, dict)):
        return f"{type(x).__name__} of {len(x)}"
    return repr(x if not isinstance(x, str) else x[:60])[:80]


class Fields:
    """A JSON object. Methods take a key and give its value, of the type their name says."""

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, dict):
            raise PlanError(f"an object is expected, not {shown(data)}", at=where)
        self.data, self.where = data, where

    def wrong(self, key: str, wanted: str) -> PlanError:
        found = shown(self.data[key]) if key in self.data else "missing"
        return PlanError(f"{key!r} must be {wanted}, it is {found}", at=self.where)

    def get(self, key: str) -> Any:
        if key not in self.data:
            raise PlanError(f"{key!r} is missing", at=self.where)
        return self.data[key]

    def whole(self, key: str, low: int = -LIMIT, high: int = LIMIT) -> int:
        x = self.data.get(key)
        if not isinstance(x, int) or isinstance(x, bool) or not low <= x <= high:
            raise self.wrong(key, f"a whole number from {low} to {high}")
        return x

    def wholes(self, key: str, low: int = -LIMIT, high: int = LIMIT) -> list[int]:
        items = self.items(key)
        if not all(type(x) is int and low <= x <= high for x in items):
            raise self.wrong(key, f"whole numbers from {low} to {high}")
        return items

    def number(self, key: str) -> float | None:
        x = self.data.get(key)
        if x is not None and (not isinstance(x, (int, float)) or isinstance(x, bool)):
            raise self.wrong(key, "a number or null")
        return None if x is None else float(min(max(x, -1e30), 1e30))

    def flag(self, key: str) -> bool:
        if not isinstance(self.data.get(key), bool):
            raise self.wrong(key, "true or false")
        return bool(self.data[key])

    def text(self, key: str) -> str:
        x = self.data.get(key)
        if not isinstance(x, str):
            raise self.wrong(key, "a string")
        return x

    def texts(self, key: str) -> tuple[str, ...]:
        items = self.items(key)
        if not all(isinstance(x, str) for x in items):
            raise self.wrong(key, "strings")
        return tuple(items)

    def textmap(self, key: str) -> dict[str, str]:
        x = self.data.get(key)
        if not isinstance(x, dict) or not all(isinstance(v, str) for v in x.values()):
            raise self.wrong(key, "an object of strings")
        return x

    def items(self, key: str, most: int = MAX_ITEMS) -> list[Any]:
        x = self.data.get(key)
        if not isinstance(x, list) or len(x) > most:
            raise self.wrong(key, f"an array of at most {most}")
        return x

    def dtype(self, key: str) -> DType:
        try:
            return DType(self.data.get(key))
        except ValueError:
            raise self.wrong(key, "an element type") from None

    def each(self, key: str, make: Callable[[Fields], T]) -> tuple[T, ...]:
        """An array of objects, each through `make`."""
        return tuple([make(Fields(x, f"{self.where}, {key} {i}")) for i, x in enumerate(self.items(key))])


class DimReader:
    """Dimensions: whole numbers, or expressions as text; each distinct text is parsed once."""

    def __init__(self) -> None:
        self._known: dict[str, Dim] = {}

    def __call__(self, x: Any, where: str) -> Dim:
        if type(x) is int and -LIMIT <= x <= LIMIT:
            return x
        if not isinstance(x, str):
            raise PlanError(f"{shown(x)} is not a dimension", at=where)
        found = self._known.get(x)
        if found is None:
            try:
                found = self._known[x] = dims.parse(x)
            except (ValueError, RecursionError, OverflowError) as error:
                raise PlanError(str(error)[:200], at=where) from None
        return found

    def all(self, items: Any, where: str) -> tuple[Dim, ...]:
        if not isinstance(items, list) or len(items) > 4096:
            raise PlanError(f"{shown(items)} are not dimensions", at=where)
        return tuple([self(x, where) for x in items])
