"""IErrorRecorder: a user's list of errors, told of everything that the log is told of at ERROR or worse."""

from __future__ import annotations

from ..cuda.status import DriverError
from ..errors import (
    BuildError,
    DeviceError,
    InputError,
    ModelError,
    PlanError,
    ShapeError,
    TensorwrightError,
    TypeMismatch,
    UnsupportedError,
)
from .callbacks import guarded
from .enums import ErrorCodeTRT
from .foundation import Closed
from .logger import ILogger, _Severity, say

#: The code of an error by its class; the first that fits counts.
_CODES = ((DriverError, ErrorCodeTRT.FAILED_EXECUTION), (DeviceError, ErrorCodeTRT.FAILED_ALLOCATION),
          (UnsupportedError, ErrorCodeTRT.UNSUPPORTED_STATE), (InputError, ErrorCodeTRT.INVALID_ARGUMENT),
          (ModelError, ErrorCodeTRT.INVALID_ARGUMENT), (PlanError, ErrorCodeTRT.FAILED_INITIALIZATION),
          (BuildError, ErrorCodeTRT.INVALID_CONFIG), (ShapeError, ErrorCodeTRT.INVALID_CONFIG),
          (TypeMismatch, ErrorCodeTRT.INVALID_CONFIG), (TensorwrightError, ErrorCodeTRT.FAILED_EXECUTION),
          (MemoryError, ErrorCodeTRT.FAILED_ALLOCATION), (OSError, ErrorCodeTRT.FAILED_INITIALIZATION),
          (Exception, ErrorCodeTRT.INTERNAL_ERROR))


class IErrorRecorder:
    """Subclass it and define get_num_errors, get_error_code, get_error_desc, has_overflowed, clear and report_error.

    Assign it to `error_recorder` of an object; what that object makes from then on starts with it too.
    """

    #: Bytes of UTF-8 that report_error is given at most.
    MAX_DESC_LENGTH = 127

    def __init__(self) -> None:
        pass

    def num_errors(self) -> int:
        """What get_num_errors, the name that is looked up on subclasses, answers."""
        return self.get_num_errors()

    def get_num_errors(self) -> int:
        raise NotImplementedError

    def get_error_code(self, error_idx: int) -> ErrorCodeTRT:
        raise NotImplementedError

    def get_error_desc(self, error_idx: int) -> str:
        raise NotImplementedError

    def has_overflowed(self) -> bool:
        """Whether errors were reported that it had no room for."""
        raise NotImplementedError

    def clear(self) -> None:
        raise NotImplementedError

    def report_error(self, val: ErrorCodeTRT, desc: str) -> bool:
        """True when the error is fatal; the call that met it ends in any case."""
        raise NotImplementedError


class Voice(ILogger):
    """The logger and the error recorder of one object: what is said to it goes to both."""

    def __init__(self, logger: ILogger) -> None:
        """logger: the user's, or the voice of the object that makes this one, whose recorder is taken over."""
        super().__init__()
        self.logger: ILogger = logger.logger if isinstance(logger, Voice) else logger
        self.recorder: IErrorRecorder | None = logger.recorder if isinstance(logger, Voice) else None

    def log(self, severity: _Severity, msg: str) -> None:
        """A bare text is an argument that was refused."""
        self.tell(severity, msg, ErrorCodeTRT.INVALID_ARGUMENT)

    def tell(self, severity: _Severity, msg: str, code: ErrorCodeTRT) -> None:
        say(self.logger, severity, msg)
        if self.recorder is not None and severity <= ILogger.ERROR:
            line = msg.partition("\n")[0].encode()[: IErrorRecorder.MAX_DESC_LENGTH].decode(errors="ignore")
            guarded(self.recorder.report_error, code, line)

    def error(self, error: Exception) -> None:
        """Log an exception and record it with the code of its class; one that is not ours is a defect of ours."""
        known = isinstance(error, (TensorwrightError, MemoryError, OSError))
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        self.tell(ILogger.ERROR if known else ILogger.INTERNAL_ERROR,
                  str(error) if isinstance(error, TensorwrightError) else f"{type(error).__name__}: {error}", code)


class Recorded(Closed):
    """An object with an error recorder; what is said to `_logger` is logged and recorded."""

    _logger: Voice

    @property
    def error_recorder(self) -> IErrorRecorder | None:
        """None when errors are only logged."""
        return self._logger.recorder

    @error_recorder.setter
    def error_recorder(self, value: IErrorRecorder | None) -> None:
        self._logger.recorder = value
