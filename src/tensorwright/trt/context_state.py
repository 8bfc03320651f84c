"""What else IExecutionContext remembers: events, streams and switches that a GPU would need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..cuda.machine import MACHINE
from ..errors import DeviceError
from .enums import ProfilingVerbosity
from .foundation import Closed
from .logger import ILogger, say

if TYPE_CHECKING:
    from .engine import ICudaEngine


class ContextState(Closed):
    """Settings whose use is on a GPU are kept and answered; the log says at once when they have no effect."""

    _engine: ICudaEngine
    _event: int
    _cache_limit: int
    _nvtx: ProfilingVerbosity

    def _start_state(self: Any) -> None:
        self._event, self._cache_limit, self._nvtx = 0, 0, self._engine.profiling_verbosity

    def set_input_consumed_event(self: Any, event: Any) -> bool:
        """Record this event (tensorwright.cuda's) when the inputs of an execution may be overwritten; 0: none."""
        handle = int(event or 0)
        if handle:
            try:
                MACHINE.event(handle)
            except DeviceError as error:
                return bool(self._failed(error))
        self._event = handle
        return True

    def get_input_consumed_event(self) -> int:
        """0 when none is set."""
        return self._event

    def _inputs_consumed(self) -> None:
        if self._event:
            MACHINE.event(self._event).record()

    @property
    def nvtx_verbosity(self) -> ProfilingVerbosity:
        """What would be told to Nsight; at first the engine's profiling_verbosity."""
        return self._nvtx

    @nvtx_verbosity.setter
    def nvtx_verbosity(self: Any, value: ProfilingVerbosity) -> None:
        self._nvtx = value
        self._without_effect("nvtx_verbosity", "there is no NVTX on a CPU")

    @property
    def persistent_cache_limit(self) -> int:
        """Bytes of a GPU's L2 cache to keep."""
        return self._cache_limit

    @persistent_cache_limit.setter
    def persistent_cache_limit(self: Any, value: int) -> None:
        self._cache_limit = int(value)
        self._without_effect("persistent_cache_limit", "a CPU's caches are not reserved")

    def set_aux_streams(self: Any, aux_streams: Sequence[Any]) -> None:
        """Streams beyond ICudaEngine.num_aux_streams, which is 0, are not used."""
        if aux_streams:
            self._without_effect("set_aux_streams", "this engine uses no auxiliary streams")

    def set_communicator(self: Any, communicator: Any) -> bool:
        """False: an engine here runs in one process."""
        return bool(self._refuse("set_communicator: engines over several devices are not in this version"))

    def _without_effect(self: Any, what: str, why: str) -> None:
        say(self._logger, ILogger.WARNING, f"{what} has no effect: {why}")
