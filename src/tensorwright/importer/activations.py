"""Activation functions as expressions."""

from __future__ import annotations

import math

from ..errors import ModelError
from ..ops import Reshape
from ..ops.expr import Expr
from .node import Node
from .registry import operator
from .scalar import add, call, clamp, div, mul, sub, where
from .values import Decline, Value


@operator("Relu")
def relu(n: Node) -> Value:
    return n.pointwise(lambda x: call("max", x, 0.0), n[0])


@operator("LeakyRelu")
def leaky_relu(n: Node) -> Value:
    alpha = n.number("alpha", 0.01)
    return n.pointwise(lambda x: where(call("lt", x, 0.0), mul(x, alpha), x), n[0])


@operator("ThresholdedRelu")
def thresholded_relu(n: Node) -> Value:
    alpha = n.number("alpha", 1.0)
    return n.pointwise(lambda x: where(call("gt", x, alpha), x, 0.0), n[0])


@operator("PRelu")
def prelu(n: Node) -> Value:
    """x < 0 ? slope·x : x. The slope broadcasts to x; before version 7 a slope per channel is a plain vector."""
    x, slope = n[0], n[1]
    if slope.rank == 1 and x.rank > 2 and n.since < 7 and slope.shape[0] != 1:
        slope = n.add(Reshape((slope.shape[0], *[1] * (x.rank - 2))), slope)
    return n.pointwise(lambda e, s: where(call("lt", e, 0.0), mul(e, s), e), x, slope)


def elu_of(x: Expr, alpha: float, gamma: float = 1.0) -> Expr:
    """gamma·(x < 0 ? alpha·(eˣ − 1) : x), the exponent kept ≤ 0 so that no branch overflows"""
    negative = mul(call("expm1", call("min", x, 0.0)), alpha)
    result = where(call("lt", x, 0.0), negative, x)
    return result if gamma == 1.0 else mul(result, gamma)


@operator("Elu")
def elu(n: Node) -> Value:
    alpha = n.number("alpha", 1.0)
    return n.pointwise(lambda x: elu_of(x, alpha), n[0])


@operator("Selu")
def selu(n: Node) -> Value:
    early = n.since < 6
    alpha = n.number("alpha", 1.6732 if early else 1.67326319217681884765625)
    gamma = n.number("gamma", 1.0507 if early else 1.05070102214813232421875)
    return n.pointwise(lambda x: elu_of(x, alpha, gamma), n[0])


@operator("Celu")
def celu(n: Node) -> Value:
    alpha = n.number("alpha", 1.0)
    if alpha == 0:
        raise Decline("alpha is 0")
    return n.pointwise(lambda x: where(call("lt", x, 0.0), mul(call("expm1", div(call("min", x, 0.0), alpha)), alpha),
                                       x), n[0])


@operator("HardSigmoid")
def hard_sigmoid(n: Node) -> Value:
    alpha, beta = n.number("alpha", 0.2), n.number("beta", 0.5)
    return n.pointwise(lambda x: clamp(add(mul(x, alpha), beta), 0.0, 1.0), n[0])


@operator("HardSwish")
def hard_swish(n: Node) -> Value:
    return n.pointwise(lambda x: mul(x, clamp(add(mul(x, 1 / 6), 0.5), 0.0, 1.0)), n[0])


@operator("Softplus")
def softplus(n: Node) -> Value:
    return n.pointwise(lambda x: call("softplus", x), n[0])


@operator("Softsign")
def softsign(n: Node) -> Value:
    return n.pointwise(lambda x: div(x, add(call("abs", x), 1.0)), n[0])


@operator("Mish")
def mish(n: Node) -> Value:
    return n.pointwise(lambda x: mul(x, call("tanh", call("softplus", x))), n[0])


@operator("Swish")
def swish(n: Node) -> Value:
    alpha = n.number("alpha", 1.0)
    return n.pointwise(lambda x: mul(x, call("sigmoid", x if alpha == 1.0 else mul(x, alpha))), n[0])


@operator("Shrink")
def shrink(n: Node) -> Value:
    bias, threshold = n.number("bias", 0.0), n.number("lambd", 0.5)
    if not n[0].dtype.is_float:
        raise Decline("shrinking integers by fractions")
    return n.pointwise(lambda x: where(call("lt", x, -threshold), add(x, bias),
                                       where(call("gt", x, threshold), sub(x, bias), 0.0)), n[0])


@operator("Gelu")
def gelu(n: Node) -> Value:
    """x·Φ(x), exactly or by its usual tanh approximation."""
    kind = n.text("approximate", "none")
    if kind == "none":
        return n.pointwise(lambda x: mul(mul(x, 0.5), add(call("erf", mul(x, math.sqrt(0.5))), 1.0)), n[0])
    if kind != "tanh":
        raise ModelError(f"approximate is {kind!r}, none or tanh is needed")

    def approximate(x: Expr) -> Expr:
        inner = mul(add(x, mul(mul(mul(x, x), x), 0.044715)), math.sqrt(2 / math.pi))
        return mul(mul(x, 0.5), add(call("tanh", inner), 1.0))
    return n.pointwise(approximate, n[0])
