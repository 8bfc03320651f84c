"""Convolutions against ONNX Runtime."""

import random

import numpy as np
import pytest
from op_checks import agree, by_runtime, floats

from tensorwright.dtypes import DType
from tensorwright.errors import ShapeError
from tensorwright.ir import TensorType
from tensorwright.ops import Convolution, ConvTranspose, convolution


def draw(seed: int):
    """Random geometry: 1 to 3 spatial axes, groups, dilation, uneven padding."""
    r = random.Random(seed)
    n = 1 + seed % 3
    many = lambda low, high: tuple(r.randint(low, high) for _ in range(n))  # noqa: E731
    return (many(5, 9), many(1, 3), many(1, 3), many(1, 2), many(0, 2), many(0, 2),
            r.choice((1, 1, 2, 3)), r.choice((1, 2, 5)), r.choice((1, 2, 3)))


@pytest.mark.parametrize("seed", range(40))
def test_convolution_is_onnx_conv(seed):
    D, R, strides, dilations, before, after, G, Cg, Kg = draw(seed)
    rng = np.random.default_rng(seed)
    x, w = floats(rng, 1 + seed % 2, G * Cg, *D), floats(rng, G * Kg, Cg, *R)
    b = floats(rng, G * Kg) if seed % 4 else None
    expected = by_runtime("Conv", [x, w, b], strides=strides, dilations=dilations, group=G, pads=before + after)
    agree(Convolution(strides, tuple(zip(before, after, strict=True)), dilations, G), [x, w, b], expected, 1e-4)


@pytest.mark.parametrize("seed", range(40))
def test_conv_transpose_is_onnx_conv_transpose(seed):
    D, R, strides, dilations, before, after, G, Cg, Kg = draw(seed)
    dilations = dilations if seed % 2 else (1,) * len(D)
    extra = tuple(random.Random(seed).randint(0, s - 1) for s in strides)
    rng = np.random.default_rng(seed)
    x, w = floats(rng, 1 + seed % 2, G * Cg, *D), floats(rng, G * Cg, Kg, *R)
    b = floats(rng, G * Kg) if seed % 4 else None
    expected = by_runtime("ConvTranspose", [x, w, b], strides=strides, dilations=dilations, group=G,
                          pads=before + after, output_padding=extra)
    pads = tuple(zip(before, after, strict=True))
    agree(ConvTranspose(strides, pads, dilations, G, extra), [x, w, b], expected, 1e-4)


def test_negative_pads_enlarge_a_transposed_convolution_with_its_bias():
    x, w, b = np.ones((1, 1, 2), np.float32), np.ones((1, 1, 2), np.float32), np.array([5], np.float32)
    y = ConvTranspose((1,), ((-1, -2),), (1,)).reference(x, w, b)
    assert y.tolist() == [[[5, 6, 7, 6, 5, 5]]]


def test_rows_are_unfolded_in_turns_when_the_input_is_large(monkeypatch):
    rng = np.random.default_rng(0)
    x, w = floats(rng, 2, 4, 13, 9), floats(rng, 6, 2, 3, 3)
    op = Convolution((2, 1), ((1, 0), (1, 2)), (1, 2), 2)
    whole = op.reference(x, w)
    monkeypatch.setattr(convolution, "IM2COL_ELEMENTS", 100)
    np.testing.assert_allclose(op.reference(x, w), whole, 1e-5, 1e-5)


@pytest.mark.parametrize("groups", [1, 4])
def test_integers_are_exact_and_wrap(groups):
    rng = np.random.default_rng(1)
    x, w = rng.integers(-128, 128, (1, 4, 6, 6)).astype(np.int32), rng.integers(-128, 128, (8, 4 // groups, 3, 3))
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1), groups)
    y = op.reference(x, w.astype(np.int32))
    np.testing.assert_array_equal(y, op.reference(x.astype(np.float64), w.astype(np.float64)))
    big = op.reference(x << 20, w.astype(np.int32) << 10)
    np.testing.assert_array_equal(big, (y.astype(np.int64) << 30).astype(np.int32))


def test_half_precision_is_computed_in_single_and_rounded_once():
    rng = np.random.default_rng(2)
    x, w = floats(rng, 1, 8, 5, 5, dtype=np.float16), floats(rng, 4, 8, 3, 3, dtype=np.float16)
    op = Convolution((1, 1), ((1, 1), (1, 1)), (1, 1))
    single = op.reference(x.astype(np.float32), w.astype(np.float32))
    np.testing.assert_array_equal(op.reference(x, w), single.astype(np.float16))


@pytest.mark.parametrize(("op", "x", "w", "what"), [
    (Convolution((1, 1), ((0, 0), (0, 0)), (1, 1)), (1, 4, 8, 8), (8, 3, 3, 3), "input has 4 channels, filter takes 3"),
    (Convolution((1, 1), ((0, 0), (0, 0)), (1, 1), 2), (1, 4, 8, 8), (7, 2, 3, 3), "7 filters"),
    (Convolution((1, 1), ((0, 0), (0, 0)), (1, 1)), (1, 3, 2, 8), (8, 3, 3, 3), "window spans 3 elements"),
    (Convolution((1,), ((0, 0),), (1,)), (1, 3, 2, 8), (8, 3, 3, 3), "rank"),
    (Convolution((1, 1), ((-1, 0), (0, 0)), (1, 1)), (1, 3, 8, 8), (8, 3, 3, 3), "negative"),
    (ConvTranspose((1, 1), ((0, 0), (0, 0)), (1, 1)), (1, 3, 8, 8), (4, 8, 3, 3), "channel counts"),
    (ConvTranspose((1, 1), ((9, 9), (0, 0)), (1, 1)), (1, 3, 8, 8), (3, 8, 3, 3), "whole output"),
])
def test_operands_that_do_not_fit_are_refused(op, x, w, what):
    with pytest.raises(ShapeError, match=what):
        op.infer(TensorType(x, DType.float32), TensorType(w, DType.float32))
