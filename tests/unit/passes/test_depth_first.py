"""Which layers become chains, which do not and why; chains compute what their layers do."""

from __future__ import annotations

import pytest
from passes_helpers import F32, N, Net, assert_same, binary, number, unary

from tensorwright import passes
from tensorwright.dims import Dim
from tensorwright.ir import Network
from tensorwright.ops import Chain, Convolution, Fused, Pointwise, Pool
from tensorwright.ops.expr import In
from tensorwright.passes import depth_first
from tensorwright.targets import CpuSpec

#: A machine on which 4 KiB are large for two threads.
TINY = CpuSpec("tiny", "", "", 128, 16, True, l2=4 << 10)
X = In(0, F32)
RELU = binary("max", X, number(0.0))


def conv(net: Net, x: str, k: int, size: int = 1, stride: int = 1, depthwise: bool = False) -> str:
    c = net.editor.types[x].shape[1]
    pad = size // 2
    op = Convolution((stride,) * 2, ((pad, pad),) * 2, (1, 1), k if depthwise else 1)
    return net.add(Fused(op, RELU, 3), x, net.weights(k, 1 if depthwise else c, size, size), net.weights(k))


def inverted_residual(net: Net, x: str, wide: int = 24, stride: int = 1) -> str:
    c = net.editor.types[x].shape[1]
    y = conv(net, conv(net, x, wide), wide, 3, stride, depthwise=True)
    op = Convolution((1, 1), ((0, 0),) * 2, (1, 1))
    if stride > 1:
        return net.add(op, y, net.weights(c, wide, 1, 1))
    return net.add(Fused(op, binary("add"), 2), y, net.weights(c, wide, 1, 1), x)


def chained(network: Network, apart: tuple[str, ...] = (), cpu: CpuSpec = TINY) -> tuple[Network, passes.Report]:
    after, report = passes.form_chains(network, cpu, 2, {"N": 2}, apart)
    assert_same(network, after)
    return after, report


def chains(network: Network) -> list[Chain]:
    return [layer.op for layer in network.layers if isinstance(layer.op, Chain)]


def why_not(network: Network, cpu: CpuSpec = TINY) -> str:
    after, report = chained(network, cpu=cpu)
    assert not chains(after)
    return "; ".join(reason for _, _, reason in report.declined)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("batch", [1, N])
def test_an_inverted_residual_becomes_one_layer(stride: int, batch: Dim):
    net = Net()
    x = net.input(batch, 6, 11, 9)
    network = net.finish(inverted_residual(net, inverted_residual(net, x), stride=stride))
    after, report = chained(network)
    assert [len(c.stages) for c in chains(after)] == [3, 3] and len(after.layers) == 2
    assert after.layers[0].name == " + ".join(layer.name for layer in network.layers[:3])
    assert report.total(depth_first.RULE) == 2


def test_origins_are_joined():
    net = Net()
    x = net.input(1, 6, 11, 11)
    a = net.editor.add(Convolution((1, 1), ((0, 0),) * 2, (1, 1)), x, net.weights(9, 6, 1, 1), origin=("a",))
    b = net.editor.add(Convolution((1, 1), ((1, 1),) * 2, (1, 1), 9), a, net.weights(9, 1, 3, 3), origin=("b",))
    after, _ = chained(net.finish(b))
    assert after.layers[0].origin == ("a", "b")


def test_squeeze_and_excite_splits_a_block_in_two():
    net = Net()
    x = net.input(1, 6, 11, 11)
    wide = conv(net, conv(net, x, 24), 24, 3, depthwise=True)
    scale = net.input(1, 24, 1, 1)
    y = conv(net, net.add(Pointwise(binary("mul", unary("tanh"), In(1, F32))), wide, scale), 6)
    after, _ = chained(net.finish(y, wide))
    assert [[type(s).__name__ for s in c.stages] for c in chains(after)] == [["Fused"] * 2, ["Pointwise", "Fused"]]


@pytest.mark.parametrize("stride", [1, 2])
def test_a_grouped_convolution_follows_a_1x1(stride: int):
    net = Net()
    wide = conv(net, net.input(1, 6, 12, 12), 24)
    grouped = Convolution((stride,) * 2, ((1, 1),) * 2, (1, 1), 3)
    y = net.add(Fused(grouped, RELU, 3), wide, net.weights(24, 8, 3, 3), net.weights(24))
    after, _ = chained(net.finish(y))
    assert [len(c.stages) for c in chains(after)] == [2]


def test_the_largest_flow_decides():
    """Of depthwise, 1x1, depthwise, 1x1 with growing channels the end is chained first."""
    net = Net()
    x = net.input(1, 8, 16, 16)
    y = conv(net, conv(net, x, 8, 3, depthwise=True), 16)
    y = conv(net, conv(net, y, 16, 3, depthwise=True), 32)
    network = net.finish(y)
    after, _ = chained(network)
    assert [layer.name for layer in after.layers] == [
        network.layers[0].name, " + ".join(layer.name for layer in network.layers[1:])]


def test_small_flows_stay_in_the_caches():
    net = Net()
    network = net.finish(inverted_residual(net, net.input(1, 6, 11, 11)))
    assert "it stays in the caches" in why_not(network, CpuSpec("", "", "", 128, 16, True, l2=1 << 20))


def test_a_value_with_two_readers_or_the_user_for_one_is_stored():
    net = Net()
    x = net.input(1, 6, 11, 11)
    a = conv(net, x, 24)
    b = conv(net, a, 24, 3, depthwise=True)
    assert not chains(chained(net.finish(b, a))[0])
    net.call("tanh", a)
    assert not chains(chained(net.finish(b, net.call("tanh", a)))[0])
    assert not chains(chained(net.finish(net.call("mul", a, a)))[0])


def test_unfit_neighbours():
    net = Net()
    x = net.input(1, 6, 11, 11)
    assert "window, window is no chain" in why_not(net.finish(conv(net, conv(net, x, 24, 3), 24, 3)))
    assert "1x1, window is no chain" in why_not(net.finish(conv(net, conv(net, x, 24), 24, 3)))


def test_rows_of_unknown_length_are_left_alone():
    net = Net()
    x = net.input(1, 6, 11, N)
    assert why_not(net.finish(inverted_residual(net, x))) == ""


def test_a_chain_that_does_not_pay_is_not_formed():
    net = Net()
    network = net.finish(inverted_residual(net, net.input(1, 6, 11, 11)))
    name = chained(network)[0].layers[0].name
    after, report = chained(network, apart=(name,))
    assert after.layers == network.layers
    assert report.declined[-1][2] == "layer by layer is faster here"


def test_pooling_ends_a_chain():
    net = Net()
    y = conv(net, net.input(1, 3, 16, 16), 16, 3, 2)
    y = net.add(Pool("max", (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)), y)
    assert [len(c.stages) for c in chains(chained(net.finish(y))[0])] == [2]
