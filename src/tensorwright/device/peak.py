"""What this machine can do at best: arithmetic of fused multiply-adds, and reading memory. Measured, not looked up."""

from __future__ import annotations

import time
from functools import cache

import numpy as np

from ..targets import CpuSpec
from . import cpu as device
from .program import Call, Table

#: Iterations of the arithmetic loop per chunk (about a millisecond), and bytes read per thread.
ITERATIONS, READ_BYTES = 100_000, 64 << 20
#: Seconds spent on each measurement.
BUDGET = 0.1


def peak_flops(threads: int = 1) -> float:
    """float32 operations per second of independent multiply-adds in registers, on `threads` threads at once."""
    spec = device.describe()
    accumulators = _accumulators(spec)
    per_chunk = ITERATIONS * accumulators * spec.lanes * 2
    return per_chunk * threads / _seconds("tw_peak", threads, np.zeros(threads * 64, np.float32), ITERATIONS)


def read_bandwidth(threads: int = 1) -> float:
    """Bytes per second read from memory, each thread reading its own part of an array larger than the caches."""
    size = max(READ_BYTES, 2 * device.describe().l3 // threads) // 256 * 256
    memory = np.ones(size * threads // 4, np.float32)
    return size * threads / _seconds("tw_read", threads, memory, size)


def _seconds(entry: str, threads: int, memory: np.ndarray, amount: int) -> float:
    """The fastest of several runs of one chunk per thread."""
    library = _library(device.describe())
    table = Table([Call((library.address(entry),), (threads,), (memory.ctypes.data,), (amount,))], threads)
    table.run()
    best, end = float("inf"), time.perf_counter() + BUDGET
    while time.perf_counter() < end:
        begin = time.perf_counter()
        table.run()
        best = min(best, time.perf_counter() - begin)
    return best


def _accumulators(spec: CpuSpec) -> int:
    """Enough independent sums to hide the latency of two multiply-add units, and no more than registers."""
    return spec.vector_registers - 4


@cache
def _library(spec: CpuSpec) -> device.Library:
    return device.load([device.compile(_arithmetic(spec) + _reading(spec), spec)])


def _arithmetic(spec: CpuSpec) -> str:
    """acc[i] = acc[i] · a + b for all accumulators, dims[0] times; the sums are stored so that they are needed."""
    vec, n = f"<{spec.lanes} x float>", _accumulators(spec)
    phis = "\n".join(f"  %s{i} = phi {vec} [ %b, %entry ], [ %r{i}, %loop ]" for i in range(n))
    if spec.fma:
        steps = "\n".join(f"  %r{i} = call {vec} @llvm.fma.v{spec.lanes}f32({vec} %s{i}, {vec} %a, {vec} %b)"
                          for i in range(n))
    else:
        steps = "\n".join(f"  %m{i} = fmul {vec} %s{i}, %a\n  %r{i} = fadd {vec} %m{i}, %b" for i in range(n))
    sums = "\n".join(f"  %t{i} = fadd {vec} {f'%t{i - 1}' if i else '%b'}, %r{i}" for i in range(n))
    return f"""
declare {vec} @llvm.fma.v{spec.lanes}f32({vec}, {vec}, {vec})

define void @tw_peak(ptr %args, ptr %dims, i64 %begin, i64 %end, i64 %thread) nounwind {{
entry:
  %count = load i64, ptr %dims
  %memory = load ptr, ptr %args
  %at = mul i64 %begin, 64
  %place = getelementptr float, ptr %memory, i64 %at
  %a0 = insertelement {vec} undef, float 0.5, i32 0
  %a = shufflevector {vec} %a0, {vec} undef, <{spec.lanes} x i32> zeroinitializer
  %b0 = insertelement {vec} undef, float 1.0, i32 0
  %b = shufflevector {vec} %b0, {vec} undef, <{spec.lanes} x i32> zeroinitializer
  %some = icmp slt i64 %begin, %end
  br i1 %some, label %loop, label %done
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{phis}
{steps}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %out
out:
{sums}
  store {vec} %t{n - 1}, ptr %place, align 4
  br label %done
done:
  ret void
}}
"""


def _reading(spec: CpuSpec) -> str:
    """Chunk c reads dims[0] bytes from args[0] + c · dims[0]; 256 bytes per turn into four sums."""
    lanes = 16
    vec = f"<{lanes} x float>"
    phis = "\n".join(f"  %s{i} = phi {vec} [ zeroinitializer, %entry ], [ %r{i}, %loop ]" for i in range(4))
    loads = "\n".join(f"  %p{i} = getelementptr i8, ptr %at, i64 {64 * i}\n  %x{i} = load {vec}, ptr %p{i}, align 4\n"
                      f"  %r{i} = fadd {vec} %s{i}, %x{i}" for i in range(4))
    return f"""
define void @tw_read(ptr %args, ptr %dims, i64 %begin, i64 %end, i64 %thread) nounwind {{
entry:
  %size = load i64, ptr %dims
  %memory = load ptr, ptr %args
  %first = mul i64 %begin, %size
  %start = getelementptr i8, ptr %memory, i64 %first
  %some = icmp slt i64 %begin, %end
  br i1 %some, label %loop, label %done
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{phis}
  %at = getelementptr i8, ptr %start, i64 %i
{loads}
  %next = add i64 %i, 256
  %more = icmp slt i64 %next, %size
  br i1 %more, label %loop, label %out
out:
  %y0 = fadd {vec} %r0, %r1
  %y1 = fadd {vec} %r2, %r3
  %y = fadd {vec} %y0, %y1
  %one = extractelement {vec} %y, i32 0
  %odd = fcmp oeq float %one, 0xC1E0000000000000
  br i1 %odd, label %keep, label %done
keep:
  store float %one, ptr %start, align 4
  br label %done
done:
  ret void
}}
"""
