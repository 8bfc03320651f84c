"""Choice: what all enumerations here have in common.

Members print as `DataType.FLOAT` and convert with int(). A member equals, and hashes like, the member of the same name
in another generation's enumeration of the same name (`tensorwright.generations`), and nothing else: the integers of a
flag may differ between generations, its meaning does not.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from types import FunctionType
from typing import Any, TypeVar, cast


class ChoiceType(enum.EnumMeta):
    """isinstance(x, DataType) holds for the data types of every generation."""

    _origin: ChoiceType | None = None

    @property
    def origin(cls) -> ChoiceType:
        """The enumeration with the members of all generations that this one is a view of; itself for such a one."""
        return cls.__dict__.get("_origin") or cls

    def __instancecheck__(cls, instance: Any) -> bool:
        kind = type(instance)
        return type.__instancecheck__(cls, instance) or (isinstance(kind, ChoiceType) and kind.origin is cls.origin)


class Choice(enum.Enum, metaclass=ChoiceType):
    """Base of all enumerations here."""

    def __int__(self) -> int:
        return int(self.value)

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def _same(self) -> tuple[type, str]:
        """The enumeration and the name that stand for this member in every generation."""
        origin: Any = type(self).origin
        return origin, origin[self.name].name

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Choice) and self._same() == other._same())

    def __hash__(self) -> int:
        kind, name = self._same()
        return hash((kind.__name__, name))


class OrderedChoice(Choice):
    """An enumeration whose members compare by their integers."""

    def __lt__(self, other: object) -> bool:
        return int(self) < int(other) if isinstance(other, type(self)) else NotImplemented

    def __le__(self, other: object) -> bool:
        return int(self) <= int(other) if isinstance(other, type(self)) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return int(self) > int(other) if isinstance(other, type(self)) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return int(self) >= int(other) if isinstance(other, type(self)) else NotImplemented


def view(origin: type[Choice], name: str, members: dict[str, int]) -> type[Choice]:
    """What one generation has of an enumeration: these members, with these integers."""
    base: Any = OrderedChoice if issubclass(origin, OrderedChoice) else Choice
    made = base(name, members)
    for key, value in vars(origin).items():              # itemsize, say
        if isinstance(value, (property, FunctionType)) and not key.startswith("_generate"):
            type.__setattr__(made, key, value)
    type.__setattr__(made, "_origin", origin)
    made.__doc__ = origin.__doc__
    return cast("type[Choice]", made)


C = TypeVar("C", bound=Choice)


def bits(flags: Iterable[C], numbering: type[C]) -> int:
    """Flags as an integer, each at the bit that a generation's enumeration gives it; those it lacks are left out."""
    names = {flag._same()[1]: int(flag) for flag in numbering}
    return sum(1 << number for number in {names[f._same()[1]] for f in flags if f._same()[1] in names})


def members(value: int, numbering: type[C]) -> set[C]:
    """The flags of an integer. ValueError for bits that stand for none."""
    found = {flag for flag in numbering if value >> int(flag) & 1}
    if rest := value & ~bits(found, numbering):
        raise ValueError(f"bits {rest:#b} stand for no {numbering.__name__}")
    return found
