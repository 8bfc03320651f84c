"""The memory that a context computes in: whose it is, how much of it there must be, and when it is given back."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..builder.memory import ALIGN, STAGGER
from ..dims import evaluate
from ..errors import DeviceError, InputError
from ..plan.records import Program
from ..runtime import Context
from ..runtime.memory import Arena
from .allocators import Allocation, IGpuAllocator, lying_at
from .enums import ExecutionContextAllocationStrategy as Strategy
from .foundation import Closed
from .logger import ILogger, say

if TYPE_CHECKING:
    from .engine import ICudaEngine


class IRuntimeConfig(Closed):
    """How a context is made: ICudaEngine.create_runtime_config, create_execution_context."""

    def __init__(self, strategy: Strategy = Strategy.STATIC) -> None:
        self._strategy = strategy
        self._closed = True

    def set_execution_context_allocation_strategy(self, strategy: Strategy = Strategy.STATIC) -> None:
        self._strategy = strategy

    def get_execution_context_allocation_strategy(self) -> Strategy:
        return self._strategy


def bytes_for(program: Program, sizes: Mapping[str, int]) -> int:
    """Bytes of the arena that a program uses at these sizes of its symbols."""
    ends = [offset + -(-evaluate(b.bytes, sizes) // ALIGN) * ALIGN + STAGGER
            for b, offset in zip(program.buffers, program.offsets, strict=True) if b.kind == "arena" and offset >= 0]
    return min(program.arena_bytes, max(ends, default=0) + ALIGN)


class WorkingMemory:
    """STATIC: enough for every profile, from the beginning. ON_PROFILE_CHANGE: enough for the active profile.
    USER_MANAGED: what the user gives; others may write to it between two executions."""

    def __init__(self, needs: list[int], strategy: Strategy, allocator: IGpuAllocator | None) -> None:
        self.needs, self.strategy, self.allocator = needs, strategy, allocator
        self.allocation: Allocation | None = None
        self.given: Arena | None = None

    @property
    def is_users(self) -> bool:
        return self.strategy == Strategy.USER_MANAGED

    def arena(self, profile: int) -> Arena:
        """Memory for a profile. DeviceError when there is none, InputError when the user was to give it and did not."""
        if self.is_users:
            if self.given is None:
                raise InputError("no working memory is set for this context, which was made without",
                                 try_="context.set_device_memory(address, size)")
            return self.given
        need = self.needs[profile] if self.strategy == Strategy.ON_PROFILE_CHANGE else max(self.needs)
        if self.allocation is not None and self.allocation.size != need and not self.allocation.resize(need):
            self.release()
        if self.allocation is None:
            self.allocation = Allocation(need, self.allocator, self.strategy == Strategy.ON_PROFILE_CHANGE)
        assert self.allocation.arena is not None
        return self.allocation.arena

    def release(self) -> None:
        allocation, self.allocation, self.given = self.allocation, None, None
        if allocation is not None:
            allocation.release()


class ContextMemory(Closed):
    """The part of IExecutionContext that has to do with its working memory."""

    _engine: ICudaEngine
    _memory: WorkingMemory
    _context: Context | None
    _index: int

    def _remember(self, strategy: Strategy) -> None:
        """Take the memory now, unless it is the user's. DeviceError when there is none."""
        self._memory = WorkingMemory([p.arena_bytes for p in self._engine._plan.programs], strategy,
                                     self._engine._allocator)
        self._free = weakref.finalize(self, self._memory.release)
        if not self._memory.is_users:
            self._memory.arena(0)

    def _runner(self: Any) -> Context:
        """The runtime's context for the active profile, over the memory as it is now."""
        arena = self._memory.arena(self._index)
        if self._context is None or self._context.arena is not arena:
            self._context = self._engine._engine.context(self._index, arena)
            self._fresh = self._ready = False
        return self._context

    def _check_memory(self: Any) -> None:
        """InputError when the user's memory is too small for the shapes that are set."""
        if self._memory.is_users:
            need = bytes_for(self._engine._plan.programs[self._index], self._env())
            if (arena := self._memory.arena(self._index)).size < need:
                raise InputError(f"the working memory has {arena.size} bytes, these shapes need {need}",
                                 try_="update_device_memory_size_for_shapes says how much")

    def set_device_memory(self: Any, memory: int, size: int) -> None:
        """Compute in `size` bytes at an address from now on, for a context that was made without memory. The memory may
        be used for other things between executions."""
        if not self._memory.is_users:
            self._refuse("this context has memory of its own: make it with ExecutionContextAllocationStrategy."
                         "USER_MANAGED to give it other memory")
            return
        try:
            self._memory.given = lying_at(int(memory), int(size)) if memory else None
        except DeviceError as error:
            self._failed(error)
        self._ready = False

    def _set_device_memory(self: Any, memory: int) -> None:
        self.set_device_memory(memory, self._memory.needs[self._index])

    device_memory = property(None, _set_device_memory, doc="Write-only: set_device_memory with as much as "
                             "ICudaEngine.get_device_memory_size_for_profile_v2 says.")

    def update_device_memory_size_for_shapes(self: Any) -> int:
        """Bytes of working memory for the shapes that are set; 0, with an error in the log, when some are not."""
        if missing := self.infer_shapes():
            self._refuse(f"no shape is set for {', '.join(missing)}")
            return 0
        return bytes_for(self._engine._plan.programs[self._index], self._env())

    @property
    def temporary_allocator(self) -> IGpuAllocator | None:
        """Who gives this context's working memory, from the next execution on; None: the system."""
        return self._memory.allocator

    @temporary_allocator.setter
    def temporary_allocator(self: Any, value: IGpuAllocator | None) -> None:
        if self._memory.is_users:
            say(self._logger, ILogger.WARNING, "temporary_allocator has no effect: this context computes in the memory "
                "that set_device_memory gives")
            self._memory.allocator = value
            return
        self._context, self._ready = None, False
        self._memory.release()
        self._memory.allocator = value

    def get_runtime_config(self) -> IRuntimeConfig:
        """How this context was made."""
        return self._class(IRuntimeConfig)(self._memory.strategy)
