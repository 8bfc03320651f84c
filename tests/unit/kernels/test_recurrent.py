"""Recurrent kernels against the operator's NumPy meaning: every kind, direction, option and optional input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from kernel_cases import judge, operand

from tensorwright.dims import symbol
from tensorwright.kernels.cpu.recurrent import tactics
from tensorwright.kernels.problem import Operand
from tensorwright.ops import Recurrent

GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def check(op: Recurrent, T: int = 5, N: int = 3, I: int = 7, *, absent: str = "", dtype: str = "float32",
          constant: bool = True, lens: list[int] | None = None, order: tuple[int, ...] | None = None,
          names: bool = False, compile_only: bool = False) -> None:
    """absent: letters of the optional inputs left out: B, h, c, P. names: T and N are symbols."""
    rng, D, H, G = np.random.default_rng(7), op.directions, op.hidden, GATES[op.kind]
    shapes = {"X": (T, N, I), "W": (D, G * H, I), "R": (D, G * H, H), "B": (D, 2 * G * H), "h": (D, N, H),
              "c": (D, N, H), "P": (D, 3 * H)}
    env = {"s0": T, "s1": N} if names else {}
    t, n = (symbol("s0"), symbol("s1")) if names else (T, N)
    symbolic = shapes | {"X": (t, n, I), "h": (D, n, H), "c": (D, n, H)}
    names_of = ("X", "W", "R", "B", "lens", "h", *("cP" if op.kind == "lstm" else ""))
    taken = [name for name in names_of if name not in absent]
    inputs: list[Operand | None] = []
    arrays: dict[int, np.ndarray] = {}
    for i, name in enumerate(names_of):
        if name == "lens":
            inputs.append(None if lens is None else operand((n,), "int32"))
            if lens is not None:
                arrays[i] = np.array(lens, "int32")
        elif name in taken:
            rank = len(symbolic[name])
            way = None if order is None or (name in "WR" and constant) else [*range(rank)][::-1]
            inputs.append(operand(symbolic[name], dtype, way, constant=constant and name in "WR"))  # type: ignore[arg-type]
            arrays[i] = (rng.standard_normal(shapes[name]) * (0.5 if name in "WRBP" else 1)).astype(dtype)
        else:
            inputs.append(None)
    outputs = None
    if order is not None:
        states = [operand((D, n, H), dtype, (2, 1, 0))] * (2 if op.kind == "lstm" else 1)
        outputs = [operand((t, D, n, H), dtype, order), *states]
    assert judge(op, inputs, tactics, env=env, arrays=arrays, outputs=outputs, compile_only=compile_only,
                 tolerance=1e-4)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_directions_and_inputs(kind: str, direction: str) -> None:
    for hidden, absent, constant in ((5, "", True), (16, "BhcP", True), (37, "hP", False), (32, "c", False)):
        check(Recurrent(kind, hidden, direction), absent=absent, constant=constant, compile_only=hidden == 37)
    check(Recurrent(kind, 20, direction), lens=[5, 1, 3])
    check(Recurrent(kind, 20, direction, linear_before_reset=True), lens=[0, 4, 5], absent="B")


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_layouts_types_and_symbols(kind: str) -> None:
    check(Recurrent(kind, 21, "bidirectional"), order=(3, 2, 0, 1))
    check(Recurrent(kind, 21, "bidirectional"), order=(3, 2, 0, 1), constant=False)
    check(Recurrent(kind, 13), dtype="float64")
    for T, N in ((6, 9), (1, 1), (2, 14), (0, 3), (4, 0)):
        check(Recurrent(kind, 24, "bidirectional"), T, N, names=True)
    check(Recurrent(kind, 64), T=9, N=1, I=40)
    check(Recurrent(kind, 64, "reverse"), T=9, N=13, I=40)


def test_options() -> None:
    for limit in (None, 0.4):
        check(Recurrent("lstm", 18, clip=limit, input_forget=True))
        check(Recurrent("gru", 18, clip=limit, linear_before_reset=True))
        check(Recurrent("gru", 18, "bidirectional", clip=limit))
        check(Recurrent("rnn", 18, clip=limit))


def test_activations() -> None:
    names = ("relu", "tanh", "sigmoid", "affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu",
             "softsign", "softplus")
    for name in names:
        check(Recurrent("rnn", 18, activations=(name,), alphas=(0.3,), betas=(0.7,)))
        check(Recurrent("rnn", 18, activations=(name,)))
    for pair in itertools.pairwise(names):
        check(Recurrent("gru", 17, "bidirectional", activations=(*pair, *pair[::-1]), alphas=(0.5, 0.25), betas=(0.1,)))
    six = ("sigmoid", "tanh", "relu", "hardsigmoid", "softsign", "tanh")
    check(Recurrent("lstm", 17, "bidirectional", activations=six))
