"""What all plugin interfaces have in common, and resources that plugins share."""

from __future__ import annotations

from typing import Any

from ..foundation import Closed
from ..versioned import IVersionedInterface


class IPluginCapability(IVersionedInterface):
    """A part of a plugin of version 3: core, build or runtime."""


class IPluginResource(IVersionedInterface):
    """Something that plugins of one key share, in the registry: acquired and released by count.

    Subclasses define clone(), asked once when the key is new, and release(), called when nobody holds the clone.
    """

    _kind = "IPluginResource"

    def __init__(self) -> None:
        pass

    def release(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not define release()")

    def clone(self) -> IPluginResource:
        raise NotImplementedError(f"{type(self).__name__} does not define clone()")


class IPluginResourceContext(Closed):
    """What an execution context offers its plugins."""

    def __init__(self, error_recorder: Any = None, gpu_allocator: Any = None) -> None:
        self._error_recorder, self._gpu_allocator = error_recorder, gpu_allocator
        self._closed = True

    @property
    def error_recorder(self) -> Any:
        """The context's IErrorRecorder, or None."""
        return self._error_recorder

    @property
    def gpu_allocator(self) -> Any:
        """The allocator of the runtime, or None: plugins may allocate as they like."""
        return self._gpu_allocator


def copied(to: Any, other: Any) -> None:
    """The attributes of another plugin, as the copying constructors take them."""
    if other is not None:
        vars(to).update(vars(other))
