"""Memory of a context: the arena, addresses of arrays, and arrays over addresses."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
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


def _private(size: int) -> mmap.mmap:
    """Anonymous memory of this process alone: shared memory, mmap's default, does not get huge pages."""
    if hasattr(mmap, "MAP_PRIVATE") and hasattr(mmap, "MAP_ANONYMOUS"):
        return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size)


class Arena:
    """Zeroed anonymous memory, page-aligned; big ones on huge pages where the system has them.

    memory, start   the mapping, and where in it the arena begins
    Freed when the last array over it is gone: `bytes` keeps the mapping alive.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        if size > (there := machine_bytes()):
            raise DeviceError(f"a context's arena needs {size / 2**30:.1f} GiB of memory, the machine has "
                              f"{there / 2**30:.1f}", try_="build with a profile of smaller maximum shapes")
        big = size >= _HUGE
        try:
            self.memory = _private(max(size, 1) + (_HUGE if big else _PAGE))
        except (OSError, OverflowError, ValueError) as error:
            raise DeviceError(f"no memory for a context's arena of {size} bytes: {error}",
                              try_="use fewer contexts, or a profile with smaller maximum shapes") from None
        if big and hasattr(mmap, "MADV_HUGEPAGE"):
            try:
                self.memory.madvise(mmap.MADV_HUGEPAGE)
            except OSError:
                pass                                       # not offered here; ordinary pages do
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.start = -address % (_HUGE if big else _PAGE)
        self.address = address + self.start
        self._bytes = np.frombuffer(self.memory, np.uint8)[self.start:][:size]

    def bytes(self, offset: int, size: int) -> np.ndarray:
        return self._bytes[offset:offset + size]


class Borrowed(Arena):
    """An arena in memory that somebody else keeps, `size` bytes from `address` on: dirty, and not freed here."""

    def __init__(self, address: int, size: int) -> None:
        self.size, self.address, self.start = size, address, 0
        self._bytes = array_at(address, (size,), (1,), np.dtype(np.uint8), writable=True)


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
#: Bytes of the arenas that constants share.
SHELF = 16 << 20
_copies: dict[int, tuple[weakref.ref[np.ndarray], np.ndarray]] = {}


class Shelf:
    """Room for arrays that stay, side by side in arenas: so those of less than a huge page lie on huge pages too.

    An arena is freed when the last of its arrays is gone. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory: Callable[[], mmap.mmap | None] = lambda: None
        self._at = self._end = 0

    def take(self, size: int) -> np.ndarray:
        """Zeroed bytes that begin on a cache line."""
        with self._lock:
            memory = self._memory()
            if memory is None or self._at + size > self._end:
                arena = Arena(max(size, SHELF))
                memory = arena.memory
                self._memory, self._at = weakref.ref(memory), arena.start
                self._end = arena.start + arena.size
            at = self._at
            self._at = at + -(-size // ALIGN) * ALIGN
            return np.frombuffer(memory, np.uint8)[at:at + size]


_shelf = Shelf()


def writable(array: np.ndarray) -> np.ndarray:
    """A dense copy beside others on the shelf, to be changed later."""
    copy = _shelf.take(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def shelved(array: np.ndarray) -> np.ndarray:
    """A dense read-only copy, beside others on the shelf."""
    copy = writable(array)
    copy.flags.writeable = False
    return copy


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
    copy, key = shelved(array), id(array)
    _copies[key] = (weakref.ref(array, lambda _: _copies.pop(key, None)), copy)
    return copy
