"""Layers of Caffe and UFF models that become plugins: by a factory's choice, or by their type."""

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright import plugins
from tensorwright.generations import v5, v7, v8
from tests.unit.trt.test_build_and_run import Log
from tests.unit.trt.test_caffe import C, X, caffemodel, layer, with_input
from tests.unit.trt.test_uff import Graph


@pytest.fixture
def scaled() -> Iterator[Any]:
    """A plugin that multiplies by an attribute and adds another."""
    @trt.custom_op("ParserScale", version="1")
    def scale(x: np.ndarray, *, factor: float = 1.0, offsets: list[float] = []) -> np.ndarray:  # noqa: B006
        return np.asarray(x * np.float32(factor) + np.float32(sum(offsets)))
    yield scale
    plugins.unregister(plugins.find("ParserScale"))


def executed(module: Any, builder: Any, network: Any, log: Log, x: np.ndarray) -> np.ndarray:
    builder.max_batch_size = 4
    config = builder.create_builder_config()
    if module is v8:
        config.builder_optimization_level = 0
    engine = builder.build_engine(network, config)
    assert engine is not None, log.errors()
    y = np.empty((len(x), *engine.get_binding_shape(1)), np.float32)
    assert engine.create_execution_context().execute(len(x), [x.ctypes.data, y.ctypes.data]), log.errors()
    return y


def test_a_caffe_layer_by_a_factory_of_version_two(scaled: Any) -> None:
    class Factory(v8.ICaffePluginFactoryV2):
        def __init__(self) -> None:
            self.asked: list[str] = []

        def is_plugin_v2(self, layer_name: str) -> bool:
            self.asked.append(layer_name)
            return layer_name == "special"

        def create_plugin(self, layer_name: str, weights: Any) -> Any:
            assert layer_name == "special" and len(weights) == 1
            creator = v8.get_plugin_registry().get_plugin_creator("ParserScale", "1", "")
            return creator.create_plugin(layer_name, v8.PluginFieldCollection([
                v8.PluginField("factor", weights[0].numpy()[:1], v8.PluginFieldType.FLOAT32)]))

    log = Log()
    builder = v8.Builder(log)
    network = builder.create_network()
    parser, factory = v8.CaffeParser(), Factory()
    parser.plugin_factory_v2 = factory
    text = with_input(1, 4, 5, 6) + layer("Nobody", name="special", top="s") + layer("ReLU", bottom="s", name="r")
    tensors = parser.parse_buffer(text.encode(), caffemodel({"special": [C]}), network, v8.float32)
    assert tensors is not None, log.errors()
    assert factory.asked == ["special", "r"] and network.get_layer(0).type == v8.LayerType.PLUGIN_V2
    network.mark_output(tensors.find("y"))
    x = np.ascontiguousarray(np.concatenate([X, -X]))
    np.testing.assert_allclose(executed(v8, builder, network, log, x), np.maximum(x * C[0], 0), rtol=1e-6)


def test_a_caffe_layer_by_the_factories_of_generation_7() -> None:
    class Negated(v7.IPlugin):
        num_outputs = 1

        def get_output_shape(self, index: int, input_shapes: Any) -> Any:
            return input_shapes[0]

        def configure(self, input_shapes: Any, output_shapes: Any, max_batch_size: int) -> None:
            self.count = int(np.prod(list(input_shapes[0])))

        def execute_async(self, batch_size: int, inputs: Any, outputs: Any, workspace: Any, stream_handle: Any) -> int:
            x, y = (np.ctypeslib.as_array((ctypes.c_float * (batch_size * self.count)).from_address(int(p[0])))
                    for p in (inputs, outputs))
            y[...] = -x
            return 0

    class Factory(v7.ICaffePluginFactory):
        def is_plugin(self, layer_name: str) -> bool:
            return layer_name == "n"

        def create_plugin(self, layer_name: str, weights: Any) -> Any:
            return Negated()

    log = Log()
    with v7.Builder(log) as builder, builder.create_network() as network, v7.CaffeParser() as parser:
        parser.plugin_factory = Factory()
        text = with_input(1, 4, 5, 6) + layer("Anything", name="n")
        tensors = parser.parse_buffer(text.encode(), None, network, v7.float32)
        assert tensors is not None, log.errors()
        network.mark_output(tensors.find("y"))
        np.testing.assert_array_equal(executed(v7, builder, network, log, np.ascontiguousarray(X)), -X)


def test_a_factory_that_fails_is_an_error(capsys: Any) -> None:
    class Factory(v5.ICaffePluginFactoryExt):
        def is_plugin_ext(self, layer_name: str) -> bool:
            return True

        def create_plugin(self, layer_name: str, weights: Any) -> Any:
            raise RuntimeError("inside")

    class Recorder(trt.IErrorRecorder):
        def __init__(self) -> None:
            super().__init__()
            self.told: list[Any] = []

        def report_error(self, val: Any, desc: str) -> bool:
            self.told.append((val, desc))
            return True

    log = Log()
    parser = v8.CaffeParser()
    parser.error_recorder = Recorder()
    text = with_input(1, 4, 5, 6) + layer("Anything")
    assert parser.parse_buffer(text.encode(), None, v8.Builder(log).create_network(), v8.float32) is None
    assert parser.error_recorder.told[0][0] == trt.ErrorCodeTRT.UNSUPPORTED_STATE
    old = v5.CaffeParser()
    old.plugin_factory_ext = Factory()
    assert old.parse_buffer(text.encode(), None, v5.Builder(log).create_network(), v5.float32) is None
    assert "made none" in log.errors() and "inside" in capsys.readouterr().err


def test_a_uff_node_by_its_type(scaled: Any) -> None:
    """Operations whose names begin with an underscore are plugins; fields are attributes."""
    g = Graph()
    g.add("x", "Input")
    g.add("y", "_ParserScale", "x", factor=2.5, offsets=[1, 2])
    log = Log()
    builder = v8.Builder(log)
    network = builder.create_network()
    parser = v8.UffParser()
    assert parser.register_input("x", (4, 5, 6)) and parser.register_output("y")
    assert parser.parse_buffer(g.bytes(), network), log.errors()
    x = np.ascontiguousarray(X)
    np.testing.assert_allclose(executed(v8, builder, network, log, x), x * 2.5 + 3, rtol=1e-6)


def test_a_uff_node_by_a_factory() -> None:
    seen: list[Any] = []

    class Factory(v7.IUffPluginFactory):
        def __init__(self) -> None:
            v7.IUffPluginFactory.__init__(self)

        def is_plugin(self, layer_name: str) -> bool:
            return layer_name == "y"

        def create_plugin(self, layer_name: str, weights: Any, field_collection: Any) -> Any:
            seen.extend((f.name, f.type, f.length, np.asarray(f.data).tolist()) for f in field_collection.fields)
            assert field_collection.num_fields == len(seen) and len(weights) == 1
            return None

    g = Graph()
    g.add("x", "Input")
    g.add("y", "Special", "x", g.const("c", C), axis=3, label="abc", ratios=[1, 2])
    log = Log()
    parser = v7.UffParser()
    assert parser.register_input("x", (4, 5, 6)) and parser.register_output("y")
    parser.plugin_factory = Factory()
    assert not parser.parse_buffer(g.bytes(), v7.Builder(log).create_network()) and "made none" in log.errors()
    assert seen == [("axis", v7.FieldType.INT32, 1, [3]), ("label", v7.FieldType.CHAR, 3, [b"abc"]),
                    ("ratios", v7.FieldType.INT32, 2, [1, 2])]
    one = v7.FieldMap("n", np.float32([1]), v7.FieldType.FLOAT)
    assert one.length == 1 and issubclass(v7.IUffPluginFactoryExt, trt.IUffPluginFactoryExt)
    assert trt.IUffPluginFactoryExt().get_version() == trt.ICaffePluginFactoryExt().get_version() == 1
