"""Scales, shifts, padding and constants that disappear into their neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from passes_helpers import F32, N, Net, X, Y, assert_same, binary, kinds, number, optimised, rewritten, unary

from tensorwright.dtypes import DType
from tensorwright.ops import (
    Concat,
    Convolution,
    ConvTranspose,
    Expand,
    Fill,
    MatMul,
    Pad,
    Pointwise,
    Pool,
    Reshape,
    Slice,
    Transpose,
)
from tensorwright.ops.expr import In
from tensorwright.passes.affine import (
    fold_affine_before_convolution,
    fold_affine_into_convolution,
    fold_scale_into_matmul,
)
from tensorwright.passes.graph import Graph
from tensorwright.passes.padding import fold_pad_into_convolution, fold_pad_into_pool
from tensorwright.passes.rewrite import why_not

NO_PADS = ((0, 0), (0, 0))
BATCHNORM = binary("add", binary("mul", binary("mul", binary("sub", X, In(1, F32)), In(2, F32)),
                                 unary("rsqrt", binary("add", In(3, F32), number(1e-5)))), In(4, F32))


def conv(net: Net, x: str, channels: int, filters: int, pads=((1, 1), (1, 1)), groups: int = 1,
         bias: bool = True) -> str:
    return net.add(Convolution((1, 1), pads, (1, 1), groups), x, net.weights(filters, channels // groups, 3, 3),
                   net.weights(filters) if bias else None)


def variance(net: Net, *shape: int) -> str:
    return net.constant(net.rng.uniform(0.5, 2, shape).astype(np.float32))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_batchnorm_with_all_its_constants_folds_into_the_convolution(groups, bias):
    net = Net()
    y = conv(net, net.input(N, 4, 6, 6), 4, 8, groups=groups, bias=bias)
    parameters = [net.weights(8, 1, 1), net.weights(1, 8, 1, 1), variance(net, 8, 1, 1), net.weights(8, 1, 1)]
    y = net.add(Pointwise(unary("abs", BATCHNORM)), y, *parameters)
    after, _ = optimised(net.finish(y))
    assert kinds(after) == {"Convolution+": 1}
    assert len(after.constants) == 2


def test_affine_folds_into_transposed_convolution_with_groups():
    net = Net()
    op = ConvTranspose((2, 2), ((1, 1), (0, 1)), (1, 1), 2)
    y = net.add(op, net.input(N, 4, 5, 5), net.weights(4, 3, 3, 3), None)
    y = net.call("add", net.call("mul", y, net.weights(6, 1, 1)), net.weights(1, 6, 1, 1))
    assert kinds(rewritten(net.finish(y), fold_affine_into_convolution)) == {"ConvTranspose": 1}


def test_scale_folds_into_matmul_and_shift_stays_as_epilogue():
    net = Net()
    y = net.add(MatMul(), net.input(N, 7, 4), net.weights(4, 5))
    y = net.call("add", net.call("mul", y, net.weights(5)), net.weights(5))
    network = net.finish(y)
    after = rewritten(network, fold_scale_into_matmul)
    assert kinds(after) == {"MatMul": 1, "Pointwise": 1}
    assert kinds(optimised(network)[0]) == {"MatMul+": 1}


def test_scale_after_a_bias_folds_into_matmul():
    """ConvNeXt's layer scale: ((x @ w) + b)·g"""
    net = Net()
    y = net.call("add", net.add(MatMul(), net.input(N, 7, 4), net.weights(4, 5)), net.weights(5))
    after, report = optimised(net.finish(net.call("mul", y, net.weights(5))))
    assert kinds(after) == {"MatMul+": 1} and len(after.constants) == 2
    assert report.total("fold scale into matmul") == 1


def test_affine_before_a_convolution_folds_when_it_does_not_pad():
    net = Net()
    x = net.call("mul", net.call("sub", net.input(N, 4, 6, 6), net.weights(4, 1, 1)), net.weights(4, 1, 1))
    network = net.finish(conv(net, x, 4, 6, NO_PADS, groups=2))
    after, _ = optimised(network)
    assert kinds(after) == {"Convolution": 1}


@pytest.mark.parametrize(("make", "rule", "reason"), [
    (lambda net, x: net.call("mul", (c := conv(net, x, 4, 4)), c), fold_affine_into_convolution, None),
    (lambda net, x: net.call("add", net.call("tanh", c := conv(net, x, 4, 4)), net.call("mul", c, 2.0)),
     fold_affine_into_convolution, "has another reader"),
    (lambda net, x: net.call("mul", conv(net, x, 4, 4), net.weights(1, 1, 1, 6)), fold_affine_into_convolution,
     "one number per output channel"),
    (lambda net, x: conv(net, net.call("add", x, 1.0), 4, 4), fold_affine_before_convolution, "pads with zeros"),
])
def test_affine_folding_declines(make, rule, reason):
    net = Net()
    network = net.finish(make(net, net.input(N, 4, 6, 6)))
    found = why_not(rule, Graph(network))
    assert found is None if reason is None else reason in found


def test_fold_is_refused_when_the_product_overflows():
    net = Net()
    w = net.constant(np.full((2, 4, 1, 1), 1e30, np.float32))
    y = net.add(Convolution((1, 1), NO_PADS, (1, 1)), net.input(N, 4, 2, 2), w, None)
    network = net.finish(net.call("mul", y, 1e20))
    assert why_not(fold_affine_into_convolution, Graph(network)) == "the product of weights and scale overflows"


def test_folded_weights_are_rounded_once():
    net = Net()
    w, k = net.weights(3, 2, 1, 1), net.weights(3, 1, 1)
    y = net.call("mul", net.add(Convolution((1, 1), NO_PADS, (1, 1)), net.input(N, 2, 4, 4), w, None), k)
    network = net.finish(y)
    after = rewritten(network, fold_affine_into_convolution)
    exact = network.constants[w].astype(np.float64) * network.constants[k].astype(np.float64).reshape(3, 1, 1, 1)
    np.testing.assert_array_equal(after.constants[after.layers[0].inputs[1]], exact.astype(np.float32))


def test_pad_folds_into_convolution():
    net = Net()
    x = net.add(Pad(((0, 0), (0, 0), (1, 2), (0, 1))), net.input(N, 4, 6, 6))
    after = rewritten(net.finish(conv(net, x, 4, 4)), fold_pad_into_convolution)
    assert after.layers[0].op.pads == ((2, 3), (1, 2))


@pytest.mark.parametrize(("pad", "reason"), [
    (Pad(((0, 0), (0, 0), (1, 1), (1, 1)), "edge"), "padding of mode edge"),
    (Pad(((0, 0), (0, 0), (1, 1), (1, 1)), value=2.0), "it pads with 2.0, convolutions pad with 0"),
    (Pad(((0, 0), (0, 0), (-1, 1), (1, 1))), "it crops"),
    (Pad(((0, 1), (0, 0), (1, 1), (1, 1))), "it pads the batch or the channels"),
])
def test_pad_stays_before_convolution(pad, reason):
    net = Net()
    network = net.finish(conv(net, net.add(pad, net.input(2, 4, 6, 6)), 4, 4))
    assert why_not(fold_pad_into_convolution, Graph(network)) == reason


@pytest.mark.parametrize(("kind", "value", "pads", "include", "ceil", "reason"), [
    ("max", -np.inf, NO_PADS, False, False, None),
    ("max", 0.0, NO_PADS, False, False, "it pads with 0.0, a maximum pads with −∞"),
    ("average", 0.0, NO_PADS, False, False, None),
    ("average", 0.0, ((1, 1), (1, 1)), True, False, None),
    ("average", 0.0, ((1, 1), (1, 1)), False, False, "the average counts one padding and not the other"),
    ("average", 1.0, NO_PADS, False, False, "it pads with 1.0, an average pads with 0"),
    ("max", -np.inf, NO_PADS, False, True, "with ceil, which windows there are depends on where the padding is"),
])
def test_pad_before_pool(kind, value, pads, include, ceil, reason):
    net = Net()
    x = net.add(Pad(((0, 0), (0, 0), (1, 0), (1, 1)), value=float(value)), net.input(N, 2, 6, 7))
    network = net.finish(net.add(Pool(kind, (3, 3), (2, 2), pads, (1, 1), include, ceil), x))
    assert why_not(fold_pad_into_pool, Graph(network)) == reason
    if reason is None:
        assert kinds(rewritten(network, fold_pad_into_pool)) == {"Pool": 1}


def test_constants_fold_through_any_operator():
    net = Net()
    w = net.add(Transpose((1, 0)), net.weights(5, 4))
    w = net.call("mul", w, 0.5)
    after, report = optimised(net.finish(net.add(MatMul(), net.input(N, 4), w)))
    assert kinds(after) == {"MatMul": 1}
    assert report.total("fold constants") == 2


def test_folding_does_not_blow_up_small_constants():
    net = Net()
    big = net.add(Expand((1024, 1024)), net.weights(1, 1024))
    after, report = optimised(net.finish(net.add(MatMul(), net.input(N, 1024), big)))
    assert kinds(after) == {"Expand": 1, "MatMul": 1}
    assert report.declined[0][2] == "the result would take 4194304 bytes, the operands take 4096"


def test_a_view_of_a_large_constant_is_not_copied():
    net = Net()
    w = net.weights(64, 64)
    network = net.finish(net.add(MatMul(), net.input(N, 64), net.add(Reshape((64, 64)), net.add(Reshape((4096,)), w))))
    after, _ = optimised(network)
    (kept,) = after.constants.values()
    assert np.shares_memory(kept, network.constants[w])


def test_tensors_without_elements_become_constants():
    net = Net()
    x = net.input(2, 4)
    none = net.call("tanh", net.add(Slice((0, 0), (2, 0), (1, 1)), x))
    after, _ = optimised(net.finish(net.call("exp", net.add(Concat(1), none, x)), none))
    assert kinds(after) == {"Pointwise": 1}
    assert after.constants[none].shape == (2, 0)


def test_an_output_that_is_constant_keeps_its_name():
    net = Net()
    x = net.input(2, 4)
    y = net.add(Fill((2, 4), 3.0, DType.float32))
    after, _ = optimised(net.finish(y, net.call("exp", x)))
    assert (after.constants[y] == 3).all()


def test_affine_part_of_a_larger_expression_folds():
    net = Net()
    x = net.input(N, 4, 6, 6)
    y = conv(net, x, 4, 4)
    e = binary("add", unary("tanh", binary("mul", X, Y)), In(2, F32))
    network = net.finish(net.add(Pointwise(e), y, net.weights(4, 1, 1), x))
    after = rewritten(network, fold_affine_into_convolution)
    assert kinds(after) == {"Convolution": 1, "Pointwise": 1}
    assert after.layers[1].op.expr.args[0].args == (In(0, F32),)
    assert_same(network, after)
