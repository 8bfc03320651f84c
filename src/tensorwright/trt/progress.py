"""How a build proceeds: told to an IProgressMonitor, and to the log as memory that it takes."""

from __future__ import annotations

import resource
import sys

from ..builder.options import Progress
from .callbacks import IProgressMonitor, guarded
from .logger import ILogger, say


class Cancelled(Exception):
    """The progress monitor asked the build to stop."""


class Watcher:
    """Tells an IProgressMonitor what the builder reports: phases, each of 100 steps."""

    STEPS = 100

    def __init__(self, monitor: IProgressMonitor) -> None:
        self.monitor, self.phase, self.step = monitor, "", -1

    def __call__(self, phase: str, fraction: float, eta: float | None) -> None:
        if phase != self.phase:
            self.finish()
            self.phase, self.step = phase, -1
            guarded(self.monitor.phase_start, phase, None, self.STEPS)
        step = min(int(fraction * self.STEPS), self.STEPS - 1)
        if step > self.step:
            self.step = step
            if not guarded(self.monitor.step_complete, phase, step, failed=False):
                raise Cancelled

    def finish(self) -> None:
        if self.phase:
            guarded(self.monitor.phase_finish, self.phase)
            self.phase = ""


class MemoryLog:
    """Logs, after each phase of a build, how much memory the process has taken at most so far."""

    def __init__(self, logger: ILogger, then: Progress | None) -> None:
        self.logger, self.then, self.phase = logger, then, ""

    def __call__(self, phase: str, fraction: float, eta: float | None) -> None:
        if phase != self.phase:
            self.finish()
            self.phase = phase
        if self.then is not None:
            self.then(phase, fraction, eta)

    def finish(self) -> None:
        if self.phase:
            say(self.logger, ILogger.INFO, f"[MemUsage] at most {peak_bytes() / (1 << 20):.1f} MiB until the end of "
                f"phase {self.phase!r}")


def peak_bytes() -> int:
    """Most memory the process ever occupied."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
