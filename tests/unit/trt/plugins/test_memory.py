"""What plugins are handed: addresses that ctypes, torch and the CUDA stand-ins can use, streams, awkward tensors."""

import sys
from typing import Any

import numpy as np
import pytest

import tensorwright
import tensorwright.plugin as trtp
from tensorwright import compat
from tensorwright.generations import v10

from .support import engine_of, run, started


class Recorded(tensorwright.SimplePlugin):
    """Copies its input, by whatever `copy` does with addresses; remembers the streams."""

    plugin_name = "Recorded"
    streams: Any = []
    copy: Any = None

    @classmethod
    def _fields(cls) -> Any:
        return {}, {}

    def output_shapes(self, x: Any) -> Any:
        return x

    def enqueue(self, input_desc: Any, output_desc: Any, inputs: Any, outputs: Any, workspace: int,
                stream: int) -> None:
        type(self).streams.append(stream)
        type(self).copy(outputs[0], inputs[0], 4 * int(np.prod(tuple(input_desc[0].dims))), stream)


def engine_with(plugin: Any, between: Any = None) -> Any:
    builder, network, config = started(v10)
    x = network.add_input("x", v10.float32, (2, 3))
    layer = network.add_plugin_v3([x if between is None else between(network, x)], [], plugin)
    layer.get_output(0).name = "y"
    network.mark_output(layer.get_output(0))
    return builder.build_engine_with_config(network, config)


def test_streams_are_told_as_numbers() -> None:
    import ctypes
    Recorded.copy = staticmethod(lambda to, source, size, stream: ctypes.memmove(to, source, size))
    context = engine_with(Recorded()).create_execution_context()
    x, y = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    context.set_tensor_address("x", x.ctypes.data)
    context.set_tensor_address("y", y.ctypes.data)
    Recorded.streams = []
    for stream in (0, 7, tensorwright.Stream()):
        y[...] = 0
        assert context.execute_async_v3(stream)
        np.testing.assert_array_equal(y, x)
    assert Recorded.streams == [0, 7, 0]


def test_the_cuda_stand_ins_copy_between_a_plugins_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*compat.folders(), *sys.path])
    driver = pytest.importorskip("pycuda.driver")
    if "tensorwright" not in (driver.__file__ or ""):
        pytest.skip("this machine has a GPU")
    driver.init()
    context_of_thread = driver.Device(0).make_context()
    Recorded.copy = staticmethod(lambda to, source, size, stream: driver.memcpy_dtod(to, source, size))
    context = engine_with(Recorded()).create_execution_context()
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(run(context, x=x)["y"], x)
    device = driver.mem_alloc(x.nbytes), driver.mem_alloc(x.nbytes)     # and the engine's own tensors on the device
    driver.memcpy_htod(device[0], x * 2)
    assert context.execute_v2([int(d) for d in device])
    y = np.zeros_like(x)
    driver.memcpy_dtoh(y, device[1])
    np.testing.assert_array_equal(y, x * 2)
    context_of_thread.pop()


def test_inputs_that_are_views_arrive_dense() -> None:
    """A transposed input is a view to the compiler; a plugin gets it dense, in C order."""
    class Rows(tensorwright.SimplePlugin):
        plugin_name = "DenseRows"

        def output_shapes(self, x: Any) -> Any:
            return x

        def compute(self, x: Any, outputs: Any) -> None:
            assert x.flags.c_contiguous and x.shape == (3, 2)
            outputs[0][...] = x[::-1]

    def transposed(network: Any, x: Any) -> Any:
        layer = network.add_shuffle(x)
        layer.first_transpose = (1, 0)
        return layer.get_output(0)

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(run(engine_with(Rows(), transposed).create_execution_context(), x=x)["y"], x.T[::-1])


@pytest.mark.parametrize("dtype", ["float16", "int8", "int32", "int64", "bool", "uint8"])
def test_element_types(dtype: str) -> None:
    class Reverse(tensorwright.SimplePlugin):
        plugin_name = "ReverseAny"

        def output_shapes(self, x: Any) -> Any:
            return x

        def compute(self, x: Any, outputs: Any) -> None:
            outputs[0][...] = x[::-1]

    kinds = {"float16": v10.float16, "int8": v10.int8, "int32": v10.int32, "int64": v10.int64, "bool": v10.bool,
             "uint8": v10.uint8}
    builder, network, config = started(v10)
    layer = network.add_plugin_v3([network.add_input("x", kinds[dtype], (5,))], [], Reverse())
    layer.get_output(0).name = "y"
    network.mark_output(layer.get_output(0))
    engine = builder.build_engine_with_config(network, config)
    x = np.array([0, 1, 2, 3, 100]).astype(dtype)
    np.testing.assert_array_equal(run(engine.create_execution_context(), x=x)["y"], x[::-1])


def test_tensors_of_decorated_plugins_are_arrays_over_their_memory() -> None:
    desc, memory = v10.PluginTensorDesc(), np.arange(6, dtype=np.float32)
    desc.dims, desc.type = (2, 3), v10.float32
    tensor = trtp.Tensor._at(desc, memory.ctypes.data, (3, 1))
    view = np.asarray(tensor)
    view[1, 2] = 50
    assert memory[5] == 50 and tensor.numel() == 6 and tensor.ndim == 2 and tensor.shape == (2, 3)
    assert not hasattr(tensor, "__cuda_array_interface__")
    flat = tensor.aliased((6,))
    assert flat.get_aliased() is tensor and np.asarray(flat).tolist() == memory.tolist()
    half = np.arange(4).astype(tensorwright.DType.bfloat16.numpy)
    desc.dims, desc.type = (4,), v10.bfloat16
    other = trtp.Tensor._at(desc, half.ctypes.data, (1,))
    assert not hasattr(other, "__array_interface__") and np.asarray(other).astype(np.float32).tolist() == [0, 1, 2, 3]
    torch = pytest.importorskip("torch")
    for number, convert in enumerate((torch.as_tensor, torch.from_dlpack, np.from_dlpack)):
        convert(tensor)[0, 0] = -number
        assert memory[0] == -number


def test_several_contexts_and_threads_have_plugins_of_their_own() -> None:
    from concurrent.futures import ThreadPoolExecutor

    class Count(tensorwright.SimplePlugin):
        """Adds how often this copy of it ran: state that contexts must not share."""

        plugin_name, runs = "CountRuns", 0

        def output_shapes(self, x: Any) -> Any:
            return x

        def compute(self, x: Any, outputs: Any) -> None:
            self.runs += 1
            outputs[0][...] = x + self.runs

    creator = Count.register()
    try:
        builder, network, config = started(v10)
        layer = network.add_plugin_v3([network.add_input("x", v10.float32, (4,))], [], Count())
        layer.get_output(0).name = "y"
        network.mark_output(layer.get_output(0))
        engine = engine_of(v10, builder, network, config)
        x = np.zeros(4, np.float32)

        def work(context: Any) -> list[float]:
            return [float(run(context, x=x)["y"][0]) for _ in range(20)]

        contexts = [engine.create_execution_context() for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(work, contexts)) == [list(range(1, 21))] * 4
    finally:
        tensorwright.get_plugin_registry().deregister_creator(creator)
