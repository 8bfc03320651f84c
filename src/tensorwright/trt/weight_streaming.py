"""Weight streaming: an engine whose weights need not all be in memory."""

from __future__ import annotations

import os
from typing import Any

from .foundation import Closed
from .logger import ILogger, say

#: Where a plan remembers that it was built for it.
STREAMING = "weight_streaming"


class EngineStreaming(Closed):
    """The part of ICudaEngine that bounds the memory of its weights.

    They are mapped from a file without a name. With a budget below streamable_weights_size, those beyond it leave the
    process's memory after each few launches, and are read again in the next execution: from the system's cache of
    files while there is room for it, else from the disk. Executions get slower, results stay the same.
    """

    _budget: int | None
    _scratch: int

    @property
    def streamable_weights_size(self: Any) -> int:
        """Bytes of weights that can be streamed; 0 for an engine built without BuilderFlag.WEIGHT_STREAMING."""
        return int(self._engine.streamable_bytes) if STREAMING in self._plan.metadata else 0

    @property
    def weight_streaming_budget_v2(self: Any) -> int:
        """Bytes of weights that stay in memory: streamable_weights_size, unless it was set. It cannot be set while the
        engine has contexts, or to anything that is not a number of bytes: the log says so."""
        whole = self.streamable_weights_size
        return whole if self._budget is None else int(self._budget)

    @weight_streaming_budget_v2.setter
    def weight_streaming_budget_v2(self: Any, gpu_memory_budget: int) -> None:
        whole = self.streamable_weights_size
        if not whole:
            return self._declined("the engine was not built with BuilderFlag.WEIGHT_STREAMING")
        if len(self._contexts):
            return self._declined(f"it cannot change while the engine has {len(self._contexts)} contexts")
        if gpu_memory_budget < 0:
            return self._declined(f"{gpu_memory_budget} is no number of bytes")
        self._budget = None if gpu_memory_budget >= whole else int(gpu_memory_budget)
        self._scratch = self._engine.stream_weights(self._budget)

    def _declined(self: Any, why: str) -> None:
        say(self._logger, ILogger.ERROR, f"weight streaming budget: {why}")

    @property
    def weight_streaming_budget(self: Any) -> int:
        """weight_streaming_budget_v2 as generation 10 first had it: 0 switches streaming off, -1 takes the automatic
        budget."""
        return 0 if self._budget is None else max(int(self._budget), 1)

    @weight_streaming_budget.setter
    def weight_streaming_budget(self: Any, gpu_memory_budget: int) -> None:
        if gpu_memory_budget == -1:
            gpu_memory_budget = self.get_weight_streaming_automatic_budget()
        elif gpu_memory_budget == 0:
            gpu_memory_budget = self.streamable_weights_size
        self.weight_streaming_budget_v2 = gpu_memory_budget

    @property
    def minimum_weight_streaming_budget(self: Any) -> int:
        """1: all weights can be streamed."""
        return 1 if self.streamable_weights_size else 0

    def get_weight_streaming_automatic_budget(self: Any) -> int:
        """All weights where they take no more than half of the memory that is free, else that half."""
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return int(min(self.streamable_weights_size, free // 2))

    @property
    def weight_streaming_scratch_memory_size(self: Any) -> int:
        """Bytes of streamed weights that may be in memory at once, beside the budget; 0 when none are streamed."""
        return int(self._scratch)
