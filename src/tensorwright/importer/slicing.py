"""Slice and Split: bounds clamped to the tensor, also where the tensor's size is a symbol."""

from __future__ import annotations

from ..dims import Dim, Expr, bounds, ceildiv, maximum, minimum, symbols
from ..errors import ModelError, ShapeError
from ..ops import Slice
from .node import Node
from .registry import operator
from .values import Decline, Value, axis_of

#: Ends at or beyond this mean "to the end"; exporters write the largest int32 or int64.
ENDLESS = (1 << 31) - 1


def lowest(d: Dim) -> float:
    """A lower bound of d, every symbol being at least 1."""
    if isinstance(d, int):
        return d
    try:
        return bounds(d, dict.fromkeys(symbols(d), (1, 1 << 40)))[0]
    except ValueError:
        return float("-inf")


def at_least_zero(d: Dim) -> Dim:
    return d if lowest(d) >= 0 else maximum(d, 0)


def span(start: Dim, end: Dim, step: int, d: Dim) -> tuple[Dim, Dim]:
    """(first index, number of elements) of start:end:step in an axis of d elements, as NumPy clamps them."""
    if isinstance(start, int) and isinstance(end, int) and isinstance(d, int):
        found = range(*slice(start, end, step).indices(d)) if step > 0 else _backwards(start, end, step, d)
        return (found[0], len(found)) if len(found) else (0, 0)
    if step < 0:
        if isinstance(start, int) and (start == -1 or start >= ENDLESS) and isinstance(end, int) and end <= -ENDLESS:
            return d - 1, ceildiv(d, -step)
        raise Decline("a backward slice whose bounds depend on the input shapes")
    first, last = _bound(start, d), _bound(end, d)
    if isinstance(start, int) and -ENDLESS < start < 0 and last == d and step == 1:
        return first, minimum(d, -start) if start < -1 else 1
    inside = start if isinstance(start, int) and 0 <= start < ENDLESS else first    # a start beyond d leaves nothing
    return first, at_least_zero(last - inside if step == 1 else ceildiv(last - inside, step))


def _backwards(start: int, end: int, step: int, d: int) -> range:
    """ONNX clamps a backward slice's start to d − 1 and its end to −1, after adding d to negative numbers once."""
    start = min(max(start + d if start < 0 else start, 0), d - 1)
    end = min(max(end + d if end < 0 else end, -1), d - 1)
    return range(start, end, step)


def _bound(bound: Dim, d: Dim) -> Dim:
    """A bound of a forward slice as an index: negative ones count from the end, all are clamped to 0..d."""
    if isinstance(bound, int):
        if bound >= ENDLESS or bound <= -ENDLESS:
            return d if bound > 0 else 0
        if bound < 0:
            return at_least_zero(d + bound)
        return bound if bound <= lowest(d) else minimum(d, bound)
    if bound == d:
        return d
    if lowest(bound) < 0:
        if lowest(-bound) > 0:
            return at_least_zero(d + bound)
        raise Decline("whether a bound counts from the end is known at run time only")
    return bound if lowest(d - bound) >= 0 else minimum(bound, d)


@operator("Slice")
def slice_(n: Node) -> Value:
    x = n[0]
    starts, sizes, steps = slice_parameters(n, x)
    if sizes == x.shape and all(s == 1 for s in steps):
        return x
    return n.add(Slice(starts, sizes, steps), x)


def slice_parameters(n: Node, x: Value) -> tuple[tuple[Dim, ...], tuple[Dim, ...], tuple[int, ...]]:
    """(start, size, step) for every axis. Bounds are attributes before version 10, inputs since."""
    if n.since < 10:
        first: tuple[Dim, ...] = n.ints("starts")
        last: tuple[Dim, ...] = n.ints("ends")
        axes = n.ints("axes", tuple(range(len(first))))
        strides = (1,) * len(first)
    else:
        first, last = n.dims(1), n.dims(2)
        axes = n.whole(3) if n.optional(3) is not None else tuple(range(len(first)))
        strides = n.whole(4) if n.optional(4) is not None else (1,) * len(first)
    if not len(first) == len(last) == len(axes) == len(strides):
        raise ShapeError(f"{len(first)} starts, {len(last)} ends, {len(axes)} axes and {len(strides)} steps")
    starts: list[Dim] = [0] * x.rank
    sizes, steps = list(x.shape), [1] * x.rank
    for start, end, axis, step in zip(first, last, axes, strides, strict=True):
        if step == 0:
            raise ModelError("a step is 0")
        axis = axis_of(axis, x.rank)
        starts[axis], sizes[axis] = span(start, end, step, x.shape[axis])
        steps[axis] = step
    return tuple(starts), tuple(sizes), tuple(steps)


@operator("Split")
def split(n: Node) -> tuple[Value | None, ...]:
    x = n[0]
    axis = axis_of(n.integer("axis", 0), x.rank)
    parts = split_sizes(n, x.shape[axis])
    taken: list[Value] = []
    start: Dim = 0
    for size in parts:
        taken.append(n.take(x, axis, start, size))
        start = start + size
    return tuple(taken)


def split_sizes(n: Node, d: Dim) -> list[Dim]:
    """The extents of the parts: given, or equal with a smaller last one."""
    count = len(n.proto.output)
    if n.has("split"):
        sizes: list[Dim] = list(n.ints("split"))
    elif n.optional(1) is not None:
        sizes = list(n.dims(1))
    else:
        if n.integer("num_outputs", count) != count or not count:
            raise ModelError(f"num_outputs is {n.integer('num_outputs', count)}, the node has {count} outputs")
        each = ceildiv(d, count)
        last = d - each * (count - 1)
        if isinstance(last, Expr):
            raise Decline("the parts' sizes depend on the input's size")
        sizes = [each] * (count - 1) + [last]
    total: Dim = 0
    for s in sizes:
        total = total + s
    difference = total - d
    if len(sizes) != count or (isinstance(difference, int) and difference != 0) or \
            any(isinstance(s, int) and s < 0 for s in sizes):
        raise ShapeError(f"parts of {sizes} do not make {d} elements in {count} outputs")
    return sizes
