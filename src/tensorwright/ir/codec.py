"""Records as JSON, and back: operators, types, expressions.

A record (a frozen dataclass) becomes an entry of a table, `[class name, {field: value}]`, and `{"ref": i}` where it is
used; an entry refers to earlier entries only, so shared parts are written once and reading needs no recursion. Other
values: null, booleans, integers, finite floats, strings as themselves; tuples as arrays; `{"float": "nan"}` or "inf" or
"-inf"; `{"bytes": base64}`; `{"dim": "2*N + 1"}`; `{"dtype": "float32"}`.

Reading trusts nothing: classes come from the registry given, every field is checked against its annotation, sizes and
nesting are bounded. Whatever is wrong is a PlanError.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import inspect
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, ForwardRef, Union, get_args, get_origin

import numpy as np

from .. import dims
from ..dtypes import DType
from ..errors import PlanError

Json = Any
Registry = Mapping[str, type]

MAX_ENTRIES = 1 << 20          # records in one table
MAX_NESTING = 8                # tuples inside tuples
MAX_ITEMS = 1 << 20            # items of one tuple
MAX_INT = 1 << 64              # magnitude of integers


class Table:
    """The records written so far. `add` returns a record's number."""

    def __init__(self) -> None:
        self.entries: list[Json] = []
        self._numbers: dict[str, int] = {}              # an entry's text → its number
        self._seen: dict[int, tuple[int, object]] = {}  # id of a record → its number and the record, kept alive

    def add(self, record: Any) -> int:
        stack = [record]                                # post-order without recursion: expressions may be deep
        while stack:
            top = stack[-1]
            missing = [r for r in _records(top) if id(r) not in self._seen]
            if missing:
                stack += missing
                continue
            stack.pop()
            if id(top) not in self._seen:
                fields = {f.name: self.value(getattr(top, f.name)) for f in dataclasses.fields(top) if f.init}
                self._seen[id(top)] = (self._number([type(top).__name__, fields]), top)
        return self._seen[id(record)][0]

    def _number(self, entry: Json) -> int:
        text = json.dumps(entry)
        if text not in self._numbers:
            self._numbers[text] = len(self.entries)
            self.entries.append(entry)
        return self._numbers[text]

    def value(self, x: Any) -> Json:
        """A field's value; records in it must have been added."""
        match x:
            case None | bool() | str():
                return x
            case DType():
                return {"dtype": x.value}
            case int() | np.integer():
                return int(x)
            case np.bool_():
                return bool(x)
            case float() | np.floating():
                return float(x) if math.isfinite(x) else {"float": str(float(x))}
            case bytes():
                return {"bytes": base64.b64encode(x).decode("ascii")}
            case tuple():
                return [self.value(item) for item in x]
            case dims.Expr():
                return {"dim": str(x)}
        if _is_record(x):
            return {"ref": self._seen[id(x)][0]}
        raise TypeError(f"{type(x).__name__} {x!r} cannot be written to a plan")


def encode(record: Any) -> Json:
    """One record and all it refers to. TypeError when it holds something that is not a parameter's value."""
    table = Table()
    root = table.add(record)
    return {"entries": table.entries, "root": root}


def decode(data: Json, registry: Registry) -> Any:
    """The record that `encode` wrote. PlanError for anything else."""
    data = keyed(data, "record", entries=list, root=int)
    records = decode_entries(data["entries"], registry)
    return pick(records, data["root"])


def decode_entries(entries: Sequence[Json], registry: Registry) -> list[Any]:
    """All records of a table."""
    if len(entries) > MAX_ENTRIES:
        raise PlanError(f"{len(entries)} records in one table, {MAX_ENTRIES} are allowed")
    records: list[Any] = []
    for number, entry in enumerate(entries):
        try:
            records.append(_record(entry, records, registry))
        except PlanError as error:
            raise error.located(f"record {number}") from None
    return records


def _record(entry: Json, earlier: list[Any], registry: Registry) -> Any:
    match entry:
        case [str() as name, dict() as given] if name in registry:
            cls = registry[name]
        case _:
            raise PlanError(f"not a record of a known class: {shown(entry)}",
                            try_="read the plan with the version of tensorwright that wrote it")
    hints, required = _fields(cls)
    unknown, missing = given.keys() - hints.keys(), required - given.keys()
    if unknown or missing:
        raise PlanError(f"{name} has no field {', '.join(sorted(unknown)) or '-'} and lacks "
                        f"{', '.join(sorted(missing)) or 'none'}")
    values = {field: _value(x, earlier) for field, x in given.items()}
    for field, x in values.items():
        if not fits(x, hints[field]):
            raise PlanError(f"{name}.{field} cannot be {shown(given[field])}")
    try:
        return cls(**values)
    except Exception as error:
        raise PlanError(f"{name} cannot be made of {shown(given)}: {error}") from None


@cache
def _fields(cls: type) -> tuple[dict[str, Any], frozenset[str]]:
    """(annotation of every field, names of those without default) of a record class."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            hints |= inspect.get_annotations(base, eval_str=True)
    fields = [f for f in dataclasses.fields(cls) if f.init]
    plain = (f for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING)
    return {f.name: hints[f.name] for f in fields}, frozenset(f.name for f in plain)


def _value(x: Json, earlier: list[Any], depth: int = 0) -> Any:
    match x:
        case None | bool() | str():
            return x
        case int() if abs(x) <= MAX_INT:
            return x
        case float() if math.isfinite(x):
            return x
        case list() if depth < MAX_NESTING and len(x) <= MAX_ITEMS:
            return tuple(_value(item, earlier, depth + 1) for item in x)
        case {"ref": int() as i} if len(x) == 1:
            return pick(earlier, i)
        case {"dim": str() as text} if len(x) == 1:
            return decode_dim(text)
        case {"dtype": str() as name} if len(x) == 1:
            return _looked_up(DType, name)
        case {"float": ("nan" | "inf" | "-inf") as name} if len(x) == 1:
            return float(name)
        case {"bytes": str() as text} if len(x) == 1:
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error:
                raise PlanError("bytes that are not base64") from None
    raise PlanError(f"not a value: {shown(x)}")


def decode_dim(text: str) -> dims.Dim:
    """A dimension from its canonical text."""
    try:
        d = dims.parse(text)
    except ValueError as error:
        raise PlanError(str(error)) from None
    if str(d) != text or "/ 0)" in text or "% 0)" in text:
        raise PlanError(f"not a dimension in canonical form: {shown(text)}")
    return d


def _looked_up(enum: type[DType], name: str) -> DType:
    try:
        return enum(name)
    except ValueError:
        raise PlanError(f"no element type is named {shown(name)}") from None


def fits(x: Any, hint: Any) -> bool:
    """Whether x is of an annotation's type: classes, unions, tuples; an int fits where a float is expected."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(x, arg) for arg in args)
    if origin is tuple:
        if not isinstance(x, tuple):
            return False
        if len(args) == 2 and args[1] is Ellipsis:
            return all(fits(item, args[0]) for item in x)
        return len(x) == len(args) and all(map(fits, x, args))
    if isinstance(hint, ForwardRef):                  # Dim is Union[int, "Expr"]
        return hint.__forward_arg__ == "Expr" and isinstance(x, dims.Expr)
    if hint in (None, NoneType):
        return x is None
    if isinstance(x, bool):
        return hint is bool
    if hint is float:
        return isinstance(x, (int, float))
    return isinstance(hint, type) and isinstance(x, hint)


def pick(records: Sequence[Any], number: Json) -> Any:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(records):
        raise PlanError(f"record {shown(number)} is referred to, {len(records)} precede")
    return records[number]


def keyed(data: Json, what: str, **expected: type) -> dict[str, Any]:
    """data, when it is an object with exactly these keys and types of values."""
    if not isinstance(data, dict) or data.keys() != expected.keys():
        raise PlanError(f"{what} must have the keys {', '.join(expected)}, not {shown(data)}")
    for key, kind in expected.items():
        if not isinstance(data[key], kind) or isinstance(data[key], bool):
            raise PlanError(f"{what}: {key!r} cannot be {shown(data[key])}")
    return data


def loads(text: str | bytes) -> Json:
    """JSON text as Python values. PlanError when it is not JSON, or nested too deeply."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError(f"not JSON: {error}") from None


def shown(x: Any) -> str:
    """The beginning of a value's text, for messages. Looks only at the outermost level of containers."""
    if isinstance(x, (list, tuple)):
        return f"an array of {len(x)}"
    if isinstance(x, dict):
        return f"an object with the keys {', '.join(repr(k)[:40] for k in list(x)[:8])}"
    return repr(x[:80] if isinstance(x, (str, bytes)) else x)[:90]


def _is_record(x: Any) -> bool:
    return dataclasses.is_dataclass(x) and not isinstance(x, type)


def _records(x: Any) -> Iterator[Any]:
    """Records directly inside a record's fields, tuples looked through."""
    stack = [getattr(x, f.name) for f in dataclasses.fields(x) if f.init]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            stack.extend(item)
        elif _is_record(item):
            yield item
