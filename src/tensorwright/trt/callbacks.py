"""Interfaces that users implement and the library calls. Exceptions raised inside are printed and count as failure."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .foundation import Dims


class IProgressMonitor:
    """Told how a build proceeds, possibly from several threads. step_complete returning False cancels the build."""

    def __init__(self) -> None:
        pass

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        raise NotImplementedError


class IProfiler:
    """Told the time of each layer after an execution."""

    def __init__(self) -> None:
        pass

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        raise NotImplementedError


class Profiler(IProfiler):
    """Prints layer times to standard output."""

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        print(f"{layer_name}: {ms:.6f}ms")


F = TypeVar("F", bound=Callable[..., Any])


def optional(method: F) -> F:
    """A hook that subclasses may leave undefined: `is_defined` tells."""
    method.is_optional = True  # type: ignore[attr-defined]
    return method


def is_defined(obj: object, name: str) -> bool:
    """Whether a user's object defines a hook, rather than inheriting the base's."""
    return not getattr(getattr(obj, name, None), "is_optional", getattr(obj, name, None) is None)


class IOutputAllocator:
    """Gives memory for an output whose size is known only after it is computed.

    Define one of the two reallocate_output hooks, and notify_shape where the shape is of interest.
    """

    #: The interface's version, which generation 8 shows.
    tensorrt_version = 8601

    def __init__(self) -> None:
        pass

    @optional
    def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> int:
        """The address of `size` bytes; 0 or None: there is no memory. memory: the address given last, or 0."""
        raise NotImplementedError(f"{type(self).__name__} defines neither reallocate_output nor "
                                  "reallocate_output_async")

    @optional
    def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:
        """The same for work on a stream; asked instead of reallocate_output where it is defined."""
        raise NotImplementedError

    @optional
    def notify_shape(self, tensor_name: str, shape: Dims) -> None:
        """Told the output's shape, after its memory was asked for."""


def guarded(call: Callable[..., Any], *args: Any, failed: Any = None) -> Any:
    """call(*args); an exception is printed to standard error and `failed` returned."""
    try:
        return call(*args)
    except Exception:
        traceback.print_exc(file=sys.stderr)
        return failed


class Stream:
    """A stream handle for the CPU, where work runs when it is submitted. `int(stream)` is 0."""

    def __int__(self) -> int:
        return 0

    __index__ = __int__

    def synchronize(self) -> None:
        """Nothing is pending after a call returns."""
