"""What operators do to shape values: arithmetic on arrays of dimensions, so that shapes stay symbolic expressions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from ..dims import Dim, Expr, maximum, minimum
from ..dtypes import DType
from .host import dtype_of
from .movement import resolved_shape, squeezed, unsqueezed
from .node import Node
from .registry import shape_rule
from .slicing import lowest, slice_parameters, split_sizes
from .values import SMALL, Decline, Value, axis_of, known


def content(v: Value) -> np.ndarray:
    found = v.content
    if found is None:
        raise Decline("computed at run time")
    return found


def contents(n: Node) -> list[np.ndarray]:
    return [content(n[i]) for i in range(len(n.inputs))]


def elementwise(f: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """f on every element of broadcast object arrays."""
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    if math.prod(shape) > SMALL:
        raise Decline("too many elements for a shape")
    result = np.empty(shape, object)
    wide = [np.broadcast_to(a, shape) for a in arrays]
    for i in np.ndindex(*shape):
        result[i] = f(*(a[i] for a in wide))
    return result


def is_fraction(x: Any) -> bool:
    return isinstance(x, float) and not x.is_integer()


def dim(x: Any) -> Dim:
    """An operand as a dimension: whole floats count (sizes are often computed in float32)."""
    if isinstance(x, Expr):
        return x
    if is_fraction(x) or (isinstance(x, float) and not math.isfinite(x)):
        raise Decline("fractions of symbols")
    return int(x)


def divide(a: Any, b: Any, exact: bool) -> Dim:
    """a / b; integers round towards zero, which is downwards for what cannot be negative."""
    a, b = dim(a), dim(b)
    if isinstance(b, int) and b == 0:
        raise Decline("division by zero")
    if exact:
        if not (isinstance(a, int) and isinstance(b, int)) and isinstance(a % b, int) and a % b == 0:
            return a // b
        raise Decline("fractions of symbols")
    if lowest(a) < 0 or lowest(b) < 0:
        raise Decline("division of what may be negative")
    return a // b


def modulo(a: Any, b: Any) -> Dim:
    """The remainder with the sign of the divisor, which must be positive."""
    a, b = dim(a), dim(b)
    if lowest(b) < 1:
        raise Decline("remainder by what may not be positive")
    return a % b


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": lambda a, b: dim(a) + dim(b), "Sub": lambda a, b: dim(a) - dim(b), "Mul": lambda a, b: dim(a) * dim(b),
    "Mod": modulo, "Min": lambda a, b: smaller(dim(a), dim(b)), "Max": lambda a, b: larger(dim(a), dim(b))}


def smaller(a: Dim, b: Dim) -> Dim:
    return a if lowest(b - a) >= 0 else b if lowest(a - b) >= 0 else minimum(a, b)


def larger(a: Dim, b: Dim) -> Dim:
    return b if lowest(b - a) >= 0 else a if lowest(a - b) >= 0 else maximum(a, b)


@shape_rule("Add", "Sub", "Mul", "Mod", "Min", "Max", "Sum")
def arithmetic(n: Node) -> Value:
    f = BINARY["Add" if n.op_type == "Sum" else n.op_type]
    if n.flag("fmod") and any(lowest(dim(x)) < 0 for x in content(n[0]).flat):
        raise Decline("remainder of what may be negative")
    return known(reduce(lambda a, b: elementwise(f, a, b), contents(n)), n[0].dtype)


@shape_rule("Div")
def division(n: Node) -> Value:
    exact = n[0].dtype.is_float
    return known(elementwise(lambda a, b: divide(a, b, exact), *contents(n)), n[0].dtype)


def compare(op_type: str, a: Any, b: Any) -> bool:
    """A comparison whose outcome is the same for all values of the symbols; Decline otherwise."""
    if not (isinstance(a, Expr) or isinstance(b, Expr)):
        return bool({"Equal": a == b, "Less": a < b, "Greater": a > b, "LessOrEqual": a <= b,
                     "GreaterOrEqual": a >= b}[op_type])
    if op_type in ("Greater", "GreaterOrEqual"):
        return compare("Less" if op_type == "Greater" else "LessOrEqual", b, a)
    low, high = lowest(dim(b) - dim(a)), -lowest(dim(a) - dim(b))       # bounds of b − a
    if op_type == "Equal" and (low > 0 or high < 0 or low == high == 0):
        return low == high == 0
    if op_type == "Less" and (low > 0 or high <= 0):
        return low > 0
    if op_type == "LessOrEqual" and (low >= 0 or high < 0):
        return low >= 0
    raise Decline("the comparison depends on the input shapes")


@shape_rule("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")
def comparison(n: Node) -> Value:
    return known(elementwise(lambda a, b: compare(n.op_type, a, b), *contents(n)), DType.bool)


@shape_rule("Where")
def where(n: Node) -> Value:
    test, a, b = contents(n)
    if any(isinstance(t, Expr) for t in test.flat):
        raise Decline("the condition depends on the input shapes")
    return known(elementwise(lambda t, x, y: x if t else y, test, a, b), n[1].dtype)


@shape_rule("Neg")
def negative(n: Node) -> Value:
    return known(elementwise(lambda a: -dim(a), *contents(n)), n[0].dtype)


@shape_rule("Identity", "Floor", "Ceil", "Round", "Abs", "Relu")
def unchanged(n: Node) -> Value:
    """Whole numbers that are not negative."""
    value = content(n[0])
    if n.op_type in ("Abs", "Relu") and any(lowest(dim(x)) < 0 for x in value.flat):
        raise Decline("the sign depends on the input shapes")
    return known(value, n[0].dtype)


@shape_rule("Cast", "CastLike")
def cast(n: Node) -> Value:
    to = dtype_of(n.integer("to")) if n.op_type == "Cast" else n[1].dtype
    if to not in (DType.int64, DType.int32, DType.float32, DType.float64):
        raise Decline(f"shape values are not kept as {to}")
    value = content(n[0])
    if to.is_int and any(is_fraction(x) for x in value.flat):
        value = elementwise(lambda x: math.trunc(x) if isinstance(x, float) else x, value)
    return known(value, to)


@shape_rule("Gather")
def gather(n: Node) -> Value:
    value, indices = content(n[0]), n.array(1)
    axis = axis_of(n.integer("axis", 0), value.ndim)
    d = value.shape[axis]
    if indices.size and (indices.min() < -d or indices.max() >= d):
        raise Decline("an index is outside the shape")
    return known(np.take(value, indices, axis), n[0].dtype)


@shape_rule("Slice")
def slice_(n: Node) -> Value:
    value = content(n[0])
    starts, sizes, steps = slice_parameters(n, n[0])
    for axis, (start, size, step) in enumerate(zip(starts, sizes, steps, strict=True)):
        if not (isinstance(start, int) and isinstance(size, int)):
            raise Decline("which dimensions are taken depends on the input shapes")
        value = np.take(value, [start + i * step for i in range(size)], axis)
    return known(value, n[0].dtype)


@shape_rule("Split")
def split(n: Node) -> tuple[Value, ...]:
    value = content(n[0])
    axis = axis_of(n.integer("axis", 0), value.ndim)
    sizes = split_sizes(n, value.shape[axis])
    if not all(isinstance(s, int) for s in sizes):
        raise Decline("the parts depend on the input shapes")
    ends = np.cumsum(np.array(sizes, np.int64))[:-1]
    return tuple(known(part, n[0].dtype) for part in np.split(value, ends, axis))


@shape_rule("Concat")
def concat(n: Node) -> Value:
    parts = contents(n)
    return known(np.concatenate(parts, axis_of(n.integer("axis"), parts[0].ndim)), n[0].dtype)


@shape_rule("Unsqueeze", "Squeeze", "Reshape")
def reshape(n: Node) -> Value:
    x = n[0]
    shape = unsqueezed(n, x) if n.op_type == "Unsqueeze" else squeezed(n, x) if n.op_type == "Squeeze" else \
        resolved_shape(x, n.dims(1), n.flag("allowzero"))
    if not all(isinstance(d, int) for d in shape):
        raise Decline("its own shape depends on the input shapes")
    return known(content(x).reshape(tuple(shape)), x.dtype)  # type: ignore[arg-type]


@shape_rule("Transpose")
def transpose(n: Node) -> Value:
    value = content(n[0])
    return known(value.transpose(n.ints("perm", tuple(reversed(range(value.ndim))))), n[0].dtype)


@shape_rule("Expand", "Tile")
def repeat(n: Node) -> Value:
    value, amounts = content(n[0]), n.whole(1)
    if math.prod(amounts) * max(value.size, 1) > SMALL or min(amounts, default=0) < 0:
        raise Decline("too many elements for a shape")
    if n.op_type == "Tile":
        return known(np.tile(value, amounts), n[0].dtype)
    return known(np.broadcast_to(value, np.broadcast_shapes(value.shape, amounts)), n[0].dtype)


@shape_rule("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin")
def reduction(n: Node) -> Value:
    value = content(n[0])
    axes = n.axes(value.ndim) or (() if n.flag("noop_with_empty_axes") else tuple(range(value.ndim)))
    f = {"ReduceProd": lambda a, b: dim(a) * dim(b), "ReduceSum": BINARY["Add"], "ReduceMax": BINARY["Max"],
         "ReduceMin": BINARY["Min"]}[n.op_type]
    for axis in reversed(axes):
        parts = [np.take(value, [i], axis) for i in range(value.shape[axis])]
        if not parts:
            raise Decline("no elements")
        value = reduce(lambda a, b: elementwise(f, a, b), parts)
    if not n.flag("keepdims", True):
        value = value.reshape([d for i, d in enumerate(value.shape) if i not in axes])
    return known(value, n[0].dtype)
