"""The timing cache: seconds of each tactic of each problem on this machine, kept between builds in a JSON file.

    {"format": 2, "scopes": {scope: {"saved": seconds since 1970, "problems": {problem key: {tactic text: seconds}},
                                     "pinned": {problem key: tactic text}}}}

A scope is one CPU description, team size and version of the kernel generators: nothing else may use its entries. The
file is replaced as a whole by a rename, with what other builds have written in between. It stays small: of the scopes,
the last ones saved are kept, so that old generators are forgotten; of a scope's problems, the last ones timed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .. import kernels, settings
from ..kernels.problem import Problem
from ..targets import CpuSpec

FORMAT = 2
#: Scopes in the file, and problems in a scope.
MOST_SCOPES, MOST_PROBLEMS = 6, 4000
#: Seconds to wait for another build that is writing.
PATIENCE = 5.0

Times = dict[str, dict[str, float]]
Pins = dict[str, str]
_log = logging.getLogger("tensorwright")


@cache
def generator_version() -> str:
    """Changes whenever the text of a kernel generator does."""
    digest = hashlib.sha256()
    for path in sorted(Path(kernels.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def problem_key(problem: Problem) -> str:
    return hashlib.sha256(repr(problem).encode()).hexdigest()[:32]


def scope_of(cpu: CpuSpec, threads: int) -> str:
    return hashlib.sha256(f"{cpu.key}|{threads}|{generator_version()}".encode()).hexdigest()[:24]


class Scope(NamedTuple):
    """saved: seconds since 1970. pins: choices that users made."""

    saved: float = 0.0
    times: Times = {}
    pins: Pins = {}


class TimingCache:
    """problem key → {tactic text: seconds}; infinite for a tactic that was refused. `path` None keeps it in memory."""

    def __init__(self, path: Path | None, cpu: CpuSpec, threads: int) -> None:
        self.path = path
        self.scope = scope_of(cpu, threads)
        found = self._read().get(self.scope, Scope())
        self.times: Times = dict(found.times)
        self.pins: Pins = dict(found.pins)
        self.learned: Times = {}

    def known(self, problem: Problem) -> dict[str, float]:
        return self.times.get(problem_key(problem), {})

    def pinned(self, problem: Problem) -> str | None:
        """The tactic that a user pinned for this problem."""
        return self.pins.get(problem_key(problem))

    def add(self, problem: Problem, tactic: str, seconds: float) -> None:
        for times in (self.times, self.learned):
            times.setdefault(problem_key(problem), {})[tactic] = seconds

    def save(self) -> None:
        """Write what was learned; a folder that cannot be written is a warning in the log, not an error."""
        if self.path is None or not self.learned:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.path.with_name(self.path.name + ".lock")):
                self._replace(self._merged())
        except OSError as error:
            _log.warning("timings are not kept in %s: %s. Later builds will time these kernels again.", self.path,
                         error.strerror or error)
            return
        self.learned = {}

    def _merged(self) -> dict[str, Scope]:
        """What the file has now and what was learned, within bounds."""
        scopes = self._read()
        _, mine, pins = scopes.pop(self.scope, Scope())
        mine = dict(mine)
        for key, entries in self.learned.items():
            mine[key] = {**mine.pop(key, {}), **entries}                       # the last ones timed stand last
        mine = dict(list(mine.items())[-MOST_PROBLEMS:])
        latest = sorted(scopes, key=lambda scope: scopes[scope].saved)[-(MOST_SCOPES - 1):]
        return {**{scope: scopes[scope] for scope in latest}, self.scope: Scope(time.time(), mine, pins)}

    def _replace(self, scopes: dict[str, Scope]) -> None:
        assert self.path is not None
        data = {scope: {"saved": saved, "problems": times, **({"pinned": pins} if pins else {})}
                for scope, (saved, times, pins) in scopes.items()}
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".timing-")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump({"format": FORMAT, "scopes": data}, file)
            os.replace(temporary, self.path)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _read(self) -> dict[str, Scope]:
        """What the file has. One that cannot be read costs time, not correctness."""
        if self.path is None or not self.path.is_file():
            return {}
        try:
            data = json.loads(self.path.read_text())
            if data["format"] != FORMAT:
                return {}                                                      # another version's
            return {str(scope): Scope(float(s["saved"]), _times(s["problems"]), _pins(s.get("pinned", {})))
                    for scope, s in data["scopes"].items()}
        except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
            _log.warning("the timings in %s cannot be read (%s: %s): kernels are timed again", self.path,
                         type(error).__name__, error)
            return {}


def _times(problems: dict) -> Times:
    """The entries, checked. ValueError for seconds that are no time."""
    found = {str(key): {str(tactic): float(s) for tactic, s in times.items()} for key, times in problems.items()}
    if any(math.isnan(s) or s < 0 for times in found.values() for s in times.values()):
        raise ValueError("a time is not a number of seconds")
    return found


def _pins(pins: dict) -> Pins:
    return {str(key): str(tactic) for key, tactic in pins.items()}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Other builds wait meanwhile, where the system and its file system can; they never wait for long."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, "w") as file:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break                                                          # no locks here
        yield


def default_path() -> Path:
    return settings.cache_home() / "timing.json"
