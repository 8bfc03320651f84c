"""What `wright exec` says, line by line as trtexec does: `[11/20/2026-14:03:59] [I] text`."""

from __future__ import annotations

import sys
import time

from ...trt.logger import ILogger
from ..console import Console


class Log(ILogger):
    """Results and information go to standard output, warnings and errors to standard error.

    It is also the logger of the library's objects, whose messages are marked `[TRT]`.
    """

    def __init__(self, console: Console, verbose: bool) -> None:
        super().__init__()
        self._console, self._verbose = console, verbose

    def plain(self, text: str) -> None:
        """A line without a time: the first and the last."""
        self._console.say(text)

    def info(self, text: str = "") -> None:
        self._console.say(f"{_stamp()} [I] {text}")

    def verbose(self, text: str) -> None:
        if self._verbose:
            self._console.say(f"{_stamp()} [V] {text}")

    def warning(self, text: str) -> None:
        self._console.note(f"{_stamp()} [W] {text}")

    def error(self, text: str) -> None:
        print(f"{_stamp()} [E] {text}", file=sys.stderr, flush=True)

    def section(self, title: str) -> None:
        self.info(f"=== {title} ===")

    def log(self, severity: object, msg: str) -> None:
        say = {ILogger.INFO: self.info, ILogger.VERBOSE: self.verbose, ILogger.WARNING: self.warning}
        for line in msg.splitlines():
            say.get(severity, self.error)(f"[TRT] {line}")   # type: ignore[call-overload]


def _stamp() -> str:
    return time.strftime("[%m/%d/%Y-%H:%M:%S]")
