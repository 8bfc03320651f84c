"""Memory of a context: the arena, addresses of arrays, and arrays over addresses."""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections.abc import Callable, Sequence

import numpy as np

from ..errors import DeviceError

_HUGE = 2 << 20
_PAGE = mmap.PAGESIZE


def machine_bytes() -> int:
    """Physical memory of the machine; where that cannot be asked for, more than any arena needs."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 1 << 62


class Arena:
    """Zeroed anonymous memory, page-aligned; big ones on huge pages where the system has them.

    Freed when the last array over it is gone: `array` keeps the arena alive.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        if size > (there := machine_bytes()):
            raise DeviceError(f"a context's arena needs {size / 2**30:.1f} GiB of memory, the machine has "
                              f"{there / 2**30:.1f}", try_="build with a profile of smaller maximum shapes")
        big = size >= 2 * _HUGE
        try:
            self._memory = mmap.mmap(-1, max(size, 1) + (_HUGE if big else _PAGE))
        except (OSError, OverflowError, ValueError) as error:
            raise DeviceError(f"no memory for a context's arena of {size} bytes: {error}",
                              try_="use fewer contexts, or a profile with smaller maximum shapes") from None
        if big and hasattr(mmap, "MADV_HUGEPAGE"):
            try:
                self._memory.madvise(mmap.MADV_HUGEPAGE)
            except OSError:
                pass                                       # not offered here; ordinary pages do
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self.address = start + (-start) % (_HUGE if big else _PAGE)
        self._bytes = np.frombuffer(self._memory, np.uint8)[self.address - start:][:size]

    def bytes(self, offset: int, size: int) -> np.ndarray:
        return self._bytes[offset:offset + size]


def array_at(address: int, shape: Sequence[int], strides: Sequence[int], dtype: np.dtype,
             writable: bool = False) -> np.ndarray:
    """A strided array over foreign memory; strides in bytes. The caller keeps the memory alive and has checked it."""
    if 0 in shape:
        return np.empty(shape, dtype)
    low = sum((n - 1) * s for n, s in zip(shape, strides, strict=True) if s < 0)
    high = sum((n - 1) * s for n, s in zip(shape, strides, strict=True) if s > 0) + dtype.itemsize
    memory = (ctypes.c_char * (high - low)).from_address(address + low)
    array: np.ndarray = np.ndarray(shape, dtype, memory, -low, strides)  # type: ignore[arg-type]
    array.flags.writeable = writable
    return array


def _through_interface(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def _fastest_address() -> Callable[[np.ndarray], int]:
    """The address of an ndarray's first element. `array.ctypes.data` costs a microsecond, this a tenth of that.

    NumPy's C ABI has the data pointer first in the object, right after CPython's object head; where a check on real
    arrays does not confirm it, the documented way is taken.
    """
    head, read = object.__basicsize__, ctypes.c_size_t.from_address

    def peek(array: np.ndarray) -> int:
        return read(id(array) + head).value

    try:
        import sys
        if sys.implementation.name != "cpython":
            return _through_interface
        base = np.zeros((4, 5, 6), np.float32)
        probes = [base, base[1:, 2:], base[::-1], np.zeros(3, bool), np.zeros((), np.int64), np.zeros(1 << 16)]
        return peek if all(peek(a) == _through_interface(a) for a in probes) else _through_interface
    except Exception:
        return _through_interface


address_of: Callable[[np.ndarray], int] = _fastest_address()


ALIGN = 64
_copies: dict[int, tuple[weakref.ref[np.ndarray], np.ndarray]] = {}


def aligned(array: np.ndarray) -> np.ndarray:
    """array itself if it is dense and begins on a cache line, else a copy that does; all who ask share the copy.

    Memory from malloc begins 16 bytes into a line, and then every 64-byte load of weights would touch two lines.
    Arrays of a plan file are aligned already.
    """
    if array.flags.c_contiguous and (array.nbytes < ALIGN or address_of(array) % ALIGN == 0):
        return array
    found = _copies.get(id(array))
    if found is not None and found[0]() is array:
        return found[1]
    if array.nbytes >= _HUGE:
        raw = Arena(array.nbytes).bytes(0, array.nbytes)
    else:
        raw = np.empty(array.nbytes + ALIGN, np.uint8)
        raw = raw[-address_of(raw) % ALIGN:][:array.nbytes]
    copy = raw.view(array.dtype).reshape(array.shape)
    copy[...] = array
    copy.flags.writeable = False
    key = id(array)
    _copies[key] = (weakref.ref(array, lambda _: _copies.pop(key, None)), copy)
    return copy
