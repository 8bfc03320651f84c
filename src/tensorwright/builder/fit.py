"""A plan from a file, made fit for this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from ..device.cpu import describe
from ..errors import BuildError, PlanError, VerificationError
from ..plan.keys import same_code, why_rebuild
from ..plan.records import Plan
from ..targets import CpuSpec
from .build import rebuild
from .cache import generator_version
from .options import BuildOptions

_log = logging.getLogger("tensorwright")


def fit(plan: Plan, *, strict: bool = False, label: str = "the plan",
        note: Callable[[str], None] = _log.warning) -> Plan:
    """The plan itself when it runs here as it is; else compiled anew for this machine, or PlanError when strict.

    note    told that, and why, the plan is compiled anew
    """
    cpu = describe()
    reason = why_rebuild(plan, cpu, strict)
    if reason is None:
        return plan
    if strict:
        raise PlanError(f"the plan does not run here as it is: {reason}", at=label,
                        try_="load it without strict to tune it again, or build it from the model on this machine")
    choices = recorded(plan, cpu)
    note(f"{label} is {'tuned' if choices is None else 'compiled'} again for this machine: {reason}")
    try:
        return rebuild(plan, BuildOptions(replay=choices))
    except BuildError as error:
        if not choices or isinstance(error, VerificationError):
            raise
        raise PlanError(f"the network in the plan cannot be compiled with the choices in it: {error.what}", at=label,
                        try_="build the plan anew from the model") from error


def recorded(plan: Plan, cpu: CpuSpec) -> Mapping[str, str] | None:
    """The choices of a plan that was tuned on this kind of machine by these kernel generators; None of any other."""
    tuned_here = all(same_code(p.target, cpu.key) for p in plan.programs)
    return plan.choices if tuned_here and plan.provenance.get("generators") == generator_version() else None
