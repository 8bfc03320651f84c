"""Arithmetic, comparisons, logic and conversions: one expression each."""

from __future__ import annotations

from functools import reduce

from ..dtypes import DType
from ..errors import ModelError
from ..ops import Reshape
from ..ops.expr import Expr
from . import scalar
from .node import Node
from .registry import operator
from .scalar import call
from .values import COMPUTABLE, Decline, Value

UNARY = {"Neg": "neg", "Floor": "floor", "Ceil": "ceil", "Round": "round", "Sqrt": "sqrt",
         "Reciprocal": "recip", "Exp": "exp", "Log": "log", "Sin": "sin", "Cos": "cos", "Tan": "tan", "Asin": "asin",
         "Acos": "acos", "Atan": "atan", "Sinh": "sinh", "Cosh": "cosh", "Tanh": "tanh", "Asinh": "asinh",
         "Acosh": "acosh", "Atanh": "atanh", "Erf": "erf", "Sigmoid": "sigmoid", "Not": "not", "IsNaN": "isnan",
         "BitwiseNot": "bitnot"}
BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "And": "and", "Or": "or", "Xor": "xor",
          "Equal": "eq", "Less": "lt", "LessOrEqual": "le", "Greater": "gt", "GreaterOrEqual": "ge",
          "BitwiseAnd": "bitand", "BitwiseOr": "bitor", "BitwiseXor": "bitxor"}
VARIADIC = {"Min": "min", "Max": "max", "Sum": "add"}


@operator(*UNARY)
def unary(n: Node) -> Value:
    fn = UNARY[n.op_type]
    return n.pointwise(lambda x: call(fn, x), n[0])


@operator("Abs", "Sign")
def magnitude(n: Node) -> Value:
    """Unsigned integers are their own magnitude; bool has no sign."""
    fn = n.op_type.lower()
    if not n[0].dtype.is_signed and fn == "abs":
        return n[0]
    return n.pointwise(lambda x: call(fn, x), n[0])


@operator(*BINARY)
def binary(n: Node) -> Value:
    fn = BINARY[n.op_type]
    a, b = operands(n)
    return n.pointwise(lambda x, y: call(fn, x, y), a, b)


def operands(n: Node) -> tuple[Value, Value]:
    """Both operands; operator sets before 7 say with `axis` where the second one's dimensions lie."""
    a, b = n[0], n[1]
    if n.since < 7 and n.flag("broadcast") and b.rank < a.rank:
        axis = n.integer("axis", a.rank - b.rank)
        axis += a.rank if axis < 0 else 0
        if not 0 <= axis <= a.rank - b.rank:
            raise ModelError(f"axis {axis} does not place {b.type} inside {a.type}")
        if trailing := a.rank - b.rank - axis:
            b = n.add(Reshape(b.shape + (1,) * trailing), b)
    return a, b


@operator(*VARIADIC)
def variadic(n: Node) -> Value:
    fn = VARIADIC[n.op_type]
    values = [n[i] for i in range(len(n.inputs))] or [n[0]]
    return n.pointwise(lambda *xs: reduce(lambda a, b: call(fn, a, b), xs), *values)


@operator("Mean")
def mean(n: Node) -> Value:
    values = [n[i] for i in range(len(n.inputs))] or [n[0]]
    return n.pointwise(lambda *xs: scalar.div(reduce(scalar.add, xs), float(len(xs))), *values)


@operator("Mod")
def mod(n: Node) -> Value:
    """fmod takes the dividend's sign, mod the divisor's."""
    fn = "fmod" if n.flag("fmod") else "mod"
    return n.pointwise(lambda a, b: call(fn, a, b), n[0], n[1])


@operator("Pow")
def power(n: Node) -> Value:
    """The result has the base's type; mixed types are computed in one that holds both."""
    a, b = operands(n)
    if a.dtype == b.dtype:
        return n.pointwise(power_of, a, b)
    wide = a.dtype if a.dtype.is_float or b.dtype.is_int else DType.float64
    return n.pointwise(lambda x, y: scalar.cast(power_of(scalar.cast(x, wide), _recast(y, wide)), a.dtype), a, b)


def _recast(y: Expr, dtype: DType) -> Expr:
    return scalar.const(y.value, dtype) if isinstance(y, scalar.Const) else scalar.cast(y, dtype)


def power_of(x: Expr, y: Expr) -> Expr:
    """xʸ; small constant exponents as the products and roots they are."""
    exponent = y.value if isinstance(y, scalar.Const) and x.dtype.is_float else None
    if exponent == 2:
        return scalar.mul(x, x)
    if exponent == 3:
        return scalar.mul(scalar.mul(x, x), x)
    if exponent == 1:
        return x
    if exponent == -1:
        return call("recip", x)
    return call("pow", x, y)


@operator("BitShift")
def bit_shift(n: Node) -> Value:
    direction = n.text("direction")
    if direction not in ("LEFT", "RIGHT"):
        raise ModelError(f"direction is {direction!r}, LEFT or RIGHT is needed")
    x, amount = n[0], n[1]
    if not x.dtype.is_signed:
        fn = "shl" if direction == "LEFT" else "shr"
        return n.pointwise(lambda a, b: call(fn, a, b), x, amount)
    last = x.dtype.itemsize * 8 - 1

    def build(a: Expr, b: Expr) -> Expr:
        """Negative amounts count as more than the width; shifting right by so much leaves the sign."""
        if direction == "LEFT":
            return scalar.where(call("lt", b, 0), 0, call("shl", a, call("max", b, 0)))
        return call("shr", a, scalar.where(call("lt", b, 0), last, call("min", b, last)))
    return n.pointwise(build, x, amount)


@operator("IsInf")
def is_inf(n: Node) -> Value:
    negative, positive = n.flag("detect_negative", True), n.flag("detect_positive", True)

    def test(x: Expr) -> Expr:
        if negative and positive:
            return call("isinf", x)
        if not negative and not positive:
            return call("and", call("isinf", x), call("not", call("isinf", x)))
        return call("and", call("isinf", x), call("gt" if positive else "lt", x, 0.0))
    return n.pointwise(test, n[0])


@operator("Where")
def where(n: Node) -> Value:
    return n.pointwise(scalar.where, n[0], n[1], n[2])


@operator("Clip")
def clip(n: Node) -> Value:
    """Bounds are attributes before version 11, inputs since; either may be missing."""
    x = n[0]
    if n.since < 11:
        low = n.constant(n.number("min", 0.0), x.dtype) if n.has("min") else None
        high = n.constant(n.number("max", 0.0), x.dtype) if n.has("max") else None
    else:
        low, high = n.optional(1), n.optional(2)
    bounds = [("max", low), ("min", high)]
    given = [(fn, v) for fn, v in bounds if v is not None]

    def build(e: Expr, *limits: Expr) -> Expr:
        for (fn, _), limit in zip(given, limits, strict=True):
            e = call(fn, e, limit)
        return e
    return n.pointwise(build, x, *[v for _, v in given])


@operator("Cast")
def cast(n: Node) -> Value:
    """Out-of-range float to integer conversions are undefined in ONNX; these convert as C does."""
    from .host import dtype_of
    to = n.text("to") if n.opset < 6 else dtype_of(n.integer("to"))
    return converted(n, DType.of(to.lower()) if isinstance(to, str) else to)


@operator("CastLike")
def cast_like(n: Node) -> Value:
    return converted(n, n[1].dtype)


def converted(n: Node, to: DType | None) -> Value:
    if to not in COMPUTABLE:
        raise Decline(f"no kernel converts to {to}")
    return n.cast(n[0], to)


@operator("Identity", any_type=True)
def identity(n: Node) -> Value:
    """The value itself: no layer."""
    return n[0]


@operator("Dropout", any_type=True)
def dropout(n: Node) -> Value | tuple[Value | None, ...]:
    """The identity outside of training; the mask, where wanted, is all true."""
    if n.since < 7 and not n.flag("is_test"):
        raise Decline("training mode is random")
    training = n.optional(2)
    if n.since >= 12 and training is not None and (training.array is None or bool(training.array.any())):
        ratio = n.optional(1)
        if ratio is None or ratio.array is None or bool(ratio.array.any()):
            raise Decline("training mode is random")
    if not n.wants(1):
        return n[0]
    from ..ops import Fill
    return n[0], n.add(Fill(n[0].shape, True, DType.bool if n.since >= 10 else n[0].dtype))
