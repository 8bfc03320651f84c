"""The normal form of pointwise problems, and the loop that runs vectors over a range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...dims import Dim
from ...dtypes import NATIVE, DType
from ...ops.expr import Expr, operands
from ...ops.pointwise import Pointwise
from ...targets import CpuSpec
from ..llvm import SCALAR, Dims, Function, arg, vector
from ..problem import Operand, Problem
from .access import lanes_for, load, types_in
from .pointwise_printer import emit
from .space import Axis, Walk, arranged, zip_axes

SUPPORTED = NATIVE | {DType.float16, DType.bfloat16}


@dataclass(frozen=True)
class Work:
    """A pointwise problem in normal form.

    reads     the inputs that the expression uses
    operands  these inputs, then the output
    axes      merged, outermost first; the last one is the vector axis: the output's stride is 1 there if it is anywhere
    """

    expr: Expr
    reads: tuple[int, ...]
    operands: tuple[Operand, ...]
    axes: tuple[Axis, ...]
    lanes: int

    @property
    def dtypes(self) -> list[DType]:
        return [x.dtype for x in self.operands]

    @property
    def sizes(self) -> list[int]:
        return [x.dtype.itemsize for x in self.operands]

    def emit(self, f: Function, values: Sequence[str], lanes: int, cpu: CpuSpec) -> str:
        """The expression's value; values: one per read."""
        inputs = [""] * (max(self.reads, default=-1) + 1)
        for index, value in zip(self.reads, values, strict=True):
            inputs[index] = value
        return emit(f, self.expr, inputs, lanes, cpu)

    def emit_one(self, f: Function, d: Dims, pointers: Sequence[str], cpu: CpuSpec) -> None:
        """One element: load, compute, store."""
        values = [load(f, d, t, p, 0, 1) for t, p in zip(self.dtypes[:-1], pointers[:-1], strict=True)]
        f.store(SCALAR[self.dtypes[-1]], self.emit(f, values, 1, cpu), pointers[-1])

    def pointers(self, f: Function, problem: Problem) -> list[str]:
        return [arg(f, i) for i in (*self.reads, len(problem.inputs))]

    def walk(self, f: Function, order: list[Dim]) -> Walk:
        return Walk(f, Dims(f, order), self.sizes)


def normal_form(problem: Problem, cpu: CpuSpec) -> Work | None:
    """None when a type has no kernels or an input was not expanded."""
    op, y = problem.op, problem.outputs[0]
    assert isinstance(op, Pointwise)
    reads = tuple(x.index for x in operands(op.expr))
    used = [x for x in (problem.inputs[i] for i in reads) if x is not None and x.shape == y.shape]
    types = types_in(op.expr)
    if not types <= SUPPORTED or len(used) < len(reads):
        return None
    ops = (*used, y)
    axes = arranged(problem, zip_axes(y.shape, *(x.strides for x in ops)), len(ops) - 1)
    if not axes:
        axes = [Axis(1, (1,) * len(ops))]
    unit = next((k for k, a in reversed(list(enumerate(axes))) if a.strides[-1] == 1), len(axes) - 1)
    axes.append(axes.pop(unit))
    return Work(op.expr, reads, ops, tuple(axes), lanes_for(cpu, types))


def typed(dtype: DType, lanes: int) -> str:
    return vector(SCALAR[dtype], lanes)


def vector_loop(f: Function, begin: str, end: str, lanes: int, unroll: int, step: Callable[..., None], masked: bool,
                constant_masks: bool = True) -> None:
    """step(positions, lanes) for full vectors from begin to end, `unroll` at a time; then what is left.

    masked           the rest is one step(positions, lanes, mask); otherwise it goes element by element
    constant_masks   a rest of constant length is masked in any case
    """
    count, done = f.sub(end, begin), begin
    for times in sorted({unroll, 1}, reverse=True):
        stop = f.add(begin, f.sub(count, f.remainder(count, lanes * times)))
        if stop != done:
            with f.loop("i", done, stop, lanes * times) as i:
                step([f.add(i, u * lanes) for u in range(times)], lanes)
        done = stop
    rest = f.sub(end, done)
    if rest == "0" or lanes == 1:
        return
    if rest.isdigit() and (masked or constant_masks):
        step([done], lanes, f.tail_mask(lanes, rest))
    elif masked:
        with f.when(f.set(f"icmp sgt i64 {rest}, 0")):
            step([done], lanes, f.tail_mask(lanes, rest))
    else:
        with f.loop("i", done, end) as i:
            step([i], 1)
