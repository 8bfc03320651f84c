"""What a recurrent cell computes from its gates' sums, as expressions that the pointwise printer turns into code."""

from __future__ import annotations

from collections.abc import Callable

from ...dtypes import DType
from ...ops.activations import ACTIVATIONS
from ...ops.expr import Apply, Const, Expr, In
from ...ops.recurrent import FUNCTIONS_PER_DIRECTION, GATES, Recurrent

DEFAULTS = {"lstm": ("sigmoid", "tanh", "tanh"), "gru": ("sigmoid", "tanh"), "rnn": ("tanh",)}


def groups(op: Recurrent) -> tuple[tuple[int, ...], ...]:
    """Gates whose sums over h are computed together; later groups need the results of earlier ones."""
    if op.kind == "gru" and not op.linear_before_reset:
        return ((0, 1), (2,))
    return (tuple(range(GATES[op.kind])),)


class Cell:
    """The formulas of one direction. Gates' sums are x·W + h·R with all biases but those named."""

    def __init__(self, op: Recurrent, direction: int, dtype: DType, peephole: bool) -> None:
        self.op, self.t, self.peephole = op, dtype, peephole
        per = FUNCTIONS_PER_DIRECTION[op.kind]
        self.functions = _chosen(op, dtype)[direction * per:(direction + 1) * per]

    def add(self, a: Expr, b: Expr) -> Expr:
        return Apply("add", (a, b), self.t)

    def mul(self, a: Expr, b: Expr) -> Expr:
        return Apply("mul", (a, b), self.t)

    def complement(self, a: Expr) -> Expr:
        return Apply("sub", (Const(1.0, self.t), a), self.t)

    def activate(self, index: int, x: Expr) -> Expr:
        if self.op.clip is not None:
            limit = float(self.op.clip)
            x = Apply("min", (Apply("max", (x, Const(-limit, self.t)), self.t), Const(limit, self.t)), self.t)
        return self.functions[index](x)

    def value(self, index: int) -> Expr:
        return In(index, self.t)

    def with_peephole(self, x: Expr, weight: int, c: Expr) -> Expr:
        return self.add(x, self.mul(self.value(weight), c)) if self.peephole else x

    def lstm_memory(self) -> Expr:
        """New c from (i, o, f, c̃, c, Pi, Po, Pf)."""
        c = self.value(4)
        i = self.activate(0, self.with_peephole(self.value(0), 5, c))
        forget = (self.complement(i) if self.op.input_forget else
                  self.activate(0, self.with_peephole(self.value(2), 7, c)))
        return self.add(self.mul(forget, c), self.mul(i, self.activate(1, self.value(3))))

    def lstm_output(self) -> Expr:
        """New h from (_, o, _, _, new c, _, Po)."""
        c = self.value(4)
        return self.mul(self.activate(0, self.with_peephole(self.value(1), 6, c)), self.functions[2](c))  # not clipped

    def gate(self) -> Expr:
        """GRU's update or reset gate from its sum; RNN's new h."""
        return self.activate(0, self.value(0))

    def gru_output(self) -> Expr:
        """New h from (z, sum of the hidden gate, h)."""
        z, h = self.value(0), self.value(2)
        return self.add(self.mul(self.complement(z), self.activate(1, self.value(1))), self.mul(z, h))

    def gru_linear(self) -> Expr:
        """New h from (sums of z and r, x·W of the hidden gate, its h·R + b, h)."""
        z, r = self.activate(0, self.value(0)), self.activate(0, self.value(1))
        new = self.activate(1, self.add(self.value(2), self.mul(r, self.value(3))))
        return self.add(self.mul(self.complement(z), new), self.mul(z, self.value(4)))


def _chosen(op: Recurrent, t: DType) -> list[Callable[[Expr], Expr]]:
    """Every direction's activations; each that has an alpha (beta) takes the next of op's, or its default."""
    alphas, betas = list(op.alphas), list(op.betas)
    result = []
    for name in op.activations or DEFAULTS[op.kind] * op.directions:
        _, alpha, beta = ACTIVATIONS[name.lower()]
        if alpha is not None and alphas:
            alpha = alphas.pop(0)
        if beta is not None and betas:
            beta = betas.pop(0)
        result.append(_bound(name.lower(), 0.0 if alpha is None else alpha, 0.0 if beta is None else beta, t))
    return result


def _bound(name: str, alpha: float, beta: float, t: DType) -> Callable[[Expr], Expr]:
    a, b, zero, one = (Const(float(x), t) for x in (alpha, beta, 0, 1))

    def fn(name: str, *args: Expr) -> Expr:
        return Apply(name, args, DType.bool if name == "ge" else t)

    formulas: dict[str, Callable[[Expr], Expr]] = {
        "relu": lambda x: fn("max", x, zero),
        "affine": lambda x: fn("add", fn("mul", a, x), b),
        "leakyrelu": lambda x: fn("where", fn("ge", x, zero), x, fn("mul", a, x)),
        "thresholdedrelu": lambda x: fn("where", fn("ge", x, a), x, zero),
        "scaledtanh": lambda x: fn("mul", a, fn("tanh", fn("mul", b, x))),
        "hardsigmoid": lambda x: fn("min", fn("max", fn("add", fn("mul", a, x), b), zero), one),
        "elu": lambda x: fn("where", fn("ge", x, zero), x, fn("mul", a, fn("expm1", fn("min", x, zero)))),
        "softsign": lambda x: fn("div", x, fn("add", one, fn("abs", x))),
    }
    return formulas.get(name, lambda x: fn(name, x))
