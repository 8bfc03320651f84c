"""ITimingCache: timings of tactics that builds share, and the choices that a user makes in it.

The content is the builder's own file (builder.cache): times of this machine lie beside those of others, each under a
scope made of the processor, the number of threads and the version of the kernel generators.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .enums import BuilderFlag
from .foundation import Closed, IHostMemory
from .logger import ILogger, say

if TYPE_CHECKING:
    from .config import IBuilderConfig


class TimingCacheKey:
    """A problem that kernels compete for. Its text is 0x and 32 hexadecimal digits."""

    def __init__(self, digits: str) -> None:
        self._digits = digits

    @staticmethod
    def parse(text: str) -> TimingCacheKey:
        """ValueError for a text of another form."""
        if not isinstance(text, str) or not re.fullmatch(r"0[xX][0-9a-fA-F]{32}", text):
            raise ValueError(f"{text!r} is not a key: 0x and 32 hexadecimal digits are")
        return TimingCacheKey(text[2:].lower())

    def __str__(self) -> str:
        return f"0x{self._digits}"

    def __repr__(self) -> str:
        return f"<TimingCacheKey {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TimingCacheKey) and self._digits == other._digits

    def __hash__(self) -> int:
        return hash(self._digits)


class TimingCacheValue(Closed):
    """A tactic, as a number, and its time in milliseconds."""

    tacticHash = 0
    timingMSec = math.inf

    def __init__(self, tactic_hash: int, timing_msec: float) -> None:
        self.tacticHash, self.timingMSec = int(tactic_hash), float(timing_msec)
        self._closed = True


class ITimingCache(Closed):
    """Timings of tactics, as bytes. Made by IBuilderConfig.create_timing_cache."""

    def __init__(self, content: bytes = b"") -> None:
        self._content = content

    def serialize(self) -> IHostMemory:
        return IHostMemory(self._content)

    def combine(self, input_cache: ITimingCache, ignore_mismatch: bool) -> bool:
        """Add another cache's timings. Timings of other machines lie beside this machine's and are not used here."""
        try:
            both = [json.loads(c) for c in (self._content, input_cache._content) if c]
        except ValueError:
            return False
        if not all(isinstance(tree, dict) for tree in both):
            return False
        self._content = json.dumps(merged(*both)).encode() if both else b""
        return True

    def reset(self) -> bool:
        self._content = b""
        return True

    # ---- entries of this machine

    def queryKeys(self) -> list[TimingCacheKey]:
        """The problems with timings of this machine."""
        return [self._class(TimingCacheKey)(key) for key in self._mine().get("problems", {})]

    def query(self, key: TimingCacheKey) -> TimingCacheValue:
        """The tactic that a build takes for a problem: the pinned one, else the fastest. An unknown problem has tactic
        0 and an infinite time."""
        mine = self._mine()
        times = mine.get("problems", {}).get(key._digits, {})
        best = mine.get("pinned", {}).get(key._digits) or min(times, key=times.__getitem__, default=None)
        if best is None:
            return self._class(TimingCacheValue)(0, math.inf)
        return self._class(TimingCacheValue)(tactic_hash(best), times.get(best, math.inf) * 1e3)

    def update(self, key: TimingCacheKey, value: TimingCacheValue) -> bool:
        """Pin a tactic: builds with BuilderFlag.EDITABLE_TIMING_CACHE take it, whatever is faster. False for a problem
        or a tactic that has no timing here, and for a time that is none."""
        if not self._content or math.isnan(value.timingMSec) or value.timingMSec < 0:
            return False
        tree = self._tree()
        mine = tree.get("scopes", {}).get(here(), {})
        times = mine.get("problems", {}).get(key._digits, {})
        tactic = next((t for t in times if tactic_hash(t) == value.tacticHash), None)
        if tactic is None:
            return False
        times[tactic] = value.timingMSec / 1e3
        mine.setdefault("pinned", {})[key._digits] = tactic
        self._content = json.dumps(tree).encode()
        return True

    def _tree(self) -> dict[str, Any]:
        """The content; empty when it is not a timing cache."""
        try:
            found = json.loads(self._content) if self._content else {}
            return found if isinstance(found, dict) and isinstance(found.get("scopes", {}), dict) else {}
        except ValueError:
            return {}

    def _mine(self) -> dict[str, Any]:
        found: dict[str, Any] = self._tree().get("scopes", {}).get(here(), {})
        return found

    @property
    def _fits(self) -> bool:
        """Whether there is anything of this machine in it, or nothing at all."""
        return not self._content or here() in self._tree().get("scopes", {})

    def _lent(self) -> bytes:
        """The content, in which this machine takes the times of all others for its own."""
        tree = self._tree()
        scopes = tree.get("scopes", {})
        if not scopes:
            return b""
        together = merged(*[scope for name, scope in scopes.items() if name != here()], scopes.get(here(), {}))
        return json.dumps({**tree, "scopes": {**scopes, here(): together}}).encode()

    def _listing(self) -> list[str]:
        """A line for each tactic of this machine, for the log."""
        return [f"timing cache: key 0x{key} tactic {tactic_hash(text):#018x} {seconds * 1e3:.6g} ms {text}"
                for key, times in self._mine().get("problems", {}).items() for text, seconds in times.items()]


def tactic_hash(tactic: str) -> int:
    """The number that stands for a tactic's text: 64 bits."""
    return int.from_bytes(hashlib.sha256(tactic.encode()).digest()[:8], "big")


def here() -> str:
    """The scope of this machine."""
    from ..builder.cache import scope_of
    from ..device.cpu import describe
    from ..device.team import default_threads
    return scope_of(describe(), default_threads())


def merged(*trees: dict[str, Any]) -> dict[str, Any]:
    """Trees of dictionaries in one; the last one's leaves win."""
    result: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            old = result.get(key)
            result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


@contextmanager
def kept_timings(config: IBuilderConfig, logger: ILogger) -> Iterator[Path | bool | None]:
    """What BuildOptions.timing_cache is for a configuration: a file with its cache, whose content is taken over after
    the build, whether that works or not; None for the user's own cache; False for none."""
    cache = config._cache
    if config.get_flag(BuilderFlag.DISABLE_TIMING_CACHE):
        yield False
        return
    if cache is None:
        yield None
        return
    editable = config.get_flag(BuilderFlag.EDITABLE_TIMING_CACHE)
    if not editable and cache._mine().get("pinned"):
        say(logger, ILogger.WARNING, f"the timing cache has tactics pinned by update(), which only builds with "
            f"{BuilderFlag.EDITABLE_TIMING_CACHE} obey")
    with tempfile.TemporaryDirectory(prefix="tensorwright-") as folder:
        path = Path(folder) / "timing.json"
        content = cache._lent() if config._lends and not cache._fits else cache._content
        if content:
            path.write_bytes(content)
        try:
            yield path
        finally:
            if path.is_file():
                cache._content = path.read_bytes()
    if editable:
        for line in cache._listing():
            say(logger, ILogger.VERBOSE, line)
