"""What becomes one layer, what does not, and the reasons given."""

from __future__ import annotations

import numpy as np
import pytest
from passes_helpers import F32, N, Net, X, binary, kinds, number, optimised, unary

from tensorwright.dtypes import DType
from tensorwright.ops import (
    Concat,
    Convolution,
    Fused,
    MatMul,
    Normalize,
    Pointwise,
    Pool,
    Reduce,
    Reshape,
    Slice,
    Transpose,
)
from tensorwright.ops.expr import In, operands, size
from tensorwright.passes.pointwise import MAX_FUNCTIONS, MAX_OPERANDS

NO_PADS = ((0, 0), (0, 0))


def conv(net: Net, x: str, channels: int = 4) -> str:
    return net.add(Convolution((1, 1), NO_PADS, (1, 1)), x, net.weights(4, channels, 1, 1), None)


def reasons(report, rewrite: str) -> list[str]:
    return [reason for name, _, reason in report.declined if name == rewrite]


def test_a_chain_becomes_one_layer():
    net = Net()
    x, z = net.input(N, 8), net.input(N, 8)
    y = net.call("mul", net.call("tanh", net.call("add", x, z)), 3.0)
    after, _ = optimised(net.finish(y))
    assert kinds(after) == {"Pointwise": 1}
    assert after.layers[0].inputs == (x, z)
    assert after.layers[0].outputs == (y,)


def test_origins_of_fused_layers_are_joined():
    net = Net()
    x = net.input(N, 8)
    a = net.editor.add(Pointwise(unary("tanh")), x, origin=("first",))
    b = net.editor.add(Pointwise(unary("exp")), a, origin=("second",))
    after, _ = optimised(net.finish(b))
    assert after.layers[0].origin == ("first", "second")


def test_cheap_work_is_repeated_for_each_reader_and_expensive_work_is_not():
    net = Net()
    x = net.input(N, 8)
    cheap, dear = net.call("max", x, 0.0), net.call("tanh", x)
    a, b = net.call("exp", cheap), net.call("abs", cheap)
    c, d = net.call("exp", dear), net.call("abs", dear)
    after, report = optimised(net.finish(a, b, c, d))
    assert kinds(after) == {"Pointwise": 5}
    assert any("not cheap enough" in r for r in reasons(report, "fuse pointwise"))


def test_small_work_is_not_repeated_over_a_large_shape():
    net = Net()
    small = net.call("exp", net.input(N, 1, 8))
    after, report = optimised(net.finish(net.call("mul", net.input(N, 5, 8), small)))
    assert kinds(after) == {"Pointwise": 2}
    assert "computes fewer elements" in reasons(report, "fuse pointwise")[0]


def test_conversion_of_a_small_operand_is_fused():
    net = Net()
    mask = net.cast(net.input(N, 1, 8, dtype=DType.bool), F32)
    after, _ = optimised(net.finish(net.call("mul", net.input(N, 5, 8), mask)))
    assert kinds(after) == {"Pointwise": 1}


def test_limits_of_operands_and_functions():
    net = Net()
    y = net.input(N, 8)
    for _ in range(12):
        y = net.call("mul", net.call("tanh", y), net.input(N, 8))
    for _ in range(80):
        y = net.call("tanh", y)
    after, report = optimised(net.finish(y))
    assert all(len(layer.inputs) <= MAX_OPERANDS and size(layer.op.expr) <= MAX_FUNCTIONS for layer in after.layers)
    assert len(after.layers) == 3
    assert reasons(report, "fuse pointwise")


@pytest.mark.parametrize("core", [
    lambda net: conv(net, net.input(N, 4, 6, 6)),
    lambda net: net.add(Pool("max", (2, 2), (1, 1), NO_PADS, (1, 1)), net.input(N, 4, 6, 6)),
    lambda net: net.add(Reduce("sum", (1,), True), net.input(N, 4, 6, 6)),
    lambda net: net.add(Normalize((3,), 1e-3), net.input(N, 4, 6, 6)),
    lambda net: net.add(MatMul(), net.input(N, 4, 6, 6), net.weights(6, 5)),
])
def test_epilogues_attach_to_every_core(core):
    net = Net()
    y = core(net)
    shape = net.editor.types[y].shape
    z = net.call("max", net.call("add", net.call("tanh", y), net.input(*shape)), 0.0)
    after, _ = optimised(net.finish(z))
    (layer,) = after.layers
    assert isinstance(layer.op, Fused) and layer.outputs == (z,)
    assert [x.index for x in operands(layer.op.epilogue)] == [0, 1]


def test_a_residual_joins_the_convolution_that_runs_last():
    net = Net()
    x = net.input(N, 4, 6, 6)
    first, second = conv(net, x), conv(net, net.call("tanh", x))
    after, _ = optimised(net.finish(net.call("max", net.call("add", second, first), 0.0)))
    assert kinds(after) == {"Pointwise": 1, "Convolution": 1, "Convolution+": 1}
    assert after.layers[-1].inputs[-1] == first


def test_convolution_is_preferred_to_a_later_reduction():
    net = Net()
    x = net.input(N, 4, 6, 6)
    c = conv(net, x)
    r = net.add(Pool("max", (1, 1), (1, 1), NO_PADS, (2, 2)), net.add(Normalize((1,), 1e-3), x))
    after, _ = optimised(net.finish(net.call("add", c, r)))
    assert kinds(after) == {"Normalize": 1, "Convolution+": 1}


def test_epilogue_declines():
    net = Net()
    x = net.input(N, 4, 6, 6)
    c = conv(net, x)
    larger = net.call("add", net.input(3, N, 4, 6, 6), conv(net, x))
    after, report = optimised(net.finish(net.call("tanh", c), larger, c))
    found = reasons(report, "fuse epilogue")
    assert any("has another reader" in r for r in found) and any("has shape" in r for r in found)
    assert kinds(after) == {"Convolution": 2, "Pointwise": 2}


def test_half_precision_results_are_converted_in_a_layer_of_their_own():
    net = Net()
    y = net.cast(net.call("tanh", net.add(MatMul(), net.input(N, 4), net.weights(4, 4))), DType.float16)
    after, report = optimised(net.finish(y))
    assert kinds(after) == {"MatMul": 1, "Pointwise": 1}
    assert reasons(report, "fuse epilogue") == ["cores read and write native types only"]


def test_pointwise_moves_before_reshape_and_transpose_to_become_an_epilogue():
    net = Net()
    y = net.add(MatMul(), net.input(N, 5, 6), net.weights(6, 8))
    y = net.add(Transpose((0, 2, 1, 3)), net.add(Reshape((N, 5, 2, 4)), y))
    y = net.call("mul", net.call("tanh", y), net.weights(4))
    after, report = optimised(net.finish(y))
    assert kinds(after) == {"MatMul": 1, "Reshape": 1, "Pointwise": 1, "Transpose": 1}
    assert reasons(report, "move pointwise before movement")
    net = Net()
    y = net.add(MatMul(), net.input(N, 5, 6), net.weights(6, 8))
    y = net.add(Transpose((0, 2, 1, 3)), net.add(Reshape((N, 5, 2, 4)), y))
    after, _ = optimised(net.finish(net.call("tanh", net.call("mul", y, 0.3))))
    assert kinds(after) == {"MatMul+": 1, "Reshape": 1, "Transpose": 1}


def test_work_on_a_concatenation_goes_to_the_parts():
    net = Net()
    x = net.input(N, 4, 6, 6)
    joined = net.add(Concat(1), conv(net, x), conv(net, net.call("tanh", x)))
    y = net.call("max", net.call("mul", joined, net.weights(8, 1, 1)), 0.0)
    after, _ = optimised(net.finish(y))
    assert kinds(after) == {"Pointwise": 1, "Convolution+": 2, "Concat": 1}


def test_a_rotary_embedding_is_two_passes():
    net = Net()
    x, cos, sin = net.input(N, 5, 8), net.call("cos", net.input(5, 8)), net.call("sin", net.input(5, 8))
    first, second = (net.add(Slice((0, 0, i), (N, 5, 4), (1, 1, 1)), x) for i in (0, 4))
    turned = net.add(Concat(2), net.call("neg", second), first)
    after, _ = optimised(net.finish(net.call("add", net.call("mul", x, cos), net.call("mul", turned, sin))))
    assert kinds(after)["Pointwise"] == 4 and kinds(after)["Concat"] == 1


def test_work_on_a_concatenation_stays_when_parts_are_read_elsewhere():
    net = Net()
    x = net.input(N, 4, 6, 6)
    c = conv(net, x)
    _, report = optimised(net.finish(net.call("tanh", net.add(Concat(1), c, conv(net, net.call("exp", x)))), c))
    assert reasons(report, "split pointwise over concat") == ["a part comes from a layer that cannot take the work in"]


def test_parallel_products_become_one():
    net = Net()
    x = net.input(N, 5, 6)
    parts = []
    for n in (4, 6, 8):
        y = net.call("add", net.add(MatMul(), x, net.weights(6, n)), net.weights(n))
        parts.append(net.add(Reshape((N, 5, n // 2, 2)), y))
    after, _ = optimised(net.finish(*parts))
    assert kinds(after) == {"MatMul+": 1, "Slice": 3, "Reshape": 3}


def test_parallel_products_with_element_wise_readers_stay_apart():
    net = Net()
    x = net.input(N, 5, 6)
    gate, up = (net.add(MatMul(), x, net.weights(6, 8)) for _ in range(2))
    after, report = optimised(net.finish(net.call("mul", net.call("sigmoid", gate), up)))
    assert kinds(after) == {"MatMul": 1, "MatMul+": 1}
    assert reasons(report, "merge parallel products")


def test_scalars_move_into_the_expression():
    net = Net()
    x = net.input(N, 8)
    after, _ = optimised(net.finish(net.call("mul", x, net.constant(np.full((1, 1), 2.5, np.float32)))))
    assert after.layers[0].op.expr == binary("mul", X, number(2.5))
    assert not after.constants


def test_a_scalar_that_raises_the_rank_stays():
    net = Net()
    x = net.input(N, 8)
    after, _ = optimised(net.finish(net.call("mul", x, net.constant(np.full((1, 1, 1), 2.5, np.float32)))))
    assert len(after.layers[0].inputs) == 2
    assert after.tensor(after.outputs[0]).shape == (1, N, 8)


def test_an_expression_read_twice_is_shared():
    net = Net()
    x = net.input(N, 8)
    t = net.call("tanh", x)
    after, _ = optimised(net.finish(net.call("mul", t, net.call("add", t, t))))
    assert kinds(after) == {"Pointwise": 1}
    assert size(after.layers[0].op.expr) == 3
    assert after.layers[0].inputs == (x,)
    assert operands(after.layers[0].op.expr) == (In(0, F32),)
