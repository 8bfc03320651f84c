"""Normalisation and attention are recognised in every spelling exporters use, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from passes_helpers import F32, N, Net, kinds, optimised

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.ops import (
    Attention,
    Expand,
    Fused,
    Iota,
    MatMul,
    Normalize,
    Pointwise,
    Reduce,
    Reshape,
    Softmax,
    Transpose,
)
from tensorwright.ops.expr import Apply, In

T = symbol("T")


def mean(net: Net, x: str, axes=(2,)) -> str:
    return net.add(Reduce("mean", axes, True), x)


def square(net: Net, d: str, spelling: str) -> str:
    return net.call("pow", d, 2.0) if spelling == "pow" else net.call("mul", d, d)


def over_root(net: Net, d: str, v: str, spelling: str) -> str:
    """d / √(v + ε), spelled in one of many ways."""
    v = net.call("add", v, 1e-3)
    return {
        "div": lambda: net.call("div", d, net.call("sqrt", v)),
        "mul recip": lambda: net.call("mul", d, net.call("recip", net.call("sqrt", v))),
        "one over": lambda: net.call("mul", net.call("div", 1.0, net.call("sqrt", v)), d),
        "pow half": lambda: net.call("div", d, net.call("pow", v, 0.5)),
        "pow minus half": lambda: net.call("mul", d, net.call("pow", v, -0.5)),
        "scaled root": lambda: net.call("mul", d, net.call("mul", net.call("rsqrt", v), net.weights(8))),
    }[spelling]()


@pytest.mark.parametrize("root", ["div", "mul recip", "one over", "pow half", "pow minus half", "scaled root"])
@pytest.mark.parametrize("squares", ["pow", "mul"])
@pytest.mark.parametrize("twice", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_layer_normalisation(root, squares, twice, affine):
    net = Net()
    x = net.call("add", net.input(N, 5, 8), net.weights(8))            # not an input: layers before it stay apart
    m = mean(net, x)
    d = net.call("sub", x, m)
    y = over_root(net, net.call("sub", x, m) if twice else d, mean(net, square(net, d, squares)), root)
    if affine:
        y = net.call("add", net.call("mul", net.weights(8), y), net.weights(8))
    after, report = optimised(net.finish(net.call("add", y, x)))
    assert report.total("recognise normalisation") == 1
    assert kinds(after) == {"Pointwise": 1, "Normalize+": 1}
    normalize = next(layer.op.core for layer in after.layers if isinstance(layer.op, Fused))
    assert normalize == Normalize((2,), float(np.float32(1e-3)), True)


@pytest.mark.parametrize("root", ["div", "mul recip", "one over"])
def test_rms_normalisation(root):
    net = Net()
    x = net.input(N, 5, 8)
    y = over_root(net, x, mean(net, square(net, x, "pow")), root)
    after, _ = optimised(net.finish(net.call("mul", net.weights(8), y)))
    assert kinds(after) == {"Normalize+": 1}
    assert not after.layers[0].op.core.center


def test_scale_and_shift_made_from_the_statistics():
    """x·s + (t − μ·s) with s = g/√(v + ε)"""
    net = Net()
    x = net.input(N, 5, 8)
    m = mean(net, x)
    d = net.call("sub", x, m)
    s = net.call("mul", net.call("rsqrt", net.call("add", mean(net, net.call("mul", d, d)), 1e-3)), net.weights(8))
    t = net.call("sub", net.weights(8), net.call("mul", m, s))
    after, _ = optimised(net.finish(net.call("add", net.call("mul", x, s), t)))
    assert kinds(after) == {"Normalize+": 1}


def test_normalisation_in_half_precision_with_statistics_in_float64():
    """PyTorch's script exporter: mean and difference in float16, the rest in float64"""
    net = Net()
    half = DType.float16
    x = net.input(N, 5, 8, dtype=half)
    d = net.cast(net.call("sub", x, mean(net, x)), DType.float64)
    v = mean(net, net.call("mul", d, d))
    eps = net.editor.constant(np.float64(1e-5))
    root = net.call("sqrt", net.call("add", v, eps))
    y = net.call("mul", net.cast(net.call("div", d, root), half), net.editor.constant(np.ones(8, np.float16)))
    after, _ = optimised(net.finish(y), tolerance=4e-3)
    normalize = [op for layer in after.layers if isinstance(op := getattr(layer.op, "core", layer.op), Normalize)]
    assert normalize == [Normalize((2,), 1e-5, True)] and "Reduce" not in kinds(after)
    assert all(after.tensor(o).dtype is not DType.float64 for layer in after.layers for o in layer.outputs)


def test_group_normalisation_through_reshapes_and_instance_normalisation():
    net = Net()
    flat = net.add(Reshape((N, 2, 2 * 36)), net.input(N, 4, 6, 6))
    m = mean(net, flat)
    d = net.call("sub", flat, m)
    y = net.add(Reshape((N, 4, 6, 6)), over_root(net, d, mean(net, square(net, d, "mul")), "div"))
    m = mean(net, y, (2, 3))
    d = net.call("sub", y, m)
    z = over_root(net, d, mean(net, square(net, d, "mul"), (2, 3)), "div")
    after, _ = optimised(net.finish(net.call("mul", z, net.weights(4, 1, 1))))
    assert kinds(after) == {"Reshape": 2, "Normalize": 1, "Normalize+": 1}


def test_normalisation_is_left_alone_when_the_variance_is_an_output():
    net = Net()
    x = net.input(N, 5, 8)
    d = net.call("sub", x, mean(net, x))
    v = mean(net, net.call("mul", d, d))
    after, report = optimised(net.finish(over_root(net, d, v, "div"), v))
    assert "Normalize" not in kinds(after)
    assert any(r[0] == "recognise normalisation" and "is a network output" in r[2] for r in report.declined)


def test_mean_of_other_axes_is_no_normalisation():
    net = Net()
    x = net.input(N, 5, 8)
    d = net.call("sub", x, mean(net, x, (1,)))
    after, _ = optimised(net.finish(over_root(net, d, mean(net, net.call("mul", d, d)), "div")))
    assert "Normalize+" not in kinds(after) or not after.layers[-1].op.core.center


def heads(net: Net, perm=(0, 2, 1, 3)) -> str:
    """(N, 3, T, 4) from an input (N, T, 3, 4)."""
    return net.add(Transpose(perm), net.input(N, T, 3, 4))


def attend(net: Net, scores: str, v: str | None = None) -> str:
    return net.add(MatMul(), net.add(Softmax(3), scores), v or heads(net))


def product(net: Net, q: str | None = None) -> str:
    return net.add(MatMul(), q or heads(net), heads(net, (0, 2, 3, 1)))


def only_attention(after) -> Attention:
    (layer,) = [layer for layer in after.layers if isinstance(layer.op, Attention)]
    assert not {"MatMul", "Softmax"} & set(kinds(after))
    return layer.op


@pytest.mark.parametrize(("make", "scale"), [
    (lambda net: product(net), 1.0),
    (lambda net: net.call("mul", product(net), 0.5), 0.5),
    (lambda net: net.call("mul", 0.5, product(net)), 0.5),
    (lambda net: net.call("div", product(net), 2.0), 0.5),
    (lambda net: product(net, net.call("mul", heads(net), 0.25)), 0.25),
    (lambda net: product(net, net.call("div", heads(net), 3.0)), 1 / 3),
    (lambda net: net.add(MatMul(), net.call("mul", heads(net), 0.7),
                         net.call("mul", heads(net, (0, 2, 3, 1)), 0.7)), 0.49),
])
def test_attention_with_a_scale_anywhere(make, scale):
    net = Net()
    after, _ = optimised(net.finish(attend(net, make(net))))
    assert only_attention(after).scale == pytest.approx(scale)
    assert kinds(after) == {"Transpose": 3, "Attention": 1}


@pytest.mark.parametrize("shape", [(N, 1, 1, T), (1, 3, 1, T), (T, T), (N, 3, T, T)])
def test_attention_with_an_additive_mask(shape):
    net = Net()
    scores = net.call("add", net.call("mul", product(net), 0.5), net.input(*shape))
    after, _ = optimised(net.finish(attend(net, scores)))
    only_attention(after)
    assert after.layers[-1].inputs[3] == "x2"


@pytest.mark.parametrize("fill", [-np.inf, -1e9, float(np.finfo(np.float32).min)])
@pytest.mark.parametrize("kept", [True, False])
def test_attention_with_a_boolean_mask(fill, kept):
    net = Net()
    keep = net.call("le", net.add(Iota((1, T), 1, DType.int64)), net.add(Iota((T, 1), 0, DType.int64)))
    scores = product(net)
    fill = net.constant(np.float32(fill))
    t = DType.bool
    if kept:
        scores = net.add(Pointwise(Apply("where", (In(0, t), In(1, F32), In(2, F32)), F32)), keep, scores, fill)
    else:
        hidden = net.call("not", keep)
        scores = net.add(Pointwise(Apply("where", (In(0, t), In(1, F32), In(2, F32)), F32)), hidden, fill, scores)
    after, _ = optimised(net.finish(attend(net, scores)))
    only_attention(after)


def test_attention_with_the_values_first():
    net = Net()
    w = net.add(Softmax(3), net.call("mul", product(net), 0.5))
    v = net.add(Transpose((0, 2, 3, 1)), net.input(N, T, 3, 4))
    y = net.add(MatMul(), v, net.add(Transpose((0, 1, 3, 2)), w))
    only_attention(optimised(net.finish(y))[0])


def test_attention_in_windows_with_a_mask_per_window():
    """Swin: scores (N·4, 3, T, T) get one mask, are taken as (N, 4, 3, T, T) for another, and put back"""
    net = Net()
    q, k, v = (net.input(N * 4, 3, T, 8) for _ in range(3))
    scores = net.call("mul", net.add(MatMul(), q, net.add(Transpose((0, 1, 3, 2)), k)), 0.5)
    scores = net.call("add", scores, net.input(1, 3, T, T))
    scores = net.call("add", net.add(Reshape((N, 4, 3, T, T)), scores), net.input(4, 1, T, T))
    after, _ = optimised(net.finish(attend(net, net.add(Reshape((N * 4, 3, T, T)), scores), v)))
    assert kinds(after) == {"Reshape": 5, "Pointwise": 1, "Attention": 1}


def test_a_constant_triangle_becomes_the_causal_flag():
    net = Net()
    q, k, v = (net.input(2, 6, 4) for _ in range(3))
    mask = net.constant(np.where(np.tri(6), 0, -np.inf).astype(np.float32)[None])
    scores = net.call("add", net.add(MatMul(), q, net.add(Transpose((0, 2, 1)), k)), mask)
    after, _ = optimised(net.finish(net.add(MatMul(), net.add(Softmax(2), scores), v)))
    assert kinds(after) == {"Attention": 1}
    assert only_attention(after).causal and len(after.layers[0].inputs) == 3


@pytest.mark.parametrize("spelling", ["le", "ge", "lower triangle", "additive"])
@pytest.mark.parametrize("past", [0, 4])
def test_masks_made_from_positions_become_the_causal_flag(spelling, past):
    net = Net()
    q, k, v = net.input(N, T, 8), net.input(N, T + past, 8), net.input(N, T + past, 8)
    query = net.add(Reshape((T, 1)), net.add(Iota((T,), 0, DType.int64, start=past)))
    key = net.add(Iota((1, T + past), 1, DType.int64))
    keep = net.call("le", key, query) if spelling != "ge" else net.add(
        Pointwise(Apply("ge", (In(0, DType.int64), In(1, DType.int64)), DType.bool)), query, key)
    if spelling == "lower triangle":                     # where(c, 1, 0) = 0
        ones = net.add(Pointwise(Apply("cast", (In(0, DType.bool),), F32)), keep)
        hide = net.call("eq", ones, 0.0)
        keep = net.call("not", hide)
    scores = net.add(MatMul(), q, net.add(Transpose((0, 2, 1)), k))
    choose = Pointwise(Apply("where", (In(0, DType.bool), In(1, F32), In(2, F32)), F32))
    hidden = net.constant(np.float32(-np.inf))
    if spelling == "additive":
        scores = net.call("add", scores, net.add(choose, keep, net.constant(np.float32(0)), hidden))
    else:
        scores = net.add(choose, keep, scores, hidden)
    after, _ = optimised(net.finish(net.add(MatMul(), net.add(Softmax(2), scores), v)))
    assert kinds(after) == {"Attention": 1} and after.layers[0].op.causal


def test_positions_shifted_by_one_are_not_causal():
    net = Net()
    q, k, v = (net.input(N, T, 8) for _ in range(3))
    keep = net.call("le", net.add(Iota((1, T), 1, DType.int64)), net.add(Iota((T, 1), 0, DType.int64, start=1)))
    scores = net.add(MatMul(), q, net.add(Transpose((0, 2, 1)), k))
    choose = Pointwise(Apply("where", (In(0, DType.bool), In(1, F32), In(2, F32)), F32))
    scores = net.add(choose, keep, scores, net.constant(np.float32(-np.inf)))
    after, _ = optimised(net.finish(net.add(MatMul(), net.add(Softmax(2), scores), v)))
    assert not only_attention(after).causal
    assert not only_attention(after).zeros


def test_guard_against_nan_is_part_of_attention():
    net = Net()
    w = net.add(Softmax(3), product(net))
    zero = net.constant(np.float32(0))
    t = DType.bool
    w = net.add(Pointwise(Apply("where", (In(0, t), In(1, F32), In(2, F32)), F32)), net.call("isnan", w), zero, w)
    after, _ = optimised(net.finish(net.add(MatMul(), w, heads(net))))
    assert only_attention(after).zeros


@pytest.mark.parametrize(("make", "reason"), [
    (lambda net, s: (attend(net, s), s), "the scores have another reader"),
    (lambda net, s: (net.add(MatMul(), w := net.add(Softmax(3), s), heads(net)), w), "the weights have another reader"),
    (lambda net, s: (attend(net, net.call("mul", net.call("add", s, net.input(T, T)), 2.0)),),
     "scores are scaled after the mask is applied"),
    (lambda net, s: (attend(net, net.add(Pointwise(Apply("where", (In(0, DType.bool), In(1, F32), In(2, F32)), F32)),
                                         net.input(T, T, dtype=DType.bool), s, net.constant(-5.0))),),
     "hidden scores are -5, which leaves them some weight"),
])
def test_attention_declines(make, reason):
    net = Net()
    after, report = optimised(net.finish(*make(net, product(net))))
    assert "Attention" not in kinds(after)
    assert reason in [r for name, _, r in report.declined if name == "recognise attention"]


def test_keys_shared_between_heads_are_not_repeated():
    net = Net()
    q = net.input(N, 6, T, 4)

    def repeated(x: str) -> str:
        wide = net.add(Expand((N, 2, 3, T, 4)), net.add(Reshape((N, 2, 1, T, 4)), x))
        return net.add(Reshape((N, 6, T, 4)), wide)

    k, v = net.input(N, 2, T, 4), net.input(N, 2, T, 4)
    scores = net.add(MatMul(), q, net.add(Transpose((0, 1, 3, 2)), repeated(k)))
    y = attend(net, net.call("add", scores, net.input(N, 1, T, T)), repeated(v))
    after, report = optimised(net.finish(y))
    assert report.total("share keys between heads") == 1
    assert "Expand" not in kinds(after)


def test_half_precision_attention_with_a_float32_softmax():
    net = Net()
    half = DType.float16
    q, k, v = (net.input(N, 3, T, 4, dtype=half) for _ in range(3))
    scores = net.add(MatMul(), q, net.add(Transpose((0, 1, 3, 2)), k))
    weights = net.cast(net.add(Softmax(3), net.cast(scores, F32)), half)
    after, _ = optimised(net.finish(net.add(MatMul(), weights, v)), tolerance=4e-3)
    only_attention(after)
