"""Whether memory is there: an address from a script may be anything, and kernels must not find out."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from typing import Any

from ..errors import InputError


class _Piece(ctypes.Structure):
    """struct iovec"""

    _fields_ = [("start", ctypes.c_void_p), ("size", ctypes.c_size_t)]


@cache
def _calls() -> tuple[Any, Any] | None:
    """process_vm_readv and process_vm_writev: they copy, and answer EFAULT where a load or store would be fatal."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None, use_errno=True)
        return library.process_vm_readv, library.process_vm_writev
    except (OSError, AttributeError):
        return None


def require(address: int, size: int, writable: bool, what: str) -> None:
    """InputError when the first or the last of `size` bytes at an address cannot be read, or written. Where the system
    cannot be asked, nothing is checked.

    The two bytes are written as they were read.
    """
    calls = _calls()
    if calls is None or size <= 0:
        return
    byte = ctypes.create_string_buffer(1)
    mine, length = _Piece(ctypes.addressof(byte), 1), ctypes.c_ulong(1)
    for place in {address, address + size - 1}:
        theirs = _Piece(place % (1 << 64), 1)
        for call in calls if writable else calls[:1]:
            done = call(os.getpid(), ctypes.byref(mine), length, ctypes.byref(theirs), length, ctypes.c_ulong(0))
            if done == 1:
                continue
            if ctypes.get_errno() == errno.EFAULT:
                access = "written" if call is calls[1] else "read"
                raise InputError(f"{what}: {size} bytes at {address:#x} cannot be {access}: no memory of this process "
                                 "is there", try_="keep the array alive, and give its own address")
            return                                        # not permitted to ask
