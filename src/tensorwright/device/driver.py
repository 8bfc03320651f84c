"""The native code that walks a table of phases, alone or as a team of threads: LLVM IR text, made once per process.

A table is an array of phases, PHASE_BYTES each, of 64-bit words:

    0  function      entry(args, dims, begin, end, thread), the calling convention of kernels
    1  args          its array of pointers
    2  dims          its array of numbers
    3  chunks        amount of work, split evenly among the threads
    4  flags         SERIAL: thread 0 does all of it. FREE: no barrier after it (never on a table's last phase)

A team's memory is TEAM_BYTES, each item on its own cache line:

      0  word        (number of the run << 16) | threads taking part; STOP threads tell the workers to leave
     64  counter     of barrier arrivals; only grows, so that nobody can miss its value
    128  job         table, count, counter's value before the run
    192  sleepers    workers about to sleep, or asleep, on `word`

Who writes when: the caller of a run (there is one at a time) writes the job, then word (release). A worker that sees
a new word takes part if its number is below the word's threads, and then the caller cannot leave the last barrier
without it, so the job stays put while it is read. Workers that do not take part read nothing but the word.
A worker about to sleep counts itself in sleepers, then sleeps unless word has changed; the caller changes word, then
looks at sleepers. Both orders are sequentially consistent: one of them always sees the other.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

from . import cpu

PHASE_BYTES = 40
SERIAL, FREE = 1, 2
TEAM_BYTES = 256
STOP = 0xFFFF
MAX_THREADS = 1024
YIELD_AFTER = 2000                                  # pauses at a barrier before it starts to yield the core

_LOAD_PHASE = """
  %at = mul i64 %i, 40
  %p = getelementptr i8, ptr %table, i64 %at
  %f = load ptr, ptr %p, align 8
  %p1 = getelementptr i8, ptr %p, i64 8
  %args = load ptr, ptr %p1, align 8
  %p2 = getelementptr i8, ptr %p, i64 16
  %dims = load ptr, ptr %p2, align 8
  %p3 = getelementptr i8, ptr %p, i64 24
  %chunks = load i64, ptr %p3, align 8
"""


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
  %i = phi i64 [0, %entry], [%next, %phase]
{_LOAD_PHASE}
  call void %f(ptr %args, ptr %dims, i64 0, i64 %chunks, i64 0)
{after}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %phase, label %done
done:
  ret void
}}
"""


def _share(name: str, parameter: str, first: str, after: str) -> str:
    """What each thread of a team does: its part of every phase, then the barrier."""
    return f"""
define void @{name}(ptr %table, i64 %count, i64 %tid, i64 %T, ptr %counter, i64 %base{parameter}) nounwind {{
entry:
{first}  %is_first = icmp eq i64 %tid, 0
  %after_tid = add i64 %tid, 1
  br label %phase
phase:
  %i = phi i64 [0, %entry], [%next, %tail]
  %reached = phi i64 [%base, %entry], [%now_reached, %tail]
{_LOAD_PHASE}
  %p4 = getelementptr i8, ptr %p, i64 32
  %flags = load i64, ptr %p4, align 8
  %serial_bit = and i64 %flags, {SERIAL}
  %serial = icmp ne i64 %serial_bit, 0
  br i1 %serial, label %all_or_nothing, label %split
all_or_nothing:
  %whole = select i1 %is_first, i64 %chunks, i64 0
  br label %work
split:
  %low = mul i64 %chunks, %tid
  %high = mul i64 %chunks, %after_tid
  %b = udiv i64 %low, %T
  %e = udiv i64 %high, %T
  br label %work
work:
  %begin = phi i64 [0, %all_or_nothing], [%b, %split]
  %end = phi i64 [%whole, %all_or_nothing], [%e, %split]
  %any = icmp slt i64 %begin, %end
  br i1 %any, label %launch, label %meet
launch:
  call void %f(ptr %args, ptr %dims, i64 %begin, i64 %end, i64 %tid)
  br label %meet
meet:
  %free_bit = and i64 %flags, {FREE}
  %free = icmp ne i64 %free_bit, 0
  br i1 %free, label %tail, label %barrier
barrier:
  %target = add i64 %reached, %T
  call void @tw_barrier(ptr %counter, i64 %target)
  br label %tail
tail:
  %now_reached = phi i64 [%reached, %meet], [%target, %barrier]
{after}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %phase, label %done
done:
  ret void
}}
"""


def _caller(name: str, share: str, parameter: str, argument: str) -> str:
    """Publish a job, wake who sleeps, take part as thread 0. 0 < count, 0 < T."""
    return f"""
define void @{name}(ptr %team, ptr %table, i64 %count, i64 %T{parameter}) nounwind {{
entry:
  %counter = getelementptr i8, ptr %team, i64 64
  %job = getelementptr i8, ptr %team, i64 128
  %job1 = getelementptr i8, ptr %team, i64 136
  %job2 = getelementptr i8, ptr %team, i64 144
  %sleepers = getelementptr i8, ptr %team, i64 192
  %base = load atomic i64, ptr %counter acquire, align 8
  store ptr %table, ptr %job, align 8
  store i64 %count, ptr %job1, align 8
  store i64 %base, ptr %job2, align 8
  %old = load atomic i64, ptr %team monotonic, align 8
  %run = lshr i64 %old, 16
  %next = add i64 %run, 1
  %shifted = shl i64 %next, 16
  %word = or i64 %shifted, %T
  store atomic i64 %word, ptr %team seq_cst, align 8
  %asleep = load atomic i64, ptr %sleepers seq_cst, align 8
  %any = icmp ne i64 %asleep, 0
  br i1 %any, label %wake, label %go
wake:
  call void @tw_wake(ptr %team)
  br label %go
go:
  call void @{share}(ptr %table, i64 %count, i64 0, i64 %T, ptr %counter, i64 %base{argument})
  ret void
}}
"""


_TEAM = f"""
define void @tw_barrier(ptr %counter, i64 %target) nounwind {{
entry:
  %old = atomicrmw add ptr %counter, i64 1 acq_rel
  %mine = add i64 %old, 1
  %last = icmp sge i64 %mine, %target
  br i1 %last, label %done, label %spin
spin:
  %n = phi i64 [0, %entry], [%more, %wait], [0, %yield]
  %patience = phi i64 [{YIELD_AFTER}, %entry], [%patience, %wait], [20, %yield]
  %v = load atomic i64, ptr %counter acquire, align 64
  %all = icmp sge i64 %v, %target
  br i1 %all, label %done, label %check
check:
  %tired = icmp ugt i64 %n, %patience
  br i1 %tired, label %yield, label %wait
wait:
  PAUSE
  %more = add i64 %n, 1
  br label %spin
yield:
  call i32 @sched_yield()
  br label %spin
done:
  ret void
}}

define void @tw_worker(ptr %team, i64 %tid, i64 %first, i64 %spins) nounwind {{
entry:
  %counter = getelementptr i8, ptr %team, i64 64
  %job = getelementptr i8, ptr %team, i64 128
  %job1 = getelementptr i8, ptr %team, i64 136
  %job2 = getelementptr i8, ptr %team, i64 144
  br label %look
look:
  %n = phi i64 [0, %entry], [%more, %pause], [0, %sleep], [0, %fresh], [0, %part]
  %seen = phi i64 [%first, %entry], [%seen, %pause], [%seen, %sleep], [%word, %fresh], [%word, %part]
  %word = load atomic i64, ptr %team acquire, align 64
  %same = icmp eq i64 %word, %seen
  br i1 %same, label %idle, label %new
idle:
  %tired = icmp ugt i64 %n, %spins
  br i1 %tired, label %sleep, label %pause
pause:
  PAUSE
  %more = add i64 %n, 1
  br label %look
sleep:
  call void @tw_sleep(ptr %team, i64 %seen)
  br label %look
new:
  %T = and i64 %word, 65535
  %stop = icmp eq i64 %T, {STOP}
  br i1 %stop, label %leave, label %fresh
fresh:
  %mine = icmp slt i64 %tid, %T
  br i1 %mine, label %part, label %look
part:
  %table = load ptr, ptr %job, align 8
  %count = load i64, ptr %job1, align 8
  %base = load i64, ptr %job2, align 8
  call void @tw_share(ptr %table, i64 %count, i64 %tid, i64 %T, ptr %counter, i64 %base)
  br label %look
leave:
  ret void
}}

define void @tw_stop(ptr %team) nounwind {{
  %old = load atomic i64, ptr %team monotonic, align 8
  %run = lshr i64 %old, 16
  %next = add i64 %run, 1
  %shifted = shl i64 %next, 16
  %word = or i64 %shifted, {STOP}
  store atomic i64 %word, ptr %team seq_cst, align 8
  call void @tw_wake(ptr %team)
  ret void
}}

define void @tw_pauses(i64 %count) nounwind {{
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
}}

define void @tw_repeat(ptr %table, i64 %count, i64 %times) nounwind {{
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
}}

declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)
"""


def _sleep(futex: int | None) -> str:
    """tw_sleep(team, seen): return once word may differ from seen. tw_wake(team): wake all who sleep there."""
    if futex is None:
        return """
declare i32 @usleep(i32)
define void @tw_sleep(ptr %team, i64 %seen) nounwind {
  call i32 @usleep(i32 100)
  ret void
}
define void @tw_wake(ptr %team) nounwind {
  ret void
}
"""
    return f"""
declare i64 @syscall(i64, ...)
define void @tw_sleep(ptr %team, i64 %seen) nounwind {{
  %sleepers = getelementptr i8, ptr %team, i64 192
  atomicrmw add ptr %sleepers, i64 1 seq_cst
  %low = trunc i64 %seen to i32
  call i64 (i64, ...) @syscall(i64 {futex}, ptr %team, i32 128, i32 %low, ptr null, ptr null, i32 0)
  atomicrmw sub ptr %sleepers, i64 1 seq_cst
  ret void
}}
define void @tw_wake(ptr %team) nounwind {{
  call i64 (i64, ...) @syscall(i64 {futex}, ptr %team, i32 129, i32 2147483647, ptr null, ptr null, i32 0)
  ret void
}}
"""


def text(triple: str, linux: bool) -> str:
    """The driver as LLVM IR. The futex call is Linux's; elsewhere idle threads poll every 100 µs."""
    x86 = triple.startswith(("x86_64", "amd64"))
    first, after = _stamp(1 if linux else 6)
    pause, declaration = (("call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()") if x86 else
                          ("call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"))
    return "".join([
        _alone("tw_run_alone", "", "", ""), _alone("tw_time_alone", ", ptr %stamps", first, after),
        _share("tw_share", "", "", ""), _share("tw_time_share", ", ptr %stamps", first, after),
        _caller("tw_run_team", "tw_share", "", ""),
        _caller("tw_time_team", "tw_time_share", ", ptr %stamps", ", ptr %stamps"),
        _TEAM.replace("PAUSE", pause), declaration, _sleep((202 if x86 else 98) if linux else None)])


@cache
def library() -> cpu.Library:
    """The driver, compiled for this machine on first use."""
    spec = cpu.describe()
    return cpu.load([cpu.compile(text(spec.triple, sys.platform.startswith("linux")), spec)])


@cache
def function(name: str, *arguments: type) -> Callable[..., None]:
    """A driver function as a ctypes callable; the GIL is released while it runs."""
    return ctypes.CFUNCTYPE(None, *arguments)(library().address(name))
