"""Resizing against the onnx package's definition, and ONNX Runtime where the definition is slow or silent."""

from itertools import product

import numpy as np
import pytest
from op_checks import agree, by_definition, by_runtime, floats

from tensorwright.dtypes import DType
from tensorwright.errors import ShapeError, TypeMismatch
from tensorwright.ir import TensorType
from tensorwright.ops import Resize

X = floats(np.random.default_rng(0), 1, 2, 4, 5)
COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
SIZES = [(3, 9), (8, 2), (4, 11), (7, 5)]


def sizes(shape):
    return [None, None, np.array(shape)]


@pytest.mark.parametrize(("coordinate", "mode", "size"), [*product(COORDINATES, ("linear", "cubic"), SIZES)])
def test_interpolation_to_sizes(coordinate, mode, size):
    shape = (1, 2, *size)
    expected = by_definition("Resize", [X, *sizes(shape)], mode=mode, coordinate_transformation_mode=coordinate)
    agree(Resize(shape, mode, coordinate), [X], [expected[0].astype(np.float32)])


@pytest.mark.parametrize(("coordinate", "rounding", "size"), [*product(
    COORDINATES, ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"), SIZES)])
def test_nearest_to_sizes(coordinate, rounding, size):
    shape = (1, 2, *size)
    expected = by_definition("Resize", [X, *sizes(shape)], mode="nearest", nearest_mode=rounding,
                             coordinate_transformation_mode=coordinate)
    agree(Resize(shape, "nearest", coordinate, rounding), [X], expected)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("scale", [(0.6, 0.8), (1.5, 2.0), (2.3, 0.7)])
@pytest.mark.parametrize("coordinate", ["half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric"])
def test_scales_that_do_not_divide(mode, scale, coordinate):
    scales = np.array([1, 1, *scale], np.float32)
    shape = tuple(int(np.floor(d * s)) for d, s in zip(X.shape, scales, strict=True))
    expected = by_definition("Resize", [X, None, scales], mode=mode, coordinate_transformation_mode=coordinate)
    op = Resize(shape, mode, coordinate, scales=tuple(map(float, scales)))
    agree(op, [X], [expected[0].astype(np.float32)])


@pytest.mark.parametrize(("mode", "size", "exclude"), [*product(("linear", "cubic"), SIZES, (False, True))])
def test_antialiasing(mode, size, exclude):
    shape = (1, 2, *size)
    expected = by_definition("Resize", [X, *sizes(shape)], mode=mode, antialias=1, exclude_outside=int(exclude))
    agree(Resize(shape, mode, antialias=True, exclude_outside=exclude), [X], [expected[0].astype(np.float32)])


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_crop_and_resize(mode):
    roi, shape = (0, 0, 0.4, 0.6, 1, 1, 0.8, 1.3), (1, 2, 3, 4)
    inputs = [X, np.array(roi, np.float32), None, np.array(shape)]
    expected = by_definition("Resize", inputs, mode=mode, coordinate_transformation_mode="tf_crop_and_resize",
                             extrapolation_value=7.0)
    op = Resize(shape, mode, "tf_crop_and_resize", roi=tuple(map(float, inputs[1])), extrapolation=7.0)
    agree(op, [X], [expected[0].astype(np.float32)])


@pytest.mark.parametrize("exclude", [False, True])
def test_cubic_with_another_coefficient(exclude):
    shape = (1, 2, 7, 9)
    expected = by_runtime("Resize", [X, *sizes(shape)], mode="cubic", cubic_coeff_a=-0.5, exclude_outside=int(exclude))
    agree(Resize(shape, "cubic", cubic_coeff=-0.5, exclude_outside=exclude), [X], expected)


def test_large_images_by_linear_interpolation():
    x = floats(np.random.default_rng(1), 1, 3, 37, 53)
    shape = (1, 3, 91, 40)
    agree(Resize(shape, "linear"), [x], by_runtime("Resize", [x, *sizes(shape)], mode="linear"), 1e-4)


def test_nearest_keeps_integers_and_others_refuse_them():
    x = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2)
    y = Resize((1, 1, 4, 4), "nearest", "asymmetric", "floor").reference(x)
    assert y.dtype == np.uint8 and y[0, 0].tolist() == np.repeat(np.repeat(x[0, 0], 2, 0), 2, 1).tolist()
    with pytest.raises(TypeMismatch):
        Resize((1, 1, 4, 4), "linear").infer(TensorType((1, 1, 2, 2), DType.uint8))
    with pytest.raises(ShapeError, match="no 'bicubic'"):
        Resize((1, 1, 4, 4), "bicubic").infer(TensorType((1, 1, 2, 2), DType.float32))
