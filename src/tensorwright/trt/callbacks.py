"""Interfaces that users implement and the library calls. Exceptions raised inside are printed and count as failure."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any


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


class IOutputAllocator:
    """Gives memory for an output whose size is known only after it is computed.

    Define `reallocate_output_async(tensor_name, memory, size, alignment, stream) -> address`, or `reallocate_output`
    without the stream; and `notify_shape(tensor_name, shape)`.
    """

    def __init__(self) -> None:
        pass


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
