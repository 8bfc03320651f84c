"""Inputs whose values decide shapes, through networks made by hand and through ONNX, and outputs that are shapes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import tensorwright as trt
from tensorwright.generations import v7, v8, v10, v11

RANDOM = np.random.default_rng(0)
TYPES = {"float32": trt.float32, "int32": trt.int32, "int64": trt.int64}


class Case:
    """A network made by hand. values: input name → (min, opt, max) values."""

    def __init__(self, make: Callable[[Any, dict[str, Any]], list[Any]], inputs: dict[str, tuple[str, tuple[int, ...]]],
                 values: dict[str, Any], module: Any = trt, shapes: dict[str, Any] | None = None) -> None:
        class Log(module.ILogger):
            def log(self, severity: Any, msg: str) -> None:
                lines.append(msg)
        self.lines = lines = []
        self.module, builder = module, module.Builder(Log())
        explicit = 0 if module is v11 else 1 << int(module.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
        self.network = builder.create_network(explicit)
        tensors = {name: self.network.add_input(name, TYPES[kind], shape) for name, (kind, shape) in inputs.items()}
        for i, tensor in enumerate(make(self.network, tensors)):
            tensor.name = f"y{i}"
            if not tensor.is_network_output:
                self.network.mark_output(tensor)
        self.tensors = tensors
        self.builder, self.config, self.profile = builder, builder.create_builder_config(), None
        if hasattr(self.config, "builder_optimization_level"):
            self.config.builder_optimization_level = 0
        if values or shapes:
            self.profile = builder.create_optimization_profile()
            for name, triple in values.items():
                self.profile.set_shape_input(name, *triple)
            for name, triple in (shapes or {}).items():
                self.profile.set_shape(name, *triple)
            self.config.add_optimization_profile(self.profile)

    def engine(self) -> Any:
        build = getattr(self.builder, "build_engine", None) or self.builder.build_engine_with_config
        engine = build(self.network, self.config)
        if engine is None:
            return None
        return self.module.Runtime(self.module.Logger()).deserialize_cuda_engine(engine.serialize())


def resized(n: Any, t: dict[str, Any]) -> list[Any]:
    layer = n.add_resize(t["x"])
    layer.set_input(1, t["size"])
    layer.resize_mode = trt.InterpolationMode.NEAREST
    return [n.add_activation(layer.get_output(0), trt.ActivationType.RELU).get_output(0)]


RESIZE = ({"x": ("float32", (1, 2, 2, 3)), "size": ("int32", (4,))},
          {"size": ((1, 2, 2, 3), (1, 2, 4, 6), (1, 2, 8, 9))})


def nearest(x: np.ndarray, h: int, w: int) -> np.ndarray:
    rows, columns = (np.floor(np.arange(n) * (m / n)).astype(int) for n, m in ((h, x.shape[2]), (w, x.shape[3])))
    return np.maximum(x[:, :, rows][:, :, :, columns], 0)


@pytest.mark.parametrize("module", [v8, v10, v11])
def test_a_resize_to_sizes_given_at_run_time(module: Any) -> None:
    case = Case(resized, *RESIZE, module)
    size = case.tensors["size"]
    assert size.is_shape_tensor and not size.is_execution_tensor
    assert not case.tensors["x"].is_shape_tensor and case.tensors["x"].is_execution_tensor
    assert case.network.get_output(0).shape[2:] == (-1, -1)
    assert case.profile.get_shape_input("size") == [[1, 2, 2, 3], [1, 2, 4, 6], [1, 2, 8, 9]]
    engine = case.engine()
    assert engine is not None, case.lines
    assert [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)] == ["x", "size", "y0"]
    assert engine.is_shape_inference_io("size") and not engine.is_shape_inference_io("x")
    assert engine.get_tensor_location("size").name == "HOST" and engine.get_tensor_location("x").name == "DEVICE"
    if module is not v8:
        assert engine.get_tensor_profile_values(0, "size") == case.profile.get_shape_input("size")
        with pytest.raises(RuntimeError):
            engine.get_tensor_profile_values(0, "x")
    context, x = engine.create_execution_context(), RANDOM.standard_normal((1, 2, 2, 3), dtype=np.float32)
    assert context.infer_shapes() == ["size"] and tuple(context.get_tensor_shape("y0"))[2:] == (-1, -1)
    sizes = np.array([1, 2, 4, 3], np.int32)
    assert context.set_tensor_address("size", sizes.ctypes.data) and context.set_tensor_address("x", x.ctypes.data)
    for h, w in ((4, 3), (8, 9), (2, 3), (8, 9)):                       # the memory is read anew at every call
        sizes[2:] = h, w
        assert context.infer_shapes() == [] and context.get_tensor_shape("y0") == (1, 2, h, w)
        y = np.full((1, 2, h, w), 7, np.float32)
        context.set_tensor_address("y0", y.ctypes.data)
        assert context.execute_async_v3(0), case.lines
        np.testing.assert_array_equal(y, nearest(x, h, w))
    sizes[2] = 9
    assert not context.execute_async_v3(0)                               # beyond the profile
    sizes[2] = -1
    assert not context.execute_async_v3(0)


@pytest.mark.parametrize("module", [v7, v8])
def test_values_by_binding_number(module: Any) -> None:
    def make(n: Any, t: dict[str, Any]) -> list[Any]:
        layer = n.add_shuffle(t["x"])
        layer.set_input(1, t["to"])
        n.mark_output_for_shapes(n.add_shape(layer.get_output(0)).get_output(0))
        return [layer.get_output(0), n.get_output(0)]
    case = Case(make, {"x": ("float32", (6, 4)), "to": ("int32", (2,))}, {"to": ((1, 1), (8, 3), (24, 24))}, module)
    engine = case.engine()
    assert engine is not None, case.lines
    to, shape, y = (engine.get_binding_index(n) for n in ("to", "y1", "y0"))
    assert engine.is_shape_binding(to) and engine.is_shape_binding(shape) and not engine.is_shape_binding(y)
    assert engine.get_profile_shape_input(0, to) == [[1, 1], [8, 3], [24, 24]]
    with pytest.raises(RuntimeError):
        engine.get_profile_shape_input(0, y)
    context, x = engine.create_execution_context(), RANDOM.standard_normal((6, 4), dtype=np.float32)
    assert not context.all_shape_inputs_specified and not context.set_shape_input(y, [1, 2])
    with pytest.raises(RuntimeError):
        context.get_shape(shape)
    assert not context.set_shape_input(to, [1, 2, 3]) and not context.set_shape_input(to, [-1, 24])
    for wanted in ([8, 3], [1, 24], [24, 1]):
        assert context.set_shape_input(to, wanted) and context.all_shape_inputs_specified
        assert context.get_shape(to) == wanted and context.get_shape(shape) == wanted
        assert context.get_binding_shape(y) == tuple(wanted)
        found, told = np.zeros(wanted, np.float32), np.zeros(2, np.int32)
        addresses = [0] * engine.num_bindings
        for name, array in (("x", x), ("y0", found), ("y1", told)):
            addresses[engine.get_binding_index(name)] = array.ctypes.data
        assert context.execute_v2(addresses), case.lines
        np.testing.assert_array_equal(found, x.reshape(wanted))
        assert told.tolist() == wanted
    context.set_shape_input(to, [5, 5])
    assert not context.execute_v2(addresses)                            # 25 elements are not 24


def run(case: Case, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    engine = case.engine()
    assert engine is not None, case.lines
    found = engine._engine.run(feeds)
    return [found[f"y{i}"] for i in range(case.network.num_outputs)]


def test_slices_whose_extent_is_computed_from_an_input() -> None:
    """start from one input, size as twice another."""
    def make(n: Any, t: dict[str, Any]) -> list[Any]:
        two = n.add_constant((1,), np.array([2], np.int32)).get_output(0)
        size = n.add_elementwise(t["half"], two, trt.ElementWiseOperation.PROD).get_output(0)
        layer = n.add_slice(t["x"], (0,), (1,), (1,))
        layer.set_input(1, t["start"])
        layer.set_input(2, size)
        assert size.is_shape_tensor
        return [layer.get_output(0)]
    case = Case(make, {"x": ("float32", (20,)), "start": ("int32", (1,)), "half": ("int32", (1,))},
                {"start": ((0,), (2,), (4,)), "half": ((1,), (3,), (8,))})
    x = np.arange(20, dtype=np.float32)
    (y,) = run(case, {"x": x, "start": np.array([3], np.int32), "half": np.array([4], np.int32)})
    np.testing.assert_array_equal(y, x[3:11])


def test_a_number_of_elements_and_a_filled_shape() -> None:
    def make(n: Any, t: dict[str, Any]) -> list[Any]:
        top = n.add_topk(t["x"], trt.TopKOperation.MAX, 1, 1)
        top.set_input(1, t["k"])
        fill = n.add_fill((1,), trt.FillOperation.LINSPACE)
        fill.set_input(0, t["shape"])
        fill.set_input(1, n.add_constant((), np.float32(5)).get_output(0))
        fill.set_input(2, n.add_constant((1,), np.float32([2])).get_output(0))
        return [top.get_output(0), fill.get_output(0)]
    case = Case(make, {"x": ("float32", (7,)), "k": ("int32", ()), "shape": ("int64", (1,))},
                {"k": ((1,), (3,), (7,)), "shape": ((1,), (2,), (5,))})
    x = RANDOM.standard_normal(7, dtype=np.float32)
    top, filled = run(case, {"x": x, "k": np.array(4, np.int32), "shape": np.array([3], np.int64)})
    np.testing.assert_array_equal(top, np.sort(x)[::-1][:4])
    assert filled.tolist() == [5, 7, 9]


def test_values_may_be_data_too() -> None:
    """The same input is a size and is added up: both see what is given."""
    def make(n: Any, t: dict[str, Any]) -> list[Any]:
        layer = n.add_shuffle(t["x"])
        layer.set_input(1, t["to"])
        return [layer.get_output(0), n.add_cast(t["to"], trt.float32).get_output(0)]
    case = Case(make, {"x": ("float32", (-1, 4)), "to": ("int64", (2,))}, {"to": ((1, 2), (2, 6), (4, 8))},
                shapes={"x": ((1, 4), (3, 4), (8, 4))})
    assert case.tensors["to"].is_execution_tensor
    x = RANDOM.standard_normal((4, 4), dtype=np.float32)
    y, numbers = run(case, {"x": x, "to": np.array([2, 8], np.int64)})
    np.testing.assert_array_equal(y, x.reshape(2, 8))
    assert numbers.tolist() == [2, 8]


def test_two_profiles_and_a_tensor_that_is_said_to_be_on_the_host() -> None:
    """An engine chooses the profile that allows the values; a context has the one that is set."""
    case = Case(resized, *RESIZE, v10)
    case.tensors["size"].location = v10.TensorLocation.HOST
    large = case.builder.create_optimization_profile()
    large.set_shape_input("size", (1, 2, 9, 9), (1, 2, 10, 10), (1, 2, 16, 16))
    case.config.add_optimization_profile(large)
    engine = case.engine()
    assert engine is not None, case.lines
    assert engine.get_tensor_profile_values(1, "size")[2] == [1, 2, 16, 16]
    x = RANDOM.standard_normal((1, 2, 2, 3), dtype=np.float32)
    for h, w in ((4, 4), (12, 9), (2, 3)):
        sizes = np.array([1, 2, h, w], np.int32)
        np.testing.assert_array_equal(engine._engine.run({"x": x, "size": sizes})["y0"], nearest(x, h, w))
    context, y = engine.create_execution_context(), np.zeros((1, 2, 12, 9), np.float32)
    sizes = np.array([1, 2, 12, 9], np.int32)
    for name, array in (("x", x), ("size", sizes), ("y0", y)):
        context.set_tensor_address(name, array.ctypes.data)
    assert not context.execute_async_v3(0)
    assert context.set_optimization_profile_async(1, 0) and context.execute_async_v3(0)
    np.testing.assert_array_equal(y, nearest(x, 12, 9))


def test_what_is_refused() -> None:
    inputs, _ = RESIZE
    assert Case(resized, inputs, {}).engine() is None
    case = Case(resized, inputs, {}, shapes={"x": ((1, 2, 2, 3),) * 3})
    assert case.engine() is None and "set_shape_input('size'" in "\n".join(case.lines)
    case = Case(resized, inputs, {"size": ((1, 1), (1, 1), (1, 1))})
    assert case.engine() is None and "which has 4" in "\n".join(case.lines)
    case = Case(resized, inputs, {"size": RESIZE[1]["size"], "sise": ((1,), (1,), (1,))})
    assert case.engine() is None and "'sise', which is not an input" in "\n".join(case.lines)
    profile = case.builder.create_optimization_profile()
    for wrong in (((1,), (2, 3), (4,)), ((3,), (2,), (4,)), ((-1,), (2,), (4,))):
        with pytest.raises(RuntimeError):
            profile.set_shape_input("size", *wrong)
    assert profile.get_shape_input("size") == []
    assert not case.network.mark_output_for_shapes(case.tensors["x"])
    assert not case.network.unmark_output_for_shapes(case.tensors["x"])


def model(op: str, inputs: dict[str, Any], names: list[str], **attributes: Any) -> bytes:
    """Relu of one operator, whose sizes come from an input by way of an Identity."""
    kinds = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    graph = helper.make_graph(
        [helper.make_node("Identity", ["sizes"], ["s"]), helper.make_node(op, names, ["r"], **attributes),
         helper.make_node("Relu", ["r"], ["y"])], "g",
        [helper.make_tensor_value_info(n, kinds[k], shape) for n, (k, shape) in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(proto.SerializeToString())


@pytest.mark.parametrize("what", ["reshape", "expand", "resize"])
def test_onnx_models_whose_inputs_are_sizes(what: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    x = RANDOM.standard_normal((1, 3, 4, 4) if what != "expand" else (3, 1), dtype=np.float32)
    data = ("float32", list(x.shape))
    proto, values, profile = {
        "reshape": (model("Reshape", {"x": data, "sizes": ("int64", [2])}, ["x", "s"]), [6, 8],
                    ([1, 1], [4, 12], [48, 48])),
        "expand": (model("Expand", {"x": data, "sizes": ("int64", [3])}, ["x", "s"]), [2, 3, 5],
                   ([1, 3, 1], [2, 3, 4], [4, 3, 8])),
        "resize": (model("Resize", {"x": data, "sizes": ("int64", [4])}, ["x", "", "", "s"], mode="linear"),
                   [1, 3, 6, 8], ([1, 3, 2, 2], [1, 3, 8, 8], [1, 3, 16, 16]))}[what]
    builder = v10.Builder(v10.Logger(v10.Logger.ERROR))
    network = builder.create_network()
    parser = v10.OnnxParser(network, builder.logger)
    assert parser.parse(proto), [str(parser.get_error(i)) for i in range(parser.num_errors)]
    sizes = network.get_input(1)
    assert network.num_inputs == 2 and sizes.is_shape_tensor and not sizes.is_execution_tensor
    config, wanted = builder.create_builder_config(), builder.create_optimization_profile()
    config.builder_optimization_level = 0
    wanted.set_shape_input("sizes", *profile)
    config.add_optimization_profile(wanted)
    engine = builder.build_engine_with_config(network, config)
    assert engine is not None and "Host" not in engine._engine.inspect()
    feeds = {"x": x, "sizes": np.array(values, np.int64)}
    expected = onnxruntime.InferenceSession(proto).run(None, feeds)[0]
    np.testing.assert_allclose(engine._engine.run(feeds)["y"], expected, atol=1e-6)
    np.testing.assert_allclose(engine._engine(x, feeds["sizes"]), expected, atol=1e-6)
