"""The native code that walks a table of phases: LLVM IR text. Table and calling convention are described here.

A table is an array of phases, PHASE_BYTES each, of 64-bit words:

    0  function      entry(args, dims, begin, end, thread)
    1  args          its array of pointers
    2  dims          its array of numbers
    3  chunks        amount of work, split evenly among the threads
    4  flags         bit 0 SERIAL: thread 0 does all of it. bit 1 FREE: no barrier after it
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

from . import cpu

PHASE_BYTES = 40
SERIAL, FREE = 1, 2

_RUN_ALONE = """
define void @tw_run_alone(ptr %table, i64 %count) nounwind {
entry:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %phase, label %done
phase:
  %i = phi i64 [0, %entry], [%next, %phase]
  %at = mul i64 %i, 40
  %p = getelementptr i8, ptr %table, i64 %at
  %f = load ptr, ptr %p, align 8
  %p1 = getelementptr i8, ptr %p, i64 8
  %args = load ptr, ptr %p1, align 8
  %p2 = getelementptr i8, ptr %p, i64 16
  %dims = load ptr, ptr %p2, align 8
  %p3 = getelementptr i8, ptr %p, i64 24
  %chunks = load i64, ptr %p3, align 8
  call void %f(ptr %args, ptr %dims, i64 0, i64 %chunks, i64 0)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %phase, label %done
done:
  ret void
}

define void @tw_repeat(ptr %table, i64 %count, i64 %times) nounwind {
entry:
  br label %again
again:
  %i = phi i64 [0, %entry], [%next, %again]
  call void @tw_run_alone(ptr %table, i64 %count)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %times
  br i1 %more, label %again, label %done
done:
  ret void
}
"""


@cache
def library() -> cpu.Library:
    """The driver, compiled for this machine on first use."""
    return cpu.load([cpu.compile(_RUN_ALONE, cpu.describe())])


@cache
def function(name: str, *arguments: type) -> Callable[..., None]:
    """A driver function as a ctypes callable; the GIL is released while it runs."""
    return ctypes.CFUNCTYPE(None, *arguments)(library().address(name))
