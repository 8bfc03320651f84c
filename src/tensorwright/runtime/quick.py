"""The short way through a run: everything is as it was last time but the arrays' addresses.

A small network computes in a few microseconds; looking names up, checking and converting must not cost more. So what
can be known when shapes are set is known here, and each run only compares. Whatever does not match is left to the
general way, which converts, sets shapes, or says what is wrong.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..device import driver
from ..device.program import Table
from ..plan.records import Program
from .bound import Bound, Patch
from .memory import address_of

_DENSE = 0x101                                           # flags.num: C-contiguous and aligned
_WRITABLE = 0x501                                        # and writable
_NOWHERE: Patch = (memoryview(np.zeros(1, np.uint64)), 0, 0)  # type: ignore[arg-type]


class Quick:
    """Runs one table for one set of shapes. `quick(feeds)` gives the outputs, or None when feeds differ in kind."""

    def __init__(self, bound: Bound, table: Table) -> None:
        program, exe = bound.exe.program, bound.exe
        rows = []
        for info, buffer in zip(program.inputs, exe.input_buffers, strict=True):
            assert info.dtype is not None and info.shape is not None and buffer is not None
            shape = tuple(bound.value(d) for d in info.shape)
            first, *others = bound.patches[buffer] or [_NOWHERE]
            rows.append((info.name, info.dtype.numpy, shape, *first, others))
        self.by_name = tuple(rows)
        self.by_position = tuple((k, *row[1:]) for k, row in enumerate(rows))
        self.outputs = tuple((info.name, *spec, *(bound.patches[where] or [_NOWHERE])[0], bound.patches[where][1:])
                             for info, spec, where in zip(program.outputs, bound.outputs, program.output_values,
                                                          strict=True)
                             if spec is not None and isinstance(where, int))
        self.names = frozenset(info.name for info in program.outputs)
        self.count, self.threads = len(rows), table.threads
        self.table = table
        self.alone = driver.function("tw_run_alone", ctypes.c_void_p, ctypes.c_int64)
        self.address, self.phases = ctypes.c_void_p(table.address), ctypes.c_int64(table.count)

    def __call__(self, feeds: Any, given: Mapping[str, Any] | None = None) -> dict[str, np.ndarray] | None:
        """given: arrays of the user's for some outputs."""
        kind = type(feeds)
        if (kind is not dict and kind is not tuple and kind is not list) or len(feeds) != self.count:
            return None
        addresses = []
        try:
            for key, dtype, shape, pointers, position, offset, others in (
                    self.by_name if kind is dict else self.by_position):
                x = feeds[key]
                if type(x) is not np.ndarray or x.dtype is not dtype or x.shape != shape \
                        or x.flags.num & _DENSE != _DENSE:
                    return None
                address = address_of(x)
                addresses.append(address)
                pointers[position] = address + offset
                for pointers, position, offset in others:
                    pointers[position] = address + offset
        except (KeyError, TypeError):
            return None
        if given is not None and not self._fit(given, feeds, kind, addresses):
            return None
        results = {}
        for name, shape, dtype, pointers, position, offset, others in self.outputs:
            results[name] = x = np.empty(shape, dtype) if given is None or name not in given else given[name]
            address = address_of(x)
            pointers[position] = address + offset
            for pointers, position, offset in others:
                pointers[position] = address + offset
        if self.threads == 1:
            self.alone(self.address, self.phases)
        else:
            self.table.run()
        return results

    def _fit(self, given: Mapping[str, Any], feeds: Any, kind: type, addresses: list[int]) -> bool:
        """Whether the user's output arrays are as outputs must be, and overlap neither inputs nor each other."""
        taken = [(a, a + feeds[row[0]].nbytes) for a, row in
                 zip(addresses, self.by_name if kind is dict else self.by_position, strict=True)]
        for name, shape, dtype, *_ in self.outputs:
            if name in given:
                x = given[name]
                if type(x) is not np.ndarray or x.dtype is not dtype or x.shape != shape \
                        or x.flags.num & _WRITABLE != _WRITABLE:
                    return False
                low = address_of(x)
                high = low + x.nbytes
                if any(low < end and begin < high for begin, end in taken):
                    return False
                taken.append((low, high))
        return self.names >= given.keys()


def quick(bound: Bound) -> Quick | None:
    """The short way for what is one table, with all inputs and outputs in memory of the user's and none named twice."""
    program: Program = bound.exe.program
    values = program.output_values
    owned = all(isinstance(w, int) and program.buffers[w].kind == "output" for w in values)
    if owned and len(set(values)) == len(values) and len(bound.pieces) == 1 and None not in bound.exe.input_buffers:
        only = bound.pieces[0]
        return Quick(bound, only) if isinstance(only, Table) else None
    return None
