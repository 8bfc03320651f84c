"""Layers that reduce along axes: reduction, softmax, normalisation, top-k, running sums."""

from __future__ import annotations

from typing import Any

from ...dims import floordiv, product
from ...dtypes import DType
from ...errors import ShapeError, UnsupportedError
from ...ops import CumSum, Normalize, Pointwise, Reduce, Reshape, Softmax, TopK
from ...ops.expr import Apply, In
from ..enums import CumulativeOperation, DataType, LayerType, ReduceOperation, TopKOperation
from ..foundation import ours
from ..layer import ILayer, Lowering, Param, bits, number, pointwise
from .movement import IConstantLayer

_KINDS = {ReduceOperation.SUM: "sum", ReduceOperation.PROD: "prod", ReduceOperation.MAX: "max",
          ReduceOperation.MIN: "min", ReduceOperation.AVG: "mean"}


class IReduceLayer(ILayer):
    """Sum, product, maximum, minimum or mean over the axes of a bit mask."""

    _layer_type = LayerType.REDUCE
    op = Param(ReduceOperation.SUM)
    axes = Param(0, int)
    keep_dims = Param(False, bool)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        axes = bits(self.axes << to.lead, to.type(values[0]).rank)
        if not axes or self.op not in _KINDS:
            raise ShapeError(f"a reduction takes an operation and at least one axis, not {self.op} over {axes}")
        return self._last(to, Reduce(_KINDS[self.op], axes, self.keep_dims), values[0])


class ISoftMaxLayer(ILayer):
    """exp(x) / Σ exp(x) along the one axis of a bit mask; by default the third axis from the end, or the first."""

    _layer_type = LayerType.SOFTMAX
    axes = Param(None)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        rank = to.type(values[0]).rank
        axes = (max(to.lead, rank - 3),) if self.axes is None else bits(self.axes << to.lead, rank)
        if len(axes) != 1:
            raise ShapeError(f"softmax takes one axis, the mask {self.axes:#b} names {len(axes)}")
        return self._last(to, Softmax(axes[0]), values[0])


class INormalizationLayer(ILayer):
    """(x − mean) / √(variance + epsilon) · scale + bias over the axes of a bit mask, or over groups of channels.

    With num_groups > 1 the channels (axis 1) are split into groups, each normalised together with all axes of the mask;
    scale and bias hold one value per group, or per channel when the layer was made by add_normalization_v2. The mean
    and the variance are computed in float32 at least, whatever lower compute_precision permits.
    """

    _layer_type = LayerType.NORMALIZATION
    _implicit_batch = False
    epsilon = Param(1e-5, float)
    axes = Param(0, int)
    num_groups = Param(1, int)
    compute_precision = Param(DataType.FLOAT)
    _per_channel = Param(False)

    def _notes(self) -> list[str]:
        if self.compute_precision == DataType.FLOAT:
            return []
        return [f"compute_precision {self.compute_precision} permits less than float32, which is computed in"]

    @property
    def is_v2(self) -> bool:
        return bool(self._per_channel)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x = to.type(values[0])
        axes, t = bits(self.axes, x.rank), x.dtype
        affine = Apply("add", (Apply("mul", (In(0, t), In(1, t)), t), In(2, t)), t)
        if self.num_groups == 1:
            y = self._also(to, Normalize(axes, self.epsilon), values[0])
            return self._last(to, Pointwise(affine), y, values[1], values[2])
        groups = self.num_groups
        if axes != tuple(range(2, x.rank)) or number(x.shape[1], "the number of channels") % groups:
            raise ShapeError(f"{groups} groups must divide the channels, and the axes be all those after them", x=x)
        rest = product(x.shape[2:]) * floordiv(x.shape[1], groups)
        y = self._also(to, Normalize((2,), self.epsilon),
                       self._also(to, Reshape((x.shape[0], groups, rest)), values[0]))
        if self._per_channel:
            y = self._also(to, Reshape(x.shape), y)
            return self._last(to, Pointwise(affine), y, values[1], values[2])
        scale, bias = (self._also(to, Reshape((1, groups, 1)), v) for v in values[1:])
        return self._last(to, Reshape(x.shape), self._also(to, Pointwise(affine), y, scale, bias))


class ITopKLayer(ILayer):
    """The k largest or smallest along one axis, in order: their values, and their indices. Input 1 gives k."""

    _layer_type = LayerType.TOPK
    _optional_inputs = 1
    _size_inputs = (1,)
    op = Param(TopKOperation.MAX)
    k = Param(1, int)
    axes = Param(0, int)
    indices_type = Param(DataType.INT32)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        axes = bits(self.axes << to.lead, to.type(values[0]).rank)
        if len(axes) != 1:
            raise ShapeError(f"top-k takes one axis, the mask {self.axes:#b} names {len(axes)}")
        first, second = self._names(to)
        sizes = to.sizes(values, 1, self.name)
        k = self.k if sizes is None else sizes[0]
        made = to.editor.add(TopK(k, axes[0], self.op == TopKOperation.MAX, True), values[0], name=self.name,
                             outputs=[first, to.editor.fresh(f"{second}.int64")])
        indices = to.editor.add(pointwise("cast", DType.int64, result=ours(self.indices_type)), made[1],
                                name=f"{self.name}.indices", outputs=[second])
        assert isinstance(indices, str)
        return [made[0], indices]


class ICumulativeLayer(ILayer):
    """Running sum along an axis, which input 1 gives: a constant scalar."""

    _layer_type = LayerType.CUMULATIVE
    _implicit_batch = False
    op = Param(CumulativeOperation.SUM)
    exclusive = Param(False, bool)
    reverse = Param(False, bool)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        producer = self._inputs[1]._producer if self._inputs[1] is not None else None
        if not isinstance(producer, IConstantLayer):
            raise UnsupportedError(f"layer {self.name!r}: the axis must come from a constant layer")
        axis = int(producer.weights[0]) % to.type(values[0]).rank
        return self._last(to, CumSum(axis, self.exclusive, self.reverse), values[0])
