"""Element-wise layers: activations, arithmetic, scale, conversion, selection."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...dtypes import DType
from ...errors import ShapeError
from ...ops import Pointwise
from ...ops.expr import Apply, Const, Expr, In
from ..enums import ActivationType, DataType, ElementWiseOperation, LayerType, ScaleMode, UnaryOperation
from ..foundation import ours
from ..layer import ILayer, Lowering, Param, WeightsParam, number, pointwise
from .nodes import node, onnx_type

A, E, U = ActivationType, ElementWiseOperation, UnaryOperation


class _X:
    """An expression under construction: Python's operators build it."""

    def __init__(self, e: Expr) -> None:
        self.e = e

    def fn(self, name: str, *others: Any, dtype: DType | None = None) -> _X:
        args = tuple(o.e if isinstance(o, _X) else Const(o, self.e.dtype) for o in others)
        return _X(Apply(name, (self.e, *args), dtype or self.e.dtype))

    def __add__(self, other: Any) -> _X:
        return self.fn("add", other)

    def __mul__(self, other: Any) -> _X:
        return self.fn("mul", other)

    def __truediv__(self, other: Any) -> _X:
        return self.fn("div", other)

    def above(self, limit: float) -> _X:
        return self.fn("gt", limit, dtype=DType.bool)

    def where(self, yes: _X, no: Any) -> _X:
        return _X(Apply("where", (self.e, yes.e, no.e if isinstance(no, _X) else Const(no, yes.e.dtype)), yes.e.dtype))


def activation(kind: ActivationType, x: _X, alpha: float, beta: float) -> _X:
    """The function of an IActivationLayer."""
    match kind:
        case A.RELU: return x.fn("max", 0.0)
        case A.SIGMOID: return x.fn("sigmoid")
        case A.TANH: return x.fn("tanh")
        case A.LEAKY_RELU: return x.above(0.0).where(x, x * alpha)
        case A.ELU: return x.above(0.0).where(x, x.fn("expm1") * alpha)
        case A.SELU: return x.above(0.0).where(x, x.fn("expm1") * alpha) * beta
        case A.SOFTSIGN: return x / (x.fn("abs") + 1.0)
        case A.SOFTPLUS: return (x * beta).fn("softplus") * alpha
        case A.CLIP: return x.fn("min", beta).fn("max", alpha)
        case A.HARD_SIGMOID: return (x * alpha + beta).fn("min", 1.0).fn("max", 0.0)
        case A.SCALED_TANH: return (x * beta).fn("tanh") * alpha
        case A.THRESHOLDED_RELU: return x.above(alpha).where(x, 0.0)
        case A.GELU_ERF: return x * 0.5 * ((x * math.sqrt(0.5)).fn("erf") + 1.0)
        case A.GELU_TANH: return x * 0.5 * (((x * x * x * 0.044715 + x) * math.sqrt(2 / math.pi)).fn("tanh") + 1.0)
    raise ShapeError(f"no activation {kind}")


class IActivationLayer(ILayer):
    """An activation function. `type` is an ActivationType once the layer has this class."""

    _layer_type = LayerType.ACTIVATION
    type = Param(ActivationType.RELU)                # type: ignore[assignment]
    alpha = Param(0.0, float)
    beta = Param(0.0, float)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x = _X(In(0, to.type(values[0]).dtype))
        kind = self._params.get("type", ActivationType.RELU)
        return self._last(to, Pointwise(activation(kind, x, self.alpha, self.beta).e), values[0])


_BINARY = {E.SUM: "add", E.PROD: "mul", E.MAX: "max", E.MIN: "min", E.SUB: "sub", E.DIV: "div", E.POW: "pow",
           E.AND: "and", E.OR: "or", E.XOR: "xor", E.EQUAL: "eq", E.GREATER: "gt", E.LESS: "lt"}


class IElementWiseLayer(ILayer):
    """A function of two tensors of equal rank; axes of size 1 are broadcast. Comparisons give bool."""

    _layer_type = LayerType.ELEMENTWISE
    op = Param(ElementWiseOperation.SUM)

    def _shape_nodes(self, to: Lowering, values: list[Any]) -> list[Any]:
        names = {E.SUM: "Add", E.PROD: "Mul", E.MAX: "Max", E.MIN: "Min", E.SUB: "Sub", E.DIV: "Div",
                 E.FLOOR_DIV: "Div", E.EQUAL: "Equal", E.GREATER: "Greater", E.LESS: "Less"}
        return [node(names[self.op], "x0 x1")] if self.op in names else []

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        a, b = to.type(values[0]), to.type(values[1])
        if a.rank != b.rank:
            raise ShapeError(f"operands have {a.rank} and {b.rank} dimensions, they must have equally many", a=a, b=b)
        x, y = _X(In(0, a.dtype)), _X(In(1, b.dtype))
        if self.op == E.FLOOR_DIV:
            quotient = ((x.fn("sub", x.fn("mod", y))) / y if a.dtype.is_int else (x / y).fn("floor"))
            return self._last(to, Pointwise(quotient.e), *values)
        compares = self.op in (E.EQUAL, E.GREATER, E.LESS)
        return self._last(to, pointwise(_BINARY[self.op], a.dtype, b.dtype, result=DType.bool if compares else a.dtype),
                          *values)


class IUnaryLayer(ILayer):
    """A function of one tensor."""

    _layer_type = LayerType.UNARY
    op = Param(UnaryOperation.EXP)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        t = to.type(values[0]).dtype
        result = DType.bool if self.op in (U.ISINF, U.ISNAN) else t
        return self._last(to, pointwise(self.op.name.lower(), t, result=result), values[0])


class IScaleLayer(ILayer):
    """(x · scale + shift) ^ power: one value, one per channel, or one per element from the channel axis on."""

    _layer_type = LayerType.SCALE
    mode = Param(ScaleMode.UNIFORM)
    shift = WeightsParam()
    scale = WeightsParam()
    power = WeightsParam()
    channel_axis = Param(None)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        x = to.type(values[0])
        axis = max(0, x.rank - 3) if self.channel_axis is None else int(self.channel_axis) + to.lead
        if x.rank < 3 or not 0 <= axis < x.rank:
            raise ShapeError(f"scaling takes at least 3 dimensions and a channel axis within them, not {axis}", x=x)
        if self.mode == ScaleMode.UNIFORM:
            shape: tuple[int, ...] = (1,) * x.rank
        elif self.mode == ScaleMode.CHANNEL:
            shape = tuple(number(d, "the number of channels") if i == axis else 1 for i, d in enumerate(x.shape))
        else:
            shape = tuple(1 if i < axis else number(d, "an axis scaled by element") for i, d in enumerate(x.shape))
        e, operands = _X(In(0, x.dtype)), [values[0]]
        for name, fn in (("scale", "mul"), ("shift", "add"), ("power", "pow")):
            weights = getattr(self, name)
            if weights.size:
                if weights.size != (count := int(np.prod(shape))):
                    raise ShapeError(f"{name} has {weights.size} weights, mode {self.mode} takes {count}", x=x)
                if name == "power":
                    operands.append(to.constant(weights.reshape(shape).astype(x.dtype.numpy), f"{self.name}.{name}"))
                else:
                    operands.append(to.given(self, name, shape, x.dtype))
                e = e.fn(fn, _X(In(len(operands) - 1, x.dtype)))
        return self._last(to, Pointwise(e.e), *operands)


class IParametricReLULayer(ILayer):
    """x where x ≥ 0, else x · slope; slopes broadcast."""

    _layer_type = LayerType.PARAMETRIC_RELU

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        t = to.type(values[0]).dtype
        x, slope = _X(In(0, t)), _X(In(1, t))
        return self._last(to, Pointwise(x.fn("lt", 0.0, dtype=DType.bool).where(x * slope, x).e), *values)


class ISelectLayer(ILayer):
    """then where the condition holds, else else; operands of equal rank broadcast."""

    _layer_type = LayerType.SELECT

    def _shape_nodes(self, to: Lowering, values: list[Any]) -> list[Any]:
        return [node("Where", "x0 x1 x2")]

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        c, a, b = (to.type(v) for v in values)
        if not c.rank == a.rank == b.rank:
            raise ShapeError("condition and choices must have equally many dimensions", condition=c, a=a, b=b)
        return self._last(to, pointwise("where", c.dtype, a.dtype, b.dtype, result=a.dtype), *values)


class IIdentityLayer(ILayer):
    """A copy."""

    _layer_type = LayerType.IDENTITY

    def _shape_nodes(self, to: Lowering, values: list[Any]) -> list[Any]:
        return [node("Identity", "x0")]

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        return self._last(to, Pointwise(In(0, to.type(values[0]).dtype)), values[0])


class ICastLayer(ILayer):
    """Conversion to another element type."""

    _layer_type = LayerType.CAST
    to_type = Param(DataType.FLOAT)

    def _shape_nodes(self, to: Lowering, values: list[Any]) -> list[Any]:
        return [node("Cast", "x0", to=onnx_type(self.to_type))]

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        t = to.type(values[0]).dtype
        return self._last(to, pointwise("cast", t, result=ours(self.to_type)), values[0])
