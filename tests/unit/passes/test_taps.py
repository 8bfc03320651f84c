"""Dilated convolutions lose the taps that meet only padding."""

from __future__ import annotations

import numpy as np
import pytest
from passes_helpers import N, Net, assert_same, kinds, optimised, rewritten

from tensorwright.ops import Convolution
from tensorwright.passes.graph import Graph
from tensorwright.passes.rewrite import why_not
from tensorwright.passes.taps import cut_into_bands, drop_taps_in_padding


@pytest.mark.parametrize(("size", "stride", "dilation", "pads", "window", "left"), [
    (5, 1, 6, (6, 6), 1, (0, 0)),
    (6, 1, 6, (6, 6), 1, (0, 0)),
    (7, 1, 6, (6, 6), 3, (6, 6)),
    (5, 1, 6, (6, 7), 1, (0, 1)),
    (7, 1, 6, (5, 6), 2, (5, 0)),
    (4, 2, 4, (4, 4), 1, (0, 0)),
    (2, 1, 3, (3, 3), 1, (0, 0)),
])
def test_taps_that_meet_only_padding_go(size, stride, dilation, pads, window, left):
    net = Net()
    x, w = net.input(N, 2, size, 9), net.weights(3, 2, 3, 3)
    op = Convolution((stride, 1), (pads, (1, 1)), (dilation, 1))
    network = net.finish(net.add(op, x, w, net.weights(3)))
    after = rewritten(network, drop_taps_in_padding)
    (layer,) = after.layers
    assert after.constants[layer.inputs[1]].shape[2:] == (window, 3)
    assert layer.op.pads == (left, (1, 1))
    assert_same(network, after)


def test_taps_stay_where_sizes_are_symbols_or_weights_infinite():
    net = Net()
    op, w = Convolution((1,), ((6, 6),), (6,)), net.weights(3, 2, 3)
    network = net.finish(net.add(op, net.input(N, 2, N), w, None))
    assert rewritten(network, drop_taps_in_padding).layers[0].op == op
    net = Net()
    w = net.constant(np.full((3, 2, 3), np.inf, np.float32))
    network = net.finish(net.add(op, net.input(N, 2, 5), w, None))
    assert why_not(drop_taps_in_padding, Graph(network)) == "infinity times padding is not zero"


@pytest.mark.parametrize(("size", "dilation", "pads", "windows"), [
    (33, 24, (24, 24), [2, 1, 2]),
    (33, 12, (12, 12), [2, 3, 2]),
    (10, 8, (8, 9), [2, 1, 2, 1]),
    (11, 7, (7, 7), [2, 1, 2]),
    (5, 4, (8, 4), [1, 2, 1, 2]),
])
def test_dilated_convolutions_become_bands(size, dilation, pads, windows):
    net = Net()
    x, w = net.input(N, 2, size, 9), net.weights(3, 2, 3, 3)
    op = Convolution((1, 1), (pads, (3, 3)), (dilation, 3))
    network = net.finish(net.add(op, x, w, net.weights(3)))
    after = rewritten(network, cut_into_bands)
    filters = [after.constants[v.inputs[1]].shape for v in after.layers if isinstance(v.op, Convolution)]
    assert filters == [(3, 2, window, 3) for window in windows]
    assert kinds(after)["Concat"] == 1
    assert_same(network, after)


def test_bands_take_in_what_follows():
    net = Net()
    op = Convolution((1, 1), ((8, 8), (8, 8)), (8, 8))
    y = net.call("max", net.add(op, net.input(N, 2, 10, 10), net.weights(3, 2, 3, 3), net.weights(3)), 0.0)
    network = net.finish(y)
    after, _ = optimised(network)
    assert kinds(after) == {"Slice": 1, "Convolution+": 3, "Concat": 1}
    assert_same(network, after)


@pytest.mark.parametrize(("op", "shape", "reason"), [
    (Convolution((1, 1), ((2, 2), (2, 2)), (2, 2)), (N, 2, 20, 20), "93% of the taps meet the input"),
    (Convolution((1, 1), ((8, 8), (8, 8)), (8, 8)), (N, 2, N, 10),
     "the number of rows is a symbol, or some rows meet no tap"),
    (Convolution((1, 1), ((1, 1), (1, 1)), (1, 1)), (N, 2, 2, 2), None),
])
def test_convolutions_that_stay_whole(op, shape, reason):
    net = Net()
    network = net.finish(net.add(op, net.input(*shape), net.weights(3, 2, 3, 3), None))
    assert why_not(cut_into_bands, Graph(network)) == reason
