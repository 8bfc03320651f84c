"""Layers that move elements: shuffle, concatenation, padding, squeeze; and constants and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dims import Dim, floordiv, product
from ...dtypes import DType
from ...errors import ShapeError, UnsupportedError
from ...importer.values import Value
from ...ops import Concat, Pad, Pointwise, Reshape, ShapeVector, Transpose
from ...ops.expr import In
from ..enums import DataType, LayerType
from ..foundation import Permutation
from ..layer import ILayer, Lowering, Param, WeightsParam
from .nodes import constant, node, onnx_type
from .window import flat, sizes


def order(value: Any) -> Permutation:
    return value if isinstance(value, Permutation) else Permutation(value)


class IShuffleLayer(ILayer):
    """Transpose, reshape, transpose. In reshape_dims 0 keeps the input's size and one -1 is inferred. Input 1 gives
    reshape_dims as a vector of sizes."""

    _layer_type = LayerType.SHUFFLE
    _optional_inputs = 1
    _size_inputs = (1,)
    first_transpose = Param(None, order)
    reshape_dims = Param(None, sizes)
    second_transpose = Param(None, order)
    zero_is_placeholder = Param(True, bool)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        value = values[0]
        if self.first_transpose is not None:
            value = self._also(to, Transpose(self._perm(self.first_transpose, to.type(value).rank, to.lead)), value)
        wanted = to.sizes(values, 1, self.name)
        wanted = self.reshape_dims if wanted is None else wanted
        if wanted is not None:
            x = to.type(value).shape
            value = self._also(to, Reshape(self._shape(x, (*x[: to.lead], *wanted))), value)
        t = to.type(value)
        if self.second_transpose is not None:
            return self._last(to, Transpose(self._perm(self.second_transpose, t.rank, to.lead)), value)
        return self._last(to, Pointwise(In(0, t.dtype)), value)

    @staticmethod
    def _perm(permutation: Permutation, rank: int, lead: int) -> tuple[int, ...]:
        perm = (*range(lead), *(axis + lead for axis in permutation[: rank - lead]))
        if sorted(perm) != list(range(rank)):
            raise ShapeError(f"{perm} is not an order of {rank} axes")
        return perm

    def _shape_nodes(self, to: Lowering, values: list[Any]) -> list[Any]:
        if self.first_transpose is not None or self.second_transpose is not None or len(values) > 1:
            return []
        if self.reshape_dims is None:
            return [node("Identity", "x0")]
        return [constant("shape", list(self.reshape_dims), np.int64),
                node("Reshape", "x0 shape", allowzero=int(not self.zero_is_placeholder))]

    def _shape(self, x: tuple[Dim, ...], given: tuple[Dim, ...]) -> tuple[Dim, ...]:
        wanted: list[Dim] = []
        for i, d in enumerate(given):
            if isinstance(d, int) and d == 0 and self.zero_is_placeholder:
                if i >= len(x):
                    raise ShapeError(f"reshape_dims {given}: there is no input axis {i} to copy")
                wanted.append(x[i])
            else:
                wanted.append(d)
        unknown = [i for i, d in enumerate(wanted) if isinstance(d, int) and d == -1]
        if len(unknown) > 1:
            raise ShapeError(f"reshape_dims {given} has more than one -1")
        if unknown:
            known = product(d for i, d in enumerate(wanted) if i != unknown[0])
            if isinstance(known, int) and known == 0:
                raise ShapeError(f"reshape_dims {given}: -1 cannot be inferred beside 0")
            wanted[unknown[0]] = floordiv(product(x), known)
        return tuple(wanted)


class IPaddingLayer(ILayer):
    """Zeros around the last two axes; negative amounts trim."""

    _layer_type = LayerType.PADDING
    pre_padding_nd = Param((), sizes)
    post_padding_nd = Param((), sizes)
    pre_padding = flat("pre_padding_nd")
    post_padding = flat("post_padding_nd")

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

    def _shape_nodes(self, to: Lowering, values: list[Any]) -> list[Any]:
        rank = to.type(values[0]).rank
        axis = max(0, rank - 3) if self.axis is None else self.axis % rank
        return [node("Concat", " ".join(f"x{i}" for i in range(len(values))), axis=axis)]

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        rank, lead = to.type(values[0]).rank, to.lead
        return self._last(to, Concat(max(lead, rank - 3) if self.axis is None else
                                     lead + self.axis % (rank - lead)), *values)


class _Axes(ILayer):
    """Axes come as input 1, a constant vector."""

    _implicit_batch = False

    def _shape_nodes(self, to: Lowering, values: list[Any]) -> list[Any]:
        return [node("Cast", "x1", "axes", to=onnx_type(DataType.INT64)),
                node("Squeeze" if isinstance(self, ISqueezeLayer) else "Unsqueeze", "x0 axes")]

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
        if to.refit and self.weights.dtype.kind == "f" and shape:           # sizes and scalars decide what layers are
            return [to.given(self, "weights", (1,) * to.lead + shape, DType.of(self.weights))]
        return [to.constant(self.weights.reshape((1,) * to.lead + shape), self._outputs[0].name)]


class IShapeLayer(ILayer):
    """The sizes of the input as a vector: int64, in generations up to 8 int32."""

    _layer_type = LayerType.SHAPE
    _gives_sizes = True
    _implicit_batch = False

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        shape = to.type(values[0]).shape
        if 0 < self._number < 10:
            return self._appended(to, values, [node("Shape", "x0", "n"),
                                               node("Cast", "n", to=onnx_type(DataType.INT32))])
        made = self._last(to, ShapeVector(shape))
        dims = np.empty(len(shape), object)
        dims[:] = shape
        to.known[made[0]] = Value(to.editor.types[made[0]], made[0], None, dims, made[0])
        return made


