"""Random patterns and replacements: found or not, replaced or refused, and the model stays valid."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tensorwright import onnx as toolkit
from tensorwright.errors import ModelError

from .test_patterns import convolutions

LEAVES = ["x", "w", "h", "y", "_", "?b", "1", "0.5", "[1, 2]", "x: const", "w: scalar",
          "_: float32 [1, _, _, _]", '"r"']
OPERATORS = ["Relu", "Conv", "Sigmoid", "Mul", "Add", "Clip", "LeakyRelu", "Relu|Sigmoid", "*", "Max", "Split", "a::B"]
ATTRIBUTES = ["alpha=a", "alpha=0.25", "group=1", "pads!=_", "axis>1", "**y"]


def term(dice: random.Random, depth: int = 0) -> str:
    kind = dice.random()
    if depth > 2 or kind < 0.3:
        return dice.choice(LEAVES)
    if kind < 0.4:
        return f"({term(dice, depth + 1)} | {term(dice, depth + 1)})"
    operands = [term(dice, depth + 1) for _ in range(dice.randrange(4))] + ["..."] * (dice.random() < 0.3)
    operands += [dice.choice(ATTRIBUTES)] * (dice.random() < 0.2)
    return f"{dice.choice(OPERATORS)}({', '.join(operands)})"


def pattern(dice: random.Random) -> str:
    return "; ".join(dice.choice(["", "y = ", "h = ", "y, h = "]) + term(dice) for _ in range(dice.choice([1, 1, 2])))


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_found_or_refused_and_valid(dice: random.Random) -> None:
    model = convolutions()
    text = pattern(dice)
    try:
        if toolkit.find_pattern(model, text):
            toolkit.replace_pattern(model, text, pattern(dice))
            assert toolkit.problem(model) is None
    except ModelError as error:
        assert error.what
