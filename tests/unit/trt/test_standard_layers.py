"""Layers that ONNX defines too, sizes as tensors, and two-dimensional forms, against NumPy and ONNX Runtime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import tensorwright as trt
from tensorwright.generations import v8

RANDOM = np.random.default_rng(0)


def run(make: Callable[[Any, list[Any]], Any], *arrays: np.ndarray, dynamic: tuple[int, ...] = (),
        module: Any = trt) -> list[np.ndarray]:
    """Outputs of a network made by hand. make(network, inputs) gives a layer or tensors; dynamic: axes of input 0 that
    only run time knows."""
    lines: list[str] = []

    class Log(module.ILogger):
        def log(self, severity: Any, msg: str) -> None:
            lines.append(msg)
    builder = module.Builder(log := Log())
    flags = 1 << int(module.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    network = builder.create_network(flags)
    inputs = []
    profile = builder.create_optimization_profile()
    for i, a in enumerate(arrays):
        shape = tuple(-1 if i == 0 and axis in dynamic else d for axis, d in enumerate(a.shape))
        kind = {"float32": trt.float32, "int32": trt.int32, "int64": trt.int64, "bool": trt.bool}[str(a.dtype)]
        inputs.append(network.add_input(f"x{i}", kind, shape))
        if -1 in shape:
            profile.set_shape(f"x{i}", a.shape, a.shape, tuple(d + 3 if axis in dynamic else d
                                                               for axis, d in enumerate(a.shape)))
    made = make(network, inputs)
    assert made is not None, lines
    outputs = made if isinstance(made, list) else [made.get_output(i) for i in range(made.num_outputs)]
    for i, tensor in enumerate(outputs):
        tensor.name = f"out{i}"
        network.mark_output(tensor)
    config = builder.create_builder_config()
    config.builder_optimization_level = 0
    if dynamic:
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, lines
    engine = module.Runtime(log).deserialize_cuda_engine(plan)
    found = engine._engine.run({f"x{i}": a for i, a in enumerate(arrays)})
    assert log is not None
    return [found[f"out{i}"] for i in range(len(outputs))]


def onnx(op: str, arrays: list[np.ndarray], count: int = 1, **attributes: Any) -> list[np.ndarray]:
    """ONNX Runtime's result of one operator."""
    kind = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32, "int64": TensorProto.INT64}
    graph = helper.make_graph(
        [helper.make_node(op, [f"x{i}" for i in range(len(arrays))], [f"y{i}" for i in range(count)], **attributes)],
        op, [helper.make_tensor_value_info(f"x{i}", kind[str(a.dtype)], a.shape) for i, a in enumerate(arrays)],
        [onnx_value(f"y{i}") for i in range(count)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {f"x{i}": a for i, a in enumerate(arrays)})


def onnx_value(name: str) -> Any:
    import onnx as package
    return package.ValueInfoProto(name=name)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape, dtype=np.float32)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def weights(network: Any, array: Any, dtype: Any = np.float32) -> Any:
    array = np.ascontiguousarray(array, dtype)
    return network.add_constant(array.shape, array).get_output(0)


@pytest.mark.parametrize("batch", [1, 3])
def test_lrn(batch: int) -> None:
    x = floats(batch, 7, 3, 5)
    expected = onnx("LRN", [x], size=3, alpha=0.2, beta=0.7, bias=1.5)[0]
    same(run(lambda n, t: n.add_lrn(t[0], 3, 0.2, 0.7, 1.5), x)[0], expected)


@pytest.mark.parametrize(("equation", "shapes"), [("ij,jk->ik", ((3, 4), (4, 5))),
                                                  ("bhqd,bhkd->bhqk", ((2, 3, 4, 5), (2, 3, 6, 5)))])
def test_einsum(equation: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    arrays = [floats(*s) for s in shapes]
    same(run(lambda n, t: n.add_einsum(t, equation), *arrays)[0], np.einsum(equation, *arrays))


@pytest.mark.parametrize("mode", [trt.SampleMode.FILL, trt.SampleMode.CLAMP, trt.SampleMode.REFLECT])
@pytest.mark.parametrize("corners", [False, True])
def test_grid_sample(mode: Any, corners: bool) -> None:
    x, grid = floats(2, 3, 5, 4), np.clip(floats(2, 3, 6, 2), -1.4, 1.4)

    def make(network: Any, t: list[Any]) -> Any:
        layer = network.add_grid_sample(*t)
        layer.sample_mode, layer.align_corners = mode, corners
        return layer
    padding = {"FILL": "zeros", "CLAMP": "border", "REFLECT": "reflection"}[mode.name]
    same(run(make, x, grid)[0], onnx("GridSample", [x, grid], padding_mode=padding, align_corners=int(corners))[0])


def test_one_hot_and_reverse_sequence() -> None:
    indices = np.int32([[0, 2], [1, 5]])
    found = run(lambda n, t: n.add_one_hot(t[0], weights(n, [-1, 7]), weights(n, 3, np.int32), -1), indices)[0]
    same(found, np.where(np.arange(3) == indices[..., None], 7, -1).astype(np.float32))
    x, lens = floats(4, 3, 2), np.int32([1, 4, 2])
    expected = x.copy()
    for b, n in enumerate(lens):
        expected[:n, b] = x[:n, b][::-1]
    same(run(lambda n, t: n.add_reverse_sequence(*t), x, lens)[0], expected)


@pytest.mark.parametrize("x", [np.float32([[1, 0, 2], [0, 0, 3]]), np.zeros((2, 2), np.float32)])
def test_non_zero(x: np.ndarray) -> None:
    found = run(lambda n, t: n.add_non_zero(t[0]), x)[0]
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, np.stack(np.nonzero(x)))


def test_nms() -> None:
    corner = RANDOM.random((1, 20, 2), np.float32)
    boxes = np.concatenate([corner, corner + 0.3], -1)
    scores = RANDOM.random((1, 20, 3), np.float32)

    def make(network: Any, t: list[Any]) -> Any:
        layer = network.add_nms(t[0], t[1], weights(network, 4, np.int32))
        layer.set_input(3, weights(network, 0.4))
        layer.set_input(4, weights(network, 0.3))
        return layer
    chosen, count = run(make, boxes, scores)
    expected = onnx("NonMaxSuppression", [boxes, scores.transpose(0, 2, 1).copy(), np.int64([4]), np.float32([0.4]),
                                          np.float32([0.3])])[0]
    np.testing.assert_array_equal(chosen, expected)
    assert count.shape == () and int(count) == len(expected) and chosen.dtype == np.int32


@pytest.mark.parametrize("per_channel", [False, True])
def test_quantize_and_dequantize(per_channel: bool) -> None:
    x = floats(2, 3, 4) * 3
    scale = np.float32([0.02, 0.1, 0.5]) if per_channel else np.float32(0.05)

    def make(network: Any, t: list[Any]) -> Any:
        q = network.add_quantize(t[0], weights(network, scale))
        d = network.add_dequantize(q.get_output(0), weights(network, scale))
        if per_channel:
            q.axis = d.axis = 1
        return [q.get_output(0), d.get_output(0)]
    q, d = run(make, x)
    s = scale[None, :, None] if per_channel else scale
    expected = np.clip(np.rint(x / s), -128, 127)
    assert q.dtype == np.int8
    np.testing.assert_array_equal(q, expected)
    same(d, (expected * s).astype(np.float32))


def test_zero_points_are_zero_or_refused() -> None:
    def make(zero: int) -> Callable[[Any, list[Any]], Any]:
        def layer(network: Any, t: list[Any]) -> Any:
            q = network.add_quantize(t[0], weights(network, 0.5))
            q.set_input(2, weights(network, zero, np.int8))
            return q
        return layer
    np.testing.assert_array_equal(run(make(0), np.float32([1, -2]))[0], [2, -4])
    with pytest.raises(AssertionError, match="zero points must be constants, and zero"):
        run(make(3), np.float32([1, -2]))


def test_fill() -> None:
    def line(network: Any, t: list[Any]) -> Any:
        layer = network.add_fill((5,), trt.FillOperation.LINSPACE)
        layer.alpha, layer.beta = 2.0, 0.5
        return [network.add_elementwise(layer.get_output(0), t[0], trt.ElementWiseOperation.SUM).get_output(0)]
    same(run(line, np.zeros(5, np.float32))[0], np.float32(2 + 0.5 * np.arange(5)))

    def plane(network: Any, t: list[Any]) -> Any:
        layer = network.add_fill((2, 3), trt.FillOperation.LINSPACE)
        layer.set_input(1, t[0])
        layer.set_input(2, t[1])
        return layer
    same(run(plane, np.float32(1.5), np.float32([10, 1]))[0], np.float32([[1.5, 2.5, 3.5], [11.5, 12.5, 13.5]]))


def test_ragged_softmax() -> None:
    x, bounds = floats(3, 5), np.int32([[2], [5], [1]])
    expected = np.zeros_like(x)
    for z, (b,) in enumerate(bounds):
        e = np.exp(x[z, :b] - x[z, :b].max())
        expected[z, :b] = e / e.sum()
    same(run(lambda n, t: n.add_ragged_softmax(*t), x, bounds)[0], expected)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("width", [0, 4])
def test_rotary_embedding(interleaved: bool, width: int) -> None:
    n, h, s, d = 2, 3, 4, 8
    w = width or d
    x, angle = floats(n, h, s, d), RANDOM.random((n, s, w // 2), np.float32)
    cos, sin = np.cos(angle), np.sin(angle)
    found = run(lambda net, t: net.add_rotary_embedding(*t, interleaved, width), x, cos, sin)[0]
    a, b = (x[..., 0:w:2], x[..., 1:w:2]) if interleaved else (x[..., : w // 2], x[..., w // 2 : w])
    p, q = a * cos[:, None] - b * sin[:, None], a * sin[:, None] + b * cos[:, None]
    turned = np.stack([p, q], -1).reshape(n, h, s, w) if interleaved else np.concatenate([p, q], -1)
    same(found, np.concatenate([turned, x[..., w:]], -1))


@pytest.mark.parametrize("module", [trt, v8], ids=["all", "8"])
def test_sizes_as_tensors(module: Any) -> None:
    """x (batch, c, h, w) → (batch, c·h, w) by a shape computed in the network; then the first half of the last axis."""
    e = module.ElementWiseOperation
    whole = np.int32 if module is v8 else np.int64

    def make(network: Any, t: list[Any]) -> Any:
        shape = network.add_shape(t[0]).get_output(0)

        def part(start: int, size: int) -> Any:
            return network.add_slice(shape, (start,), (size,), (1,)).get_output(0)
        rows = network.add_elementwise(part(1, 1), part(2, 1), e.PROD).get_output(0)
        joined = network.add_concatenation([part(0, 1), rows, part(3, 1)])
        joined.axis = 0
        shuffle = network.add_shuffle(t[0])
        shuffle.set_input(1, joined.get_output(0))
        half = network.add_elementwise(part(3, 1), weights(network, [2], whole), e.FLOOR_DIV).get_output(0)
        size = network.add_concatenation([part(0, 1), rows, half])
        size.axis = 0
        cut = network.add_slice(shuffle.get_output(0), (0, 0, 0), (0, 0, 0), (1, 1, 1))
        cut.set_input(2, size.get_output(0))
        return cut
    x = floats(3, 2, 5, 6)
    same(run(make, x, dynamic=(0, 3), module=module)[0], x.reshape(3, 10, 6)[..., :3])


def test_resize_to_the_size_of_another_tensor() -> None:
    def make(network: Any, t: list[Any]) -> Any:
        layer = network.add_resize(t[0])
        layer.set_input(1, network.add_shape(t[1]).get_output(0))
        return layer
    x = floats(1, 2, 3, 4)
    same(run(make, x, floats(1, 2, 6, 8))[0], x.repeat(2, 2).repeat(2, 3))


def test_sizes_that_data_decide_are_refused_with_a_reason() -> None:
    with pytest.raises(AssertionError, match="gives sizes that depend on data"):
        def make(network: Any, t: list[Any]) -> Any:
            layer = network.add_shuffle(t[0])
            layer.set_input(1, network.add_cast(t[1], trt.int64).get_output(0))
            return layer
        run(make, floats(2, 3), np.float32([3, 2]))


def test_two_dimensional_forms() -> None:
    kernel, bias = floats(4, 3, 3, 3), floats(4)

    def make(network: Any, t: list[Any]) -> Any:
        conv = network.add_convolution(t[0], 4, (3, 3), kernel, bias)
        conv.stride, conv.padding, conv.dilation = (2, 1), (1, 1), (1, 1)
        assert (conv.stride.h, conv.stride.w, tuple(conv.kernel_size)) == (2, 1, (3, 3))
        pool = network.add_pooling(conv.get_output(0), v8.PoolingType.MAX, (2, 2))
        pool.stride = (2, 2)
        assert tuple(pool.window_size) == (2, 2) and tuple(pool.padding) == (0, 0)
        return network.add_padding(pool.get_output(0), (1, 0), (0, 2))
    x = floats(2, 3, 8, 8)
    conv = onnx("Conv", [x, kernel, bias], strides=[2, 1], pads=[1, 1, 1, 1])[0]
    pool = onnx("MaxPool", [conv], kernel_shape=[2, 2], strides=[2, 2])[0]
    same(run(make, x, module=v8)[0], np.pad(pool, ((0, 0), (0, 0), (1, 0), (0, 2))))
    assert not hasattr(trt.generations.v10.IConvolutionLayer, "stride")
