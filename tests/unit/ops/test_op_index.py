"""Gathering, scattering, ranking and running sums against ONNX Runtime and the onnx package."""

import numpy as np
import pytest
from op_checks import agree, by_definition, by_runtime, floats

from tensorwright.dtypes import DType
from tensorwright.errors import InputError, ShapeError, TypeMismatch
from tensorwright.ir import TensorType
from tensorwright.ops import (
    CumProd,
    CumSum,
    Gather,
    GatherElements,
    GatherND,
    ScatterElements,
    ScatterND,
    TopK,
)


def indices(rng, extent, *shape, dtype=np.int64):
    return rng.integers(-extent, extent, shape).astype(dtype)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_])
def test_gather(axis, shape, dtype):
    rng = np.random.default_rng(axis)
    data = (floats(rng, 3, 4, 5) > 0).astype(dtype)
    i = indices(rng, data.shape[axis], *shape, dtype=np.int32)
    agree(Gather(axis), [data, i], by_runtime("Gather", [data, i], axis=axis))


@pytest.mark.parametrize("axis", range(3))
def test_gather_elements(axis):
    rng = np.random.default_rng(axis)
    data = floats(rng, 3, 4, 5)
    i = indices(rng, data.shape[axis], *(7 if a == axis else n - 1 for a, n in enumerate(data.shape)))
    agree(GatherElements(axis), [data, i], by_runtime("GatherElements", [data, i], axis=axis))


@pytest.mark.parametrize(("batch", "n"), [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1)])
def test_gather_nd(batch, n):
    rng = np.random.default_rng(n)
    data = floats(rng, 2, 3, 4, 5)
    i = indices(rng, 2, *data.shape[:batch], 6, n)
    agree(GatherND(batch), [data, i], by_runtime("GatherND", [data, i], batch_dims=batch))


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize("axis", range(3))
def test_scatter_elements(reduction, axis):
    rng = np.random.default_rng(axis)
    data = floats(rng, 3, 4, 5)
    shape = [n - (a != axis) for a, n in enumerate(data.shape)]
    i = np.argsort(rng.random(shape), axis) if reduction == "none" else indices(rng, data.shape[axis], *shape)
    updates = floats(rng, *shape)
    expected = by_runtime("ScatterElements", [data, i, updates], axis=axis, reduction=reduction, opset=18)
    agree(ScatterElements(axis, reduction), [data, i, updates], expected)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_scatter_nd(reduction, n):
    rng = np.random.default_rng(n)
    data = floats(rng, 3, 4, 5)
    places = np.stack(np.unravel_index(rng.permutation(np.prod(data.shape[:n]))[:3], data.shape[:n]), -1)
    i = places if reduction == "none" else np.concatenate([places, places[:1] - np.array(data.shape[:n])])
    updates = floats(rng, len(i), *data.shape[n:])
    expected = by_runtime("ScatterND", [data, i, updates], reduction=reduction, opset=18)
    agree(ScatterND(reduction), [data, i, updates], expected)


def test_the_last_of_equal_indices_stays():
    y = ScatterND().reference(np.zeros(3, np.int64), np.array([[1], [1], [-2]]), np.array([5, 6, 7]))
    assert y.tolist() == [0, 7, 0]


@pytest.mark.parametrize(("op", "arrays"), [
    (Gather(0), [np.zeros((3, 2)), np.array([3])]), (Gather(1), [np.zeros((3, 2)), np.array([-3])]),
    (GatherElements(0), [np.zeros(3), np.array([-4])]), (GatherND(), [np.zeros((3, 2)), np.array([[0, 2]])]),
    (ScatterElements(0), [np.zeros(3), np.array([3]), np.zeros(1)]),
    (ScatterND(), [np.zeros(3), np.array([[5]]), np.zeros(1)])])
def test_an_index_out_of_range_is_an_input_error(op, arrays):
    with pytest.raises(InputError, match=r"is outside axis \d of \d elements"):
        op.reference(*arrays)


def test_indices_must_be_integers_and_fit():
    f, i = DType.float32, DType.int64
    with pytest.raises(TypeMismatch, match="int32 or int64"):
        Gather(0).infer(TensorType((3,), f), TensorType((1,), f))
    with pytest.raises(ShapeError, match="index rows have 3 elements"):
        GatherND().infer(TensorType((3, 2), f), TensorType((4, 3), i))
    with pytest.raises(ShapeError, match="updates"):
        ScatterND().infer(TensorType((3, 2), f), TensorType((4, 1), i), TensorType((4, 3), f))
    with pytest.raises(ShapeError, match="axis 1: indices have 5 elements"):
        GatherElements(0).infer(TensorType((3, 2), f), TensorType((4, 5), i))


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float64])
def test_topk_orders_equal_elements_by_index(largest, axis, dtype):
    x = np.random.default_rng(axis).integers(-3, 3, (4, 5, 6)).astype(dtype)
    expected = by_runtime("TopK", [x, np.array([3])], 2, axis=axis, largest=int(largest))
    values, order = TopK(3, axis, largest).reference(x)
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(order, expected[1])
    assert TopK(0, axis).reference(x)[0].shape[axis] == 0


def test_topk_of_unsigned_and_extreme_integers():
    x = np.array([0, 255, 7], np.uint8)
    assert TopK(2, 0).reference(x)[0].tolist() == [255, 7]
    assert TopK(2, 0, False).reference(np.array([5, -(1 << 63), 0]))[0].tolist() == [-(1 << 63), 0]


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", range(3))
def test_running_sums(exclusive, reverse, axis):
    rng = np.random.default_rng(axis)
    for x in (floats(rng, 3, 4, 5), rng.integers(-9, 9, (3, 4, 5))):
        expected = by_runtime("CumSum", [x, np.array(axis)], exclusive=int(exclusive), reverse=int(reverse))
        agree(CumSum(axis, exclusive, reverse), [x], expected)
    x = floats(rng, 3, 4, 5)
    factors = np.flip(x, axis) if reverse else x
    factors = np.concatenate([np.ones_like(np.take(x, [0], axis)), np.delete(factors, -1, axis)],
                             axis) if exclusive else factors
    product = np.cumprod(factors, axis)
    agree(CumProd(axis, exclusive, reverse), [x], [np.flip(product, axis) if reverse else product])


def test_scatter_of_half_precision_accumulates_in_single():
    data, i = np.zeros(1, np.float16), np.zeros((4096, 1), np.int64)
    assert ScatterND("add").reference(data, i, np.ones(4096, np.float16)) == 4096


def test_gather_matches_the_definition_for_strings():
    data, i = np.array(["a", "bc", "d"], object), np.array([2, 0])
    assert Gather(0).reference(data, i).tolist() == by_definition("Gather", [data, i], axis=0)[0].tolist()
