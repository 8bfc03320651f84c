"""What a build does, on standard error, as far as TENSORWRIGHT_DEBUG asks: the debug ladder of CONTRIBUTING.md."""

from __future__ import annotations

import sys
from collections.abc import Callable

from .. import settings
from ..plan.records import Program

SUMMARY, LAYERS, REWRITES, SOURCE, ASSEMBLY = 1, 2, 3, 4, 5


def say(level: int, text: Callable[[], str]) -> None:
    """Write text() when the level is asked for; it is not made otherwise."""
    if settings.debug() >= level:
        sys.stderr.write(text().rstrip() + "\n")


def layers(program: Program) -> str:
    """One line per step: time, tactic, name, what it does."""
    lines = []
    for x in program.layers:
        time = f"{x.seconds * 1e6:9.1f} µs" if x.seconds is not None else "  not timed "
        rate = f"{x.flops / x.seconds / 1e9:7.1f} GFLOP/s" if x.seconds else " " * 15
        lines.append(f"{time} {rate}  {x.name}: {x.kind}  [{x.tactic or 'host: ' + x.note}]")
    return "\n".join(lines)


def summary(program: Program, name: str, seconds: float) -> str:
    hosts = sum(not x.tactic for x in program.layers)
    flops = sum(x.flops for x in program.layers)
    return (
        f"{name}: {len(program.steps)} steps ({hosts} on the host), {len(program.kernels)} kernels, "
        f"{flops / 1e9:.2f} GFLOP, arena {program.arena_bytes / 2**20:.1f} MiB, "
        f"{program.threads} threads, {seconds:.1f} s"
    )
