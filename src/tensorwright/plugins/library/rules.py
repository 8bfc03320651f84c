"""What shape rules and attributes of the library's plugins are checked with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...dims import Dim
from ...dtypes import DType
from ...errors import InputError, ShapeError, TypeMismatch
from ...ir import TensorType
from ..attributes import Attribute
from ..definition import Definition
from ..registry import register

#: Attributes that have to be given.
INT, FLOAT, INTS, FLOATS, ARRAY = (Attribute(kind) for kind in ("int", "float", "ints", "floats", "array"))


def default(value: Any) -> Attribute:
    """An attribute with a default: its type is that of the value."""
    if isinstance(value, tuple):
        return Attribute("ints" if all(isinstance(x, int) for x in value) else "floats", value)
    return Attribute(type(value).__name__, value)


def library(name: str, compute: Any, infer: Any, attributes: Mapping[str, Attribute], inputs: tuple[int, int | None],
            expand: Any = None, versions: Iterable[str] = ("1",)) -> None:
    """Register a plugin of the library under each of its versions."""
    for version in versions:
        register(Definition(name, compute, infer, attributes, version, inputs=inputs, expand=expand))


def ranks(what: str, t: TensorType, *allowed: int) -> None:
    if len(t.shape) not in allowed:
        raise ShapeError(f"{what} is {t}; it has {' or '.join(map(str, allowed))} axes")


def agree(what: str, *dims: Dim) -> None:
    """ShapeError when two of the dimensions are known and differ."""
    known = {d for d in dims if isinstance(d, int)}
    if len(known) > 1:
        raise ShapeError(f"{what}: {' and '.join(map(str, dims))} differ")


def dims_are(what: str, t: TensorType, *wanted: Dim | None) -> None:
    """The tensor's dimensions where they are known: None stands for anything. ShapeError else."""
    ranks(what, t, len(wanted))
    for got, want in zip(t.shape, wanted, strict=True):
        if isinstance(got, int) and isinstance(want, int) and got != want:
            shown = ", ".join("?" if d is None else str(d) for d in wanted)
            raise ShapeError(f"{what} is {t}; it is ({shown})")


def floating(what: str, *types: TensorType) -> None:
    """float32 or float16, the same for all."""
    if types[0].dtype not in (DType.float32, DType.float16) or any(t.dtype != types[0].dtype for t in types):
        raise TypeMismatch(f"{what}: {', '.join(map(str, types))}; float32 or float16 is needed, the same for all")


def whole(what: str, t: TensorType) -> None:
    if t.dtype not in (DType.int32, DType.int64):
        raise TypeMismatch(f"{what} is {t}; int32 or int64 is needed")


def one_of(name: str, value: Any, *allowed: Any, try_: str | None = None) -> None:
    if value not in allowed:
        raise InputError(f"attribute {name!r} is {value}; {', '.join(map(str, allowed))} are supported", try_=try_)


def at_least(name: str, value: float, low: float) -> None:
    if not value >= low:
        raise InputError(f"attribute {name!r} is {value}; at least {low} is needed")


def length(name: str, value: tuple[Any, ...], *allowed: int) -> None:
    if len(value) not in allowed:
        raise InputError(f"attribute {name!r} has {len(value)} values; {' or '.join(map(str, allowed))} are needed")
