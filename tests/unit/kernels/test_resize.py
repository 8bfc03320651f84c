"""Resampling kernels: modes, coordinates, layouts, types, antialiasing, symbols; ONNX's evaluator as second opinion."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from kernel_cases import judge, operand
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.kernels.cpu.resize import tactics
from tensorwright.ops import Resize
from tensorwright.ops.expr import Apply, In
from tensorwright.ops.fused import Fused
from tensorwright.ops.resize import COORDINATES, ROUNDINGS

LAST = (0, 2, 3, 1)
ROI = (0.0, 0.0, 0.1, -0.2, 1.0, 1.0, 0.8, 1.3)


@pytest.mark.parametrize("coordinate", COORDINATES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_modes_and_coordinates(mode: str, coordinate: str) -> None:
    roi = ROI if coordinate == "tf_crop_and_resize" else None
    shapes = ((2, 19, 12, 35), (2, 19, 3, 4), (2, 19, 1, 1), (2, 19, 5, 17))
    for shape, order in itertools.product(shapes, (None, LAST)):
        op = Resize(shape, mode, coordinate, roi=roi, extrapolation=7.5)
        x = operand((2, 19, 5, 7), order=order, gap=1)
        assert judge(op, [x], tactics, order=order, compile_only=shape[2] == 12)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("dtype", ["int8", "float64", "bool", "int64"])
def test_nearest_types(rounding: str, dtype: str) -> None:
    for order in (None, LAST, (3, 2, 1, 0)):
        for coordinate in ("asymmetric", "half_pixel"):
            op = Resize((1, 9, 22, 40), "nearest", coordinate, rounding)
            assert judge(op, [operand((1, 9, 11, 13), dtype, order)], tactics, order=order)


def test_antialias_and_excluded_taps() -> None:
    for mode, order in itertools.product(("linear", "cubic"), (None, LAST)):
        for shape in ((1, 20, 4, 9), (1, 20, 11, 3)):
            x = operand((1, 20, 13, 30), order=order)
            assert judge(Resize(shape, mode, antialias=True), [x], tactics, order=order)
        op = Resize((1, 20, 17, 9), mode, exclude_outside=True, cubic_coeff=-0.5)
        assert judge(op, [operand((1, 20, 5, 6), order=order)], tactics, order=order)


def test_one_and_three_axes_and_scales() -> None:
    assert judge(Resize((3, 50), "linear", "align_corners"), [operand((3, 21))], tactics)
    assert judge(Resize((1, 4, 7, 9, 11), "linear"), [operand((1, 4, 3, 5, 4))], tactics)
    assert judge(Resize((1, 4, 7, 9, 11), "cubic"), [operand((1, 4, 3, 5, 4), "float64")], tactics)
    scaled = Resize((1, 1, 5, 9), "linear", scales=(1.0, 1.0, 1.7, 1.9))
    assert judge(scaled, [operand((1, 1, 3, 5))], tactics)
    assert judge(Resize((1, 1, 3, 5), "linear"), [operand((1, 1, 3, 5))], tactics)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("coordinate", COORDINATES)
def test_symbols(mode: str, coordinate: str) -> None:
    n, h, w = symbol("s0"), symbol("s1"), symbol("s2")
    roi = ROI if coordinate == "tf_crop_and_resize" else None
    for order in (None, LAST):
        for env in ({"s0": 2, "s1": 5, "s2": 9}, {"s0": 1, "s1": 1, "s2": 3}, {"s0": 0, "s1": 2, "s2": 2}):
            op = Resize((n, 18, h * 2, w + 3), mode, coordinate, roi=roi, exclude_outside=mode == "cubic")
            x = operand((n, 18, h, w), order=order)
            assert judge(op, [x], tactics, env=env, order=order, compile_only=env["s0"] == 2)
        op = Resize((n, 18, 12, 10), mode, coordinate, roi=roi)
        assert judge(op, [operand((n, 18, 6, 5), order=order)], tactics, env={"s0": 2}, order=order)


def test_epilogue() -> None:
    e = Apply("add", (In(0, DType.float32), In(1, DType.float32)), DType.float32)
    op = Fused(Resize((1, 40, 8, 8), "linear"), e, 1)
    for order in (None, LAST):
        inputs = [operand((1, 40, 4, 4), order=order), operand((1, 40, 8, 8), order=order)]
        assert judge(op, inputs, tactics, order=order)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("coordinate", ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
def test_as_onnx_does(mode: str, coordinate: str) -> None:
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 5)).astype("float32")
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode=mode,
                            coordinate_transformation_mode=coordinate)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
                                            helper.make_tensor_value_info("sizes", TensorProto.INT64, (4,))],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    expected = ReferenceEvaluator(model).run(None, {"x": x, "sizes": np.array((1, 2, 7, 12))})
    assert judge(Resize((1, 2, 7, 12), mode, coordinate), [operand(x.shape)], tactics, arrays={0: x}, expected=expected)
