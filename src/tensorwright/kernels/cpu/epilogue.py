"""The last step of a contraction's tile: load the extra operands, apply the epilogue, store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...dims import Dim
from ...dtypes import DType
from ...ops.expr import Apply, Expr
from ...targets import CpuSpec
from ..llvm import SCALAR, Function, vector
from .contraction import epilogue_reads
from .pointwise_printer import emit
from .vector_math import FLOAT32


def costly(epilogue: Expr | None) -> bool:
    """Whether it needs so many registers that results are better put aside before: it computes a power series."""
    stack, seen = [] if epilogue is None else [epilogue], set[Expr]()
    while stack:
        node = stack.pop()
        if isinstance(node, Apply) and node not in seen:
            seen.add(node)
            stack += node.args
    return any(isinstance(node, Apply) and (node.fn in FLOAT32 or node.fn == "pow") for node in seen)


def load(f: Function, type_: str, pointer: str, mask: str | None) -> str:
    """A vector; lanes whose mask is off read nothing."""
    return f.load(type_, pointer) if mask is None else f.masked_load(type_, pointer, mask)


def apply_epilogue(f: Function, epilogue: Expr | None, value: str, extras: Sequence[tuple[DType, Dim]],
                   place: Callable[[int], str], lanes: int, mask: str | None, cpu: CpuSpec) -> str:
    """The epilogue of a vector of results.

    extras   type and stride along the vector (0 or 1) of each extra operand; those that are not read are not loaded
    place    extra's number → pointer to its element that belongs to the vector's first
    """
    if epilogue is None:
        return value
    reads, values = epilogue_reads(epilogue), [value]
    for i, (dtype, along) in enumerate(extras):
        type_ = vector(SCALAR[dtype], lanes)
        if i not in reads:
            values.append(f.const(type_, 0))
        elif along == 1:
            values.append(load(f, type_, place(i), mask))
        else:
            values.append(f.splat(type_, f.load(SCALAR[dtype], place(i))))
    return emit(f, epilogue, values, lanes, cpu)


def store(f: Function, dtype: DType, lanes: int, value: str, pointer: str, mask: str | None) -> None:
    type_ = vector(SCALAR[dtype], lanes)
    if mask is None:
        f.store(type_, value, pointer)
    else:
        f.masked_store(type_, value, pointer, mask)
