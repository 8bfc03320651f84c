"""Moving elements without looking at them: views, copies and joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dims import Dim
from ..errors import ShapeError
from ..ir import Cost, Op, TensorType
from .rules import agree, check_axis, differ, exceeds, is_one, moved, same_dtype, total


def extents(dims: tuple[Dim, ...], what: str) -> tuple[int, ...]:
    """dims as ints. ShapeError when a symbol is left."""
    for d in dims:
        if not isinstance(d, int):
            raise ShapeError(f"{what} depends on symbols: {d}", try_="bind the operator first")
    return dims  # type: ignore[return-value]


@dataclass(frozen=True)
class Transpose(Op):
    """y = x with its axes in another order: axis i of y is axis perm[i] of x

    Inputs  x of any type.
    Output  x's type; shape[i] = x.shape[perm[i]].
    Params  perm: a permutation of 0 .. rank−1.
    Cost    no arithmetic.
    Errors  ShapeError when perm is not a permutation of x's axes.
    Source  ONNX operator Transpose, version 25.
    """

    perm: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        if sorted(self.perm) != list(range(x.rank)):
            raise ShapeError(f"{self.perm} is not a permutation of the {x.rank} axes", x=x)
        return TensorType(tuple(x.shape[p] for p in self.perm), x.dtype)

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return np.ascontiguousarray(np.transpose(x, self.perm)).reshape([x.shape[p] for p in self.perm])

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return moved(inputs[0], outputs[0])


@dataclass(frozen=True)
class Reshape(Op):
    """y = the elements of x, in C order, in another shape

    Inputs  x of any type.
    Output  (shape), x's type.
    Params  shape: every dimension spelled out (no −1 and no "copy this one").
    Cost    no arithmetic.
    Errors  ShapeError when the numbers of elements certainly differ.
    Source  ONNX operators Reshape, Flatten, Squeeze and Unsqueeze, version 25.
    """

    shape: tuple[Dim, ...]

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        y = TensorType(self.shape, x.dtype)
        if differ(x.size, y.size):
            raise ShapeError(f"{x.size} elements do not fill shape ({', '.join(map(str, self.shape))}) of {y.size}",
                             x=x)
        return y

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return np.reshape(x, extents(self.shape, "shape"))

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return moved(inputs[0], outputs[0])


@dataclass(frozen=True)
class Expand(Op):
    """y = x broadcast to a shape

    Inputs  x of any type.
    Output  (shape), x's type.
    Params  shape: the full resulting shape, of x's rank or more.
    Cost    no arithmetic.
    Errors  ShapeError when a dimension of x is neither 1 nor the result's.
    Source  ONNX operator Expand, version 13.
    """

    shape: tuple[Dim, ...]

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        padded = (1,) * (len(self.shape) - x.rank) + x.shape
        if len(padded) != len(self.shape) or any(not is_one(d) and differ(d, e)
                                                 for d, e in zip(padded, self.shape, strict=True)):
            raise ShapeError(f"{x} does not broadcast to ({', '.join(map(str, self.shape))})")
        return TensorType(self.shape, x.dtype)

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return np.broadcast_to(x, extents(self.shape, "shape")).copy()

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return moved(inputs[0], outputs[0])


@dataclass(frozen=True)
class Slice(Op):
    """y[i...] = x[start + i·step ...]

    Inputs  x of any type.
    Output  (sizes), x's type.
    Params  starts, sizes, steps: one per axis of x. start: index of the first element taken, ≥ 0. size: elements taken.
            step: distance between them, not 0; negative walks backwards.
    Cost    no arithmetic.
    Errors  ShapeError when an element taken certainly lies outside x.
    Source  ONNX operators Slice and Split, versions 13 and 18, with bounds already normalised and clamped.
    """

    starts: tuple[Dim, ...]
    sizes: tuple[Dim, ...]
    steps: tuple[Dim, ...]

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        if not len(self.starts) == len(self.sizes) == len(self.steps) == x.rank:
            raise ShapeError(f"{len(self.starts)} starts, {len(self.sizes)} sizes and {len(self.steps)} steps "
                             f"for rank {x.rank}", x=x)
        for axis, (start, size, step, d) in enumerate(zip(self.starts, self.sizes, self.steps, x.shape, strict=True)):
            if isinstance(step, int) and step == 0:
                raise ShapeError(f"axis {axis}: step is 0")
            if isinstance(size, int) and size <= 0:
                if size < 0:
                    raise ShapeError(f"axis {axis}: size is {size}")
                continue
            last = start + (size - 1) * step
            low, high = (last, start) if isinstance(step, int) and step < 0 else (start, last)
            if exceeds(0, low) or exceeds(high + 1, d):
                raise ShapeError(f"axis {axis}: elements {low} to {high} are taken of {d} (start {start}, size {size}, "
                                 f"step {step})", x=x)
        return TensorType(self.sizes, x.dtype)

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        index, parts = [], (self.starts, self.sizes, self.steps)
        for start, size, step in zip(*(extents(part, "slice") for part in parts), strict=True):
            end = start + size * step
            index.append(slice(start, None if end < 0 else end, step) if size else slice(0, 0))
        y = x[tuple(index)]
        if y.shape != self.sizes:
            raise ShapeError(f"slice of size {self.sizes} leaves the tensor of shape {x.shape}: {self}")
        return y.copy()

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return moved(outputs[0], outputs[0])


@dataclass(frozen=True)
class Concat(Op):
    """y = the inputs one after the other along an axis

    Inputs  x0 .. xn of one type and rank, equal in all other axes; at least one.
    Output  like x0, with the extents along the axis added up.
    Params  axis: non-negative.
    Cost    no arithmetic.
    Errors  ShapeError when ranks or other dimensions differ; TypeMismatch when types do.
    Source  ONNX operator Concat, version 13.
    """

    axis: int

    def infer(self, *inputs: TensorType | None) -> TensorType:
        given = [t for t in inputs if t is not None]
        if not given or len(given) != len(inputs):
            raise ShapeError("nothing to join, or an input is absent")
        check_axis(self.axis, given[0].rank)
        shape = list(given[0].shape)
        for t in given[1:]:
            if t.rank != len(shape):
                raise ShapeError(f"{t} has rank {t.rank}, the first input {len(shape)}")
            for i, d in enumerate(t.shape):
                if i != self.axis:
                    shape[i] = agree(shape[i], d, f"dimensions differ at axis {i}", first=given[0], other=t)
        shape[self.axis] = total(t.shape[self.axis] for t in given)
        return TensorType(tuple(shape), same_dtype(*given))

    def reference(self, *inputs: np.ndarray | None) -> np.ndarray:
        return np.concatenate([np.asarray(x) for x in inputs], self.axis)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return moved(outputs[0], outputs[0])
