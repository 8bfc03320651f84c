"""What this machine can do at most: floating-point operations and bytes read per second, measured.

The roofs that kernels are compared with, measured on the same thread team that engines run on.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..targets import CpuSpec
from . import cpu
from .program import Call, Table

_TURNS = 2000                                       # of the multiply-add loop, per chunk
_STRETCH = 512                                      # bytes per turn of the reading loop
_WALK = 8 << 20                                     # bytes a thread reads per measurement, cache or not
_AS_MANY = 0.9                                      # of what one thread does, times their number: that is all of them
_PATIENCE = 1.0                                     # seconds more that threads get to reach what one does, times them


@dataclass(frozen=True)
class Level:
    """A cache, or memory. capacity: bytes it holds for all threads together; bandwidth: bytes per second they read."""

    name: str
    capacity: float
    bandwidth: float


@dataclass(frozen=True)
class Roofs:
    """What `threads` threads reach at most. flops: per second; levels: nearest first, memory last."""

    threads: int
    flops: float
    levels: tuple[Level, ...]

    def level(self, size: float) -> Level:
        """The nearest level that holds `size` bytes."""
        return next(level for level in self.levels if size <= level.capacity)

    def bound(self, flops: float, size: float) -> tuple[float, str]:
        """(least seconds for so much arithmetic on so many bytes, what sets them: "FMA" or the level's name)"""
        level = self.level(size)
        compute, traffic = flops / self.flops, size / level.bandwidth
        return (compute, "FMA") if compute >= traffic else (traffic, level.name)


@cache
def roofs(threads: int = 1) -> Roofs:
    """Measured once per process, in about a quarter of a second."""
    spec = cpu.describe()
    sizes = {"L1": spec.l1 * threads, "L2": spec.l2 * threads, "L3": spec.l3}
    levels, below = [], 0
    for name, size in sizes.items():
        if size > below:                                                   # an L3 that is not there counts as L2
            levels.append(Level(name, size, read_bandwidth(threads, 0.02, max(size // 2, min(2 * below, size)))))
            below = size
    levels.append(Level("memory", math.inf, read_bandwidth(threads, 0.08)))
    return Roofs(threads, peak_flops(threads, 0.05), tuple(levels))


def peak_flops(threads: int = 1, budget: float = 0.1) -> float:
    """float32 operations per second of a loop of multiply-adds in registers, on `threads` threads; the best seen.

    The clock may be lower under such a loop than in real kernels: a kernel at 103 % of it is at the limit, not above.
    Two virtual processors may share a core of the host for half a second and each run at half its speed. So threads
    that reach less together than one of them does, times their number, are given _PATIENCE to do better.
    """
    spec = cpu.describe()
    library, operations = cpu.load([cpu.compile(fma_loop(spec), spec)]), _operations(spec)
    values = np.ones(spec.lanes * 2, np.float32)

    def best(threads: int, budget: float, enough: float = math.inf) -> float:
        chunks = 4 * threads
        call = Call((library.address("tw_fma"),), (chunks,), (values.ctypes.data,), (_TURNS,))
        work = chunks * _TURNS * operations
        return work / _shortest(Table([call], threads), budget, work / enough)

    found = best(threads, budget)
    if threads > 1 and found < (enough := _AS_MANY * min(threads, spec.cores) * best(1, budget)):
        found = max(found, best(threads, _PATIENCE, enough))
    return found


def read_bandwidth(threads: int = 1, budget: float = 0.3, size: int | None = None) -> float:
    """Bytes per second that `threads` threads read in order, each its part of `size` bytes, again and again; the best.

    size: None reads from memory: more than the caches hold.
    """
    spec = cpu.describe()
    library = cpu.load([cpu.compile(read_loop(spec), spec)])
    total = max(128 << 20, min(4 * spec.l3, 512 << 20)) if size is None else size
    part = max(1, total // threads // _STRETCH) * _STRETCH
    turns = max(1, _WALK // part)
    data = np.ones(threads * part // 4, np.float32)                        # written: every page is there
    call = Call((library.address("tw_read"),), (threads,), (data.ctypes.data,), (part, turns))
    return threads * part * turns / _shortest(Table([call], threads), budget)


def _shortest(table: Table, budget: float, enough: float = 0.0) -> float:
    """Seconds of the quickest run within `budget` seconds, or of the first that takes no more than `enough`."""
    best, end = float("inf"), time.perf_counter() + budget
    while True:
        best = min(best, float(table.time()[0]))
        if best <= enough or time.perf_counter() > end:
            return best


def _accumulators(spec: CpuSpec) -> int:
    return 12 if spec.vector_registers <= 16 else 24


def _operations(spec: CpuSpec) -> int:
    return 2 * spec.lanes * _accumulators(spec)


def fma_loop(spec: CpuSpec) -> str:
    """tw_fma: per chunk, dims[0] turns of a = a·x + y for each of many accumulators a. args[0]: vectors x, y."""
    v, count = f"<{spec.lanes} x float>", _accumulators(spec)
    accumulators = range(count)
    name = f"llvm.fmuladd.v{spec.lanes}f32"
    lines = [
        f"declare {v} @{name}({v}, {v}, {v})",
        "define void @tw_fma(ptr %args, ptr %dims, i64 %begin, i64 %end, i64 %thread) nounwind {", "entry:",
        "  %p = load ptr, ptr %args, align 8", "  %turns = load i64, ptr %dims, align 8",
        "  %chunks = sub i64 %end, %begin", "  %n = mul i64 %turns, %chunks",
        f"  %x = load {v}, ptr %p, align 4", f"  %q = getelementptr i8, ptr %p, i64 {spec.lanes * 4}",
        f"  %y = load {v}, ptr %q, align 4",
        "  %any = icmp sgt i64 %n, 0", "  br i1 %any, label %turn, label %done", "turn:",
        "  %i = phi i64 [0, %entry], [%next, %turn]",
        *(f"  %a{k} = phi {v} [zeroinitializer, %entry], [%b{k}, %turn]" for k in accumulators),
        *(f"  %b{k} = call contract {v} @{name}({v} %a{k}, {v} %x, {v} %y)" for k in accumulators),
        "  %next = add i64 %i, 1", "  %more = icmp slt i64 %next, %n", "  br i1 %more, label %turn, label %end_",
        "end_:", *(f"  %s{k} = fadd {v} {f'%s{k - 1}' if k > 1 else '%b0'}, %b{k}" for k in accumulators if k),
        f"  %first = extractelement {v} %s{count - 1}, i64 0",             # the loop must not be seen as useless
        "  %odd = fcmp oeq float %first, -1.0", "  br i1 %odd, label %never, label %done", "never:",
        "  store float %first, ptr %p, align 4", "  br label %done", "done:", "  ret void", "}"]
    return "\n".join(lines)


def read_loop(spec: CpuSpec) -> str:
    """tw_read: reads the parts begin..end, dims[0] bytes each, of args[0], dims[1] times; 512 bytes per turn."""
    lanes = spec.lanes // 2
    v, parts = f"<{lanes} x i64>", range(_STRETCH // (8 * lanes))
    kept = range(4)
    last = (len(parts) - 1) // 4
    lines = [
        "define void @tw_read(ptr %args, ptr %dims, i64 %begin, i64 %end, i64 %thread) nounwind {", "entry:",
        "  %p = load ptr, ptr %args, align 8", "  %part = load i64, ptr %dims, align 8",
        "  %second = getelementptr i8, ptr %dims, i64 8", "  %walks = load i64, ptr %second, align 8",
        "  %low = mul i64 %begin, %part", "  %high = mul i64 %end, %part",
        "  %any = icmp slt i64 %low, %high", "  br i1 %any, label %walk, label %done", "walk:",
        "  %w = phi i64 [0, %entry], [%after, %walked]",
        *(f"  %c{k} = phi {v} [zeroinitializer, %entry], [%o{k}_{last}, %walked]" for k in kept),
        "  br label %turn", "turn:", "  %i = phi i64 [%low, %walk], [%next, %turn]",
        *(f"  %a{k} = phi {v} [%c{k}, %walk], [%o{k}_{last}, %turn]" for k in kept),
        "  %at = getelementptr i8, ptr %p, i64 %i"]
    for j in parts:
        k, turn = j % 4, j // 4
        lines += [f"  %p{j} = getelementptr i8, ptr %at, i64 {j * 8 * lanes}",
                  f"  %v{j} = load {v}, ptr %p{j}, align 4",
                  f"  %o{k}_{turn} = xor {v} {f'%o{k}_{turn - 1}' if turn else f'%a{k}'}, %v{j}"]
    lines += [f"  %next = add i64 %i, {_STRETCH}", "  %more = icmp slt i64 %next, %high",
              "  br i1 %more, label %turn, label %walked", "walked:", "  %after = add i64 %w, 1",
              "  %again = icmp slt i64 %after, %walks", "  br i1 %again, label %walk, label %end_", "end_:",
              *(f"  %s{k} = xor {v} {f'%s{k - 1}' if k > 1 else f'%o0_{last}'}, %o{k}_{last}" for k in kept if k),
              f"  %first = extractelement {v} %s3, i64 0", "  %odd = icmp eq i64 %first, 81985529216486895",
              "  br i1 %odd, label %never, label %done", "never:", "  store i64 %first, ptr %args, align 8",
              "  br label %done", "done:", "  ret void", "}"]
    return "\n".join(lines)
