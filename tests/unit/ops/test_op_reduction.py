"""Reductions, matrix products, softmax, normalisation and attention against ONNX Runtime and the onnx package."""

import numpy as np
import pytest
from op_checks import agree, by_definition, by_runtime, floats

from tensorwright.dtypes import DType
from tensorwright.errors import ShapeError, TypeMismatch
from tensorwright.ir import TensorType
from tensorwright.ops import ArgReduce, Attention, MatMul, Normalize, Reduce, Softmax


@pytest.mark.parametrize("kind", ["sum", "mean", "max", "min", "prod"])
@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reduce(kind, axes, keepdims):
    rng = np.random.default_rng(len(axes))
    for x in (floats(rng, 3, 4, 5), rng.integers(-4, 4, (3, 4, 5)).astype(np.int32)):
        if x.dtype == np.int32 and kind == "mean":
            expected = [np.trunc(np.mean(x, axes, keepdims=keepdims)).astype(np.int32)]
        else:
            expected = by_runtime(f"Reduce{kind.capitalize()}", [x, np.array(axes)], keepdims=int(keepdims), opset=18)
        agree(Reduce(kind, axes, keepdims), [x], [np.asarray(e) for e in expected])


def test_reductions_over_nothing():
    x = np.zeros((2, 0), np.float32)
    values = {k: Reduce(k, (1,), False).reference(x)[0] for k in ("sum", "prod", "max", "min", "mean")}
    assert (values["sum"], values["prod"], values["max"], values["min"]) == (0, 1, -np.inf, np.inf)
    assert np.isnan(values["mean"])
    assert Reduce("max", (0,), False).reference(np.zeros(0, np.int8)) == -128
    assert Reduce("sum", ()).reference(np.ones(3)).tolist() == [1, 1, 1]


def test_reductions_of_booleans_and_nan():
    assert Reduce("max", (0,), False).reference(np.array([False, True])) is not False
    assert Reduce("min", (0,), False).reference(np.array([False, True])).tolist() is False
    assert np.isnan(Reduce("max", (0,), False).reference(np.array([1, np.nan, 2], np.float32)))


def test_long_sums_keep_their_precision():
    x = np.full((1 << 20, 2), 0.1, np.float32)
    np.testing.assert_allclose(Reduce("sum", (0,), False).reference(x), 0.1 * 2 ** 20, 1e-6)


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("keepdims", [False, True])
def test_arg_reduce(kind, last, keepdims):
    x = np.random.default_rng(0).integers(-2, 3, (4, 9, 5)).astype(np.float32)
    for axis in range(3):
        expected = by_runtime(f"Arg{kind.capitalize()}", [x], axis=axis, keepdims=int(keepdims),
                              select_last_index=int(last))
        agree(ArgReduce(kind, axis, keepdims, last), [x], expected)


@pytest.mark.parametrize(("a", "b"), [((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)),
                                      ((2, 1, 3, 4), (5, 4, 6)), ((2, 3, 4), (4,)), ((4,), (2, 4, 3)),
                                      ((0, 4), (4, 5)), ((3, 0), (0, 5))])
def test_matmul(a, b):
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64, np.int32):
        x, y = (rng.integers(-9, 9, s).astype(dtype) for s in (a, b))
        agree(MatMul(), [x, y], [np.asarray(np.matmul(x.astype(np.int64), y.astype(np.int64))).astype(dtype)])


def test_integer_products_wrap_in_their_own_type():
    a, b = np.array([[1 << 30, 1 << 30]], np.int32), np.array([[4], [1]], np.int32)
    assert MatMul().reference(a, b).tolist() == [[1 << 30]]
    c = np.array([[1 << 62, 1]], np.int64)
    assert MatMul().reference(c, c.T).tolist() == [[1]]
    u = np.full((1, 300), 255, np.uint8)
    assert MatMul().reference(u, u.T).tolist() == [[(255 * 255 * 300) % 256]]


@pytest.mark.parametrize("axis", range(3))
def test_softmax(axis):
    x = floats(np.random.default_rng(axis), 3, 4, 5) * 50
    agree(Softmax(axis), [x], by_runtime("Softmax", [x], axis=axis))
    agree(Softmax(axis, True), [x], by_runtime("LogSoftmax", [x], axis=axis))


def test_normalize_is_the_core_of_layer_and_instance_normalisation():
    x = floats(np.random.default_rng(0), 2, 3, 4, 5) * 3 + 7
    ones = np.ones(5, np.float32)
    agree(Normalize((3,), 1e-5), [x], by_runtime("LayerNormalization", [x, ones], axis=-1), 1e-4)
    agree(Normalize((1, 2, 3), 1e-3), [x],
          by_runtime("LayerNormalization", [x, np.ones((3, 4, 5), np.float32)], axis=1, epsilon=1e-3), 1e-4)
    channel = np.ones(3, np.float32)
    agree(Normalize((2, 3), 1e-5), [x], by_runtime("InstanceNormalization", [x, channel, channel * 0]), 1e-4)


def test_normalize_without_centering_is_rms_normalisation():
    x = floats(np.random.default_rng(1), 2, 3, 5) + 4
    expected = by_definition("RMSNormalization", [x, np.ones(5, np.float32)], axis=-1, epsilon=1e-4, opset=23)
    agree(Normalize((2,), 1e-4, False), [x], expected)


@pytest.mark.parametrize("mask", ["none", "bool", "float", "row", "causal"])
def test_attention(mask):
    rng = np.random.default_rng(3)
    q, k, v = floats(rng, 2, 3, 6, 8), floats(rng, 2, 3, 6 if mask == "causal" else 9, 8), floats(rng, 2, 3, 9, 4)
    v = v[:, :, :k.shape[2]]
    given = {"bool": (rng.random((6, 9)) > 0.3) | (np.arange(9) == 0), "float": floats(rng, 2, 1, 6, 9),
             "row": floats(rng, 1, 9)}.get(mask)
    expected = by_definition("Attention", [q, k, v, given if given is None or given.ndim != 1 else given[None]],
                             scale=0.3, is_causal=int(mask == "causal"), opset=23)
    agree(Attention(0.3, mask == "causal"), [q, k, v, given], expected)


def test_causal_queries_are_the_last_of_the_sequence():
    rng = np.random.default_rng(4)
    q, k, v = floats(rng, 6, 8), floats(rng, 6, 8), floats(rng, 6, 4)
    whole = Attention(0.3, True).reference(q, k, v)
    np.testing.assert_allclose(Attention(0.3, True).reference(q[4:], k, v), whole[4:], 1e-6)


def test_a_query_that_sees_nothing_gives_zeros():
    y = Attention(1.0).reference(np.ones((2, 1)), np.ones((3, 1)), np.ones((3, 2)), np.array([[True], [False]]))
    assert y.tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(("op", "shapes"), [
    (MatMul(), [(3, 4), (5, 6)]), (MatMul(), [(2, 3, 4), (3, 4, 5)]), (MatMul(), [(), (4,)]),
    (Reduce("sum", (3,)), [(2, 3)]), (Reduce("sum", (1, 0)), [(2, 3)]), (Reduce("median", (0,)), [(2, 3)]),
    (ArgReduce("max", 1), [(2, 0)]), (Softmax(2), [(2, 3)]), (Normalize((), 1e-5), [(2, 3)]),
    (Attention(1.0), [(3, 4), (5, 6), (5, 6)]), (Attention(1.0), [(3, 4), (5, 4), (6, 4)]),
    (Attention(1.0), [(3, 4), (5, 4), (5, 4), (4, 5)])])
def test_operands_that_do_not_fit_are_refused(op, shapes):
    with pytest.raises(ShapeError):
        op.infer(*(TensorType(s, DType.float32) for s in shapes))


@pytest.mark.parametrize(("op", "count"), [(Softmax(0), 1), (Normalize((0,), 1e-5), 1), (Attention(1.0), 3)])
def test_integers_are_refused_where_the_result_is_real(op, count):
    with pytest.raises(TypeMismatch):
        op.infer(*[TensorType((2, 2), DType.int32)] * count)
