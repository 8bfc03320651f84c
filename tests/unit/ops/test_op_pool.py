"""Pooling against ONNX Runtime, and the corners of its shape rule."""

import random

import numpy as np
import onnxruntime
import pytest
from op_checks import agree, by_definition, by_runtime, floats

from tensorwright.dtypes import DType
from tensorwright.errors import ShapeError, TypeMismatch
from tensorwright.ir import TensorType
from tensorwright.ops import Pool


def draw(seed: int):
    r = random.Random(seed)
    n = 1 + seed % 3
    many = lambda low, high: tuple(r.randint(low, high) for _ in range(n))  # noqa: E731
    window = many(1, 4)
    pads = [tuple(r.randint(0, w - 1) for w in window) for _ in range(2)]
    return many(5, 9), window, many(1, 4), many(1, 2), *pads


@pytest.mark.parametrize("seed", range(60))
def test_max_pool_is_onnx_max_pool(seed):
    D, window, strides, dilations, before, after = draw(seed)
    x = floats(np.random.default_rng(seed), 2, 3, *D)
    expected = by_runtime("MaxPool", [x], kernel_shape=window, strides=strides, dilations=dilations,
                          pads=before + after, ceil_mode=seed % 2)
    op = Pool("max", window, strides, tuple(zip(before, after, strict=True)), dilations, ceil=bool(seed % 2))
    agree(op, [x], expected)


@pytest.mark.parametrize("seed", range(60))
def test_average_pool_is_onnx_average_pool(seed):
    D, window, strides, dilations, before, after = draw(seed)
    include, ceil = bool(seed % 2), bool(seed // 2 % 2)
    x = floats(np.random.default_rng(seed), 2, 3, *D)
    op = Pool("average", window, strides, tuple(zip(before, after, strict=True)), dilations, include, ceil)
    try:
        expected = by_runtime("AveragePool", [x], kernel_shape=window, strides=strides, dilations=dilations,
                              pads=before + after, ceil_mode=int(ceil), count_include_pad=int(include))
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
        pytest.skip(str(error))
    agree(op, [x], expected)


def test_windows_that_ceil_adds_count_only_what_lies_inside_the_padded_input():
    x = np.arange(5, dtype=np.float32).reshape(1, 1, 5)
    for include, last in ((False, 4), (True, 4 / 2)):
        assert Pool("average", (3,), (2,), ((0, 1),), (1,), include, True).reference(x).tolist() == [[[1, 3, last]]]
    expected = by_definition("AveragePool", [x], kernel_shape=(3,), strides=(2,), pads=(1, 1), ceil_mode=1)
    agree(Pool("average", (3,), (2,), ((1, 1),), (1,), False, True), [x], expected)


def test_a_window_larger_than_the_input_is_allowed_when_ceil_rounds_up():
    x = np.array([[[1, 2]]], np.float32)
    assert Pool("max", (3,), (2,), ((0, 0),), (1,), ceil=True).reference(x).tolist() == [[[2]]]
    with pytest.raises(ShapeError, match="window spans 3"):
        Pool("max", (3,), (2,), ((0, 0),), (1,)).infer(TensorType((1, 1, 2), DType.float32))


def test_integers_pool_by_maximum_only():
    x = np.arange(-8, 8, dtype=np.int8).reshape(1, 1, 4, 4)
    op = Pool("max", (2, 2), (2, 2), ((1, 1), (1, 1)), (1, 1))
    agree(op, [x], by_runtime("MaxPool", [x], kernel_shape=(2, 2), strides=(2, 2), pads=(1, 1, 1, 1)))
    with pytest.raises(TypeMismatch):
        Pool("average", (2,), (2,), ((0, 0),), (1,)).infer(TensorType((1, 1, 4), DType.int32))
