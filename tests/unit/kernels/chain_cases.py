"""Chains of layers for kernel tests and measurements: stages described in a word, operands in awkward layouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contraction_cases import channels_last, dense

from tensorwright.dims import Dim
from tensorwright.dtypes import DType
from tensorwright.ir import Op, TensorType
from tensorwright.kernels.problem import Operand, Problem
from tensorwright.ops import Chain, Convolution, Fused, Pointwise, Pool
from tensorwright.ops.expr import Apply, Const, Expr, In

F = DType.float32


def relu6(x: Expr) -> Expr:
    return Apply("min", (Apply("max", (x, Const(0.0, F)), F), Const(6.0, F)), F)


def silu(x: Expr) -> Expr:
    return Apply("mul", (x, Apply("sigmoid", (x,), F)), F)


@dataclass(frozen=True)
class Conv:
    """k: filters, 0 for depthwise. add: what is added at the end, "residual" or "channel". act: applied last."""

    k: int
    window: int = 1
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    act: str = ""
    add: str = ""
    pads: tuple[int, int] | None = None


@dataclass(frozen=True)
class Window:
    """Pooling."""

    kind: str
    window: int = 3
    stride: int = 2
    pads: tuple[int, int] = (1, 1)
    include_pad: bool = False
    ceil: bool = False


@dataclass(frozen=True)
class Scale:
    """x · scale per image and channel; with relu: max(x · scale + shift, 0), both per channel."""

    relu: bool = False


ACTS = {"": lambda x: x, "relu6": relu6, "silu": silu}


def chain_problem(n: Dim, c: int, size: tuple[int, int], stages: Sequence[Conv | Scale | Window], *, pixel_y: int = 0,
                  border_y: int = 0, pixel_x: int = 0, tuned: tuple[tuple[str, int], ...] = ()) -> Problem:
    """x has the zero border that the first stage needs; y a border and wider pixels if asked."""
    ops: list[Op] = []
    arities: list[int] = []
    inputs: list[Operand | None] = []
    shape: tuple[Dim, ...] = (n, c, *size)
    for i, s in enumerate(stages):
        last = i == len(stages) - 1
        if isinstance(s, Scale):
            flow = [channels_last(shape, F, pixel=pixel_x)] if i == 0 else []
            per_image = Operand(shape, (0 if s.relu else shape[1], 1, 0, 0), F)
            op: Op = Pointwise(Apply("mul", (In(0, F), In(1, F)), F))
            if s.relu:
                total = Apply("add", (Apply("mul", (In(0, F), In(1, F)), F), In(2, F)), F)
                op = Pointwise(Apply("max", (total, Const(0.0, F)), F))
            own = [*flow, per_image, *([per_image] if s.relu else [])]
            arity = 2 + s.relu
        elif isinstance(s, Window):
            both = (s.stride, s.stride)
            op = Pool(s.kind, (s.window, s.window), both, (s.pads, s.pads), (1, 1), s.include_pad, s.ceil)
            own = [channels_last(shape, F, pixel=pixel_x)] if i == 0 else []
            shape, arity = op.infer(TensorType(shape, F)).shape, 1
        else:
            groups = s.groups if s.k else int(shape[1])  # type: ignore[call-overload]
            k = s.k or groups
            half = (s.window - 1) * s.dilation // 2
            pads = (s.pads or (half, half),) * 2
            core = Convolution((s.stride, s.stride), pads, (s.dilation, s.dilation), groups)
            flow = [channels_last(shape, F, pads, pixel_x)] if i == 0 else []
            w, b = dense((k, int(shape[1]) // groups, s.window, s.window), F, True), dense((k,), F, True)  # type: ignore
            t = core.infer(TensorType(shape, F), TensorType(w.shape, F), TensorType(b.shape, F))
            shape = t.shape
            expr: Expr = In(0, F)
            extras = []
            if s.add:
                extras = [channels_last(shape, F, [(1, 1), (0, 2)]) if s.add == "residual"
                          else Operand(shape, (0, 1, 0, 0), F)]
                expr = Apply("add", (expr, In(1, F)), F)
            expr = ACTS[s.act](expr)
            op = core if expr == In(0, F) else Fused(core, expr, 3)
            own, arity = [*flow, w, b, *extras], 3 + len(extras)
        ops.append(op)
        arities.append(arity)
        inputs += own
        if last:
            y = channels_last(shape, F, [(border_y, border_y)] * 2, pixel_y)
            result = Operand(y.shape, y.strides, y.dtype)
    return Problem(Chain(tuple(ops), tuple(arities), (0,) * (len(ops) - 1)), tuple(inputs), (result,), tuned)
