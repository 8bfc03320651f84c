"""What shape rules share: comparing symbolic dimensions, broadcasting, axes, windows; and the working precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any, overload

import numpy as np

from ..dims import Dim, maximum
from ..dtypes import DType
from ..errors import ShapeError, TypeMismatch
from ..ir import Cost, TensorType

#: Where shape rules note what they take for granted about symbols: see `conditions.py`. None: nobody asks.
ASSUMED: ContextVar[list[tuple[str, Dim]] | None] = ContextVar("ASSUMED", default=None)


def differ(a: Dim, b: Dim) -> bool:
    """Whether a and b certainly are different; when that depends on symbols, they are assumed to be equal."""
    gap = a - b
    if isinstance(gap, int):
        return gap != 0
    _assume("zero", gap)
    return False


def exceeds(a: Dim, b: Dim) -> bool:
    """Whether a certainly is greater than b; when that depends on symbols, it is assumed not to be."""
    room = b - a
    if isinstance(room, int):
        return room < 0
    _assume("natural", room)
    return False


def _assume(kind: str, d: Dim) -> None:
    noted = ASSUMED.get()
    if noted is not None:
        noted.append((kind, d))


def is_one(d: Dim) -> bool:
    return isinstance(d, int) and d == 1


def agree(a: Dim, b: Dim, what: str, **facts: Any) -> Dim:
    """The common value of two dimensions that must be equal, the constant one when one is. ShapeError with `what`."""
    if differ(a, b):
        raise ShapeError(f"{what}: {a} and {b}", **facts)
    return b if isinstance(b, int) else a


def broadcast_dims(a: Dim, b: Dim) -> Dim:
    """One dimension of a NumPy-style broadcast. Of two unlike symbols one is 1 or both are equal: the maximum."""
    if a == b or is_one(b):
        return a
    if is_one(a):
        return b
    if isinstance(a, int) and isinstance(b, int):
        raise ShapeError(f"dimensions {a} and {b} do not broadcast")
    if isinstance(a, int) or isinstance(b, int):
        return a if isinstance(a, int) else b
    return maximum(a, b)


def broadcast_shapes(*shapes: Sequence[Dim]) -> tuple[Dim, ...]:
    """The shape that NumPy's rule gives. ShapeError names all shapes."""
    rank = max((len(s) for s in shapes), default=0)
    result: list[Dim] = [1] * rank
    for shape in shapes:
        for axis, d in enumerate(shape, rank - len(shape)):
            try:
                result[axis] = broadcast_dims(result[axis], d)
            except ShapeError:
                shown = ", ".join(f"({', '.join(map(str, s))})" for s in shapes)
                raise ShapeError(f"shapes {shown} do not broadcast: {result[axis]} and {d} "
                                 f"at axis {axis - rank} from the end") from None
    for shape in shapes:
        for axis, d in enumerate(shape, rank - len(shape)):
            if not is_one(d):                    # kernels stretch what is 1 when they are made, and nothing else
                differ(d, result[axis])
    return tuple(result)


@overload
def span(window: int, dilation: int) -> int: ...
@overload
def span(window: Dim, dilation: int) -> Dim: ...
def span(window: Dim, dilation: int) -> Dim:
    """Elements from the first to the last tap of a dilated window, both included."""
    return (window - 1) * dilation + 1


@overload
def positions(extent: int, reach: int, stride: int) -> int: ...
@overload
def positions(extent: Dim, reach: Dim, stride: int) -> Dim: ...
def positions(extent: Dim, reach: Dim, stride: int) -> Dim:
    """How many windows of `reach` elements, `stride` apart, fit in extent. ShapeError when certainly none does."""
    if exceeds(reach, extent):
        raise ShapeError(f"window spans {reach} elements, the padded input has {extent}")
    return (extent - reach) // stride + 1


def check_axis(axis: int, rank: int, what: str = "axis") -> None:
    if not 0 <= axis < rank:
        raise ShapeError(f"{what} {axis} is outside 0..{rank - 1} of a tensor of rank {rank}")


def check_axes(axes: Iterable[int], rank: int) -> None:
    axes = tuple(axes)
    for axis in axes:
        check_axis(axis, rank)
    if list(axes) != sorted(set(axes)):
        raise ShapeError(f"axes {axes} are not sorted and distinct")


def same_dtype(*operands: TensorType | None) -> DType:
    """The one element type of all operands. TypeMismatch when there are several."""
    found = list(dict.fromkeys(t.dtype for t in operands if t is not None))
    if len(found) != 1:
        raise TypeMismatch(f"operands have element types {', '.join(map(str, found))}; all must be the same",
                           try_="insert a Cast")
    return found[0]


def need_float(t: TensorType) -> None:
    if not t.dtype.is_float:
        raise TypeMismatch(f"element type {t.dtype} is not a floating-point type")


def need_int(t: TensorType, what: str = "indices") -> None:
    if t.dtype not in (DType.int32, DType.int64):
        raise TypeMismatch(f"{what} have element type {t.dtype}, int32 or int64 is needed")


def widen(x: np.ndarray) -> np.ndarray:
    """x in the type references compute in: float32 for the narrow floating-point types, else its own."""
    kind = DType.of(x)
    return x.astype(np.float32) if kind.is_float and kind not in (DType.float32, DType.float64) else x


def lowest(dtype: np.dtype) -> Any:
    """The least value of a type: −∞ for floating-point types."""
    kind = DType.of(dtype)
    return False if kind is DType.bool else -np.inf if kind.is_float else np.iinfo(dtype).min


def highest(dtype: np.dtype) -> Any:
    """The greatest value of a type: +∞ for floating-point types."""
    kind = DType.of(dtype)
    return True if kind is DType.bool else np.inf if kind.is_float else np.iinfo(dtype).max


def taken(t: TensorType | None) -> TensorType:
    """An operand that must be present. ShapeError when it is absent."""
    if t is None:
        raise ShapeError("a required input is absent")
    return t


def total(items: Iterable[Dim]) -> Dim:
    result: Dim = 0
    for d in items:
        result = result + d
    return result


def traffic(*operands: TensorType | None) -> Dim:
    """Bytes of these operands, each touched once."""
    return total(t.size * t.dtype.itemsize for t in operands if t is not None)


def moved(*operands: TensorType | None) -> Cost:
    """The cost of touching these operands once, without arithmetic."""
    return Cost(0, traffic(*operands))
