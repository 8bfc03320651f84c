"""Is there a real CUDA device? Then its own libraries are left alone."""

from __future__ import annotations

import ctypes
import functools


@functools.cache
def gpu_is_present() -> bool:
    """Whether NVIDIA's driver is installed and counts at least one device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False
