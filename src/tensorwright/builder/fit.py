"""A plan from a file, made fit for this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..device.cpu import describe
from ..errors import PlanError
from ..plan.keys import why_rebuild
from ..plan.records import Plan
from .build import rebuild

_log = logging.getLogger("tensorwright")


def fit(plan: Plan, *, strict: bool = False, label: str = "the plan",
        note: Callable[[str], None] = _log.warning) -> Plan:
    """The plan itself when it runs here as it is; else compiled anew for this machine, or PlanError when strict.

    note    told that, and why, the plan is compiled anew
    """
    reason = why_rebuild(plan, describe(), strict)
    if reason is None:
        return plan
    if strict:
        raise PlanError(f"the plan does not run here as it is: {reason}", at=label,
                        try_="load it without strict to tune it again, or build it from the model on this machine")
    note(f"{label} is tuned again for this machine: {reason}")
    return rebuild(plan)
