"""What a kernel must do (`Problem`), one way to do it (`Tactic`), and the machine-readable result (`Source`).

The calling convention of every CPU kernel entry is

    void entry(ptr args, ptr dims, i64 begin, i64 end, i64 thread)

args     array of pointers: the problem's inputs in order (null where absent), then outputs, then the source's
         workspaces. Pointers already include the operand's offset. Packed operands point to the packed array.
         Where Source.ahead is not 0, two more: begin and end of what is fetched into the caches meanwhile, for
         launches that follow; equal for nothing. It is never read.
dims     array of i64: the values of `Source.dims`, in order
begin..end   the chunks of work to do, a part of 0..chunks; chunks write disjoint memory and may run at the same time
thread   number of the calling thread, 0 ≤ thread < threads; picks a slice of per-thread workspaces

Any dimension given as an expression may be 0 at run time. Kernels never touch memory outside their operands' elements
(borders and declared slack excepted) and assume no more alignment than the element's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ..dims import Dim, evaluate
from ..dtypes import DType
from ..ir import Op
from ..targets import CpuSpec


@dataclass(frozen=True)
class Operand:
    """One tensor as a kernel sees it.

    shape, strides   elements; symbolic entries are expressions of the problem's own symbols s0, s1, ...
                     A stride is 0 where the operand is broadcast (expanded).
    constant         known at build: kernels may ask for it packed
    border           per axis (before, after): elements outside the shape, reachable through the strides, that are
                     readable and hold zero; () means none. Convolutions read their padding from it.
    """

    shape: tuple[Dim, ...]
    strides: tuple[Dim, ...]
    dtype: DType
    constant: bool = False
    border: tuple[tuple[int, int], ...] = ()

    def border_of(self, axis: int) -> tuple[int, int]:
        return self.border[axis] if self.border else (0, 0)

    def contiguous_axes(self) -> int:
        """How many trailing axes are dense in C order (an axis of size 1 counts as dense)."""
        expected: Dim = 1
        for count, (d, s) in enumerate(zip(reversed(self.shape), reversed(self.strides), strict=True)):
            if d != 1 and s != expected:
                return count
            expected = expected * d
        return len(self.shape)


@dataclass(frozen=True)
class Problem:
    """The key of the timing cache, of kernel sharing and of the tests: all that a tactic may look at.

    op         the operator; symbols in its parameters are the problem's own
    inputs     None where an optional input is absent. Broadcast inputs of Pointwise layers and of epilogues have been
               expanded: they have the rank and shape of the output, with stride 0 along broadcast axes.
    outputs
    tuned      (symbol, value) pairs: the sizes that tactics are timed at
    """

    op: Op
    inputs: tuple[Operand | None, ...]
    outputs: tuple[Operand, ...]
    tuned: tuple[tuple[str, int], ...] = ()

    def at_tuned(self, d: Dim) -> int:
        return evaluate(d, dict(self.tuned))


@dataclass(frozen=True)
class Phase:
    """One launch. A source with several phases has a barrier after each.

    entry    function name in the text
    chunks   amount of work, split evenly among threads
    """

    entry: str
    chunks: Dim


@dataclass(frozen=True)
class Workspace:
    """Scratch memory. bytes: size (of one thread's slice if per_thread); valid only within the launch's phases."""

    bytes: Dim
    per_thread: bool = False


@dataclass(frozen=True)
class Source:
    """text: an LLVM IR module, without target lines. Names of functions begin with the `symbol` it was asked for."""

    text: str
    phases: tuple[Phase, ...]
    dims: tuple[Dim, ...] = ()
    workspaces: tuple[Workspace, ...] = ()
    packed: tuple[int, ...] = ()                 # input numbers expected in the form Tactic.pack gives
    ahead: Dim = 0                               # bytes of later launches' operands that it can fetch while it computes


@runtime_checkable
class Tactic(Protocol):
    """One way to solve a problem: a frozen dataclass in which all that changes the machine code is a field."""

    def source(self, problem: Problem, cpu: CpuSpec, symbol: str) -> Source:
        """The kernel. `symbol` prefixes every function defined."""

    def pack(self, problem: Problem, cpu: CpuSpec, index: int, array: np.ndarray) -> np.ndarray:
        """Constant input `index` as the kernel wants it. Only called for inputs in Source.packed."""
