"""A kernel that writes memory again as it is, so that it lies in caches as if a layer before had just written it."""

from __future__ import annotations

import threading
from functools import cache

from ..targets import CpuSpec
from . import cpu

#: Bytes of one chunk.
PIECE = 4096


def text(spec: CpuSpec) -> str:
    """tw_touch: adds dims[0], which is 0, to the words of the pieces begin..end of args[0]."""
    lanes = spec.lanes // 2
    v = f"<{lanes} x i64>"
    return f"""
define void @tw_touch(ptr %args, ptr %dims, i64 %begin, i64 %end, i64 %thread) nounwind {{
entry:
  %p = load ptr, ptr %args, align 8
  %zero = load i64, ptr %dims, align 8
  %one = insertelement {v} zeroinitializer, i64 %zero, i64 0
  %zeros = shufflevector {v} %one, {v} %one, <{lanes} x i32> zeroinitializer
  %low = mul i64 %begin, {PIECE}
  %high = mul i64 %end, {PIECE}
  %any = icmp slt i64 %low, %high
  br i1 %any, label %turn, label %done
turn:
  %i = phi i64 [%low, %entry], [%next, %turn]
  %at = getelementptr i8, ptr %p, i64 %i
  %old = load {v}, ptr %at, align 8
  %new = add {v} %old, %zeros
  store {v} %new, ptr %at, align 8
  %next = add i64 %i, {lanes * 8}
  %more = icmp slt i64 %next, %high
  br i1 %more, label %turn, label %done
done:
  ret void
}}
"""


_loading = threading.Lock()


def library() -> cpu.Library:
    """The kernel for this machine, compiled on first use, once."""
    with _loading:
        return _library()


@cache
def _library() -> cpu.Library:
    spec = cpu.describe()
    return cpu.load([cpu.compile(text(spec), spec)])
