"""The graph under rewriting, the matcher, the engine that applies rewrites, and the report."""

from __future__ import annotations

import numpy as np
import pytest
from passes_helpers import F32, N, Net, kinds, unary

from tensorwright.dtypes import DType
from tensorwright.ir import OpaqueType, TensorType
from tensorwright.ir.pattern import Refusal, Value, const, match, maybe, node, some, term
from tensorwright.ops import Convolution, Host, MatMul, Pointwise, Reshape, Transpose
from tensorwright.passes import PASSES, Report, run
from tensorwright.passes.graph import Graph
from tensorwright.passes.rewrite import apply, rewrite, why_not

TANH, EXP = Pointwise(unary("tanh")), Pointwise(unary("exp"))


def chain(*ops):
    net = Net()
    y = net.input(N, 4)
    for op in ops:
        y = net.add(op, y)
    return net.finish(y)


def found(network, pattern) -> list[dict]:
    graph = Graph(network)
    return [bound for layer in network.layers for bound in match(graph, layer, pattern)]


def test_freezing_an_unchanged_graph_gives_the_same_network():
    network = chain(TANH, EXP)
    after = Graph(network).freeze()
    assert str(after) == str(network)


def test_patterns_bind_values():
    network = chain(Transpose((1, 0)), Transpose((1, 0)))
    (bound,) = found(network, node(Transpose, node(Transpose, "x", name="inner"), name="outer"))
    assert {name: v.name for name, v in bound.items()} == \
        {"x": "x0", "inner": "transpose.out", "outer": "transpose.1.out"}
    assert bound["x"].layer is None and bound["inner"].readers == 1 and bound["outer"].readers == 1


def test_one_name_is_one_value():
    net = Net()
    x, z = net.input(4, 4), net.input(4, 4)
    network = net.finish(net.add(MatMul(), x, x), net.add(MatMul(), x, z))
    assert len(found(network, node(MatMul, "a", "a"))) == 1
    assert len(found(network, node(MatMul, "a", "b"))) == 2


def test_constants_optional_inputs_and_any_operand():
    net = Net()
    x, w = net.input(1, 2, 4, 4), net.weights(2, 2, 1, 1)
    c = net.add(Convolution((1, 1), ((0, 0), (0, 0)), (1, 1)), x, w)
    network = net.finish(net.call("add", x, c))
    (bound,) = found(network, node(Convolution, "x", const("w"), maybe(const("b")), name="c"))
    assert bound["b"] is None and bound["w"].array is not None
    assert not found(network, node(Convolution, "x", "w", const("b")))
    assert not found(network, node(Convolution, const("x"), "w"))
    assert len(found(network, some(Pointwise, node(Convolution, name="c"), name="sum"))) == 1


def test_a_rewrite_is_applied_until_it_no_longer_matches():
    @rewrite(node(Pointwise, node(Pointwise, "x"), name="y"))
    def drop_one(y: Value, x: Value):
        """f(g(x)) → f(x)"""
        return term(y.op, x)

    graph, report = Graph(chain(*[TANH] * 10, EXP)), Report()
    apply(graph, [drop_one], report)
    assert len(graph.layers) == 1 and report.total("drop one") == 10
    assert [layer.op for layer in graph.freeze().layers] == [EXP]


def test_rewrites_that_undo_each_other_are_noticed():
    @rewrite(node(Pointwise, "x", name="y"))
    def flip(y: Value, x: Value):
        """tanh ↔ exp"""
        return term(EXP if y.op == TANH else TANH, x)

    report = Report()
    apply(Graph(chain(TANH)), [flip], report)
    assert report.declined == [("flip", "pointwise", "it and another rewrite undo each other")]


def test_a_refusal_is_reported():
    @rewrite(node(Pointwise, "x", name="y"))
    def never(y: Value, x: Value):
        """Declines."""
        return Refusal("not today")

    assert why_not(never, Graph(chain(TANH))) == "not today"
    assert why_not(never, Graph(chain(Transpose((1, 0))))) is None


def test_a_replacement_of_another_shape_is_our_bug():
    @rewrite(node(Pointwise, "x", name="y"))
    def wrong(y: Value, x: Value):
        """Not of the same shape."""
        return term(Reshape((N, 2, 2)), x)

    with pytest.raises(AssertionError, match="would become"):
        apply(Graph(chain(TANH)), [wrong], Report())


def test_terms_make_constants_and_inner_layers_and_keep_origins():
    net = Net()
    x = net.input(N, 4)
    y = net.editor.add(TANH, x, origin=("node7",))
    graph = Graph(net.finish(y))
    again = graph.replace(graph.layers["node7"], term(MatMul(), term(EXP, graph.value(x)), np.eye(4, dtype="f4")))
    after = graph.freeze()
    assert kinds(after) == {"Pointwise": 1, "MatMul": 1} and after.outputs == (y,)
    assert all(layer.origin == ("node7",) for layer in after.layers)
    assert set(again) == {layer.name for layer in after.layers}


def test_execution_order_is_restored():
    net = Net()
    x, z = net.input(N, 4), net.input(N, 4)
    first = net.call("add", x, z)
    second = net.call("exp", z)
    graph = Graph(net.finish(first, second))
    graph.swap(graph.layers["pointwise"], graph.layers["pointwise"].__class__(
        graph.layers["pointwise"].op, (x, second), (first,), "pointwise"))
    assert [layer.outputs[0] for layer in graph.freeze().layers] == [second, first]


def test_trace_sees_the_network_after_each_pass():
    seen = []
    after, report = run(chain(TANH, EXP), lambda name, network: seen.append((name, network)))
    assert [name for name, _ in seen] == [name for name, _ in PASSES]
    assert str(seen[-1][1]) == str(after)
    assert "fuse pointwise: 1" in str(report)


def test_networks_with_opaque_values_pass_through():
    net = Net()
    x = net.input(N, 4)
    host = Host(b"", "Anything")
    opaque = net.editor.add(host, net.call("tanh", net.call("exp", x)), types=(OpaqueType("float32 (?, 4)"),))
    y = net.editor.add(host, opaque, types=(TensorType((N, 4), DType.float32),))
    network = net.finish(net.call("exp", net.call("tanh", y)), opaque)
    after, _ = run(network)
    assert kinds(after) == {"Pointwise": 2, "Host": 2}


def test_random_host_steps_are_neither_folded_nor_merged():
    net = Net()
    seeds = net.constant(np.zeros(2, np.float32))
    host = Host(b"..RandomNormalLike..", "RandomNormalLike")
    a, b = (net.editor.add(host, seeds, types=(TensorType((2,), F32),)) for _ in range(2))
    after, report = run(net.finish(net.call("sub", a, b)))
    assert kinds(after) == {"Host": 2, "Pointwise": 1}
    assert ("fold constants", "host", "its results differ from run to run") in report.declined


def test_passes_are_fast_on_long_networks():
    import time
    net = Net()
    y = net.input(N, 8, 16)
    for _ in range(100):
        y = net.call("add", net.add(MatMul(), y, net.weights(16, 16)), net.weights(16))
        for fn in ("tanh", "exp", "sigmoid", "abs"):
            y = net.call("mul", net.call(fn, y), 0.5)
        y = net.add(Reshape((N, 8, 16)), net.add(Reshape((N, 8, 4, 4)), y))
        y = net.add(Transpose((0, 2, 1)), net.add(Transpose((0, 2, 1)), y))
    network = net.finish(y)
    start = time.process_time()
    after, _ = run(network)
    assert len(network.layers) == 1400 and kinds(after) == {"MatMul+": 100}
    assert time.process_time() - start < 4           # about 0.5 s on a free machine
