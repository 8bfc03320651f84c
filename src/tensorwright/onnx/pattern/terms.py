"""The parts of a pattern, as the language's texts become them: see language.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Union


@dataclass(frozen=True)
class Kind:
    """What stands after a colon. None: not asked for. shape: None stands for any size."""

    const: bool = False
    scalar: bool = False
    input: bool = False
    dtype: Any = None
    shape: tuple[int | None, ...] | None = None


@dataclass(frozen=True)
class Operand:
    """A named tensor, or any: name None. exact: the name is the tensor's own, in the model."""

    name: str | None
    optional: bool = False
    kind: Kind = Kind()
    exact: bool = False


@dataclass(frozen=True)
class Literal:
    """A number or a list of numbers."""

    value: Any
    dtype: Any = None


@dataclass(frozen=True)
class Capture:
    """An attribute's value under a name."""

    name: str


@dataclass(frozen=True)
class Condition:
    """name relation value: values are alternatives; a Capture; ANY."""

    name: str
    relation: str
    values: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """An operator's node. ops: (domain, name) alternatives, empty for any. rest: further operands may follow."""

    ops: tuple[tuple[str, str], ...]
    operands: tuple[Term, ...]
    conditions: tuple[Condition, ...] = ()
    copied: tuple[str, ...] = ()
    rest: bool = False

    def __str__(self) -> str:
        return "|".join(f"{d}::{n}" if d else n for d, n in self.ops) or "any operator"


@dataclass(frozen=True, eq=False)
class Either:
    options: tuple[Term, ...]


Term = Union[Operand, Literal, Call, Either]
#: The value `_` of a condition.
ANY = object()


@dataclass(frozen=True)
class Statement:
    """results: names of the results, empty where the text gives none."""

    results: tuple[str, ...]
    term: Term


@dataclass(frozen=True)
class Pattern:
    """text: as written. made: name → (call, which of its results)."""

    text: str
    statements: tuple[Statement, ...]
    made: dict[str, tuple[Term, int]] = field(default_factory=dict)

    @property
    def results(self) -> tuple[str, ...]:
        """Names of what the pattern is as a whole: results that no other line reads."""
        read = {name for s in self.statements for name in names_in(s.term)}
        return tuple(r for s in self.statements for r in s.results if r not in read)

    @property
    def roots(self) -> tuple[Statement, ...]:
        """Lines none of whose results another line reads."""
        read = {name for s in self.statements for name in names_in(s.term)}
        return tuple(s for s in self.statements if not read & set(s.results))


def names_in(term: Term) -> Iterator[str]:
    """The tensors' names that a term reads."""
    if isinstance(term, Operand) and term.name and not term.exact:
        yield term.name
    elif isinstance(term, Call):
        for operand in term.operands:
            yield from names_in(operand)
    elif isinstance(term, Either):
        for option in term.options:
            yield from names_in(option)
