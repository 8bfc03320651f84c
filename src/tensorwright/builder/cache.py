"""The timing cache: seconds of each tactic of each problem on this machine, kept between builds in a JSON file.

An entry is only valid for the same CPU description, team size and version of the kernel generators. The file is
replaced as a whole by a rename, merged with what other builds wrote in between.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from functools import cache
from pathlib import Path

from .. import kernels, settings
from ..kernels.problem import Problem
from ..targets import CpuSpec

FORMAT = 1
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


class TimingCache:
    """problem key → {tactic text: seconds}. `path` None keeps it in memory only."""

    def __init__(self, path: Path | None, cpu: CpuSpec, threads: int) -> None:
        self.path = path
        self.scope = hashlib.sha256(f"{cpu.key}|{threads}|{generator_version()}".encode()).hexdigest()[:24]
        self.times: dict[str, dict[str, float]] = self._read().get(self.scope, {})
        self.changed = False

    def _read(self) -> dict[str, dict[str, dict[str, float]]]:
        if self.path is None:
            return {}
        try:
            data = json.loads(self.path.read_text())
            if data.get("format") != FORMAT:
                return {}
            return {
                str(scope): {str(k): {str(t): float(s) for t, s in v.items()} for k, v in entries.items()}
                for scope, entries in data["scopes"].items()
            }
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            return {}  # none yet, or damaged: that costs time, not correctness

    def known(self, problem: Problem) -> dict[str, float]:
        return self.times.get(problem_key(problem), {})

    def add(self, problem: Problem, tactic: str, seconds: float) -> None:
        self.times.setdefault(problem_key(problem), {})[tactic] = seconds
        self.changed = True

    def save(self) -> None:
        """Write what was learned; a folder that cannot be written is a warning in the log, not an error."""
        if self.path is None or not self.changed:
            return
        scopes = self._read()
        mine = scopes.setdefault(self.scope, {})
        for key, entries in self.times.items():
            mine.setdefault(key, {}).update(entries)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".timing-")
            try:
                with os.fdopen(handle, "w") as file:
                    json.dump({"format": FORMAT, "scopes": scopes}, file)
                os.replace(temporary, self.path)
            finally:
                Path(temporary).unlink(missing_ok=True)
        except OSError as error:
            _log.warning("timings are not kept in %s: %s. Later builds will time these kernels again.", self.path,
                         error.strerror or error)
            return
        self.changed = False


def default_path() -> Path:
    return settings.cache_home() / "timing.json"
