"""Whole networks by their meaning, and the symbols that input shapes determine."""

import numpy as np
import pytest

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.errors import InputError, ShapeError
from tensorwright.ir import NetworkEditor, TensorType
from tensorwright.ops import Fill, MatMul, Pointwise, Reshape, TopK
from tensorwright.ops.evaluate import bind_symbols, evaluate
from tensorwright.ops.expr import Apply, In

F = DType.float32
N, M = symbol("N"), symbol("M")


def small_network():
    """y, order = topk(x · w + bias of N), x (N, 3)"""
    e = NetworkEditor("small")
    x = e.input("x", TensorType((N, 3), F))
    w = e.constant(np.arange(12, dtype=np.float32).reshape(3, 4), "w")
    h = e.add(MatMul(), x, w, name="product")
    b = e.add(Fill((N, 1), 2.0, F), name="bias")
    s = e.add(Pointwise(Apply("add", (In(0, F), In(1, F)), F)), h, b, name="sum")
    flat = e.add(Reshape((4 * N,)), s, name="flat")
    e.outputs = list(e.add(TopK(2, 0), flat, outputs=["y", "order"], name="best"))
    return e.finish()


def test_layers_are_evaluated_in_turn():
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    sums = (x @ np.arange(12, dtype=np.float32).reshape(3, 4) + 2).ravel()
    result = evaluate(small_network(), {"x": x})
    assert list(result) == ["y", "order"]
    np.testing.assert_array_equal(result["order"], np.argsort(-sums)[:2])
    np.testing.assert_allclose(result["y"], np.sort(sums)[:-3:-1])
    kept = evaluate(small_network(), {"x": x}, keep=True)
    assert {"x", "w", "product.out", "sum.out", "y"} <= kept.keys()


@pytest.mark.parametrize(("feeds", "what"), [
    ({}, "x are missing"), ({"x": np.zeros((1, 3), np.float32), "z": 0}, "inputs z"),
    ({"x": np.zeros((1, 3))}, "float64, the network takes float32"),
    ({"x": np.zeros((1, 4), np.float32)}, "axis 1 of input 'x' is 4, 3 is needed"),
    ({"x": np.zeros(3, np.float32)}, "rank 1")])
def test_feeds_that_do_not_fit_are_refused(feeds, what):
    with pytest.raises(InputError, match=what):
        evaluate(small_network(), feeds)


def test_errors_name_the_layer():
    with pytest.raises(ShapeError) as caught:
        evaluate(small_network(), {"x": np.zeros((0, 3), np.float32)})
    assert caught.value.at == ["best"]


def test_a_result_unlike_the_networks_types_is_found():
    network = small_network()
    wrong = network.with_changes(types={**network.types, "product.out": TensorType((N, 5), F)})
    with pytest.raises(ShapeError, match=r"result is float32 \(2, 4\), the network says float32 \(2, 5\)"):
        evaluate(wrong, {"x": np.zeros((2, 3), np.float32)})


def types(*shapes):
    return [(f"x{i}", TensorType(s, F)) for i, s in enumerate(shapes)]


def bound(dims, sizes):
    return bind_symbols(types(*dims), {f"x{i}": s for i, s in enumerate(sizes)})


def test_symbols_follow_from_shapes():
    assert bound([(N, 3)], [(7, 3)]) == {"N": 7}
    assert bound([(2 * N + 1, M), (N * M,)], [(9, 5), (20,)]) == {"N": 4, "M": 5}
    assert bound([(N * M,), (N,)], [(20,), (4,)]) == {"N": 4, "M": 5}
    assert bound([(N // 2,), (N,)], [(3,), (7,)]) == {"N": 7}
    assert bound([(N,)], [(0,)]) == {"N": 0}


@pytest.mark.parametrize(("dims", "sizes", "what"), [
    ([(N,), (N,)], [(3,), (4,)], "axis 0 of input 'x1' is 4, N = 3 is needed"),
    ([(2 * N,)], [(3,)], "no value of N"), ([(N // 2,)], [(3,)], "no value of N"),
    ([(N * M,)], [(6,)], "no value of M, N"), ([(N + 5,)], [(3,)], "no value of N"), ([(3,)], [(3, 1)], "rank 2"),
    ([(N * N,)], [(9,)], "no value of N")])
def test_shapes_that_contradict_symbols_are_refused(dims, sizes, what):
    with pytest.raises(InputError, match=what):
        bound(dims, sizes)
