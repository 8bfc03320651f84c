"""make_default_context: a context of the only device."""

from typing import Any

import pycuda.driver as cuda


def make_default_context(ctx_maker: Any = None) -> Any:
    """A new context of device 0, current on this thread."""
    device = cuda.Device(0)
    return device.make_context() if ctx_maker is None else ctx_maker(device)


def get_default_device(default: int = 0) -> Any:
    return cuda.Device(default)


def clear_context_caches() -> None:
    """Nothing is cached."""
