"""Movements merge, cancel and vanish; identities go; duplicates and dead layers too."""

from __future__ import annotations

import numpy as np
import pytest
from passes_helpers import F32, N, Net, X, assert_same, kinds, optimised, rewritten

from tensorwright.dtypes import DType
from tensorwright.ops import (
    Concat,
    Expand,
    Gather,
    MatMul,
    Pad,
    Pointwise,
    Pool,
    Reduce,
    Reshape,
    Resize,
    Slice,
    Softmax,
    TopK,
    Transpose,
)
from tensorwright.ops.expr import Apply, In
from tensorwright.passes import run
from tensorwright.passes.graph import Graph
from tensorwright.passes.identity import IDENTITIES, drop_identity
from tensorwright.passes.movement import (
    MOVEMENTS,
    slice_instead_of_gather,
    slice_one_operand_of_concat,
    split_axes,
)
from tensorwright.passes.rewrite import why_not


@pytest.mark.parametrize("op", [
    Transpose((0, 1, 2)),
    Reshape((N, 4, 1)),
    Expand((N, 4, 1)),
    Slice((0, 0, 0), (N, 4, 1), (1, 1, 1)),
    Slice((0, 0, 0), (N, 4, 1), (1, 1, -1)),
    Pad(((0, 0), (0, 0), (0, 0))),
    Reduce("mean", (), False),
    Reduce("max", (2,), True),
    Pool("max", (1,), (1,), ((0, 0),), (1,)),
    Concat(1),
    Pointwise(In(0, F32)),
    Resize((N, 4, 1), "linear", "half_pixel", "floor", -0.75, False, False, None, None, 0.0),
])
def test_a_layer_that_changes_nothing_goes(op):
    net = Net()
    y = net.call("tanh", net.input(N, 4, 1))
    network = net.finish(net.call("exp", net.add(op, y)))
    assert kinds(rewritten(network, *IDENTITIES)) == {"Pointwise": 2}


@pytest.mark.parametrize("op", [Slice((0, 3), (N, 4), (1, -1)), Expand((2, N, 4)), Reshape((N, 4, 1))])
def test_a_layer_that_changes_something_stays(op):
    net = Net()
    network = net.finish(net.add(op, net.input(N, 4)))
    assert kinds(rewritten(network, *IDENTITIES)) == kinds(network)


def test_outputs_keep_their_names_when_identities_go():
    net = Net()
    x = net.input(N, 4)
    y = net.add(Reshape((N, 4)), net.call("tanh", x))
    direct = net.add(Reshape((N, 4)), x)
    network = net.finish(y, direct)
    after, _ = optimised(network)
    assert after.outputs == (y, direct) and kinds(after) == {"Pointwise": 1, "Reshape": 1}
    assert why_not(drop_identity, Graph(net.finish(direct))) == "it copies a network input to a network output"


def test_one_value_under_two_output_names():
    net = Net()
    x = net.call("tanh", net.input(N, 4))
    a, b = net.call("exp", x), net.call("exp", x)
    after, report = optimised(net.finish(a, b, net.add(Reshape((N, 4)), a)))
    assert len(after.outputs) == 3
    assert any("both network outputs" in reason for _, _, reason in report.declined)


def test_transposes_merge_and_cancel():
    net = Net()
    x = net.input(N, 3, 4)
    y = net.add(Transpose((2, 0, 1)), net.add(Transpose((1, 2, 0)), x))
    z = net.add(Transpose((1, 0, 2)), net.add(Transpose((0, 2, 1)), x))
    after, _ = optimised(net.finish(net.call("tanh", y), z))
    assert kinds(after) == {"Pointwise": 1, "Transpose": 1}


def test_slices_merge():
    net = Net()
    x = net.input(N, 20)
    y = net.add(Slice((0, 1), (N, 4), (1, 2)), net.add(Slice((0, 18), (N, 9), (1, -2)), x))
    after = rewritten(net.finish(y), *MOVEMENTS)
    assert after.layers[0].op == Slice((0, 16), (N, 4), (1, -4))


def test_slices_of_symbolic_extent_merge():
    net = Net()
    x = net.input(N, 6)
    y = net.add(Slice((0, 1), (N, 2), (1, 1)), net.add(Slice((0, 2), (N, 4), (1, 1)), x))
    assert rewritten(net.finish(y), *MOVEMENTS).layers[0].op == Slice((0, 3), (N, 2), (1, 1))


def test_a_slice_of_one_operand_of_a_concat_reads_the_operand():
    net = Net()
    a, b = net.input(N, 3), net.input(N, 5)
    joined = net.add(Concat(1), a, b)
    y, z = net.add(Slice((0, 4), (N, 2), (1, 1)), joined), net.add(Slice((0, 2), (N, 2), (1, 1)), joined)
    network = net.finish(y, z)
    after = rewritten(network, *MOVEMENTS)
    assert after.producers()[y].inputs == (b,) and after.producers()[y].op.starts == (0, 1)
    assert why_not(slice_one_operand_of_concat, Graph(net.finish(z))) == "the part cut out spans several operands"


def test_concats_merge_and_adjacent_slices_join():
    net = Net()
    x = net.input(N, 8)
    parts = [net.add(Slice((0, i), (N, 2), (1, 1)), x) for i in (0, 2, 4)]
    y = net.add(Concat(1), net.add(Concat(1), *parts[:2]), parts[2], net.input(N, 1))
    after, _ = optimised(net.finish(y))
    assert kinds(after) == {"Slice": 1, "Concat": 1}
    whole = net.add(Concat(1), *parts, net.add(Slice((0, 6), (N, 2), (1, 1)), x))
    assert kinds(optimised(net.finish(net.call("exp", whole)))[0]) == {"Pointwise": 1}


def test_expand_before_arithmetic_goes():
    net = Net()
    x = net.add(Expand((N, 3, 4)), net.input(1, 4))
    after, _ = optimised(net.finish(net.call("add", x, net.input(N, 3, 4))))
    assert kinds(after) == {"Pointwise": 1}
    net = Net()
    x = net.add(Expand((2, 3, 4)), net.input(1, 4))
    assert kinds(optimised(net.finish(net.call("tanh", x)))[0]) == {"Expand": 1, "Pointwise": 1}


@pytest.mark.parametrize(("indices", "slices"), [
    (np.array(2), True), (np.array(-1), True), (np.array([1, 2, 3]), True), (np.array([4, 2, 0]), True),
    (np.array([[0, 1], [2, 3]]), True), (np.array([0, 0]), False), (np.array([0, 1, 3]), False)])
def test_gather_of_evenly_spaced_constants_is_a_slice(indices, slices):
    net = Net()
    y = net.add(Gather(1), net.input(N, 5, 2), net.editor.constant(indices.astype(np.int64)))
    network = net.finish(y)
    assert ("Gather" not in kinds(rewritten(network, slice_instead_of_gather))) == slices


def test_transposes_sink_to_where_they_cancel():
    net = Net()
    x, z, u = (net.add(Transpose((0, 2, 3, 1)), net.input(N, 3, 4, 5)) for _ in range(3))
    y = net.call("mul", net.call("add", x, z), net.weights(3))
    y = net.add(Concat(3), y, u)
    y = net.add(Softmax(3), y)
    y = net.add(Transpose((0, 3, 1, 2)), net.add(Pad(((0, 0), (1, 0), (0, 2), (0, 0))), y))
    after, _ = optimised(net.finish(y))
    assert "Transpose" not in kinds(after)


def test_a_transpose_sinks_below_a_reduction():
    net = Net()
    x = net.add(Transpose((0, 2, 3, 1)), net.input(N, 3, 4, 5))
    y = net.add(Transpose((1, 0)), net.add(Reduce("mean", (1, 2), False), x))
    after, _ = optimised(net.finish(net.add(MatMul(), y, net.input(N, 2))))
    assert kinds(after) == {"Reduce": 1, "Transpose": 1, "MatMul": 1}
    assert after.layers[0].op.axes == (2, 3)


def test_reshapes_meet_through_a_transpose():
    """(S, B·H, D) → (B·H, S, D) → (B, H, S, D) is a transpose of (S, B, H, D)"""
    net = Net()
    x = net.call("tanh", net.input(5, N, 12))
    y = net.add(Transpose((1, 0, 2)), net.add(Reshape((5, N * 3, 4)), x))
    after, _ = optimised(net.finish(net.add(Reshape((N, 3, 5, 4)), y)))
    assert [layer.op for layer in after.layers[1:]] == [Reshape((5, N, 3, 4)), Transpose((1, 2, 0, 3))]


@pytest.mark.parametrize(("old", "new", "groups"), [
    ((N, 6), (N, 2, 3), [(N,), (2, 3)]), ((N, 6), (1, N, 6, 1), [(1, N), (6, 1)]),
    ((N, 1, 6), (N, 6), [(N,), (), (6,)]),
    ((N, 6), (N * 6,), None), ((4, 6), (6, 4), None), ((N * 4, 6), (N, 4, 6), [(N, 4), (6,)]), ((1, 1), (), [(), ()])])
def test_how_a_reshape_splits_axes(old, new, groups):
    assert split_axes(old, new) == groups


def batch_second(net: Net, heads: bool = False) -> str:
    """(5, N, 6) from an input (N, 5, 6)."""
    x = net.add(Transpose((2, 0, 1, 3)) if heads else Transpose((1, 0, 2)),
                net.input(N, 2, 5, 3) if heads else net.input(N, 5, 6))
    return net.add(Reshape((5, N, 6)), x) if heads else x


def test_rows_are_rearranged_on_the_better_side_of_a_product():
    net = Net()
    y = net.call("add", net.add(MatMul(), batch_second(net), net.weights(6, 8)), net.weights(8))
    y = net.add(Transpose((1, 0, 2)), y)
    assert kinds(optimised(net.finish(y))[0]) == {"MatMul+": 1}
    net = Net()
    flat = net.add(Reshape((N * 5, 6)), net.input(N, 5, 6))
    y = net.call("add", net.add(MatMul(), flat, net.weights(6, 8)), net.weights(1, 8))
    assert kinds(optimised(net.finish(net.add(Reshape((N, 5, 8)), y)))[0]) == {"MatMul+": 1}
    net = Net()
    y = net.call("add", net.add(MatMul(), batch_second(net, heads=True), net.weights(6, 8)), net.weights(1, 1, 8))
    y = net.call("add", net.add(Transpose((1, 0, 2)), y), net.input(N, 5, 8))
    assert kinds(optimised(net.finish(y))[0]) == {"Transpose": 1, "Reshape": 1, "MatMul+": 1}


def test_equal_layers_and_equal_constants_are_computed_once():
    net = Net()
    x = net.input(N, 4)
    w = np.arange(4, dtype=np.float32)
    a, b = (net.call("tanh", net.call("mul", x, net.constant(w.copy()))) for _ in range(2))
    after, report = optimised(net.finish(net.call("sub", a, net.call("exp", b))))
    assert kinds(after) == {"Pointwise": 1} and len(after.constants) == 1
    assert report.total("merge duplicates") == 2 and report.total("merge equal constants") == 1


def test_zero_and_minus_zero_are_different_constants():
    net = Net()
    x = net.input(N, 2)
    a = net.call("div", x, net.constant(np.zeros(2, np.float32)))
    b = net.call("div", x, net.constant(-np.zeros(2, np.float32)))
    assert len(run(net.finish(a, b))[0].constants) == 2


def test_dead_layers_and_unread_outputs_go():
    net = Net()
    x = net.input(N, 4)
    net.call("tanh", net.call("exp", x))
    values, _indices = net.editor.add(TopK(2, 1, True, True), x)
    after, report = optimised(net.finish(values))
    assert kinds(after) == {"TopK": 1} and after.layers[0].outputs == (values, "")
    assert report.total("drop dead layer") == 2 and report.total("drop unused output") == 1


@pytest.mark.parametrize("half", [DType.float16, DType.bfloat16])
def test_half_precision_is_computed_in_float32_and_moved_as_it_is(half):
    net = Net()
    x = net.input(N, 4, 6, dtype=half)
    w = net.editor.constant(net.rng.normal(0, 0.5, (6, 5)).astype(half.numpy))
    y = net.add(Pointwise(Apply("tanh", (In(0, half),), half)), net.add(MatMul(), x, w))
    y = net.add(Softmax(2), net.add(Transpose((0, 2, 1)), y))
    network = net.finish(y)
    after, _ = run(network)
    assert_same(network, after, tolerance=2e-3 if half is DType.float16 else 2e-2)
    for layer in after.layers:
        types = {after.tensor(v).dtype for v in (*layer.inputs, *layer.outputs)}
        assert half not in types or isinstance(layer.op, (Pointwise, Transpose))
    assert kinds(after) == {"Pointwise": 4, "MatMul+": 1, "Transpose": 1, "Softmax": 1} or len(after.layers) <= 7
    assert after.tensor(after.outputs[0]).dtype is half


def test_explicit_rounding_to_half_precision_stays():
    net = Net()
    y = net.cast(net.cast(net.input(N, 4), DType.float16), F32)
    after, _ = optimised(net.finish(net.call("mul", y, 3.0)))
    rounded = Apply("cast", (Apply("cast", (X,), DType.float16),), F32)
    assert after.layers[0].op.expr.args[0] == rounded
