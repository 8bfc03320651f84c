"""What each operation of a UFF graph becomes in a network definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ..enums import (
    ActivationType,
    ElementWiseOperation,
    PaddingMode,
    PoolingType,
    ReduceOperation,
    ScaleMode,
    TopKOperation,
)
from ..enums import UnaryOperation as Unary
from .messages import Fields
from .values import Making, Value

Node = Callable[[Making, list[Value], Fields], Value]
NODES: dict[str, Node] = {}

BINARY = {"min": ElementWiseOperation.MIN, "max": ElementWiseOperation.MAX, "mul": ElementWiseOperation.PROD,
          "sub": ElementWiseOperation.SUB, "div": ElementWiseOperation.DIV, "add": ElementWiseOperation.SUM,
          "pow": ElementWiseOperation.POW}
ON_CONSTANTS = {"min": np.minimum, "max": np.maximum, "mul": np.multiply, "sub": np.subtract, "div": np.divide,
                "add": np.add, "pow": np.power}
UNARY = {"neg": Unary.NEG, "exp": Unary.EXP, "log": Unary.LOG, "abs": Unary.ABS, "sqrt": Unary.SQRT, "sin": Unary.SIN,
         "cos": Unary.COS, "tan": Unary.TAN, "sinh": Unary.SINH, "cosh": Unary.COSH, "asin": Unary.ASIN,
         "acos": Unary.ACOS, "atan": Unary.ATAN, "asinh": Unary.ASINH, "acosh": Unary.ACOSH, "atanh": Unary.ATANH,
         "ceil": Unary.CEIL, "floor": Unary.FLOOR}
#: Activation → TensorRT's, alpha, beta.
ACTIVATIONS: dict[str, tuple[ActivationType, float, float]] = {
    "relu": (ActivationType.RELU, 0, 0), "relu6": (ActivationType.CLIP, 0, 6),
    "sigmoid": (ActivationType.SIGMOID, 0, 0), "tanh": (ActivationType.TANH, 0, 0), "elu": (ActivationType.ELU, 1, 0),
    "selu": (ActivationType.SELU, 1.6732632423543772, 1.0507009873554805),
    "softsign": (ActivationType.SOFTSIGN, 0, 0), "softplus": (ActivationType.SOFTPLUS, 1, 1)}
REDUCTIONS = {"sum": ReduceOperation.SUM, "prod": ReduceOperation.PROD, "max": ReduceOperation.MAX,
              "min": ReduceOperation.MIN, "mean": ReduceOperation.AVG}


def node(*names: str) -> Callable[[Node], Node]:
    def register(function: Node) -> Node:
        NODES.update(dict.fromkeys(names, function))
        return function
    return register


def of(table: dict[str, Any], fields: Fields) -> Any:
    """What the node's `func` names. UnsupportedError when it is not in the table."""
    if fields["func"] not in table:
        raise UnsupportedError(f"func {fields['func']!r} is not known", known=", ".join(table))
    return table[fields["func"]]


@node("Const")
def const(make: Making, inputs: list[Value], fields: Fields) -> Value:
    return Value(array=fields.array())


@node("Identity")
def identity(make: Making, inputs: list[Value], fields: Fields) -> Value:
    return inputs[0]


@node("Conv", "ConvTranspose")
def convolution(make: Making, inputs: list[Value], fields: Fields) -> Value:
    """Weights: (*window, in, out); of a transposed one (*window, out, in); with groups (*window, in, multiple)."""
    x, weights, transposed = make.tensor(inputs[0]), make.constant(inputs[1]), len(inputs) > 2
    last, groups = fields.channels_last(0, True), int(fields.get("number_groups", 1) or 1)
    if weights.ndim != 4 or make.rank(inputs[0]) != 4:
        raise UnsupportedError(f"a convolution of {make.rank(inputs[0])} axes with weights of shape {weights.shape}")
    if groups > 1:
        outputs = weights.shape[2] * weights.shape[3]
        if groups != weights.shape[2] or transposed:
            raise UnsupportedError(f"{groups} groups with weights of shape {weights.shape}",
                                   try_="depthwise convolutions have as many groups as channels")
        kernel = weights.transpose(2, 3, 0, 1)
    else:
        outputs = weights.shape[2 if transposed else 3]
        kernel = weights.transpose(3, 2, 0, 1)            # (out, in) of a convolution, (in, out) of a transposed one
    add = make.network.add_deconvolution_nd if transposed else make.network.add_convolution_nd
    layer: Any = add(x, outputs, weights.shape[:2], np.ascontiguousarray(kernel), None)
    layer.num_groups = groups
    layer.stride_nd = fields.get("strides", []) or (1, 1)
    if dilation := fields.get("dilation", []):
        layer.dilation_nd = dilation
    padded(layer, fields)
    result = Value(layer.get_output(0), last=last)
    if transposed:
        wanted = [int(d) for d in make.constant(inputs[2])]
        if wanted[1:] != make.shape(result)[1:]:
            raise UnsupportedError(f"a transposed convolution to {wanted}: its padding gives {make.shape(result)}")
    return result


def padded(layer: Any, fields: Fields) -> None:
    if fields.get("implicit_padding", "") == "same":
        layer.padding_mode = PaddingMode.SAME_UPPER
    elif padding := fields.get("padding", []):
        layer.padding_nd = padding


@node("Pool")
def pool(make: Making, inputs: list[Value], fields: Fields) -> Value:
    kind = of({"max": PoolingType.MAX, "avg": PoolingType.AVERAGE}, fields)
    layer: Any = make.network.add_pooling_nd(make.tensor(inputs[0]), kind, fields["kernel"])
    layer.stride_nd = fields.get("strides", []) or (1, 1)
    padded(layer, fields)
    return Value(layer.get_output(0), last=fields.channels_last(0, True))


@node("FullyConnected")
def fully_connected(make: Making, inputs: list[Value], fields: Fields) -> Value:
    x, weights = make.plain(inputs[0]), make.constant(inputs[1])
    if fields.transposed(0, False) or weights.ndim != 2 or make.rank(x) != 2:
        raise UnsupportedError(f"a matrix product of {make.rank(x)} axes with weights of shape {weights.shape}",
                               try_="Flatten before")
    kernel = np.ascontiguousarray(weights.T if fields.transposed(1, True) else weights)       # (outputs, elements)
    deep = make.shuffled(make.tensor(x), [0, 0, 1, 1])
    layer: Any = make.network.add_fully_connected(deep, len(kernel), kernel, None)
    return Value(make.shuffled(layer.get_output(0), [0, len(kernel)]))


@node("LRN")
def lrn(make: Making, inputs: list[Value], fields: Fields) -> Value:
    """window_size is the radius, and alpha is not divided by the window."""
    window = 2 * int(fields["window_size"]) + 1
    layer: Any = make.network.add_lrn(make.tensor(inputs[0]), window, fields["alpha"] * window, fields["beta"],
                                      fields["k"])
    return Value(layer.get_output(0), last=fields.channels_last(0, True))


@node("Binary")
def binary(make: Making, inputs: list[Value], fields: Fields) -> Value:
    if all(x.array is not None for x in inputs):
        return Value(array=np.asarray(of(ON_CONSTANTS, fields)(*(make.constant(x) for x in inputs))))
    a, b, last = make.both(*inputs)
    layer: Any = make.network.add_elementwise(a, b, of(BINARY, fields))
    return Value(layer.get_output(0), last=last)


@node("Unary")
def unary(make: Making, inputs: list[Value], fields: Fields) -> Value:
    x, func = make.tensor(inputs[0]), fields["func"]
    layer: Any
    if func == "square":
        layer = make.network.add_elementwise(x, x, ElementWiseOperation.PROD)
    elif func == "rsqrt":
        root: Any = make.network.add_unary(x, Unary.SQRT)
        layer = make.network.add_unary(root.get_output(0), Unary.RECIP)
    else:
        layer = make.network.add_unary(x, of(UNARY, fields))
    return Value(layer.get_output(0), last=inputs[0].last)


@node("Activation", "LeakyRelu")
def activation(make: Making, inputs: list[Value], fields: Fields) -> Value:
    if "func" not in fields or fields["func"] == "leakyrelu":
        kind, alpha, beta = ActivationType.LEAKY_RELU, float(fields.get("alpha", 0.2)), 0.0
    else:
        kind, alpha, beta = of(ACTIVATIONS, fields)
    layer: Any = make.network.add_activation(make.tensor(inputs[0]), kind)
    layer.alpha, layer.beta = alpha, beta
    return Value(layer.get_output(0), last=inputs[0].last)


@node("Softmax")
def softmax(make: Making, inputs: list[Value], fields: Fields) -> Value:
    """Over the axis of the field; 0, which the converter writes when it knows none, is the last of the framework's."""
    axis = int(fields.get("axis", 0)) or make.rank(inputs[0]) - 1
    layer: Any = make.network.add_softmax(make.tensor(inputs[0]))
    layer.axes = 1 << make.axis(inputs[0], axis)
    return Value(layer.get_output(0), last=inputs[0].last)


@node("BatchNorm")
def batch_norm(make: Making, inputs: list[Value], fields: Fields) -> Value:
    gamma, beta, mean, variance = (make.constant(x).astype(np.float64) for x in inputs[1:])
    scale = gamma / np.sqrt(variance + fields["epsilon"])
    none = np.empty(0, np.float32)
    layer: Any = make.network.add_scale_nd(make.tensor(inputs[0]), ScaleMode.CHANNEL,
                                           (beta - mean * scale).astype(np.float32), scale.astype(np.float32), none,
                                           1 - make.lead)
    return Value(layer.get_output(0), last=fields.channels_last(0, True))


@node("Reduce")
def reduce(make: Making, inputs: list[Value], fields: Fields) -> Value:
    axes = [int(a) for a in np.atleast_1d(fields["axes"])]
    x, keep = inputs[0], bool(fields.get("keepdims", True))
    if not keep:
        x = make.plain(x)
    mask = sum({1 << make.axis(x, a) for a in axes})
    layer: Any = make.network.add_reduce(make.tensor(x), of(REDUCTIONS, fields), mask, keep)
    return Value(layer.get_output(0), last=x.last and keep)


def arg(kind: TopKOperation) -> Node:
    def make_it(make: Making, inputs: list[Value], fields: Fields) -> Value:
        x = make.plain(inputs[0])
        axis = int(fields["axis"])
        layer: Any = make.network.add_topk(make.tensor(x), kind, 1, 1 << make.axis(x, axis))
        shape = make.shape(x)
        del shape[axis]
        return Value(make.shuffled(layer.get_output(1), shape))
    return make_it


NODES["ArgMax"], NODES["ArgMin"] = arg(TopKOperation.MAX), arg(TopKOperation.MIN)
