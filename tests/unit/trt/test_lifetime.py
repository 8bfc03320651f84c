"""`with`, `__del__`, deprecated names and the log's form, which differ between generations."""

import gc
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.generations import v5, v7, v8, v10, v11

from .tiny import Log, chain, expected, quick, run


def plan() -> bytes:
    builder = trt.Builder(Log())
    return bytes(builder.build_serialized_network(chain(builder), quick(builder)))


@pytest.fixture(scope="module")
def made() -> bytes:
    return plan()


def caught(action: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        action()
    assert all(w.category is DeprecationWarning and w.filename == __file__ for w in found)
    return [str(w.message) for w in found]


def test_blocks_destroy_up_to_generation_7(made: bytes) -> None:
    logger = v7.Logger(v7.Logger.ERROR)
    with v7.Runtime(logger) as runtime:
        engine = runtime.deserialize_cuda_engine(made)
    with pytest.raises(RuntimeError, match="Runtime was destroyed"):
        runtime.deserialize_cuda_engine(made)
    x, y = np.ones((4, 8), np.float32), np.zeros((4, 8), np.float32)
    with engine, engine.create_execution_context() as context:
        assert context.execute_v2([x.ctypes.data, y.ctypes.data])
    np.testing.assert_allclose(y, expected(x)["y"], rtol=1e-4)
    with v7.Builder(logger) as builder, builder.create_network(1) as network, builder.create_builder_config() as config:
        with v7.OnnxParser(network, logger) as parser:
            network.add_input("x", v7.float32, (1,))
        assert network.num_inputs == 1
    for dead, name in ((engine, "name"), (context, "engine"), (builder, "error_recorder"), (network, "num_layers"),
                       (parser, "num_errors"), (config, "flags")):
        with pytest.raises(RuntimeError, match="was destroyed"):
            getattr(dead, name)
    with logger:
        pass
    logger.log(v7.Logger.ERROR, "loggers live on")


def test_a_destroyed_context_gives_its_memory_back(made: bytes) -> None:
    class Counting(v8.IGpuAllocator):
        live = 0

        def allocate(self, size: int, alignment: int, flags: int) -> int:
            self.memory = np.zeros(size + alignment, np.uint8)
            Counting.live += 1
            return -(-self.memory.ctypes.data // alignment) * alignment

        def deallocate(self, memory: int) -> bool:
            Counting.live -= 1
            return True
    runtime = v7.Runtime(v7.Logger())
    runtime.gpu_allocator = Counting()
    context = runtime.deserialize_cuda_engine(made).create_execution_context()
    assert Counting.live == 1
    context.__del__()
    assert Counting.live == 0
    del context
    gc.collect()
    assert Counting.live == 0


@pytest.mark.parametrize("module", [v8, v10, v11], ids=["8", "10", "11"])
def test_blocks_warn_from_generation_8_on(module: ModuleType, made: bytes) -> None:
    runtime, engines = module.Runtime(Log()), list[Any]()

    def script() -> None:
        with runtime as same:
            engines.append(same.deserialize_cuda_engine(made))
    assert "no effect" in caught(script)[0] and len(caught(script)) == 1
    context = engines[0].create_execution_context()
    assert caught(lambda: context.__del__()) == ["__del__ has no effect: use `del`"]
    x = np.ones((4, 8), np.float32)
    np.testing.assert_allclose(run(context, x), expected(x)["y"], rtol=1e-4)

    def collect() -> None:
        nonlocal context
        del context
        engines.clear()
        gc.collect()
    assert caught(collect) == []


def test_the_superset_says_nothing(made: bytes) -> None:
    def script() -> None:
        with trt.Runtime(Log()) as runtime, runtime.deserialize_cuda_engine(made) as engine:
            assert engine.num_bindings == 2
    assert caught(script) == []


def test_deprecated_names_warn_where_they_are_used() -> None:
    builder = v8.Builder(Log())
    config = builder.create_builder_config()

    def assign() -> None:
        config.max_workspace_size = 1 << 20
    assert caught(assign) == ["IBuilderConfig.max_workspace_size is deprecated: use set_memory_pool_limit"]
    assert caught(lambda: config.max_workspace_size) and config.get_memory_pool_limit(
        v8.MemoryPoolType.WORKSPACE) == 1 << 20
    network = builder.create_network(1)
    x = network.add_input("x", v8.float32, (1, 2, 4, 4))
    layers = list[Any]()

    def add() -> None:
        layers.append(network.add_pooling(x, v8.PoolingType.MAX, (2, 2)))
        layers[0].stride = (2, 2)
    assert [m.partition(" ")[0] for m in caught(add)] == ["INetworkDefinition.add_pooling", "IPoolingLayer.stride"]
    network.mark_output(layers[0].get_output(0))
    config.builder_optimization_level = 0
    engines = list[Any]()
    assert caught(lambda: engines.append(builder.build_engine(network, config)))
    assert caught(lambda: engines[0].get_binding_shape(1)) == [
        "ICudaEngine.get_binding_shape is deprecated: use get_tensor_shape"]
    assert layers[0].get_output(0).shape == (1, 2, 2, 2)
    older = v7.Builder(v7.Logger()).create_builder_config()
    assert caught(lambda: older.max_workspace_size) == []
    later = v10.Builder(Log()).create_network()
    assert caught(lambda: later.has_implicit_batch_dimension) and caught(lambda: later.num_layers) == []


def test_once_per_call_site() -> None:
    config = v8.Builder(Log()).create_builder_config()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        for _ in range(3):
            config.max_workspace_size  # noqa: B018
        config.max_workspace_size  # noqa: B018
    assert len(found) == 2


def test_the_form_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    for module in (v5, v7):
        module.Logger().log(module.Logger.WARNING, "careful")
    out, err = capsys.readouterr()
    assert err == "[TensorRT] WARNING: careful\n" * 2 and not out
    v7.Logger(v7.Logger.ERROR).log(v7.Logger.WARNING, "careful")
    for module in (v8, v10, trt):
        module.Logger().log(module.Logger.WARNING, "careful")
    out, err = capsys.readouterr()
    assert out.count("] [TRT] [W] careful\n") == 3 and not err


def test_memory_of_plans_has_the_buffer_protocol() -> None:
    memory = trt.IHostMemory(b"plan")
    assert bytes(memory.__buffer__(0)) == b"plan" == bytes(memoryview(memory))
    memory.__del__()
    assert memory == b"plan"
