"""Allocators that users implement: a context's working memory is asked of one where it is set."""

from __future__ import annotations

import inspect
from typing import Any

from ..cuda.memory import host
from ..errors import DeviceError
from ..runtime.memory import Arena, Borrowed
from .callbacks import guarded, is_defined, optional
from .enums import AllocatorFlag
from .foundation import Closed
from .versioned import IVersionedInterface

#: Alignment asked of allocators and of users, in bytes; and what the kernels need of it.
ALIGNMENT, NEEDED = 256, 64


class IGpuAllocator(IVersionedInterface):
    """Define `allocate` and `deallocate` (`free` where they are older), or their asynchronous forms.

    Addresses are integers: of host memory, or of the emulated device (tensorwright.cuda). No address, or an exception,
    means that there is no memory.
    """

    _kind = "IGpuAllocator"

    def __init__(self) -> None:
        pass

    def allocate(self, size: int, alignment: int, flags: int) -> int:
        """The address of `size` bytes, a multiple of `alignment`. flags: bits of AllocatorFlag."""
        raise NotImplementedError(f"{type(self).__name__} does not define allocate(size, alignment, flags)")

    @optional
    def free(self, memory: int) -> None:
        """deallocate, as generations 5 to 8 call it."""
        raise NotImplementedError(f"{type(self).__name__} does not define deallocate(memory)")

    @optional
    def reallocate(self, address: int, alignment: int, new_size: int) -> int:
        """Another size for memory that was allocated as RESIZABLE; 0: it cannot have that size."""
        return 0

    @optional
    def deallocate(self, memory: int) -> bool:
        """Take memory back; whether that worked."""
        self.free(memory)
        return True

    @optional
    def allocate_async(self, size: int, alignment: int, flags: int, stream: int) -> int:
        """allocate for work on a stream."""
        return self.allocate(size, alignment, flags)

    @optional
    def deallocate_async(self, memory: int, stream: int) -> bool:
        """deallocate for work on a stream."""
        return self.deallocate(memory)


class IGpuAsyncAllocator(IGpuAllocator):
    """An allocator of which only allocate_async and deallocate_async need to be defined.

    An override of allocate_async whose parameters are not called flags and stream is given the stream before the flags.
    """

    _kind = "IGpuAsyncAllocator"

    def allocate(self, size: int, alignment: int, flags: int) -> int:
        return self.allocate_async(size, alignment, flags, 0)

    @optional
    def deallocate(self, memory: int) -> bool:
        return self.deallocate_async(memory, 0)

    @optional
    def allocate_async(self, size: int, alignment: int, flags: int, stream: int) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define allocate_async"
                                  "(size, alignment, flags, stream)")

    @optional
    def deallocate_async(self, memory: int, stream: int) -> bool:
        raise NotImplementedError(f"{type(self).__name__} does not define deallocate_async(memory, stream)")


class Allocating(Closed):
    """What makes engines: their contexts ask this allocator for their working memory."""

    _allocator: IGpuAllocator | None = None

    def _set_gpu_allocator(self, allocator: IGpuAllocator | None) -> None:
        self._allocator = allocator

    gpu_allocator = property(None, _set_gpu_allocator, doc="Write-only; None: the system's memory.")


class Allocation:
    """Memory from an allocator, for one owner; the default allocator's is an Arena of its own.

    address   as the allocator gave it: a host address, or one of the emulated device
    arena     the same memory for the runtime
    """

    def __init__(self, size: int, allocator: IGpuAllocator | None = None, resizable: bool = False) -> None:
        """DeviceError when there is no memory, or it does not lie as it was asked for."""
        self.size, self.allocator, self.address = size, allocator, 0
        if allocator is None:
            self.arena: Arena | None = Arena(size)
            return
        flags = 1 << int(AllocatorFlag.RESIZABLE) if resizable else 0
        self._lies_at(guarded(_asked, allocator, size, flags))

    def _lies_at(self, given: Any) -> None:
        address = int(given or 0)
        if not address:
            raise DeviceError(f"the allocator gave no memory for {self.size} bytes")
        self.address = address
        try:
            self.arena = lying_at(address, self.size)
        except DeviceError:
            self.release()
            raise

    def resize(self, size: int) -> bool:
        """Whether the allocator could give the same memory another size."""
        if self.allocator is None or not is_defined(self.allocator, "reallocate"):
            return False
        address = int(guarded(self.allocator.reallocate, self.address, ALIGNMENT, size) or 0)
        if address:
            self.size = size
            self._lies_at(address)
        return address != 0

    def release(self) -> None:
        """Give the memory back; once."""
        address, self.address, self.arena = self.address, 0, None
        if self.allocator is None or not address:
            return
        if is_defined(self.allocator, "deallocate_async") and is_defined(self.allocator, "allocate_async"):
            guarded(self.allocator.deallocate_async, address, 0)
        elif is_defined(self.allocator, "deallocate") or not is_defined(self.allocator, "free"):
            guarded(self.allocator.deallocate, address)
        else:
            guarded(self.allocator.free, address)


def lying_at(address: int, size: int) -> Borrowed:
    """An arena in a user's memory. DeviceError when it is misaligned, or not inside an allocation of the device."""
    place = host(address, size)
    if place % NEEDED:
        raise DeviceError(f"memory at {address:#x} is not aligned to {ALIGNMENT} bytes")
    return Borrowed(place, size)


def _asked(allocator: IGpuAllocator, size: int, flags: int) -> int:
    """What the allocator gives, by whichever hook it defines."""
    if not is_defined(allocator, "allocate_async"):
        return allocator.allocate(size, ALIGNMENT, flags)
    hook: Any = allocator.allocate_async
    if {"flags", "stream"} <= set(inspect.signature(hook).parameters):
        return int(hook(size, ALIGNMENT, flags=flags, stream=0) or 0)
    return int(hook(size, ALIGNMENT, 0, flags) or 0)
