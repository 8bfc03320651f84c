"""What the user may ask of a build."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from ..device.team import check_threads
from ..errors import InputError
from ..plan.records import Profile
from ..plan.refit import WeightInfo

#: called with (phase, fraction of the phase done 0..1, seconds the phase will still take or None)
Progress = Callable[[str, float, "float | None"], None]


@dataclass(frozen=True)
class BuildOptions:
    """Options of one build; every field has a sensible default.

    profiles       ranges of the network's symbols, one program is made for each; a network without symbols needs none
    threads        size of the team the engine is tuned for; None: all usable cores
    tune_budget    seconds of timing candidate kernels; None: no bound, 0: take the analytical model's first choice
    verify         compare with the reference before the plan is returned
    tolerance      largest allowed |engine - reference| / max|reference| per output; None: by precision (float32: 1e-4)
    timing_cache   file that keeps timings between builds; None: the user's cache folder; False: none
    cached_only    a kernel whose time the timing cache lacks is a BuildError: nothing is timed
    pinned         obey the choices that were pinned in the timing cache
    max_tactics    most candidates to time for one problem, the most promising ones; None: all
    least_launches a candidate that stays in the race is launched at least that many times
    workspace      bytes of scratch memory that one launch may take; None: no bound
    replay         problem key → tactic text: take these choices instead of timing (deterministic rebuilds)
    progress       called while building
    seed           of the random inputs used in timing and verification
    feeds          input name → array, used by verification (at its own shapes) in addition to random inputs
    name           of the plan; None: the network's
    refit          constants of the network that can be replaced later
    identical      only by the same content: the build may look at it
    keep_values    every intermediate value that is left after fusions keeps memory of its own, to be looked at after a
                   run; Plan.metadata then says where (builder.kept)
    selection      (ask, tell): a user's say in which tactic a layer gets (selection.selected)
    """

    profiles: tuple[Profile, ...] = ()
    threads: int | None = None
    tune_budget: float | None = None
    verify: bool = True
    tolerance: float | None = None
    timing_cache: str | Path | bool | None = None
    cached_only: bool = False
    pinned: bool = False
    max_tactics: int | None = None
    least_launches: int = 0
    workspace: int | None = None
    replay: Mapping[str, str] | None = None
    progress: Progress | None = None
    seed: int = 0
    feeds: Mapping[str, object] | None = None
    name: str | None = None
    refit: tuple[WeightInfo, ...] = ()
    identical: bool = False
    keep_values: bool = False
    selection: tuple[Callable[[Any], Sequence[int]], Callable[[Any], None]] | None = None

    def __post_init__(self) -> None:
        """InputError for numbers that no build can keep to."""
        check_threads(self.threads)
        for name, meaning in ("tune_budget", "a time in seconds, 0 or more"), ("tolerance", "a number, 0 or more"):
            given = getattr(self, name)
            if given is not None and not (isinstance(given, Real) and float(given) >= 0):
                raise InputError(f"{name} is {given!r}, not {meaning}", try_=f"leave {name} out, or give {meaning}")
        for name, least in (("max_tactics", 1), ("least_launches", 0), ("workspace", 0)):
            given = getattr(self, name)
            if given is not None and (not isinstance(given, int) or given < least):
                raise InputError(f"{name} is {given!r}, not a number of at least {least}")
