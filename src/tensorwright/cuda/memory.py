"""Device memory: an address space of its own over host memory, with every access checked.

Addresses are not those of the host, so that a freed pointer, a copy past the end or arithmetic that leaves its
allocation is an error with its facts, as on a device, and not a corrupted process.
"""

from __future__ import annotations

import bisect
import contextlib
import ctypes
import mmap
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from .status import DriverError, Status

#: Where the device's addresses begin: above all that a process on 64-bit Linux can have, below 2⁶³.
FIRST = 1 << 56
#: Alignment of allocations, in bytes, and the smallest gap between two of them.
ALIGNMENT = 256
GAP = 1 << 16


@dataclass
class Allocation:
    """size bytes at a device address; the host memory behind it."""

    address: int
    size: int
    memory: mmap.mmap
    host: int


class AddressSpace:
    """All device memory of the process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._starts: list[int] = []
        self._allocations: dict[int, Allocation] = {}
        self._freed: dict[int, int] = {}
        self._next = FIRST

    def allocate(self, size: int) -> int:
        """The address of `size` bytes. DriverError: INVALID_VALUE for sizes below 1, OUT_OF_MEMORY."""
        if size < 1:
            raise DriverError(Status.INVALID_VALUE, f"an allocation of {size} bytes")
        if size > self.free():
            raise DriverError(Status.OUT_OF_MEMORY, f"{size} bytes were asked for, {self.free()} are free")
        try:
            memory = mmap.mmap(-1, size)
        except (OSError, OverflowError, ValueError) as error:
            raise DriverError(Status.OUT_OF_MEMORY, f"{size} bytes: {error}") from None
        host = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        with self._lock:
            address, self._next = self._next, self._next + size + GAP + -(size + GAP) % ALIGNMENT
            self._allocations[address] = Allocation(address, size, memory, host)
            bisect.insort(self._starts, address)
        return address

    def release(self, address: int) -> None:
        """Free an allocation by its first address; 0 is nothing. DriverError for every other address."""
        if address == 0:
            return
        with self._lock:
            found = self._allocations.pop(address, None)
            if found is None:
                raise DriverError(Status.INVALID_VALUE, f"{address:#x} is not the start of an allocation"
                                  + (": it was freed before" if address in self._freed else ""))
            self._starts.remove(address)
            self._freed[address] = found.size             # the mapping goes with its last view

    def resolve(self, address: int, size: int) -> int:
        """The host address of `size` bytes at a device address. DriverError when they are not inside an allocation."""
        with self._lock:
            i = bisect.bisect_right(self._starts, address) - 1
            found = self._allocations.get(self._starts[i]) if i >= 0 else None
        if found is None or not address + size <= found.address + found.size or size < 0:
            raise DriverError(Status.ILLEGAL_ADDRESS, self._why(address, size, found))
        return found.host + address - found.address

    def _why(self, address: int, size: int, near: Allocation | None) -> str:
        for start, length in self._freed.items():
            if start <= address < start + length:
                return f"{size} bytes at {address:#x}: that memory was freed"
        if near is not None and address < near.address + near.size + GAP:
            return (f"{size} bytes at {address:#x} reach beyond the allocation of {near.size} bytes at "
                    f"{near.address:#x}")
        return f"{size} bytes at {address:#x}: nothing is allocated there"

    def clear(self) -> None:
        """Free everything."""
        with self._lock:
            starts = list(self._starts)
        for address in starts:
            self.release(address)

    def used(self) -> int:
        with self._lock:
            return sum(a.size for a in self._allocations.values())

    def total(self) -> int:
        """Bytes of memory of the machine."""
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def free(self) -> int:
        return max(0, self.total() - self.used())


#: The device's memory.
SPACE = AddressSpace()


def is_device(address: int) -> bool:
    """Whether an address is one of the device's, not of the host's."""
    return address >= FIRST


#: Host memory that counts as the device's while a callback has it: (first address, size).
_lent: list[tuple[int, int]] = []


@contextlib.contextmanager
def lent(*places: tuple[int, int]) -> Iterator[None]:
    """Let scripts copy from and to this memory, (address, bytes), as if it were the device's: what the engine shows to
    a user's callback, which TensorRT keeps on the device."""
    _lent.extend(places)
    try:
        yield
    finally:
        for place in places:
            _lent.remove(place)


def counts_as_device(address: int) -> bool:
    """Whether a copy may name an address as the device's: one of its own, or one lent."""
    return is_device(address) or any(start <= address < start + size for start, size in tuple(_lent))


def host(address: int, size: int) -> int:
    """The host address of `size` bytes at an address of either kind. DriverError outside the device's allocations."""
    return SPACE.resolve(address, size) if is_device(address) else address


def copy(to: int, source: int, size: int) -> None:
    """Copy bytes between addresses of either kind. DriverError for bytes that are not the device's, or null."""
    if size < 0 or (size and not (to and source)):
        raise DriverError(Status.INVALID_VALUE, f"a copy of {size} bytes from {source:#x} to {to:#x}")
    if size:
        ctypes.memmove(host(to, size), host(source, size), size)


def fill(to: int, value: int, size: int, width: int = 1) -> None:
    """Write `value`, `width` bytes wide, over `size` bytes."""
    if size < 0 or size % width:
        raise DriverError(Status.INVALID_VALUE, f"{size} bytes are not a number of {width}-byte values")
    pattern = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little") * (size // width)
    if size:
        ctypes.memmove(host(to, size), pattern, size)
