"""A flag of `wright exec`: its spelling, its values, and how far it is supported; and how argparse takes it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


class State(Enum):
    """What giving a flag leads to. The value is what help says."""

    WORKS = "works"
    PERMISSION = "accepted; not made use of"         # said once in the log
    SATISFIED = "accepted; always so on a CPU"       # said once in the log
    SILENT = "accepted; means nothing any more"      # as trtexec documents
    UNSUPPORTED = "not supported"                    # an error that says what to do instead


@dataclass(frozen=True)
class Flag:
    """One flag. name is the newest spelling, without dashes; the others are those of older generations.

    read     text → value; None for a flag without a value. Raises ValueError or UsageError.
    note     for help; of an unsupported flag: what to do instead
    """

    name: str
    section: str
    note: str
    read: Callable[[str], Any] | None = None
    default: Any = None
    metavar: str = ""
    state: State = State.WORKS
    others: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        usual = f" (default {self.usual})" if self.usual else ""
        return f"{self.note}{usual} [{self.state.value}]".replace("%", "%%")

    @property
    def usual(self) -> str:
        """The default as text; empty for none."""
        if isinstance(self.default, tuple):
            return ",".join(f"{v:g}" for v in self.default)
        return "" if self.default is None else f"{self.default:g}" if isinstance(self.default, float) \
            else str(self.default)


@dataclass(frozen=True)
class Given:
    """One flag of a command line: the flag, as it was spelled, its text (None when bare) and its value."""

    flag: Flag
    spelling: str
    text: str | None
    value: Any

    def __str__(self) -> str:
        return self.spelling if self.text is None else shlex.quote(f"{self.spelling}={self.text}")


class Asked:
    """A command line: `asked["shapes"]` is a flag's value (the last one given), or its default."""

    def __init__(self, flags: Iterable[Flag], given: Sequence[Given]) -> None:
        self.flags = {flag.name: flag for flag in flags}
        self.given = tuple(given)
        self._values = {one.flag.name: one.value for one in given}

    def __getitem__(self, name: str) -> Any:
        flag = self.flags[name]
        return self._values.get(name, flag.default if flag.read is not None else False)

    def __str__(self) -> str:
        return " ".join(map(str, self.given))


class Take(argparse.Action):
    """Appends a Given to the namespace's list `given`, so that order and repetition are kept."""

    def __init__(self, option_strings: Sequence[str], dest: str, flag: Flag, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0 if flag.read is None else None, default=argparse.SUPPRESS,
                         help=flag.help, metavar=flag.metavar or "VALUE", **options)
        self.flag = flag

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:
        from ..console import UsageError
        value: Any = True
        if self.flag.read is not None:
            try:
                value = self.flag.read(values) if self.flag.state is not State.UNSUPPORTED else values
            except (ValueError, UsageError, argparse.ArgumentTypeError) as error:
                parser.error(f"{option_string}={values}: {error}")
        given = [*getattr(namespace, "given", ()),
                 Given(self.flag, option_string or "", None if self.flag.read is None else values, value)]
        namespace.given = given


def add_flags(parser: argparse.ArgumentParser, flags: Iterable[Flag]) -> None:
    """One group of help per section. Flags are never abbreviated: a script's mistake must not find another flag."""
    parser.allow_abbrev = False
    groups: dict[str, Any] = {}
    for flag in flags:
        group = groups.get(flag.section)
        if group is None:
            group = groups[flag.section] = parser.add_argument_group(f"{flag.section.lower()} options")
        names = [n if n.startswith("-") else f"--{n}" for n in (flag.name, *flag.others)]
        group.add_argument(*names, action=Take, dest=f"exec_{flag.name}", flag=flag)
