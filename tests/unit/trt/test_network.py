"""Layers added by hand mean what NumPy says they mean; refusals are None and a log entry."""

import math
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.ops.evaluate import evaluate


class Log(trt.ILogger):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[Any, str]] = []

    def log(self, severity: Any, msg: str) -> None:
        self.lines.append((severity, msg))


@pytest.fixture
def network() -> trt.INetworkDefinition:
    return trt.Builder(Log()).create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))


def log_of(network: trt.INetworkDefinition) -> list[tuple[Any, str]]:
    return network.builder.logger.lines  # type: ignore[attr-defined]


def result(network: trt.INetworkDefinition, layer: trt.ILayer | None, index: int = 0,
           **feeds: np.ndarray) -> np.ndarray:
    """The layer's output by the reference evaluator; its shape must be what the tensor promised."""
    assert layer is not None, log_of(network)
    tensor = layer.get_output(index)
    assert tensor is not None
    network.mark_output(tensor)
    value = evaluate(network._finish(), feeds)[tensor.name]
    assert tuple(tensor.shape) == value.shape and trt.nptype(tensor.dtype) == value.dtype.type
    return value


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


A = trt.ActivationType
ACTIVATIONS = {
    A.RELU: lambda x, a, b: np.maximum(x, 0), A.SIGMOID: lambda x, a, b: 1 / (1 + np.exp(-x)),
    A.TANH: lambda x, a, b: np.tanh(x), A.LEAKY_RELU: lambda x, a, b: np.where(x > 0, x, a * x),
    A.ELU: lambda x, a, b: np.where(x > 0, x, a * (np.exp(x) - 1)),
    A.SELU: lambda x, a, b: b * np.where(x > 0, x, a * (np.exp(x) - 1)),
    A.SOFTSIGN: lambda x, a, b: x / (1 + np.abs(x)),
    A.SOFTPLUS: lambda x, a, b: a * np.log(np.exp(b * x) + 1),
    A.CLIP: lambda x, a, b: np.clip(x, a, b), A.HARD_SIGMOID: lambda x, a, b: np.clip(a * x + b, 0, 1),
    A.SCALED_TANH: lambda x, a, b: a * np.tanh(b * x), A.THRESHOLDED_RELU: lambda x, a, b: np.where(x > a, x, 0),
    A.GELU_ERF: lambda x, a, b: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    A.GELU_TANH: lambda x, a, b: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))}


@pytest.mark.parametrize("kind", list(A), ids=str)
def test_activation(network: trt.INetworkDefinition, kind: trt.ActivationType) -> None:
    x = network.add_input("x", trt.float32, (2, 5))
    layer = network.add_activation(x, kind)
    layer.alpha, layer.beta = 0.3, 0.7
    data = random(2, 5)
    np.testing.assert_allclose(result(network, layer, x=data), ACTIVATIONS[kind](data, 0.3, 0.7), rtol=2e-6, atol=1e-6)


E = trt.ElementWiseOperation


@pytest.mark.parametrize(("op", "expected"), [
    (E.SUM, np.add), (E.PROD, np.multiply), (E.MAX, np.maximum), (E.MIN, np.minimum), (E.SUB, np.subtract),
    (E.DIV, np.divide), (E.FLOOR_DIV, np.floor_divide),
    (E.EQUAL, np.equal), (E.GREATER, np.greater), (E.LESS, np.less)],
    ids=str)
def test_elementwise_broadcasts_axes_of_one(network: trt.INetworkDefinition, op: trt.ElementWiseOperation,
                                            expected: Any) -> None:
    a, b = network.add_input("a", trt.float32, (2, 1, 3)), network.add_input("b", trt.float32, (2, 4, 1))
    x, y = random(2, 1, 3), random(2, 4, 1, seed=1)
    value = result(network, network.add_elementwise(a, b, op), a=x, b=y)
    np.testing.assert_allclose(value, expected(x, y), rtol=1e-6)


def test_integer_floor_division_rounds_down(network: trt.INetworkDefinition) -> None:
    a, b = network.add_input("a", trt.int32, (6,)), network.add_input("b", trt.int32, (6,))
    x, y = np.array([7, -7, 7, -7, 6, -6], np.int32), np.array([2, 2, -2, -2, 3, 3], np.int32)
    value = result(network, network.add_elementwise(a, b, E.FLOOR_DIV), a=x, b=y)
    np.testing.assert_array_equal(value, np.floor_divide(x, y))


U = trt.UnaryOperation
UNARY = {U.EXP: np.exp, U.LOG: np.log, U.SQRT: np.sqrt, U.RECIP: np.reciprocal, U.ABS: np.abs, U.NEG: np.negative,
         U.SIN: np.sin, U.COS: np.cos, U.TAN: np.tan, U.SINH: np.sinh, U.COSH: np.cosh, U.ASIN: np.arcsin,
         U.ACOS: np.arccos, U.ATAN: np.arctan, U.ASINH: np.arcsinh, U.ACOSH: np.arccosh, U.ATANH: np.arctanh,
         U.CEIL: np.ceil, U.FLOOR: np.floor, U.ERF: np.vectorize(math.erf, otypes=[np.float32]), U.SIGN: np.sign,
         U.ROUND: np.rint, U.ISINF: np.isinf, U.ISNAN: np.isnan}


@pytest.mark.parametrize("op", list(UNARY), ids=str)
def test_unary(network: trt.INetworkDefinition, op: trt.UnaryOperation) -> None:
    x = network.add_input("x", trt.float32, (8,))
    data = np.linspace(0.1, 0.9, 8, dtype=np.float32) + (1 if op is U.ACOSH else 0)
    np.testing.assert_allclose(result(network, network.add_unary(x, op), x=data), UNARY[op](data), rtol=2e-6)


def convolution(x: np.ndarray, w: np.ndarray, stride: int, before: int, after: int) -> np.ndarray:
    """A direct sum, window by window."""
    x = np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)))
    r = w.shape[2]
    p = (x.shape[2] - r) // stride + 1
    y = np.empty((x.shape[0], w.shape[0], p, p))
    for i in range(p):
        for j in range(p):
            window = x[:, :, i * stride:i * stride + r, j * stride:j * stride + r]
            y[:, :, i, j] = np.einsum("ncrs,kcrs->nk", window, w)
    return y


@pytest.mark.parametrize(("mode", "size", "stride", "before", "after"), [
    ("EXPLICIT_ROUND_DOWN", 8, 2, 1, 1), ("EXPLICIT_ROUND_UP", 8, 2, 1, 2), ("SAME_UPPER", 8, 2, 0, 1),
    ("SAME_LOWER", 8, 2, 1, 0), ("SAME_UPPER", 7, 1, 1, 1)])
def test_convolution_padding_modes(network: trt.INetworkDefinition, mode: str, size: int, stride: int, before: int,
                                   after: int) -> None:
    x = network.add_input("x", trt.float32, (2, 3, size, size))
    w, b, data = random(4, 3, 3, 3, seed=1), random(4, seed=2), random(2, 3, size, size)
    layer = network.add_convolution_nd(x, 4, (3, 3), w, b)
    layer.stride_nd, layer.padding_nd = (stride, stride), (1, 1)
    layer.padding_mode = trt.PaddingMode[mode]
    expected = convolution(data, w, stride, before, after) + b[:, None, None]
    np.testing.assert_allclose(result(network, layer, x=data), expected, rtol=1e-4, atol=1e-5)
    assert layer.kernel.shape == (4 * 3 * 3 * 3,) and layer.bias.size == 4


def test_convolution_takes_its_kernel_as_a_tensor(network: trt.INetworkDefinition) -> None:
    x, w = network.add_input("x", trt.float32, (1, 2, 5, 5)), network.add_input("w", trt.float32, (3, 2, 3, 3))
    layer = network.add_convolution_nd(x, 3, (3, 3), trt.Weights())
    layer.set_input(1, w)
    data, kernel = random(1, 2, 5, 5), random(3, 2, 3, 3, seed=1)
    np.testing.assert_allclose(result(network, layer, x=data, w=kernel), convolution(data, kernel, 1, 0, 0), rtol=1e-4,
                               atol=1e-5)


def test_deconvolution_is_the_transpose_of_convolution(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (1, 3, 4, 4))
    w, data = random(3, 2, 3, 3, seed=1), random(1, 3, 4, 4)
    layer = network.add_deconvolution_nd(x, 2, (3, 3), w)
    layer.stride_nd, layer.padding_nd = (2, 2), (1, 1)
    y = result(network, layer, x=data)
    probe = random(*y.shape, seed=3)                     # <deconv(x), probe> = <x, conv(probe)>
    np.testing.assert_allclose((y * probe).sum(), (data * convolution(probe, w, 2, 1, 1)).sum(), rtol=1e-4)


def test_pooling(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (1, 1, 4, 4))
    data = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    maximum = network.add_pooling_nd(x, trt.PoolingType.MAX, (2, 2))
    maximum.stride_nd = (2, 2)
    assert result(network, maximum, x=data).ravel().tolist() == [5, 7, 13, 15]
    average = network.add_pooling_nd(x, trt.PoolingType.AVERAGE, (2, 2))
    average.stride_nd, average.padding_nd = (2, 2), (1, 1)
    assert result(network, average, x=data)[0, 0, 0].tolist() == [0, 1.5, 3]
    average.average_count_excludes_padding = False
    assert result(network, average, x=data)[0, 0, 0].tolist() == [0, 0.75, 0.75]
    blend = network.add_pooling_nd(x, trt.PoolingType.MAX_AVERAGE_BLEND, (4, 4))
    blend.blend_factor = 0.25
    assert result(network, blend, x=data).item() == 0.75 * 15 + 0.25 * 7.5


def test_matrix_multiply(network: trt.INetworkDefinition) -> None:
    M = trt.MatrixOperation
    a, b = network.add_input("a", trt.float32, (2, 3, 4)), network.add_input("b", trt.float32, (1, 5, 4))
    v = network.add_input("v", trt.float32, (2, 4))
    x, y, z = random(2, 3, 4), random(1, 5, 4, seed=1), random(2, 4, seed=2)
    feeds = {"a": x, "b": y, "v": z}
    np.testing.assert_allclose(result(network, network.add_matrix_multiply(a, M.NONE, b, M.TRANSPOSE), **feeds),
                               x @ y.transpose(0, 2, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result(network, network.add_matrix_multiply(a, M.NONE, v, M.VECTOR), **feeds),
                               np.einsum("bij,bj->bi", x, z), rtol=1e-5, atol=1e-6)


def test_fully_connected_flattens_the_last_three_axes(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (-1, 2, 3, 1))
    w, b, data = random(4, 6, seed=1), random(4, seed=2), random(5, 2, 3, 1)
    layer = network.add_fully_connected(x, 4, w, b)
    assert layer.get_output(0).shape == (-1, 4, 1, 1)
    network.mark_output(layer.get_output(0))
    value = evaluate(network._finish(), {"x": data})[layer.get_output(0).name]
    np.testing.assert_allclose(value, (data.reshape(5, 6) @ w.T + b).reshape(5, 4, 1, 1), rtol=1e-5, atol=1e-6)


def test_scale(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (2, 3, 2, 2))
    data, scale, shift = np.abs(random(2, 3, 2, 2)), np.float32([1, 2, 3]), np.float32([4, 5, 6])
    layer = network.add_scale(x, trt.ScaleMode.CHANNEL, shift, scale, np.float32([2, 2, 2]))
    expected = (data * scale[:, None, None] + shift[:, None, None]) ** 2
    np.testing.assert_allclose(result(network, layer, x=data), expected, rtol=1e-5)


def test_softmax_and_reduce_take_bit_masks(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (2, 3, 4))
    data = random(2, 3, 4)
    softmax = network.add_softmax(x)
    softmax.axes = 1 << 2
    e = np.exp(data)
    np.testing.assert_allclose(result(network, softmax, x=data), e / e.sum(2, keepdims=True), rtol=1e-5)
    mean = network.add_reduce(x, trt.ReduceOperation.AVG, 1 << 0 | 1 << 2, keep_dims=False)
    np.testing.assert_allclose(result(network, mean, x=data), data.mean((0, 2)), rtol=1e-5, atol=1e-6)


def test_shuffle(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (-1, 3, 4))
    layer = network.add_shuffle(x)
    layer.first_transpose, layer.reshape_dims = (0, 2, 1), (0, 2, -1)
    layer.second_transpose = (2, 0, 1)
    data = random(2, 3, 4)
    assert layer.get_output(0).shape == (6, -1, 2)
    network.mark_output(layer.get_output(0))
    value = evaluate(network._finish(), {"x": data})[layer.get_output(0).name]
    np.testing.assert_array_equal(value, data.transpose(0, 2, 1).reshape(2, 2, 6).transpose(2, 0, 1))


def test_slice_concatenation_gather_select(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (4, 6))
    data = random(4, 6)
    part = network.add_slice(x, (3, 1), (2, 3), (-1, 2))
    np.testing.assert_array_equal(result(network, part, x=data), data[[3, 2]][:, 1::2])
    both = network.add_concatenation([x, x])
    both.axis = 1
    np.testing.assert_array_equal(result(network, both, x=data), np.concatenate([data, data], 1))
    index = network.add_constant((2,), np.array([2, 0], np.int32))
    taken = network.add_gather(x, index.get_output(0), axis=0)
    np.testing.assert_array_equal(result(network, taken, x=data), data[[2, 0]])
    zero = network.add_constant((1, 1), np.zeros(1, np.float32))
    positive = network.add_elementwise(x, zero.get_output(0), E.GREATER)
    chosen = network.add_select(positive.get_output(0), x, zero.get_output(0))
    np.testing.assert_array_equal(result(network, chosen, x=data), np.where(data > 0, data, 0))


def test_topk_gives_values_and_int32_indices(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (3, 7))
    data = random(3, 7)
    layer = network.add_topk(x, trt.TopKOperation.MAX, 2, 1 << 1)
    order = np.argsort(-data, axis=1)[:, :2]
    np.testing.assert_array_equal(result(network, layer, 1, x=data), order.astype(np.int32))
    np.testing.assert_array_equal(result(network, layer, 0, x=data), np.take_along_axis(data, order, 1))


def test_cast_identity_shape(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (2, 3))
    data = random(2, 3) * 10
    np.testing.assert_array_equal(result(network, network.add_cast(x, trt.int32), x=data), data.astype(np.int32))
    np.testing.assert_array_equal(result(network, network.add_identity(x), x=data), data)
    np.testing.assert_array_equal(result(network, network.add_shape(x), x=data), [2, 3])


@pytest.mark.parametrize(("groups", "per_channel"), [(1, False), (2, False), (2, True)])
def test_normalization(network: trt.INetworkDefinition, groups: int, per_channel: bool) -> None:
    x = network.add_input("x", trt.float32, (2, 4, 3, 3))
    data, count = random(2, 4, 3, 3), 4 if per_channel or groups == 1 else groups
    scale, bias = random(count, seed=1), random(count, seed=2)
    s = network.add_constant((1, count, 1, 1), scale).get_output(0)
    b = network.add_constant((1, count, 1, 1), bias).get_output(0)
    add = network.add_normalization_v2 if per_channel else network.add_normalization
    layer = add(x, s, b, 1 << 2 | 1 << 3)
    layer.num_groups = groups
    split = data.reshape(2, groups if groups > 1 else 4, -1)
    normal = (split - split.mean(2, keepdims=True)) / np.sqrt(split.var(2, keepdims=True) + 1e-5)
    repeat = 1 if count == 4 else 4 // groups
    expected = normal.reshape(data.shape) * scale.repeat(repeat)[:, None, None] + bias.repeat(repeat)[:, None, None]
    np.testing.assert_allclose(result(network, layer, x=data), expected, rtol=1e-3, atol=1e-5)


def test_resize_doubles(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (1, 1, 2, 3))
    data = random(1, 1, 2, 3)
    layer = network.add_resize(x)
    layer.scales = [1, 1, 2, 2]
    np.testing.assert_array_equal(result(network, layer, x=data), data.repeat(2, 2).repeat(2, 3))


def test_padding_scatter_cumulative_squeeze(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (1, 1, 3, 4))
    data = random(1, 1, 3, 4)
    padded = network.add_padding_nd(x, (1, -1), (0, 2))
    expected = np.pad(data[:, :, :, 1:], ((0, 0), (0, 0), (1, 0), (0, 2)))
    np.testing.assert_array_equal(result(network, padded, x=data), expected)
    axes = network.add_constant((2,), np.array([0, 1], np.int64)).get_output(0)
    np.testing.assert_array_equal(result(network, network.add_squeeze(x, axes), x=data), data[0, 0])
    np.testing.assert_array_equal(result(network, network.add_unsqueeze(x, axes), x=data), data[None, None])
    axis = network.add_constant((), np.array([3], np.int64)).get_output(0)
    running = network.add_cumulative(x, axis, trt.CumulativeOperation.SUM, False, False)
    np.testing.assert_allclose(result(network, running, x=data), data.cumsum(3), rtol=1e-6)


def test_refusals_are_none_and_logged(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (2, 3))
    refused = [network.add_input("x", trt.float32, (1,)), network.add_input("y", trt.float32, range(9)),
               network.add_constant((3, 3), np.zeros(4, np.float32)), network.add_activation(None, A.RELU),
               network.add_fully_connected(x, 2, np.zeros((2, 3))),
               network.add_elementwise(x, trt.Builder(Log()).create_network().add_input("z", trt.float32, (1,)), E.SUM)]
    assert refused == [None] * len(refused)
    assert [severity for severity, _ in log_of(network)] == [trt.Logger.ERROR] * len(refused)
    with pytest.raises(TypeError):
        network.add_activation("x", A.RELU)  # type: ignore[arg-type]


def test_shapes_that_cannot_be_inferred_are_invalid(network: trt.INetworkDefinition) -> None:
    a, b = network.add_input("a", trt.float32, (2, 3)), network.add_input("b", trt.float32, (4,))
    layer = network.add_elementwise(a, b, E.SUM)
    with pytest.raises(ValueError):
        len(layer.get_output(0).shape)


def test_queries_out_of_range(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (2, 3))
    layer = network.add_identity(x)
    assert network.get_layer(5) is network.get_input(1) is network.get_output(0) is None
    assert layer.get_input(1) is None and layer.get_output(1) is None and layer.get_input(0) is x
    with pytest.raises(IndexError):
        network[1]
    assert network[-1] == layer and len(network) == 1 and [item.name for item in network] == [layer.name]


def test_layers_handed_out_are_plain_until_recast(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (2, 3))
    network.add_activation(x, A.CLIP).alpha = 0.5
    layer = network.get_layer(0)
    assert layer.type is trt.LayerType.ACTIVATION
    layer.__class__ = trt.IActivationLayer
    assert layer.type is A.CLIP and layer.alpha == 0.5
    layer.alpha = 0.75
    assert network.get_layer(0)._params["alpha"] == 0.75


def test_outputs_can_be_unmarked_and_inputs_reshaped(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (-1, 3))
    layer = network.add_identity(x)
    tensor = layer.get_output(0)
    network.mark_output(tensor)
    assert tensor.is_network_output and x.is_network_input and network.num_outputs == 1
    x.shape = (5, 3)
    assert tensor.shape == (5, 3)
    network.unmark_output(tensor)
    assert network.num_outputs == 0


def test_dimensions_of_one_name_are_one_size(network: trt.INetworkDefinition) -> None:
    a, b = network.add_input("a", trt.float32, (-1, 3)), network.add_input("b", trt.float32, (-1, 3))
    a.set_dimension_name(0, "batch")
    b.set_dimension_name(0, "batch")
    assert a.get_dimension_name(0) == "batch" and a._type() == b._type()


def test_unknown_attributes_are_refused(network: trt.INetworkDefinition) -> None:
    config = network.builder.create_builder_config()
    layer = network.add_identity(network.add_input("x", trt.float32, (2,)))
    for thing, name in ((network.builder, "workspace"), (config, "workspace_size"), (layer, "kernel"),
                        (network, "nonsense"), (layer.get_output(0), "nonsense")):
        with pytest.raises(AttributeError, match=name):
            setattr(thing, name, 1)


def test_output_types_convert(network: trt.INetworkDefinition) -> None:
    x = network.add_input("x", trt.float32, (4,))
    data = random(4) * 10
    layer = network.add_activation(x, A.RELU)
    layer.set_output_type(0, trt.int32)
    assert layer.output_type_is_set(0) and layer.get_output_type(0) is trt.int32
    np.testing.assert_array_equal(result(network, layer, x=data), np.maximum(data, 0).astype(np.int32))
    layer.reset_output_type(0)
    assert layer.get_output(0).dtype is trt.float32


def test_precision_is_a_wish(network: trt.INetworkDefinition) -> None:
    layer = network.add_identity(network.add_input("x", trt.float32, (4,)))
    network.mark_output(layer.get_output(0))
    assert not layer.precision_is_set
    layer.precision = trt.float16
    assert layer.precision is trt.float16 and layer.precision_is_set
    config = network.builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    assert network.builder.build_serialized_network(network, config) is None
    assert "must compute in DataType.HALF" in log_of(network)[-1][1]
    layer.reset_precision()
    assert network.builder.build_serialized_network(network, config) is not None
