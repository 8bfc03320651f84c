"""Chain: the meaning, shape rule and cost of its stages, one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from tensorwright.dtypes import DType
from tensorwright.errors import ShapeError
from tensorwright.ir import TensorType
from tensorwright.ops import Chain, Convolution, Fused, Pointwise
from tensorwright.ops.expr import Apply, In

F = DType.float32
EXPAND, DEPTHWISE = Convolution((1, 1), ((0, 0), (0, 0)), (1, 1)), Convolution((2, 2), ((1, 1), (1, 1)), (1, 1), 8)
ADD = Fused(EXPAND, Apply("add", (In(0, F), In(1, F)), F), 3)


def operands() -> tuple[Chain, list[np.ndarray | None]]:
    """expand → depthwise → project and add: 10 inputs less the two that flow."""
    rng = np.random.default_rng(3)
    shapes = [(2, 4, 6, 6), (8, 4, 1, 1), (8,), (8, 1, 3, 3), None, (4, 8, 1, 1), (4,), (2, 4, 3, 3)]
    inputs = [None if s is None else rng.standard_normal(s).astype(np.float32) for s in shapes]
    return Chain((EXPAND, DEPTHWISE, ADD), (3, 3, 4), (0, 0)), inputs


def test_reference_is_the_stages_one_after_the_other() -> None:
    chain, (x, w1, b1, w2, _, w3, b3, extra) = operands()
    y = EXPAND.reference(x, w1, b1)
    y = DEPTHWISE.reference(y, w2, None)
    y = EXPAND.reference(y, w3, b3) + extra
    np.testing.assert_array_equal(chain.reference(x, w1, b1, w2, None, w3, b3, extra), y)


def test_flowing_value_may_be_any_input() -> None:
    subtract = Pointwise(Apply("sub", (In(0, F), In(1, F)), F))
    chain = Chain((Pointwise(Apply("neg", (In(0, F),), F)), subtract), (1, 2), (1,))
    a, b = np.float32([1, 2]), np.float32([10, 20])
    np.testing.assert_array_equal(chain.reference(a, b), b - -a)


def test_types_and_cost_leave_out_what_flows() -> None:
    chain, inputs = operands()
    types = [None if i is None else TensorType(i.shape, F) for i in inputs]
    y = chain.infer(*types)
    assert y == TensorType((2, 4, 3, 3), F)
    cost = chain.cost(types, [y])
    assert cost.bytes == 4 * (sum(i.size for i in inputs if i is not None) + y.size)
    assert cost.flops >= 2 * (2 * 36 * 8 * 4 + 2 * 9 * 8 * 9 + 2 * 9 * 4 * 8)


def test_too_many_inputs() -> None:
    chain, inputs = operands()
    with pytest.raises(ShapeError, match="takes 8 inputs"):
        chain.split([*inputs, None])
