"""pycuda.driver, as far as scripts for TensorRT use it: device, contexts, memory, copies, streams, events.

Misuse is reported as pycuda does: LogicError for a missing context or a wrong pointer, MemoryError when memory runs
out. What needs a GPU (modules, kernels, textures) is not here. Source: the reference of pycuda.driver.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tensorwright.cuda import machine as _m
from tensorwright.cuda import memory as _memory
from tensorwright.cuda.status import DriverError, Status

F = TypeVar("F", bound=Callable[..., Any])


class Error(Exception):
    """Base of pycuda's errors."""


class LogicError(Error):
    """The calling program is at fault."""


class RuntimeError(Error):
    """Something went wrong that the program could not know."""


class LaunchError(RuntimeError):
    """A computation failed."""


class MemoryError(Error):
    """Device memory ran out."""


def _as_pycuda(function: F) -> F:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except DriverError as error:
            kind = {Status.OUT_OF_MEMORY: MemoryError, Status.ILLEGAL_ADDRESS: LogicError}.get(error.status, LogicError)
            raise kind(f"{function.__name__} failed: {error.what}") from None
    return call  # type: ignore[return-value]


def _in_context(function: F) -> F:
    """A function that needs a current context, as nearly all do."""
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        _m.MACHINE.current()
        return function(*args, **kwargs)
    return _as_pycuda(call)  # type: ignore[return-value,arg-type]


def init(flags: int = 0) -> None:
    """Before anything else; pycuda.autoinit does it."""
    _m.MACHINE.initialise()


def get_version() -> tuple[int, int, int]:
    return _m.VERSION // 1000, _m.VERSION % 1000 // 10, 0


def get_driver_version() -> int:
    return _m.VERSION


@_in_context
def mem_get_info() -> tuple[int, int]:
    """Bytes free and in all."""
    return _m.MACHINE.memory()


class device_attribute:
    """Numbers of device attributes, as the driver API has them."""

    MAX_THREADS_PER_BLOCK, MAX_BLOCK_DIM_X, MAX_BLOCK_DIM_Y, MAX_BLOCK_DIM_Z = 1, 2, 3, 4
    MAX_GRID_DIM_X, MAX_GRID_DIM_Y, MAX_GRID_DIM_Z, MAX_SHARED_MEMORY_PER_BLOCK = 5, 6, 7, 8
    TOTAL_CONSTANT_MEMORY, WARP_SIZE, CLOCK_RATE, MULTIPROCESSOR_COUNT = 9, 10, 13, 16
    CONCURRENT_KERNELS, MEMORY_CLOCK_RATE, GLOBAL_MEMORY_BUS_WIDTH, L2_CACHE_SIZE = 31, 36, 37, 38
    MAX_THREADS_PER_MULTIPROCESSOR, ASYNC_ENGINE_COUNT, UNIFIED_ADDRESSING = 39, 40, 41
    COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76


class ctx_flags:
    """Ways to wait, of which all are the same here."""

    SCHED_AUTO, SCHED_SPIN, SCHED_YIELD, SCHED_BLOCKING_SYNC, MAP_HOST, LMEM_RESIZE_TO_MAX = 0, 1, 2, 4, 8, 16


class host_alloc_flags:
    PORTABLE, DEVICEMAP, WRITECOMBINED = 1, 2, 4


class mem_attach_flags:
    GLOBAL, HOST, SINGLE = 1, 2, 4


class event_flags:
    DEFAULT, BLOCKING_SYNC, DISABLE_TIMING, INTERPROCESS = 0, 1, 2, 4


class Device:
    """The device of a number. There is one, and the processor does its work."""

    @_as_pycuda
    def __init__(self, ordinal: int | str = 0) -> None:
        self._ordinal = _m.MACHINE.device(int(ordinal))

    @staticmethod
    @_as_pycuda
    def count() -> int:
        _m.MACHINE.device(0)
        return 1

    def name(self) -> str:
        return _m.device_name()

    def pci_bus_id(self) -> str:
        return "0000:00:00.0"

    def compute_capability(self) -> tuple[int, int]:
        """(0, 0): no GPU's."""
        return _m.COMPUTE_CAPABILITY

    def total_memory(self) -> int:
        return _m.MACHINE.memory()[1]

    def get_attribute(self, attribute: int) -> int:
        if attribute not in _m.ATTRIBUTES:
            raise LogicError(f"cuDeviceGetAttribute failed: invalid argument: attribute {attribute}")
        return _m.ATTRIBUTES[attribute]

    def get_attributes(self) -> dict[int, int]:
        return dict(_m.ATTRIBUTES)

    def make_context(self, flags: int = 0) -> Context:
        """A new context, current on this thread."""
        return Context(_m.MACHINE.create())

    def retain_primary_context(self) -> Context:
        """The primary context; push it to use it."""
        return Context(_m.MACHINE.retain())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device)

    def __hash__(self) -> int:
        return 0

    def __int__(self) -> int:
        return self._ordinal


class Context:
    """A context. push and pop make it this thread's, or not; detach destroys it (or lets go of the primary one)."""

    def __init__(self, context: _m.Context) -> None:
        self._context = context

    @_as_pycuda
    def push(self) -> None:
        _m.MACHINE.push(self._context)

    @staticmethod
    @_as_pycuda
    def pop() -> None:
        """The current context of this thread is not current any more."""
        _m.MACHINE.pop()

    @_as_pycuda
    def detach(self) -> None:
        if self._context.primary:
            _m.MACHINE.drop()
        else:
            _m.MACHINE.destroy(self._context)

    @staticmethod
    @_in_context
    def synchronize() -> None:
        """Nothing is ever pending."""

    @staticmethod
    def get_current() -> Context | None:
        stack = _m.MACHINE.stack
        return Context(stack[-1]) if stack else None

    @staticmethod
    @_in_context
    def get_device() -> Device:
        return Device(0)

    @property
    def handle(self) -> int:
        return self._context.handle

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and self._context is other._context

    def __hash__(self) -> int:
        return self._context.handle


class Stream:
    """A stream: work submitted to it is done when the call returns."""

    @_in_context
    def __init__(self, flags: int = 0) -> None:
        self._stream = _m.Stream()
        _m.MACHINE.streams[self._stream.handle] = self._stream

    @property
    def handle(self) -> int:
        return self._stream.handle

    @_in_context
    def synchronize(self) -> None: ...

    def is_done(self) -> bool:
        return True

    def wait_for_event(self, event: Event) -> None:
        """Events are reached when they are recorded."""

    def __int__(self) -> int:
        return self.handle

    __index__ = __int__

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            _m.MACHINE.streams.pop(self._stream.handle, None)


class Event:
    """A point in a stream."""

    @_in_context
    def __init__(self, flags: int = 0) -> None:
        self._event = _m.Event(timing=not flags & event_flags.DISABLE_TIMING)

    @_in_context
    def record(self, stream: Stream | None = None) -> Event:
        self._event.record()
        return self

    def synchronize(self) -> Event:
        return self

    def query(self) -> bool:
        return True

    @_as_pycuda
    def time_since(self, event: Event) -> float:
        """Milliseconds from `event` to this one."""
        return self._event.since(event._event)

    @_as_pycuda
    def time_till(self, event: Event) -> float:
        return event._event.since(self._event)


class PointerHolderBase:
    """Something with an address: int(x)."""

    def __int__(self) -> int:
        raise NotImplementedError

    @property
    def gpudata(self) -> int:
        return int(self)


class DeviceAllocation(PointerHolderBase):
    """Device memory, freed with free() or when nothing refers to it."""

    def __init__(self, address: int, size: int) -> None:
        self._address, self.size = address, size

    @_as_pycuda
    def free(self) -> None:
        address, self._address = self._address, 0
        if not address:
            raise LogicError("DeviceAllocation.free failed: invalid argument: it was freed before")
        _memory.SPACE.release(address)

    def __int__(self) -> int:
        return self._address

    __index__ = __int__

    def as_buffer(self, size: int, offset: int = 0) -> Any:
        """The memory as a writable buffer of the host."""
        import ctypes
        return (ctypes.c_uint8 * size).from_address(_memory.host(self._address + offset, size))

    def __del__(self) -> None:
        if self.__dict__.get("_address"):
            _memory.SPACE.release(self._address)


@_in_context
def mem_alloc(bytes: int) -> DeviceAllocation:
    return DeviceAllocation(_memory.SPACE.allocate(int(bytes)), int(bytes))


@_in_context
def mem_alloc_pitch(width: int, height: int, access_size: int) -> tuple[DeviceAllocation, int]:
    """Rows of `width` bytes, each at a multiple of 256 bytes: the memory, and that distance."""
    pitch = width + -width % _memory.ALIGNMENT
    return mem_alloc(pitch * height), pitch


# page-locked memory: all of the host's is ----------------------------------------------------------------------------
@_in_context
def pagelocked_empty(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> np.ndarray:
    return np.empty(shape, dtype, order)  # type: ignore[call-overload,no-any-return]


@_in_context
def pagelocked_zeros(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> np.ndarray:
    return np.zeros(shape, dtype, order)  # type: ignore[call-overload,no-any-return]


def pagelocked_empty_like(array: np.ndarray, mem_flags: int = 0) -> np.ndarray:
    return pagelocked_empty(array.shape, array.dtype, "F" if array.flags.f_contiguous else "C")


def pagelocked_zeros_like(array: np.ndarray, mem_flags: int = 0) -> np.ndarray:
    return pagelocked_zeros(array.shape, array.dtype, "F" if array.flags.f_contiguous else "C")


def aligned_empty(shape: Any, dtype: Any, order: str = "C", alignment: int = 4096) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    whole = np.empty(size + alignment, np.uint8)
    start = -whole.ctypes.data % alignment
    return whole[start : start + size].view(dtype).reshape(shape, order=order)  # type: ignore[call-overload,no-any-return]


@_in_context
def register_host_memory(ary: np.ndarray, flags: int = 0) -> np.ndarray:
    return ary


# copies --------------------------------------------------------------------------------------------------------------
def _buffer(array: Any, *, writable: bool = False) -> tuple[int, int]:
    """Address and bytes of host memory. ValueError when it is not in one piece, or may not be written."""
    if hasattr(array, "__array_interface__") or not isinstance(array, np.ndarray):
        array = np.frombuffer(array, np.uint8) if not hasattr(array, "__array_interface__") else np.asarray(array)
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        raise ValueError("ndarray is not contiguous")
    if writable and not array.flags.writeable:
        raise ValueError("ndarray is not writable")
    return array.ctypes.data, array.nbytes


@_in_context
def memcpy_htod(dest: Any, src: Any) -> None:
    address, size = _buffer(src)
    _memory.copy(_device(dest, size), address, size)


@_in_context
def memcpy_htod_async(dest: Any, src: Any, stream: Stream | None = None) -> None:
    memcpy_htod(dest, src)


@_in_context
def memcpy_dtoh(dest: Any, src: Any) -> None:
    address, size = _buffer(dest, writable=True)
    _memory.copy(address, _device(src, size), size)


@_in_context
def memcpy_dtoh_async(dest: Any, src: Any, stream: Stream | None = None) -> None:
    memcpy_dtoh(dest, src)


@_in_context
def memcpy_dtod(dest: Any, src: Any, size: int) -> None:
    _memory.copy(_device(dest, size), _device(src, size), int(size))


@_in_context
def memcpy_dtod_async(dest: Any, src: Any, size: int, stream: Stream | None = None) -> None:
    memcpy_dtod(dest, src, size)


def _device(pointer: Any, size: int) -> int:
    """The address of device memory. DriverError for host addresses: a copy there is another call's."""
    address = int(pointer)
    if size and not _memory.counts_as_device(address):
        raise DriverError(Status.INVALID_VALUE, f"{address:#x} is not an address of the device")
    return address


@_in_context
def memset_d8(dest: Any, data: int, size: int) -> None:
    """size: number of bytes."""
    _memory.fill(_device(dest, size), int(data), int(size), 1)


@_in_context
def memset_d16(dest: Any, data: int, size: int) -> None:
    """size: number of 16-bit values."""
    _memory.fill(_device(dest, size), int(data), 2 * int(size), 2)


@_in_context
def memset_d32(dest: Any, data: int, size: int) -> None:
    """size: number of 32-bit values."""
    _memory.fill(_device(dest, size), int(data), 4 * int(size), 4)


def memset_d8_async(dest: Any, data: int, size: int, stream: Stream | None = None) -> None:
    memset_d8(dest, data, size)


def memset_d32_async(dest: Any, data: int, size: int, stream: Stream | None = None) -> None:
    memset_d32(dest, data, size)


@_in_context
def to_device(bf_obj: Any) -> DeviceAllocation:
    """A copy of host memory on the device."""
    address, size = _buffer(bf_obj)
    made = mem_alloc(size)
    _memory.copy(int(made), address, size)
    return made


@_in_context
def from_device(devptr: Any, shape: Any, dtype: Any, order: str = "C") -> np.ndarray:
    """A copy of device memory, as an array."""
    made = np.empty(shape, dtype, order)  # type: ignore[call-overload]
    memcpy_dtoh(made, devptr)
    return made  # type: ignore[no-any-return]


@_in_context
def from_device_like(devptr: Any, other_ary: np.ndarray) -> np.ndarray:
    return from_device(devptr, other_ary.shape, other_ary.dtype)
