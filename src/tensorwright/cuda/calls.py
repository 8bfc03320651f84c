"""CUDA's C-like calls in Python: every call returns a tuple that starts with its status, nothing is raised.

`runtime` and `driver` in the packages under shim/ are made of these: one function for each thing that can be done, and
a decorator that turns errors into statuses of either API.
"""

from __future__ import annotations

import ctypes
import enum
import functools
from collections.abc import Callable
from typing import Any

from . import machine, memory
from .machine import MACHINE
from .status import DriverError, Status

#: Page-locked host memory: address → the buffer that holds it.
_pinned: dict[int, Any] = {}


def statuses(name: str, spelling: Callable[[Status], str]) -> type[enum.IntEnum]:
    """The enumeration of an API's statuses."""
    make: Any = enum.IntEnum                               # of names that only run time knows
    made: type[enum.IntEnum] = make(name, {spelling(s): s.value for s in Status})
    return made


def answering(kind: type[enum.IntEnum], *, runtime: bool) -> Callable[[Callable[..., Any]], Callable[..., tuple]]:
    """A decorator: result → (success, result...), DriverError → (its status, None...). Calls of the runtime API bring
    the driver up first, and remember the last error."""
    def decorate(function: Callable[..., Any]) -> Callable[..., tuple]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> tuple:
            try:
                if runtime:
                    MACHINE.use_primary()
                result = function(*args, **kwargs)
            except DriverError as error:
                last.error, last.what = error.status, error.what
                return (kind(error.status), *[None] * results(function))
            return (kind(0), *(result if isinstance(result, tuple) else () if result is None else (result,)))
        return call
    return decorate


def results(function: Callable[..., Any]) -> int:
    """How many values a call gives beside its status, by its annotation."""
    returns = str(function.__annotations__.get("return", "None"))
    return 0 if returns == "None" else returns.count(",") + 1 if returns.startswith("tuple") else 1


class Last:
    """The last error of the runtime API, and what it was about."""

    error = Status.SUCCESS
    what = ""

    def taken(self) -> Status:
        error, self.error = self.error, Status.SUCCESS
        return error


last = Last()


# memory --------------------------------------------------------------------------------------------------------------
def allocate(size: int) -> int:
    MACHINE.current()
    return memory.SPACE.allocate(int(size))


def release(address: Any) -> None:
    memory.SPACE.release(int(address))


def pin(size: int) -> int:
    """The address of page-locked memory of the host."""
    MACHINE.current()
    if size < 1 or size > memory.SPACE.total():
        raise DriverError(Status.INVALID_VALUE if size < 1 else Status.OUT_OF_MEMORY, f"{size} bytes")
    buffer = (ctypes.c_uint8 * int(size))()
    _pinned[ctypes.addressof(buffer)] = buffer
    return ctypes.addressof(buffer)


def unpin(address: Any) -> None:
    if int(address) and _pinned.pop(int(address), None) is None:
        raise DriverError(Status.INVALID_VALUE, f"{int(address):#x} is not page-locked memory")


def pointer(value: Any) -> int:
    """An address given as a number, a ctypes pointer, an array or any object with a buffer."""
    if hasattr(value, "ctypes"):
        return int(value.ctypes.data)
    if hasattr(value, "__int__"):
        return int(value)
    if isinstance(value, ctypes.Array):
        return ctypes.addressof(value)
    view = memoryview(value)
    return ctypes.addressof(ctypes.c_char.from_buffer(view)) if not view.readonly else \
        ctypes.cast(ctypes.c_char_p(bytes(view)), ctypes.c_void_p).value or 0


def copy(to: Any, source: Any, size: int, kind: int = 4) -> None:
    """kind: 0 host to host, 1 host to device, 2 device to host, 3 device to device, 4 by the addresses. DriverError
    when an address is not of the kind."""
    MACHINE.current()
    a, b = pointer(to), pointer(source)
    if kind not in range(5):
        raise DriverError(Status.INVALID_VALUE, f"copy of kind {kind}")
    for address, device in ((a, kind in (1, 3)), (b, kind in (2, 3))):
        fits = memory.counts_as_device(address) if device else not memory.is_device(address)
        if kind != 4 and size and not fits:
            raise DriverError(Status.INVALID_VALUE, f"{address:#x} is {'not ' * device}an address of the device")
    memory.copy(a, b, int(size))


def fill(to: Any, value: int, size: int, width: int = 1) -> None:
    MACHINE.current()
    if not memory.counts_as_device(pointer(to)):
        raise DriverError(Status.INVALID_VALUE, f"{pointer(to):#x} is not an address of the device")
    memory.fill(pointer(to), int(value), int(size), width)


def reset() -> None:
    """Forget all memory, streams and events."""
    memory.SPACE.clear()
    _pinned.clear()
    MACHINE.streams.clear()
    MACHINE.events.clear()


# streams and events --------------------------------------------------------------------------------------------------
def new_stream() -> int:
    MACHINE.current()
    stream = machine.Stream()
    MACHINE.streams[stream.handle] = stream
    return stream.handle


def end_stream(handle: Any) -> None:
    if MACHINE.stream(int(handle)) is None:
        raise DriverError(Status.INVALID_HANDLE, "the default stream cannot be destroyed")
    del MACHINE.streams[int(handle)]


def use_stream(handle: Any) -> None:
    """Check a stream's handle; all its work is done."""
    MACHINE.stream(int(handle))


def new_event(timing: bool = True) -> int:
    MACHINE.current()
    event = machine.Event(timing)
    MACHINE.events[event.handle] = event
    return event.handle


def end_event(handle: Any) -> None:
    MACHINE.event(int(handle))
    del MACHINE.events[int(handle)]


def record(handle: Any, stream: Any = 0) -> None:
    use_stream(stream)
    MACHINE.event(int(handle)).record()


def elapsed(start: Any, end: Any) -> float:
    """Milliseconds."""
    return MACHINE.event(int(end)).since(MACHINE.event(int(start)))


def attribute(number: Any, device: int) -> int:
    MACHINE.device(int(device))
    if int(number) not in machine.ATTRIBUTES:
        raise DriverError(Status.INVALID_VALUE, f"device attribute {int(number)}")
    return machine.ATTRIBUTES[int(number)]


# contexts ------------------------------------------------------------------------------------------------------------
def context(handle: Any) -> machine.Context:
    """What a context's handle stands for."""
    found = MACHINE.contexts.get(int(handle))
    if found is None:
        raise DriverError(Status.INVALID_CONTEXT, f"{int(handle):#x} is not a context")
    return found
