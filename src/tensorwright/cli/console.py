"""What the commands say: results on standard output, progress and messages on standard error."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import BuildError, DeviceError, TensorwrightError, UnsupportedError, VerificationError

OK, FAILED, USAGE, BAD_INPUT, CANNOT, DEFECT, INTERRUPTED = 0, 1, 2, 3, 4, 70, 130


class UsageError(Exception):
    """The command line asks for something that makes no sense; exit code 2."""


class Console:
    """json: results are collected into one object and printed at the end; tables and text stay away."""

    def __init__(self, json_output: bool = False, quiet: bool = False) -> None:
        self.json, self.quiet = json_output, quiet
        self.fields: dict[str, Any] = {}
        self._log = logging.getLogger("tensorwright")
        self._handler, self._propagated = _Notes(self), self._log.propagate
        self._log.addHandler(self._handler)
        self._log.propagate = False
        self._showwarning = warnings.showwarning
        warnings.showwarning = lambda message, *place: self.note(f"note: {message}")

    def close(self) -> None:
        """The package's log and warnings go where they went before."""
        warnings.showwarning = self._showwarning
        self._log.removeHandler(self._handler)
        self._log.propagate = self._propagated

    # ---- results

    def say(self, text: str = "") -> None:
        """A line of the result, for people."""
        if not self.json:
            print(text, flush=True)

    def result(self, **fields: Any) -> None:
        """Parts of the result, for programs."""
        self.fields.update(fields)

    def finish(self) -> None:
        if self.json:
            print(json.dumps(finite(self.fields), indent=1, default=str, allow_nan=False), flush=True)

    def table(self, rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
        """rows[0] is the heading; `right` numbers the columns set to the right."""
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        for row in rows:
            cells = [c.rjust(w) if k in right else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
            self.say("  " + "  ".join(cells).rstrip())

    # ---- messages

    def note(self, text: str) -> None:
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def error(self, error: BaseException) -> None:
        text = str(error) if isinstance(error, TensorwrightError) else f"{type(error).__name__}: {error}"
        if self.json:
            facts = {k: str(v) for k, v in getattr(error, "facts", {}).items()}
            print(json.dumps({"error": {"type": type(error).__name__, "what": getattr(error, "what", str(error)),
                                        "at": getattr(error, "at", []), "facts": facts,
                                        "try": getattr(error, "try_", None)}}, indent=1), flush=True)
        print(text, file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, title: str) -> Iterator[Callable[[str, float, float | None], None]]:
        """A function for BuildOptions.progress: a bar on a terminal; elsewhere lines, ten seconds apart."""
        if self.quiet:
            yield lambda phase, fraction, eta: None
        elif sys.stderr.isatty():
            yield from self._bar(title)
        else:
            yield self._lines(title)

    def _bar(self, title: str) -> Iterator[Callable[[str, float, float | None], None]]:
        from rich.console import Console as Rich
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        columns = (TextColumn("{task.fields[title]}"), BarColumn(bar_width=30), TextColumn("{task.percentage:>3.0f} %"),
                   TextColumn("{task.description}"), TimeElapsedColumn(), TextColumn("{task.fields[eta]}"))
        with Progress(*columns, console=Rich(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=1.0, title=title, eta="")

            def update(phase: str, fraction: float, eta: float | None) -> None:
                rest = f"{left(eta)} left" if eta else ""
                bar.update(task, completed=min(fraction, 0.999), description=phase, eta=rest)
            yield update

    def _lines(self, title: str) -> Callable[[str, float, float | None], None]:
        state: dict[str, Any] = {"phase": "", "last": 0.0}

        def update(phase: str, fraction: float, eta: float | None) -> None:
            now = time.monotonic()
            if phase != state["phase"] or now - state["last"] > 10:
                state.update(phase=phase, last=now)
                done, rest = f" {fraction:.0%}" if fraction else "", f", {left(eta)} left" if eta else ""
                self.note(f"{title}: {phase}{done}{rest}")
        return update


class _Notes(logging.Handler):
    """The package's log, as messages."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        self.console.note(f"note: {record.getMessage()}")


def exit_code(error: BaseException) -> int:
    if isinstance(error, VerificationError):
        return FAILED
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, (UnsupportedError, BuildError, DeviceError)):
        return CANNOT
    if isinstance(error, (TensorwrightError, OSError)):
        return BAD_INPUT
    return DEFECT


def finite(value: Any) -> Any:
    """The value with null for numbers that JSON has no word for: infinity and NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    return [finite(v) for v in value] if isinstance(value, (list, tuple)) else value


def left(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def ms(seconds: float) -> str:
    """Three digits of a time."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
