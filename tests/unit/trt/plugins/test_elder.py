"""Plugins of generations 5 to 7, and those of version 2 that know nothing of the batch."""

import ctypes
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tensorwright.generations import v7, v8, v10

from .support import logger

CALLS: list[Any] = []


def halves(trt: ModuleType, base: str) -> type:
    """A plugin with two outputs: the sum of its inputs' rows, and the first input times a factor."""
    class Halves(getattr(trt, base)):  # type: ignore[misc]
        num_outputs = 2
        plugin_type, plugin_version = "Halves", "1"

        def __init__(self, factor: float = 2.0) -> None:
            super().__init__()
            self.factor = factor

        def get_output_shape(self, index: int, input_shapes: Any) -> Any:
            return trt.Dims(list(input_shapes[0])[:1]) if index == 0 else input_shapes[0]

        def configure(self, inputs: Any, outputs: Any, batch: int) -> None:
            CALLS.append(("configure", [tuple(s) for s in (*inputs, *outputs)], batch))

        def configure_with_format(self, inputs: Any, outputs: Any, dtype: Any, format: Any, batch: int) -> None:
            assert dtype == trt.DataType.FLOAT and format == trt.TensorFormat.LINEAR
            self.configure(inputs, outputs, batch)

        def get_workspace_size(self, batch: int) -> int:
            return 64 * batch

        def initialize(self) -> int:
            CALLS.append("initialize")
            return 0

        def terminate(self) -> None:
            CALLS.append("terminate")

        def execute_async(self, batch: int, inputs: Any, outputs: Any, workspace: int, stream: int) -> int:
            CALLS.append(("run", batch))
            shapes = (batch, 2, 3), (batch, 2)
            a, b, scaled = (np.ctypeslib.as_array((ctypes.c_float * (batch * 6)).from_address(p)).reshape(shapes[0])
                            for p in (inputs[0], inputs[1], outputs[1]))
            sums = np.ctypeslib.as_array((ctypes.c_float * (batch * 2)).from_address(outputs[0])).reshape(shapes[1])
            np.ctypeslib.as_array((ctypes.c_uint8 * (64 * batch)).from_address(workspace))[...] = 1
            sums[...] = a.sum(2) + b.sum(2)
            scaled[...] = a * np.float32(self.factor)
            return 0
    return Halves


def check(trt: ModuleType, engine: Any, factor: float) -> None:
    context = engine.create_execution_context()
    rng = np.random.default_rng(0)
    for batch in (1, 3):
        a, b = (rng.standard_normal((batch, 2, 3), dtype=np.float32) for _ in range(2))
        sums, scaled = np.zeros((batch, 2), np.float32), np.zeros((batch, 2, 3), np.float32)
        assert context.execute(batch, [x.ctypes.data for x in (a, b, sums, scaled)])
        np.testing.assert_allclose(sums, a.sum(2) + b.sum(2), rtol=1e-6)
        np.testing.assert_array_equal(scaled, a * np.float32(factor))
        assert CALLS[-1] == ("run", batch)


def network_with(trt: ModuleType, add: str, plugin: Any, log: Any) -> tuple[Any, Any, Any]:
    builder = trt.Builder(log)
    builder.max_batch_size = 3
    network = builder.create_network()
    inputs = [network.add_input(n, trt.float32, (2, 3)) for n in "ab"]
    layer = getattr(network, add)(inputs, plugin)
    assert layer.plugin is plugin and layer.num_outputs == 2
    assert layer.get_output(0).shape == (2,) and layer.get_output(1).shape == (2, 3)
    for i, name in enumerate(("sums", "scaled")):
        layer.get_output(i).name = name
        network.mark_output(layer.get_output(i))
    return builder, network, layer


@pytest.mark.parametrize(("add", "base"), [("add_plugin", "IPlugin"), ("add_plugin_ext", "IPluginExt")])
def test_plugins_without_a_name_and_their_factory(add: str, base: str) -> None:
    trt, log = v7, logger(v7)

    class Plugin(halves(trt, base)):  # type: ignore[misc]
        @property
        def serialization_size(self) -> int:
            return 4

        def serialize(self, buffer: int) -> None:
            ctypes.memmove(buffer, np.float32(self.factor).tobytes(), 4)

    class Factory(trt.IPluginFactory):  # type: ignore[misc,name-defined]
        def create_plugin(self, layer_name: str, serialized_plugin: Any) -> Any:
            made.append(layer_name)
            return Plugin(float(np.frombuffer(serialized_plugin, np.float32)[0]))

    made: list[str] = []
    CALLS.clear()
    builder, network, layer = network_with(trt, add, Plugin(2.5), log)
    assert layer.type == trt.LayerType.PLUGIN and type(layer) is trt.IPluginLayer
    engine = builder.build_cuda_engine(network)
    assert engine is not None, log.errors()
    assert CALLS[0] == ("configure", [(2, 3), (2, 3), (2,), (2, 3)], 3)
    check(trt, engine, 2.5)
    again = trt.Runtime(log).deserialize_cuda_engine(engine.serialize(), Factory())
    assert made == [layer.name]
    check(trt, again, 2.5)
    with pytest.raises(TypeError):
        network.add_plugin([network.get_input(0)], "no plugin")


@pytest.mark.parametrize("base", ["IPluginV2", "IPluginV2Ext"])
@pytest.mark.parametrize("trt", [v7, v8], ids=["7", "8"])
def test_version_two_without_the_batch(trt: ModuleType, base: str, registered: Callable[..., Any]) -> None:
    class Plugin(halves(trt, base)):  # type: ignore[misc]
        plugin_namespace = "test"

        def configure_plugin(self, inputs: Any, outputs: Any, types: Any, output_types: Any, *rest: Any) -> None:
            assert rest[0] == [False, False] and rest[2] == trt.TensorFormat.LINEAR
            self.configure(inputs, outputs, rest[3])

        def attach_to_context(self, *libraries: Any) -> None:
            CALLS.append("attach")

        def detach_from_context(self) -> None:
            CALLS.append("detach")

        def serialize(self) -> bytes:
            return np.float32(self.factor).tobytes()

    class Creator(trt.IPluginCreator):  # type: ignore[misc,name-defined]
        name, plugin_version = "Halves", "1"

        def deserialize_plugin(self, name: str, data: Any) -> Any:
            return Plugin(float(np.frombuffer(data, np.float32)[0]))

    registered(trt, Creator())
    log = logger(trt)
    CALLS.clear()
    builder, network, _ = network_with(trt, "add_plugin_v2", Plugin(1.5), log)
    config = builder.create_builder_config()
    engine = builder.build_engine(network, config)
    assert engine is not None, log.errors()
    assert CALLS[0] == ("configure", [(2, 3), (2, 3), (2,), (2, 3)], 3)
    again = trt.Runtime(log).deserialize_cuda_engine(engine.serialize())
    CALLS.clear()
    check(trt, again, 1.5)
    extended = base == "IPluginV2Ext"
    before, after = ["attach"] * extended, ["detach"] * extended
    assert CALLS == [*before, "initialize", ("run", 1), ("run", 3), *after, "terminate"]


def test_what_the_three_ways_refuse(registered: Callable[..., Any]) -> None:
    log = logger(v8)
    network = v8.Builder(log).create_network()                       # an implicit batch
    x = network.add_input("x", v8.float32, (2, 3))
    newer = v10.Builder(logger(v10)).create_network()
    assert not hasattr(network, "add_plugin") and not hasattr(newer, "add_plugin_ext")
    with pytest.raises(TypeError):
        network.add_plugin_v2([x], object())
    varying = v8.Builder(log).create_network(1)
    layer = varying.add_plugin_v2([varying.add_input("x", v8.float32, (-1, 2, 3))] * 2, halves(v8, "IPluginV2")())
    assert layer.get_output(0).shape.nbDims < 0                      # only an IPluginV2DynamicExt could say
