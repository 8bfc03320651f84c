"""Layers that move elements: shuffle, slice, concatenation, padding, squeeze; and constants and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dims import Dim, floordiv, product
from ...errors import ShapeError, UnsupportedError
from ...ops import Concat, Pad, Pointwise, Reshape, ShapeVector, Slice, Transpose
from ...ops.expr import In
from ..enums import LayerType, SampleMode
from ..foundation import Permutation
from ..layer import ILayer, Lowering, Param, WeightsParam
from .window import sizes


def order(value: Any) -> Permutation:
    return value if isinstance(value, Permutation) else Permutation(value)


class IShuffleLayer(ILayer):
    """Transpose, reshape, transpose. In reshape_dims 0 keeps the input's size and one -1 is inferred."""

    _layer_type = LayerType.SHUFFLE
    first_transpose = Param(None, order)
    reshape_dims = Param(None, sizes)
    second_transpose = Param(None, order)
    zero_is_placeholder = Param(True, bool)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        value = values[0]
        if self.first_transpose is not None:
            value = self._also(to, Transpose(self._perm(self.first_transpose, to.type(value).rank)), value)
        if self.reshape_dims is not None:
            value = self._also(to, Reshape(self._shape(to.type(value).shape)), value)
        t = to.type(value)
        if self.second_transpose is not None:
            return self._last(to, Transpose(self._perm(self.second_transpose, t.rank)), value)
        return self._last(to, Pointwise(In(0, t.dtype)), value)

    @staticmethod
    def _perm(permutation: Permutation, rank: int) -> tuple[int, ...]:
        perm = permutation[:rank]
        if sorted(perm) != list(range(rank)):
            raise ShapeError(f"{perm} is not an order of {rank} axes")
        return perm

    def _shape(self, x: tuple[Dim, ...]) -> tuple[Dim, ...]:
        wanted: list[Dim] = []
        for i, d in enumerate(self.reshape_dims):
            if d == 0 and self.zero_is_placeholder:
                if i >= len(x):
                    raise ShapeError(f"reshape_dims {self.reshape_dims}: there is no input axis {i} to copy")
                wanted.append(x[i])
            else:
                wanted.append(d)
        unknown = [i for i, d in enumerate(wanted) if isinstance(d, int) and d == -1]
        if len(unknown) > 1:
            raise ShapeError(f"reshape_dims {self.reshape_dims} has more than one -1")
        if unknown:
            known = product(d for i, d in enumerate(wanted) if i != unknown[0])
            if isinstance(known, int) and known == 0:
                raise ShapeError(f"reshape_dims {self.reshape_dims}: -1 cannot be inferred beside 0")
            wanted[unknown[0]] = floordiv(product(x), known)
        return tuple(wanted)


class ISliceLayer(ILayer):
    """x[start + i · stride], `shape` elements along each axis, which must lie inside x."""

    _layer_type = LayerType.SLICE
    start = Param((), sizes)
    shape = Param((), sizes)
    stride = Param((), sizes)
    mode = Param(SampleMode.STRICT_BOUNDS)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        if self.mode != SampleMode.STRICT_BOUNDS:
            raise UnsupportedError(f"slices with {self.mode} are not in this version", try_="SampleMode.STRICT_BOUNDS")
        return self._last(to, Slice(tuple(self.start), tuple(self.shape), tuple(self.stride)), values[0])


class IPaddingLayer(ILayer):
    """Zeros around the last two axes; negative amounts trim."""

    _layer_type = LayerType.PADDING
    pre_padding_nd = Param((), sizes)
    post_padding_nd = Param((), sizes)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x = to.type(values[0])
        pads = tuple(zip(self.pre_padding_nd, self.post_padding_nd, strict=True))
        if x.rank < 4 or len(pads) != 2:
            raise ShapeError(f"padding takes two amounts and an input of at least 4 dimensions, not {len(pads)}", x=x)
        return self._last(to, Pad(((0, 0),) * (x.rank - 2) + pads), values[0])


class IConcatenationLayer(ILayer):
    """Inputs one after the other along `axis`; by default the third axis from the end, or the first."""

    _layer_type = LayerType.CONCATENATION
    axis = Param(None)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        rank = to.type(values[0]).rank
        return self._last(to, Concat(max(0, rank - 3) if self.axis is None else self.axis % rank), *values)


class _Axes(ILayer):
    """Axes come as input 1, a constant vector."""

    def _axes(self, rank: int) -> list[int]:
        producer = self._inputs[1]._producer if self._inputs[1] is not None else None
        if not isinstance(producer, IConstantLayer):
            raise UnsupportedError(f"layer {self.name!r}: axes must come from a constant layer")
        return [int(axis) % rank for axis in producer.weights]


class ISqueezeLayer(_Axes):
    """Axes of size 1 removed."""

    _layer_type = LayerType.SQUEEZE

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x = to.type(values[0])
        axes = self._axes(x.rank)
        if any(x.shape[axis] != 1 for axis in axes):
            raise ShapeError(f"axes {axes} are not all of size 1", x=x)
        return self._last(to, Reshape(tuple(d for i, d in enumerate(x.shape) if i not in axes)), values[0])


class IUnsqueezeLayer(_Axes):
    """Axes of size 1 inserted, numbered as in the output."""

    _layer_type = LayerType.UNSQUEEZE

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x = to.type(values[0])
        count = len(self._axes(1 << 30))
        rest, axes = iter(x.shape), self._axes(x.rank + count)
        return self._last(to, Reshape(tuple(1 if i in axes else next(rest) for i in range(x.rank + count))), values[0])


class IConstantLayer(ILayer):
    """A constant tensor."""

    _layer_type = LayerType.CONSTANT
    weights = WeightsParam()
    shape = Param((), sizes)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        shape = tuple(self.shape)
        if self.weights.size != int(np.prod(shape, dtype=np.int64)):
            raise ShapeError(f"{self.weights.size} weights do not fill shape {shape}")
        return [to.constant(self.weights.reshape(shape), self._outputs[0].name)]


class IShapeLayer(ILayer):
    """The sizes of the input as an int64 vector."""

    _layer_type = LayerType.SHAPE

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        return self._last(to, ShapeVector(to.type(values[0]).shape))


