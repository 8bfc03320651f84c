"""Kernels for CPUs: every family writes LLVM IR text. `tactics` finds the family of a problem's operator."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from ...ops.fused import Fused
from ...targets import CpuSpec
from ..problem import Problem, Tactic

#: operator class name → modules of this package that have tactics for it, best guess first. Operators that only move
#: elements (Transpose, Slice, Concat, ...) are views or Pointwise copies by the time they get here.
FAMILIES: dict[str, tuple[str, ...]] = {
    "Pointwise": ("pointwise",),
    "Reduce": ("reduce",),
    "ArgReduce": ("argreduce",),
    "Softmax": ("softmax",),
    "Normalize": ("normalize",),
    "Convolution": ("winograd", "depthwise", "grouped", "convolution", "padded_rows", "strassen"),
    "ConvTranspose": ("transposed",),
    "MatMul": ("matmul", "strassen"),
    "Pool": ("pool",),
    "Chain": ("chain",),
    "Attention": ("attention",),
    "Recurrent": ("recurrent",),
    "Pad": ("pad",),
    "Iota": ("fill",),
    "ShapeVector": ("fill",),
    "Fill": ("fill",),
    "Gather": ("gather",),
    "GatherElements": ("gather",),
    "GatherND": ("gather",),
    "ScatterElements": ("scatter",),
    "ScatterND": ("scatter",),
    "Resize": ("resize",),
    "CumSum": ("scan",),
    "CumProd": ("scan",),
    "TopK": ("topk",),
}


def tactics(problem: Problem, cpu: CpuSpec) -> Iterator[Tactic]:
    """Every way to solve the problem on this CPU, best guess first; nothing when no family has one."""
    op = problem.op.core if isinstance(problem.op, Fused) else problem.op
    for name in FAMILIES.get(type(op).__name__, ()):
        yield from import_module(f"{__name__}.{name}").tactics(problem, cpu)
