"""Recurrent layers against ONNX Runtime: every direction, optional input and activation."""

from itertools import product

import numpy as np
import pytest
from op_checks import agree, by_runtime, floats

from tensorwright.dtypes import DType
from tensorwright.errors import ShapeError
from tensorwright.ir import TensorType
from tensorwright.ops import Recurrent

T, N, I, H = 5, 3, 4, 6
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def operands(kind, direction, full, seed=0):
    rng = np.random.default_rng(seed)
    D, G = 1 + (direction == "bidirectional"), GATES[kind]
    required = [floats(rng, T, N, I), floats(rng, D, G * H, I), floats(rng, D, G * H, H)]
    optional = [floats(rng, D, 2 * G * H), np.array([5, 2, 3], np.int32), floats(rng, D, N, H)]
    if kind == "lstm":
        optional += [floats(rng, D, N, H), floats(rng, D, 3 * H)]
    return required + (optional if full else [])


def check(op, inputs, tolerance=1e-4, **attributes):
    outputs = 3 if op.kind == "lstm" else 2
    expected = by_runtime(op.kind.upper(), inputs, outputs, 14, hidden_size=H, direction=op.direction, **attributes)
    agree(op, inputs, expected, tolerance)


@pytest.mark.parametrize(("kind", "direction", "full"),
                         [*product(GATES, ("forward", "reverse", "bidirectional"), (False, True))])
def test_default_activations(kind, direction, full):
    check(Recurrent(kind, H, direction), operands(kind, direction, full))


def test_gru_resets_before_or_after_the_product():
    inputs = operands("gru", "bidirectional", True)
    check(Recurrent("gru", H, "bidirectional", linear_before_reset=True), inputs, linear_before_reset=1)


@pytest.mark.parametrize("kind", GATES)
def test_arguments_of_activations_are_clipped(kind):
    inputs = operands(kind, "forward", False)
    check(Recurrent(kind, H, clip=0.7), inputs, clip=0.7)


def test_lstm_couples_its_input_and_forget_gates():
    check(Recurrent("lstm", H, input_forget=True), operands("lstm", "forward", False), input_forget=1)


@pytest.mark.parametrize("name", ["Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh",
                                  "HardSigmoid", "Elu", "Softsign", "Softplus"])
def test_activations(name):
    inputs = operands("rnn", "forward", False, seed=7)
    inputs = [x * np.float32(0.3) for x in inputs]
    parameters = {"Affine": ((0.7,), (0.1,)), "LeakyRelu": ((0.2,), ()), "ThresholdedRelu": ((0.3,), ()),
                  "ScaledTanh": ((0.8,), (0.6,)), "HardSigmoid": ((0.3,), (0.4,)), "Elu": ((0.5,), ())}
    alphas, betas = parameters.get(name, ((), ()))
    given = {k: v for k, v in (("activation_alpha", alphas), ("activation_beta", betas)) if v}
    check(Recurrent("rnn", H, activations=(name.lower(),), alphas=alphas, betas=betas), inputs,
          activations=[name], **given)


def test_parameters_go_to_the_activations_that_have_them():
    names = ("HardSigmoid", "Tanh", "LeakyRelu")
    op = Recurrent("lstm", H, activations=tuple(n.lower() for n in names), alphas=(0.3, 0.05), betas=(0.4,))
    inputs = [x * np.float32(0.3) for x in operands("lstm", "forward", False)]
    check(op, inputs, activations=names, activation_alpha=[0.3, 0.05], activation_beta=[0.4])


def test_operands_that_do_not_fit_are_refused():
    f = DType.float32
    good = [TensorType(s, f) for s in ((T, N, I), (1, 4 * H, I), (1, 4 * H, H))]
    assert len(Recurrent("lstm", H).infer(*good)) == 3
    with pytest.raises(ShapeError, match="W is"):
        Recurrent("gru", H).infer(*good)
    with pytest.raises(ShapeError, match="2 activations, lstm forward needs 3"):
        Recurrent("lstm", H, activations=("tanh", "tanh")).infer(*good)
    with pytest.raises(ShapeError, match="no activation 'swish'"):
        Recurrent("lstm", H, activations=("tanh", "tanh", "swish")).infer(*good)
