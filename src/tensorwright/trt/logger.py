"""Loggers: where messages and refusals go."""

from __future__ import annotations

import sys
import time
import traceback
import warnings

from .enums.choice import OrderedChoice


class _Severity(OrderedChoice):
    """How bad a message is: the lower the number, the worse."""

    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4

    def __str__(self) -> str:
        return f"Severity.{self.name}"


class ILogger:
    """Base of loggers: subclass it and define `log(severity, msg)`."""

    Severity = _Severity
    INTERNAL_ERROR, ERROR, WARNING = _Severity.INTERNAL_ERROR, _Severity.ERROR, _Severity.WARNING
    INFO, VERBOSE = _Severity.INFO, _Severity.VERBOSE

    def __init__(self) -> None:
        pass

    def log(self, severity: _Severity, msg: str) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not define log(severity, msg)")

    def __enter__(self) -> ILogger:
        if getattr(self, "_number", 0) >= 8:
            warnings.warn("`with` on a logger has no effect", DeprecationWarning, stacklevel=2)
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class Logger(ILogger):
    """Prints `[date-time] [TRT] [W] text` to standard output, in generations 5 to 7 `[TensorRT] WARNING: text` to
    standard error; messages less severe than min_severity are dropped."""

    min_severity: _Severity = _Severity.WARNING

    def __init__(self, min_severity: _Severity = _Severity.WARNING) -> None:
        super().__init__()
        self.min_severity = min_severity

    def log(self, severity: _Severity, msg: str) -> None:
        if severity > self.min_severity:
            return
        if 0 < getattr(self, "_number", 0) < 8:
            print(f"[TensorRT] {severity.name}: {msg}", file=sys.stderr, flush=True)
        else:
            letter = "FEWIV"[int(severity)]
            print(f"[{time.strftime('%m/%d/%Y-%H:%M:%S')}] [TRT] [{letter}] {msg}", flush=True)


def say(logger: ILogger, severity: _Severity, msg: str) -> None:
    """Log; an exception raised by the user's logger is printed and goes no further."""
    try:
        logger.log(severity, msg)
    except Exception:
        traceback.print_exc(file=sys.stderr)
