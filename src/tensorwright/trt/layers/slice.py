"""ISliceLayer: elements at regular steps along each axis, and what stands for those that lie outside."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dims import Dim
from ...dtypes import DType
from ...errors import ShapeError, UnsupportedError
from ...ir import Op, TensorType
from ...ops import Expand, Gather, Pointwise, Reshape, Slice
from ...ops.expr import Apply, Const, Expr, In
from ..enums import LayerType, SampleMode
from ..layer import ILayer, Lowering, Param
from .nodes import constant, node
from .window import sizes

FILL_VALUE, AXES = 4, 5


class ISliceLayer(ILayer):
    """x[start + i · stride], `shape` elements along each axis. A stride of 0 repeats one element, a negative one walks
    backwards. Inputs 1, 2 and 3 give start, shape and stride as vectors of sizes; `axes` or input 5, where set, are
    those that the three speak of, and the others stay whole.

    What lies outside x: STRICT_BOUNDS an error; WRAP x again, from its other end; CLAMP the element at the edge;
    REFLECT x mirrored about the middle of the element at the edge; FILL input 4, one number, or 0. All but the first
    need sizes that are known when the network is built.
    """

    _layer_type = LayerType.SLICE
    _optional_inputs = 5
    _size_inputs = (1, 2, 3, AXES)
    axes = Param(None)
    start = Param((), sizes)
    shape = Param((), sizes)
    stride = Param((), sizes)
    mode = Param(SampleMode.STRICT_BOUNDS)

    def _notes(self) -> list[str]:
        is_given = len(self._inputs) > FILL_VALUE and self._inputs[FILL_VALUE] is not None
        return [f"its fill value has no effect in {self.mode}"] if is_given and self.mode != SampleMode.FILL else []

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x = to.type(values[0])
        starts, counts, strides = self._per_axis(to, values, x)
        # a repeated element is taken once, and expanded in the end
        taken = tuple(1 if _is(stride, 0) and not _is(n, 0) else n for n, stride in zip(counts, strides, strict=True))
        steps = tuple(1 if _is(stride, 0) else stride for stride in strides)
        cut: list[tuple[Dim, Dim, int]] = []                 # per axis, what the Slice does
        picks: dict[int, np.ndarray] = {}                    # axis → index of each element
        for axis, part in enumerate(zip(starts, taken, steps, x.shape, strict=True)):
            start, n, step, d = part
            if _is(n, 0):
                cut.append((0, 0, 1))
            elif self.mode == SampleMode.STRICT_BOUNDS or _is_inside(*part):
                cut.append((start, n, step))                 # type: ignore[arg-type]
            else:
                picks[axis] = self._indices(axis, *part)
                cut.append((0, d, 1))
        records: list[tuple[Op, tuple[str | None, ...]]] = [(Slice(*zip(*cut, strict=True)), ())] if cut else []
        masks: dict[int, np.ndarray] = {}
        for axis, index in picks.items():
            d = int(x.shape[axis])                           # type: ignore[arg-type]
            mapped, inside = _sampled(index, d, self.mode)
            records.append((Gather(axis), (to.constant(mapped, f"{self.name}.index"),)))
            if self.mode == SampleMode.FILL and not inside.all():
                masks[axis] = inside
        if masks:
            records.append(self._filled(to, x, masks, self._value(values, FILL_VALUE)))
        if taken != counts:
            records.append((Expand(counts), ()))
        y = values[0]
        for op, others in records[:-1]:
            y = self._also(to, op, y, *others)
        op, others = records[-1] if records else (Pointwise(In(0, x.dtype)), ())
        return self._last(to, op, y, *others)

    @staticmethod
    def _value(values: list[Any], index: int) -> str | None:
        return values[index] if index < len(values) else None

    def _per_axis(self, to: Lowering, values: list[Any], x: TensorType) -> list[tuple[Dim, ...]]:
        """Starts, sizes and strides of all axes of x. Strides are ints."""
        if to.lead and any(v is not None for v in values[1:]):
            raise UnsupportedError(f"layer {self.name!r}: inputs beside the first need a network of explicit batch")
        given = [g if (g := to.sizes(values, i + 1, self.name)) is not None else tuple(own)
                 for i, own in enumerate((self.start, self.shape, self.stride))]
        named = to.sizes(values, AXES, self.name)
        named = self.axes if named is None else named
        rank = x.rank - to.lead
        axes = list(range(rank)) if named is None else [int(a) for a in named]    # type: ignore[arg-type]
        if any(not -rank <= a < rank for a in axes) or len({a % rank for a in axes}) < len(axes):
            raise ShapeError(f"axes {axes} are not different axes of {rank}", x=x)
        for what, part in zip(("start", "shape", "stride"), given, strict=True):
            if len(part) != len(axes):
                raise ShapeError(f"{what} {part} has {len(part)} numbers for {len(axes)} axes", x=x)
        found: list[list[Dim]] = [[0] * x.rank, list(x.shape), [1] * x.rank]
        for i, a in enumerate(axes):
            for every, part in zip(found, given, strict=True):
                every[a % rank + to.lead] = part[i]
        if not all(isinstance(s, int) for s in found[2]):
            raise UnsupportedError(f"layer {self.name!r}: a stride that only run time knows is not in this version")
        for axis, n in enumerate(found[1]):
            if isinstance(n, int) and n < 0:
                raise ShapeError(f"axis {axis}: size is {n}", x=x)
        return [tuple(part) for part in found]

    def _indices(self, axis: int, start: Dim, n: Dim, step: Dim, d: Dim) -> np.ndarray:
        if not (isinstance(start, int) and isinstance(n, int) and isinstance(step, int) and isinstance(d, int)):
            raise UnsupportedError(
                f"layer {self.name!r}: {self.mode} along axis {axis} needs sizes known when the network is built, not "
                f"start {start}, size {n} of {d}", try_="a fixed size of this axis, or SampleMode.STRICT_BOUNDS")
        if d == 0:
            raise ShapeError(f"axis {axis} of layer {self.name!r} has no element to take in {self.mode}")
        return start + step * np.arange(n, dtype=np.int64)

    def _filled(self, to: Lowering, x: TensorType, masks: dict[int, np.ndarray],
                fill: str | None) -> tuple[Op, tuple[str | None, ...]]:
        """where(all masks, y, fill): the operation, and its operands after y."""
        operands: list[str | None] = []
        inside: Expr | None = None
        for axis, mask in masks.items():
            shape = tuple(mask.size if i == axis else 1 for i in range(x.rank))
            operands.append(to.constant(mask.reshape(shape), f"{self.name}.inside"))
            one = In(len(operands), DType.bool)
            inside = one if inside is None else Apply("and", (inside, one), DType.bool)
        assert inside is not None
        value: Expr = Const(0, x.dtype)
        if fill is not None:
            t = to.type(fill)
            if any(not _is(d, 1) for d in t.shape):
                raise ShapeError(f"layer {self.name!r}: a fill value is one number", fill=t)
            operands.append(self._also(to, Reshape((1,) * x.rank), fill))
            value = In(len(operands), t.dtype)
            value = value if t.dtype is x.dtype else Apply("cast", (value,), x.dtype)
        return Pointwise(Apply("where", (inside, In(0, x.dtype), value), x.dtype)), tuple(operands)

    def _shape_nodes(self, to: Lowering, values: list[Any]) -> list[Any]:
        if values[0] not in to.known or len(values) > 1 or len(self.start) != 1 or self.axes is not None:
            return []
        x = to.type(values[0]).shape
        (start,), (size,), (stride,) = self.start, self.shape, self.stride
        if len(x) != 1 or not isinstance(d := x[0], int) or size < 0 or (size and not d):
            return []
        index, inside = _sampled(start + stride * np.arange(size, dtype=np.int64), d, self.mode)
        if not inside.all() and self.mode in (SampleMode.STRICT_BOUNDS, SampleMode.FILL):
            return []
        return [constant("index", index, np.int64), node("Gather", "x0 index", axis=0)]


def _is(d: Dim, number: int) -> bool:
    return isinstance(d, int) and d == number


def _is_inside(start: Dim, n: Dim, step: Dim, d: Dim) -> bool:
    """Whether start, start + step, ..., n elements, certainly lie in [0, d)."""
    last = start + (n - 1) * step
    rooms = start, last, d - 1 - start, d - 1 - last
    if all(isinstance(room, int) and room >= 0 for room in rooms):
        return True
    return _is(start, 0) and _is(step, 1) and _is(d - n, 0)


def _sampled(index: np.ndarray, d: int, mode: SampleMode) -> tuple[np.ndarray, np.ndarray]:
    """Indices mapped into [0, d), d ≥ 1, and which of them were there before."""
    inside = (index >= 0) & (index < d)
    if mode == SampleMode.WRAP:
        return index % d, inside
    if mode == SampleMode.REFLECT:
        period = max(2 * (d - 1), 1)
        phase = index % period
        return np.minimum(phase, period - phase) if d > 1 else np.zeros_like(index), inside
    return np.clip(index, 0, d - 1), inside
