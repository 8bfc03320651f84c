"""Formulas for output sizes and shapes with named axes of generations 5 to 7, and other leftovers of layers."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import tensorwright as trt
from tensorwright.generations import v5, v7, v10

RANDOM = np.random.default_rng(0)


class Formula(v7.IOutputDimensionsFormula):
    """What compute was asked is kept; the answer is given."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer, self.asked = answer, []

    def compute(self, input_shape: Any, kernel_shape: Any, stride: Any, padding: Any, dilation: Any,
                layer_name: str) -> Any:
        self.asked.append((*map(tuple, (input_shape, kernel_shape, stride, padding, dilation)), layer_name))
        return self.answer


def run(kind: str, formula: Any, x: np.ndarray) -> np.ndarray | None:
    """One window of 3 x 2, stride 2, padding 1, over x, in generation 7."""
    builder = v7.Builder(v7.Logger(v7.Logger.INTERNAL_ERROR))
    network = builder.create_network(1)
    source = network.add_input("x", v7.float32, x.shape)
    if kind == "pooling":
        layer = network.add_pooling(source, v7.PoolingType.MAX, (3, 2))
    else:
        weights = np.arange(12, dtype=np.float32)
        add = network.add_convolution if kind == "convolution" else network.add_deconvolution
        layer = add(source, 2, (3, 2), weights.reshape(2, 1, 3, 2) if kind == "convolution" else
                    weights.reshape(1, 2, 3, 2))
    layer.stride, layer.padding, layer.name = (2, 2), (1, 1), "window"
    setattr(network, f"{kind}_output_dimensions_formula", formula)
    assert getattr(network, f"{kind}_output_dimensions_formula") is formula
    layer.get_output(0).name = "y"
    network.mark_output(layer.get_output(0))
    engine = builder.build_engine(network, builder.create_builder_config())
    return None if engine is None else engine._engine.run({"x": x})["y"]


@pytest.mark.parametrize("kind", ["convolution", "deconvolution", "pooling"])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_formula_decides_how_large_the_output_is(kind: str, more: int) -> None:
    """Fewer positions are the first of the usual ones; more see zeros (or nothing, for a maximum) beyond the input."""
    x = RANDOM.standard_normal((1, 1, 6, 5), dtype=np.float32)
    usual = run(kind, None, x)
    assert usual is not None
    size = tuple(n + more for n in usual.shape[2:])
    formula = Formula(v7.DimsHW(size))
    found = run(kind, formula, x)
    assert found is not None and found.shape[2:] == size
    assert formula.asked[0] == ((6, 5), (3, 2), (2, 2), (1, 1), (1, 1), "window")
    least = tuple(min(a, b) for a, b in zip(size, usual.shape[2:], strict=True))
    np.testing.assert_allclose(found[..., : least[0], : least[1]], usual[..., : least[0], : least[1]], rtol=1e-6)
    if kind == "convolution" and more == 1:
        padded = np.pad(x[0, 0], ((1, 4), (1, 4)))
        kernel = np.arange(12, dtype=np.float64).reshape(2, 3, 2)
        last = padded[2 * (size[0] - 1) :][:3, 2 * (size[1] - 1) :][:, :2]
        np.testing.assert_allclose(found[0, :, -1, -1], (kernel * last).sum((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("answer", [None, (0, 3), (4,), "no"])
def test_a_formula_without_an_answer_fails_the_build(answer: Any) -> None:
    assert run("pooling", Formula(answer), np.ones((1, 1, 6, 5), np.float32)) is None


def test_shapes_with_named_axes() -> None:
    chw, nchw = v5.DimsCHW(3, 4, 5), v7.DimsNCHW([2, 3, 4, 5])
    assert (chw.c, chw.h, chw.w) == (3, 4, 5) and chw == (3, 4, 5) and (nchw.n, nchw.w) == (2, 5)
    nchw.c = 7
    assert nchw == (2, 7, 4, 5)
    kind = v5.DimensionType
    assert [chw.get_type(i) for i in range(3)] == [kind.CHANNEL, kind.SPATIAL, kind.SPATIAL]
    assert nchw.get_type(0) == kind.INDEX and v5.Dims((1, 2)).get_type(1) == kind.SPATIAL
    with pytest.raises(IndexError):
        chw.get_type(3)
    with pytest.raises(ValueError, match="takes 3 numbers"):
        v5.DimsCHW(1, 2)
    assert not hasattr(v10, "DimsCHW") and not hasattr(v10.INetworkDefinition, "pooling_output_dimensions_formula")


def test_one_device_has_one_rank() -> None:
    builder = v10.Builder(v10.Logger(v10.Logger.INTERNAL_ERROR))
    network = builder.create_network()
    layer = network.add_activation(network.add_input("x", v10.float32, (2,)), v10.ActivationType.RELU)
    network.mark_output(layer.get_output(0))
    assert layer.num_ranks == 1 and builder.is_network_supported(network, builder.create_builder_config())
    layer.num_ranks = 2
    assert layer.num_ranks == 2 and not builder.is_network_supported(network, builder.create_builder_config())


def parsed(nodes: list[Any], shape: list[int], weights: dict[str, np.ndarray]) -> tuple[Any, Any, Any]:
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                              [numpy_helper.from_array(a, n) for n, a in weights.items()])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    builder = v10.Builder(v10.Logger(v10.Logger.ERROR))
    network = builder.create_network()
    assert v10.OnnxParser(network, builder.logger).parse(proto.SerializeToString())
    return builder, network, proto


def test_attributes_of_parsed_layers_can_be_changed() -> None:
    """The network after the change computes what the ONNX model with that attribute computes."""
    x, w = RANDOM.standard_normal((1, 2, 8, 8), dtype=np.float32), RANDOM.standard_normal((4, 2, 3, 3), np.float32)

    def nodes(pads: list[int], stride: int, axes: list[int]) -> list[Any]:
        return [helper.make_node("Conv", ["x", "w"], ["c"], pads=pads, strides=[stride] * 2),
                helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], strides=[1, 1]),
                helper.make_node("ReduceMean", ["p"], ["y"], axes=axes, keepdims=0)]
    builder, network, _ = parsed(nodes([0, 0, 0, 0], 1, [2]), [1, 2, 8, 8], {"w": w})
    conv, _, mean = (network[i] for i in range(3))
    conv.__class__, mean.__class__ = trt.IConvolutionLayer, trt.IReduceLayer
    assert mean.get_output(0).shape == (1, 4, 5)
    conv.stride_nd, conv.padding_nd, conv.kernel = (2, 2), (1, 1), 3 * w
    mean.axes = 1 << 3
    assert conv.stride_nd == (2, 2) and conv.pre_padding == (1, 1) and mean.get_output(0).shape == (1, 4, 3)
    np.testing.assert_array_equal(conv.kernel, (3 * w).reshape(-1))
    with pytest.raises(ValueError, match="weights do not fill"):
        conv.kernel = w[:2]
    with pytest.raises(ValueError, match="spatial axes"):
        conv.stride_nd = (1, 1, 1)
    engine = builder.build_engine_with_config(network, builder.create_builder_config())
    _, _, wanted = parsed(nodes([1, 1, 1, 1], 2, [3]), [1, 2, 8, 8], {"w": 3 * w})
    expected = onnxruntime.InferenceSession(wanted.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_allclose(engine._engine.run({"x": x})["y"], expected, atol=1e-5)
