"""Dated tables of measurements in Markdown: the machine, the versions, rows as they come, and a file that is whole."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def peers_of(text: str) -> list[str]:
    """The runtimes named, separated by commas. SystemExit when one is not known or not installed."""
    from tensorwright.cli.rivals import check_installed
    from tensorwright.errors import TensorwrightError
    names = [n for n in text.split(",") if n]
    try:
        for name in names:
            check_installed(name)
    except TensorwrightError as error:
        raise SystemExit(str(error)) from None
    return names


def versions(peers: Sequence[str]) -> list[str]:
    return [f"{p} {version(p)}" for p in ("tensorwright", "llvmlite", "numpy", *peers)]


def machine(peers: Sequence[str], *facts: str) -> str:
    """Date, processor, what was measured of it, and the versions of all that takes part."""
    from tensorwright.device import describe
    spec = describe()
    here = ", ".join([f"{cpu_name()} ({spec.name})", f"{spec.cores} cores", *facts])
    return f"{datetime.date.today()}; {here}; Python {platform.python_version()}, {', '.join(versions(peers))}."


def geometric_mean(ratios: Iterable[float]) -> float:
    """nan of nothing."""
    logs = [math.log(r) for r in ratios]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


class Kept:
    """Measurements in a file, one JSON object per line, so that many networks can be measured in several goes.

    A line counts only for the settings, versions included, that it was measured with.
    """

    def __init__(self, file: str | None, settings: Sequence[Any]) -> None:
        self._path = Path(file) if file else None
        self._settings = list(settings)
        self._found: dict[str, Any] = {}
        if self._path is not None and self._path.exists():
            for line in self._path.read_text().splitlines():
                settings, name, figures = json.loads(line)
                if settings == self._settings:
                    self._found[name] = figures

    def get(self, name: str) -> Any:
        """What was put under this name, None when nothing was."""
        return self._found.get(name)

    def put(self, name: str, figures: Any) -> None:
        self._found[name] = figures
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps([self._settings, name, figures]) + "\n")


class Table:
    """Rows are printed when they are added. With a name, the file bench/results/<date>_<name>.md is replaced by a whole
    one each time, so that a run that is cut short leaves what it has measured."""

    def __init__(self, title: str, text: Sequence[str], columns: Sequence[str], name: str = "") -> None:
        self._head = [f"# {title}", "", *text, "", _row(columns), "|" + "---|" * len(columns)]
        self._rows: list[str] = []
        self._last = ""
        self.notes: list[str] = []
        self.path = RESULTS / f"{datetime.date.today()}_{name}.md" if name else None
        print("\n".join(self._head), flush=True)

    def add(self, cells: Sequence[str], last: Sequence[str] = ()) -> None:
        """last: the row that sums up all rows so far."""
        self._rows.append(_row(cells))
        self._last = _row(last) if last else ""
        print(self._rows[-1], flush=True)
        self._save()

    def finish(self) -> None:
        """Print what stands at the end, and where the file is."""
        self._save()
        print("\n".join(self._tail()), flush=True)
        if self.path is not None:
            print(f"\nwritten to bench/results/{self.path.name}")
        print()

    def _tail(self) -> list[str]:
        return [*([self._last] if self._last else []), *(["", *self.notes] if self.notes else [])]

    def _save(self) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(exist_ok=True)
        unfinished = self.path.with_suffix(f".{os.getpid()}.tmp")
        unfinished.write_text("\n".join([*self._head, *self._rows, *self._tail()]) + "\n")
        os.replace(unfinished, self.path)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
