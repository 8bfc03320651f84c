"""Settings from the environment. Read when asked for, so that a test or a program may change them while it runs."""

from __future__ import annotations

import os
import warnings
from pathlib import Path


def cpu_override() -> str | None:
    """TENSORWRIGHT_CPU: "avx2" or "baseline" compiles for less than the machine has; unset for all it has."""
    return os.environ.get("TENSORWRIGHT_CPU") or None


def threads() -> int | None:
    """TENSORWRIGHT_THREADS: size of the thread team; unset or 0 for as many as the process may use."""
    return _whole("TENSORWRIGHT_THREADS") or None


def affinity() -> tuple[int, ...]:
    """TENSORWRIGHT_AFFINITY: cores of the thread team, "0,2-3": thread k of it is bound to the k-th of them, around.

    Thread 0 is whoever calls: it stays where its owner put it. Unset, the system places all threads.
    """
    text = os.environ.get("TENSORWRIGHT_AFFINITY", "").strip()
    cores: list[int] = []
    for part in text.split(",") if text else []:
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            warnings.warn(f"TENSORWRIGHT_AFFINITY={text!r} is not a list of cores like 0,2-3: it is ignored",
                          stacklevel=2)
            return ()
        cores += range(int(first), int(last if dash else first) + 1)
    return tuple(cores)


def spin_microseconds() -> int:
    """TENSORWRIGHT_SPIN_US: how long an idle thread of the team spins before it sleeps (default 60)."""
    value = _whole("TENSORWRIGHT_SPIN_US")
    return 60 if value is None else value


def debug() -> int:
    """TENSORWRIGHT_DEBUG: 1 summary, 2 tactics and times, 3 rewrites, 4 source, 5 assembly."""
    return _whole("TENSORWRIGHT_DEBUG") or 0


def home() -> Path:
    """TENSORWRIGHT_HOME, else `tensorwright` in the user's configuration folder: this machine's signing key."""
    if given := os.environ.get("TENSORWRIGHT_HOME"):
        return Path(given)
    if base := os.environ.get("XDG_CONFIG_HOME"):
        return Path(base) / "tensorwright"
    return _user_home() / ".config" / "tensorwright"


def cache_home() -> Path:
    """TENSORWRIGHT_CACHE, else `tensorwright` in the user's cache folder: timings and regenerated code."""
    if given := os.environ.get("TENSORWRIGHT_CACHE"):
        return Path(given)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "tensorwright"
    return _user_home() / ".cache" / "tensorwright"


def _user_home() -> Path:
    try:
        return Path.home()
    except RuntimeError:                                # a user without a home: nothing can be kept
        return Path(os.devnull)


def _whole(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    if text and not text.isdecimal():
        warnings.warn(f"{name}={text!r} is not a whole number: it is ignored", stacklevel=3)
        return None
    return int(text) if text else None
