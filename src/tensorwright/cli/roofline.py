"""Every layer beside the least time it could take on this machine: where an engine still loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..plan.records import Launch, LayerInfo, Program
from .console import Console, ms

if TYPE_CHECKING:
    from ..runtime import Engine

#: A layer at this share of its roofline is as good as done.
GOOD = 0.9


@dataclass(frozen=True)
class Row:
    """A layer as measured. bound: least seconds; limit: what sets them ("FMA", or a level of memory); both may lack."""

    info: LayerInfo
    seconds: float
    bound: float = 0.0
    limit: str = ""

    @property
    def share(self) -> float:
        """Of the roofline; above 1 when the algorithm needs less arithmetic than the plain one."""
        return self.bound / self.seconds if self.seconds else 0.0

    @property
    def lost(self) -> float:
        """Seconds above the bound."""
        return max(0.0, self.seconds - self.bound)

    def to_json(self) -> dict[str, Any]:
        info, per_second = self.info, 1e-9 / self.seconds if self.seconds else 0.0
        return {"name": info.name, "kind": info.kind, "tactic": info.tactic, "seconds": self.seconds,
                "gflops": info.flops * per_second, "gbytes": info.bytes * per_second,
                "roofline": self.share if self.limit else None, "limit": self.limit or None}


def rows(program: Program, times: Sequence[tuple[str, float]], threads: int) -> list[Row]:
    """A row per step, in order. times: (layer, seconds) of every step. Steps on the host have no roofline."""
    from ..device.peak import roofs
    found = []
    for step, info, (name, seconds) in zip(program.steps, program.layers, times, strict=True):
        assert info.name == name
        if isinstance(step, Launch) and (info.flops or info.bytes):
            found.append(Row(info, seconds, *roofs(1 if step.serial else threads).bound(info.flops, info.bytes)))
        else:
            found.append(Row(info, seconds))
    return found


def share(engine: Engine, profile: int, took: float) -> dict[str, float] | None:
    """GFLOP/s at the profile's optimum, and their share of the measured peak; None where there is no arithmetic."""
    from ..device.peak import roofs
    work = sum(info.flops for info in engine.plan.programs[profile].layers)
    if not work:
        return None
    peak = roofs(engine.threads).flops
    return {"gflops": work / took / 1e9, "peak": peak / 1e9, "share": work / took / peak}


def report(engine: Engine, profile: int, feeds: Any, most: int, console: Console) -> dict[str, Any]:
    """The slowest `most` layers (0: all) as a table, a summary below it; all of it for programs."""
    from ..device.peak import roofs
    program = engine.plan.programs[profile]
    threads = min(engine.threads, program.threads)
    found = rows(program, engine.profile(feeds), threads)
    total = sum(r.seconds for r in found)
    slowest = sorted(found, key=lambda r: -r.seconds)
    table = [("layer", "kind", "tactic", "time", "share", "GFLOP/s", "GB/s", "roofline", "limit")]
    for r in slowest[: most or None]:
        told = r.to_json()
        table.append((r.info.name[:40], r.info.kind[:40], r.info.tactic[:50], ms(r.seconds),
                      f"{r.seconds / (total or 1.0):.1%}", f"{told['gflops']:.4g}" if r.info.flops else "",
                      f"{told['gbytes']:.3g}" if r.info.bytes else "", f"{r.share:.0%}" if r.limit else "", r.limit))
    console.table(table, right=(3, 4, 5, 6, 7))
    good = sum(r.seconds for r in found if r.share >= GOOD)
    worst = [r for r in sorted(found, key=lambda r: -r.lost) if r.lost > 0][:5]
    roof = roofs(threads)
    console.say(f"  roofs of {threads} thread{'s' if threads != 1 else ''}: {roof.flops / 1e9:.4g} GFLOP/s; "
                + ", ".join(f"{x.name} {x.bandwidth / 1e9:.3g} GB/s" for x in roof.levels))
    console.say(f"  {good / (total or 1.0):.0%} of {ms(total)} is spent at {GOOD:.0%} of the roofline or more"
                + ("; most is lost by " if worst else "")
                + ", ".join(f"{r.info.name[:40]} ({ms(r.lost)} of {ms(r.seconds)})" for r in worst))
    return {"layers": [r.to_json() for r in slowest],
            "roofs": {"gflops": roof.flops / 1e9, **{f"{x.name} gbytes": x.bandwidth / 1e9 for x in roof.levels}},
            "good_share": good / (total or 1.0),
            "lost": [{"name": r.info.name, "seconds": r.lost} for r in worst]}
