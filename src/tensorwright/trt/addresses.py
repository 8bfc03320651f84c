"""Where a context's tensors lie: addresses that the user gives, and allocators that are asked for an output's."""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

import numpy as np

from ..cuda.memory import host, is_device
from ..runtime.reach import require
from .allocators import ALIGNMENT
from .callbacks import IOutputAllocator, guarded, is_defined
from .foundation import Closed


class ContextAddresses(Closed):
    """The part of IExecutionContext that knows addresses."""

    _addresses: dict[str, int]
    _allocators: dict[str, IOutputAllocator]

    def set_tensor_address(self: Any, name: str, memory: int) -> bool:
        """memory: where the tensor lies; 0 forgets it. False for an unknown name, and for an address that
        is misaligned or cannot be one. TypeError for what is no integer."""
        info = self._engine._known(name)
        if info is None:
            return False
        address = address_of(memory)
        if not 0 <= address < 1 << 64:
            return bool(self._refuse(f"{name!r}: {address} is no address"))
        if info.dtype is not None and address % info.dtype.itemsize:
            return bool(self._refuse(f"{name!r}: address {address:#x} is not aligned to {info.dtype}"))
        if self._refused_memory(name, address):
            return bool(self._refuse(f"{name!r} is a shape tensor: its address must be in host memory"))
        given = self._given.get(name)
        if given is not None:                             # what set_shape_input says counts
            address = given.ctypes.data
        if self._addresses.get(name) != address:
            self._addresses[name], self._ready = address, False
        return True

    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    def set_output_allocator(self: Any, name: str, output_allocator: IOutputAllocator | None) -> bool:
        """Ask output_allocator for the output's memory at each execution; None asks for an address again."""
        if self._engine._known(name) is None or name in self._engine._input_names:
            return False
        self._ready = False
        if output_allocator is None:
            self._allocators.pop(name, None)
        else:
            self._allocators[name] = output_allocator
        return True

    def get_output_allocator(self, name: str) -> IOutputAllocator | None:
        return self._allocators.get(name)

    def _overlap(self: Any) -> bool:
        """Whether an output lies where an input lies: then it is computed elsewhere, and copied when all inputs were
        read."""
        engine, item = self._engine, self._engine.get_tensor_bytes_per_component
        ends = {n: self._addresses[n] + item(n) * math.prod(self._whole_shape(n)) for n in engine._names
                if self._addresses.get(n)}
        outputs = [n for n in ends if n not in engine._input_names]
        return any(self._addresses[o] < ends[i] and self._addresses[i] < ends[o]
                   for o in outputs for i in engine._input_names if i in ends)

    def _host(self: Any, name: str) -> int:
        """The host address of a tensor, checked to hold all of it. DriverError of emulated device memory, InputError
        of the host's."""
        address = self._addresses.get(name, 0)
        if name in self._engine._hidden:                  # debug tensors lie in the context's own memory
            return int(address)
        size = self._engine.get_tensor_bytes_per_component(name) * math.prod(self._whole_shape(name))
        return place_of(address, size, name not in self._engine._input_names, repr(name))


def place_of(address: int, size: int, writable: bool, what: str) -> int:
    """The host address of memory that a script names, checked to be there."""
    if is_device(address):
        return host(address, size)
    require(address, size, writable, what)
    return address


def address_of(memory: Any) -> int:
    """An integer, or what stands for one: a pointer object of a CUDA package. TypeError for anything else."""
    try:
        return operator.index(memory)
    except TypeError:
        if isinstance(memory, (str, bytes, bytearray, numbers.Real, np.ndarray)) or not hasattr(memory, "__int__"):
            raise TypeError(f"an address is an integer, not {type(memory).__name__}") from None
        return int(memory)


def output_memory(allocator: IOutputAllocator, name: str, current: int, size: int) -> int:
    """The address an allocator gives, by whichever of the two hooks it defines; 0 when it defines neither."""
    if is_defined(allocator, "reallocate_output_async"):
        return int(guarded(allocator.reallocate_output_async, name, current, size, ALIGNMENT, 0) or 0)
    return int(guarded(allocator.reallocate_output, name, current, size, ALIGNMENT) or 0)
