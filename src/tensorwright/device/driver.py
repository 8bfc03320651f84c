"""The native code that walks a table of phases: LLVM IR text, compiled once per process.

A table is an array of phases, PHASE_BYTES each, of 64-bit words:

    0  function      entry(args, dims, begin, end, thread), the calling convention of kernels
    1  args          its array of pointers
    2  dims          its array of numbers
    3  chunks        amount of work, split into one part per thread
    4  flags         SERIAL: part 0 is all of it
"""

from __future__ import annotations

import ctypes
import hashlib
import sys
import threading
from collections.abc import Callable
from functools import cache

from . import cpu
from .team_code import LOAD_PHASE, NEVER, STEAL_AFTER, TEAM, caller, cores, share, sleep

PHASE_BYTES = 40


def _stamp(clock: int) -> tuple[str, str]:
    """(before the first phase, after phase %i): the monotonic clock's timespec into %stamps[0], %stamps[1 + %i]."""
    return (f"  call i32 @clock_gettime(i32 {clock}, ptr %stamps)\n",
            f"""  %k = add i64 %i, 1
  %stamp_at = shl i64 %k, 4
  %stamp = getelementptr i8, ptr %stamps, i64 %stamp_at
  call i32 @clock_gettime(i32 {clock}, ptr %stamp)
""")


def _alone(name: str, parameter: str, first: str, after: str) -> str:
    """One thread does everything; no barriers."""
    return f"""
define void @{name}(ptr %table, i64 %count{parameter}) nounwind {{
entry:
{first}  %some = icmp sgt i64 %count, 0
  br i1 %some, label %phase, label %done
phase:
  %i = phi i64 [0, %entry], [%next, %tail]
{LOAD_PHASE}
  %any = icmp sgt i64 %chunks, 0
  br i1 %any, label %launch, label %tail
launch:
  call void %f(ptr %args, ptr %dims, i64 0, i64 %chunks, i64 0)
  br label %tail
tail:
{after}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %phase, label %done
done:
  ret void
}}
"""


_REST = """
define void @tw_pauses(i64 %count) nounwind {
entry:
  br label %turn
turn:
  %n = phi i64 [0, %entry], [%more, %turn]
  PAUSE
  %more = add i64 %n, 1
  %again = icmp slt i64 %more, %count
  br i1 %again, label %turn, label %done
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

declare i32 @clock_gettime(i32, ptr)
"""


def text(triple: str, linux: bool) -> str:
    """The driver as LLVM IR. The futex call is Linux's; elsewhere idle threads poll every 100 µs."""
    x86 = triple.startswith(("x86_64", "amd64"))
    clock = 1 if linux else 6
    first, after = _stamp(clock)
    pause, declaration = (("call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()") if x86 else
                          ("call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"))
    parts = [
        _alone("tw_run_alone", "", "", ""), _alone("tw_time_alone", ", ptr %stamps", first, after),
        share("tw_share", "", ""), share("tw_time_share", ", ptr %stamps", after),
        caller("tw_run_team", "tw_share", STEAL_AFTER, "", "", ""),
        caller("tw_time_team", "tw_time_share", NEVER, ", ptr %stamps", ", ptr %stamps", first),
        TEAM, _REST, declaration, cores(linux), sleep((202 if x86 else 98) if linux else None)]
    return "".join(parts).replace("  PAUSE\n", f"  {pause}\n").replace("i32 CLOCK", f"i32 {clock}")


_objects: dict[str, bytes] = {}                     # identity → object code


def identity() -> str:
    """Names the driver of this version for this machine: two of equal identity are the same code."""
    spec = cpu.describe()
    facts = "|".join([spec.triple, spec.name, spec.features, text(spec.triple, sys.platform.startswith("linux"))])
    return "driver/" + hashlib.sha256(facts.encode()).hexdigest()[:32]


def code() -> bytes:
    """The driver's object code; compiled, unless it was provided."""
    name = identity()
    if name not in _objects:
        spec = cpu.describe()
        _objects[name] = cpu.compile(text(spec.triple, sys.platform.startswith("linux")), spec)
    return _objects[name]


def provide(name: str, image: bytes) -> None:
    """Object code of the driver, as `code` gave it under this identity: starting the compiler takes 40 ms and 25 MB."""
    if image:
        _objects.setdefault(name, image)


_loading = threading.Lock()
_loaded: list[cpu.Library] = []


def library() -> cpu.Library:
    """The driver, loaded on first use, once: a second copy that threads load at the same time would be unloaded under
    the functions that were looked up in it."""
    with _loading:
        if not _loaded:
            _loaded.append(cpu.load([code()]))
    return _loaded[0]


@cache
def function(name: str, *arguments: type) -> Callable[..., None]:
    """A driver function as a ctypes callable; the GIL is released while it runs."""
    return ctypes.CFUNCTYPE(None, *arguments)(library().address(name))
