"""The device, its contexts, streams and events. Work is done when it is submitted, so that nothing is ever pending."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field

from .memory import SPACE
from .status import DriverError, Status

#: The versions that scripts are told, as CUDA encodes them: 1000 · major + 10 · minor.
VERSION = 12040
_handles = itertools.count(0x1000, 16)


def device_name() -> str:
    """The processor's name: that is what computes."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return f"{line.split(':', 1)[1].strip()} (tensorwright, no GPU)"
    except OSError:
        pass
    return "CPU (tensorwright, no GPU)"


#: Attributes of the device, by the driver API's numbers (CUdevice_attribute).
ATTRIBUTES = {1: 1024, 2: 1024, 3: 1024, 4: 64, 5: 2147483647, 6: 65535, 7: 65535, 8: 49152, 9: 65536, 10: 32,
              13: 1000000, 16: 1, 20: 1, 31: 1, 36: 1000000, 37: 64, 38: 1 << 25, 39: 1024, 40: 1, 41: 1, 75: 0, 76: 0}
#: No GPU's: scripts that ask for tensor cores or fast FP16 by version take the plain way.
COMPUTE_CAPABILITY = (0, 0)


@dataclass(eq=False)
class Context:
    """A context of the device. `users`: how often the primary one is retained."""

    primary: bool = False
    alive: bool = True
    users: int = 0
    handle: int = field(default_factory=lambda: next(_handles))


@dataclass(eq=False)
class Stream:
    """A queue of work, always empty."""

    alive: bool = True
    handle: int = field(default_factory=lambda: next(_handles))


@dataclass(eq=False)
class Event:
    """A point in time: seconds, by time.perf_counter, when it was last recorded."""

    timing: bool = True
    recorded: float | None = None
    alive: bool = True
    handle: int = field(default_factory=lambda: next(_handles))

    def record(self) -> None:
        self.recorded = time.perf_counter()

    def since(self, start: Event) -> float:
        """Milliseconds from another event to this one. DriverError when one was never recorded, or has no timing."""
        if self.recorded is None or start.recorded is None or not (self.timing and start.timing):
            raise DriverError(Status.INVALID_HANDLE, "events that were not recorded with timing")
        return (self.recorded - start.recorded) * 1e3


class Machine:
    """The driver's state: whether it is initialised, each thread's stack of contexts, and what handles stand for."""

    def __init__(self) -> None:
        self.initialised = False
        self.primary = Context(primary=True)
        self._threads = threading.local()
        self.streams: dict[int, Stream] = {}
        self.events: dict[int, Event] = {}
        self.contexts: dict[int, Context] = {self.primary.handle: self.primary}

    def initialise(self) -> None:
        self.initialised = True

    def device(self, ordinal: int) -> int:
        """The device of that number; there is one. DriverError: NOT_INITIALIZED, INVALID_DEVICE."""
        if not self.initialised:
            raise DriverError(Status.NOT_INITIALIZED, "the driver is not initialised")
        if ordinal != 0:
            raise DriverError(Status.INVALID_DEVICE, f"device {ordinal} of 1")
        return 0

    @property
    def stack(self) -> list[Context]:
        if not hasattr(self._threads, "stack"):
            self._threads.stack = []
        stack: list[Context] = self._threads.stack
        return stack

    def current(self) -> Context:
        """This thread's context. DriverError: INVALID_CONTEXT when there is none, or it was destroyed."""
        if not self.stack or not self.stack[-1].alive:
            raise DriverError(Status.INVALID_CONTEXT, "no context is current on this thread")
        return self.stack[-1]

    def use_primary(self) -> Context:
        """What the runtime API does on its first call: initialise, and make the primary context current."""
        self.initialised = True
        if not self.stack:
            self.primary.alive = True
            self.stack.append(self.primary)
        return self.current()

    def create(self) -> Context:
        """A new context, current on this thread."""
        context = Context()
        self.contexts[context.handle] = context
        self.stack.append(context)
        return context

    def push(self, context: Context) -> None:
        if not context.alive:
            raise DriverError(Status.INVALID_CONTEXT, "the context was destroyed")
        self.stack.append(context)

    def pop(self) -> Context:
        context = self.current()
        self.stack.pop()
        return context

    def destroy(self, context: Context) -> None:
        if not context.alive:
            raise DriverError(Status.INVALID_CONTEXT, "the context was destroyed before")
        context.alive = False
        self._threads.stack = [c for c in self.stack if c is not context]

    def retain(self) -> Context:
        self.primary.users += 1
        self.primary.alive = True
        return self.primary

    def drop(self) -> None:
        """Release the primary context once. DriverError when it is not retained."""
        if not self.primary.users:
            raise DriverError(Status.INVALID_CONTEXT, "the primary context is not retained")
        self.primary.users -= 1

    def stream(self, handle: int) -> Stream | None:
        """What a stream handle stands for; None for the default streams 0, 1 and 2. DriverError: INVALID_HANDLE."""
        if handle in (0, 1, 2):
            return None
        found = self.streams.get(handle)
        if found is None or not found.alive:
            raise DriverError(Status.INVALID_HANDLE, f"{handle:#x} is not a stream")
        return found

    def event(self, handle: int) -> Event:
        found = self.events.get(handle)
        if found is None or not found.alive:
            raise DriverError(Status.INVALID_HANDLE, f"{handle:#x} is not an event")
        return found

    def memory(self) -> tuple[int, int]:
        """Bytes free and in all."""
        return SPACE.free(), SPACE.total()


MACHINE = Machine()
