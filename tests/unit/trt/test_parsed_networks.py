"""What the parser puts into a network definition comes out of it unchanged; odd outputs reach the user."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import onnx.numpy_helper
import pytest
from onnx import TensorProto, helper

import tensorwright as trt
from tensorwright import importer
from tensorwright.generations import v8, v10
from tensorwright.ir import Network

LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"


def parsed(model: bytes) -> trt.INetworkDefinition:
    network = trt.Builder(trt.Logger()).create_network()
    parser = trt.OnnxParser(network, trt.Logger())
    assert parser.parse(model), parser.get_error(0)
    return network


def records(network: Network) -> list[tuple[str, int, tuple[bool, ...]]]:
    return sorted((str(layer.op), len(layer.inputs), tuple(map(bool, layer.outputs))) for layer in network.layers)


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "inception_v1"])
def test_definition_has_the_records_of_the_importer(name: str) -> None:
    path = next(LIGHT.glob(f"*{name}*.onnx"))
    direct, through = importer.load(path), parsed(path.read_bytes())._finish()
    assert (through.inputs, through.outputs) == (direct.inputs, direct.outputs)
    assert records(through) == records(direct)
    assert all(through.types[name] == direct.types[name] for name in direct.outputs)


def model(nodes: list[Any], inputs: dict[str, list[Any]], outputs: dict[str, int]) -> bytes:
    takes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    gives = [helper.make_tensor_value_info(n, t, None) for n, t in outputs.items()]
    graph = helper.make_graph(nodes, "g", takes, gives)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_outputs_whose_size_the_data_decide_need_an_allocator() -> None:
    class Allocator(trt.IOutputAllocator):
        def reallocate_output(self, name: str, memory: int, size: int, alignment: int) -> int:
            self.memory = np.empty(max(size, 1), np.uint8)
            return self.memory.ctypes.data

        def notify_shape(self, name: str, shape: trt.Dims) -> None:
            self.shape = tuple(shape)

    find = helper.make_node("NonZero", ["x"], ["where"])
    network = parsed(model([find], {"x": [2, 3]}, {"where": TensorProto.INT64}))
    builder = network.builder
    engine = builder.build_engine_with_config(network, builder.create_builder_config())
    assert engine
    context, allocator = engine.create_execution_context(), Allocator()
    x = np.float32([[0, 1, 0], [2, 0, 3]])
    assert context.set_tensor_address("x", x.ctypes.data) and context.set_output_allocator("where", allocator)
    assert context.get_tensor_shape("where") == (2, -1) and context.get_max_output_size("where") == -1
    assert context.execute_async_v3(0)
    found = allocator.memory.view(np.int64).reshape(allocator.shape)
    np.testing.assert_array_equal(found, np.stack(np.nonzero(x)))


def test_one_value_under_two_output_names() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Identity", ["y"], ["z"])]
    network = parsed(model(nodes, {"x": [4]}, {"y": TensorProto.FLOAT, "z": TensorProto.FLOAT}))
    assert [network.get_output(i).name for i in range(network.num_outputs)] == ["y", "z"]
    builder = network.builder
    engine = builder.build_engine_with_config(network, builder.create_builder_config())
    assert engine and list(engine) == ["x", "y", "z"]


def test_renamed_dimensions_reach_layers_that_use_them() -> None:
    nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Expand", ["one", "s"], ["y"])]
    network = parsed(model(nodes, {"x": ["n", 3], "one": [1, 1]}, {"y": TensorProto.FLOAT}))
    assert network.get_output(0).shape == (-1, 3)
    network.get_input(0).set_dimension_name(0, "rows")
    assert "rows" in network._finish().symbols() and network.get_output(0).shape == (-1, 3)
    network.get_input(0).shape = (5, 3)
    assert network.get_output(0).shape == (5, 3)


def recast(layer: trt.ILayer, kind: type) -> Any:
    layer.__class__ = kind
    return layer


def test_parsed_layers_tell_their_parameters_after_recasting() -> None:
    kernel = helper.make_tensor("w", TensorProto.FLOAT, [4, 1, 3, 3], np.arange(36, dtype=np.float32))
    nodes = [helper.make_node("Constant", [], ["w"], value=kernel),
             helper.make_node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[1, 1, 0, 0], group=2, name="c"),
             helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2]), helper.make_node("Relu", ["b"], ["c"]),
             helper.make_node("Add", ["c", "b"], ["d"]), helper.make_node("Softmax", ["d"], ["y"], axis=1)]
    conv, pool, relu, add, softmax = parsed(model(nodes, {"x": [1, 2, 8, 8]}, {"y": TensorProto.FLOAT}))
    assert [layer.type.name for layer in (conv, pool, relu, add, softmax)] == [
        "CONVOLUTION", "POOLING", "ACTIVATION", "ELEMENTWISE", "SOFTMAX"]
    conv = recast(conv, trt.IConvolutionLayer)
    assert (conv.num_output_maps, conv.num_groups, conv.kernel_size_nd, conv.stride_nd) == (4, 2, (3, 3), (2, 2))
    assert conv.pre_padding == (1, 1) and conv.post_padding == (0, 0) and conv.bias.size == 0
    assert conv.kernel.tolist() == list(range(36))
    pool = recast(pool, trt.IPoolingLayer)
    assert pool.type is trt.PoolingType.MAX and pool.window_size_nd == (2, 2)
    assert recast(relu, trt.IActivationLayer).type is trt.ActivationType.RELU
    assert recast(add, trt.IElementWiseLayer).op is trt.ElementWiseOperation.SUM
    assert recast(softmax, trt.ISoftMaxLayer).axes == 1 << 1


def test_parameters_of_parsed_layers_are_neither_invented_nor_changed() -> None:
    layer = recast(parsed(model([helper.make_node("Relu", ["x"], ["y"])], {"x": [4]}, {"y": TensorProto.FLOAT}))[0],
                   trt.IActivationLayer)
    assert (layer.alpha, layer.beta) == (0.0, 0.0), "Relu has none: TensorRT's default"
    other = recast(parsed(model([helper.make_node("HardSigmoid", ["x"], ["y"])], {"x": [4]},
                                {"y": TensorProto.FLOAT}))[0], trt.IActivationLayer)
    with pytest.raises(AttributeError, match="it has no alpha"):
        _ = other.alpha
    with pytest.raises(AttributeError, match="cannot be changed"):
        layer.type = trt.ActivationType.TANH


def test_int64_inputs_and_outputs_are_int32_in_generations_without_int64() -> None:
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"]), helper.make_node("Add", ["ids", "ids"], ["twice"]),
             helper.make_node("Identity", ["ids"], ["same"])]
    table = np.arange(20, dtype=np.float32).reshape(5, 4)
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 4]),
         *(helper.make_tensor_value_info(name, TensorProto.INT64, ["n"]) for name in ("twice", "same"))],
        [onnx.numpy_helper.from_array(table, "table")])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    for api, dtype, array in ((v8, v8.int32, np.int32), (v10, v10.int64, np.int64)):
        builder = api.Builder(api.Logger())
        network = builder.create_network(1)
        assert api.OnnxParser(network, api.Logger()).parse(content)
        assert network.get_input(0).dtype == dtype and network.get_output(1).dtype == dtype
        config, profile = builder.create_builder_config(), builder.create_optimization_profile()
        profile.set_shape("ids", (1,), (3,), (4,))
        config.add_optimization_profile(profile)
        config.builder_optimization_level = 0
        engine = api.Runtime(api.Logger()).deserialize_cuda_engine(builder.build_serialized_network(network, config))
        assert [engine.get_tensor_name(i) for i in range(4)] == ["ids", "rows", "twice", "same"]
        assert engine.get_tensor_dtype("ids") == engine.get_tensor_dtype("twice") == dtype
        context = engine.create_execution_context()
        ids = np.array([3, 0, 4], array)
        results = [np.empty((3, 4), np.float32), np.empty(3, array), np.empty(3, array)]
        assert context.set_input_shape("ids", (3,)) and context.execute_v2([a.ctypes.data for a in (ids, *results)])
        for got, expected in zip(results, (table[ids], 2 * ids, ids), strict=True):
            assert np.array_equal(got, expected)


def test_shuffles_slices_and_normalizations_say_what_they_do() -> None:
    sizes = onnx.numpy_helper.from_array
    nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
             helper.make_node("Reshape", ["t", "to"], ["r"]),
             helper.make_node("Slice", ["r", "starts", "ends", "axes", "steps"], ["s"]),
             helper.make_node("LayerNormalization", ["s", "w"], ["y"], axis=-1, epsilon=0.25)]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [sizes(np.array([6, -1, 2]), "to"), sizes(np.array([1]), "starts"), sizes(np.array([6]), "ends"),
         sizes(np.array([0]), "axes"), sizes(np.array([2]), "steps"), sizes(np.ones(2, np.float32), "w")])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    network = parsed(content)
    transpose, reshape, cut, norm = (recast(network[i], kind) for i, kind in enumerate(
        (trt.IShuffleLayer, trt.IShuffleLayer, trt.ISliceLayer, trt.INormalizationLayer)))
    assert tuple(transpose.first_transpose)[:3] == (1, 0, 2) and tuple(transpose.reshape_dims) == (0, 0, 0)
    assert transpose.zero_is_placeholder and tuple(transpose.second_transpose)[:3] == (0, 1, 2)
    assert tuple(reshape.reshape_dims) == (6, -1, 2) and not reshape.zero_is_placeholder
    assert (tuple(cut.start), tuple(cut.shape), tuple(cut.stride)) == ((1, 0, 0), (3, -1, 2), (2, 1, 1))
    assert cut.mode == trt.SampleMode.STRICT_BOUNDS
    assert (norm.axes, norm.epsilon, norm.num_groups) == (1 << 2, 0.25, 1)
