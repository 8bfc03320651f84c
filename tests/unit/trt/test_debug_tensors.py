"""Debug tensors: a listener is shown the true values of what was marked, and of nothing else."""

import ctypes
from importlib import resources
from typing import Any

import numpy as np
import onnx
import pytest

import tensorwright as trt
from tensorwright import importer
from tensorwright.generations import v8, v10
from tensorwright.ops.evaluate import evaluate

from .tiny import Log, chain, engine_of, expected, quick, run


class Listener(trt.IDebugListener):
    def __init__(self) -> None:
        trt.IDebugListener.__init__(self)
        self.seen: dict[str, np.ndarray] = {}
        self.calls: list[Any] = []

    def process_debug_tensor(self, addr: int, location: Any, type: Any, shape: Any, name: str, stream: int) -> None:
        dtype = np.dtype(trt.nptype(type))
        count = int(np.prod(tuple(shape)))
        raw = ctypes.string_at(addr, count * dtype.itemsize)
        self.seen[name] = np.frombuffer(raw, dtype).reshape(tuple(shape)).copy()
        self.calls.append((name, location, stream))


def named(network: trt.INetworkDefinition, name: str) -> trt.ITensor:
    return next(layer.get_output(i) for layer in network for i in range(layer.num_outputs)
                if layer.get_output(i).name == name)


def marked(*names: str) -> tuple[trt.ICudaEngine, Log]:
    builder = trt.Builder(log := Log())
    network = chain(builder, (-1, 8))
    for name in names:
        assert network.mark_debug(named(network, name)) and network.is_debug_tensor(named(network, name))
    return engine_of(builder, network, (1, 4, 8)), log


@pytest.fixture(scope="module")
def engine() -> trt.ICudaEngine:
    """Through serialization, with one tensor marked that is an output, too."""
    built, log = marked("product", "relu", "y")
    again = trt.Runtime(log).deserialize_cuda_engine(built.serialize())
    assert again, log.errors()
    return again


def test_hidden_outputs_stay_hidden(engine: trt.ICudaEngine) -> None:
    assert list(engine) == ["x", "y"] and engine.num_io_tensors == 2
    assert engine.is_debug_tensor("relu") and engine.is_debug_tensor("y") and not engine.is_debug_tensor("x")
    assert engine.get_tensor_mode("relu") is trt.TensorIOMode.NONE


def test_the_listener_sees_the_true_values_at_every_shape(engine: trt.ICudaEngine) -> None:
    context, listener = engine.create_execution_context(), Listener()
    assert context.set_debug_listener(listener) and context.get_debug_listener() is listener
    assert context.set_all_tensors_debug_state(True) and context.get_debug_state("relu")
    for n in (2, 5, 2):
        x = np.random.default_rng(n).standard_normal((n, 8), dtype=np.float32)
        for _ in range(2):                                # the second time nothing has changed
            listener.seen.clear()
            np.testing.assert_allclose(run(context, x), expected(x)["y"], rtol=1e-4, atol=1e-6)
            assert set(listener.seen) == {"product", "relu", "y"}
            for name, value in expected(x).items():
                np.testing.assert_allclose(listener.seen[name], value, rtol=1e-4, atol=1e-5)
    assert listener.calls[0][1] is trt.TensorLocation.DEVICE


def test_only_what_is_switched_on_is_shown(engine: trt.ICudaEngine) -> None:
    context, listener = engine.create_execution_context(), Listener()
    x = np.ones((3, 8), np.float32)
    context.set_debug_listener(listener)
    run(context, x)
    assert not listener.seen and not context.get_debug_state("product")
    assert context.set_tensor_debug_state("product", True) and not context.set_tensor_debug_state("x", True)
    assert not context.get_debug_state("x")
    run(context, x)
    assert set(listener.seen) == {"product"}
    context.set_debug_listener(None)
    listener.seen.clear()
    run(context, x)
    assert not listener.seen


def test_the_stream_is_told_and_exceptions_stay_inside(engine: trt.ICudaEngine,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(Listener):
        def process_debug_tensor(self, *args: Any) -> None:
            super().process_debug_tensor(*args)
            raise ValueError("cannot bear it")
    context, listener = engine.create_execution_context(), Failing()
    context.set_debug_listener(listener)
    context.set_tensor_debug_state("relu", True)
    x = np.ones((1, 8), np.float32)
    run(context, x)
    assert context.execute_async_v3(stream_handle=7) and [c[2] for c in listener.calls] == [0, 7]
    assert "cannot bear it" in capsys.readouterr().err


def test_inputs_and_strangers_cannot_be_marked() -> None:
    builder = trt.Builder(log := Log())
    network, other = chain(builder), chain(builder)
    assert not network.mark_debug(network.get_input(0)) and not network.mark_debug(named(other, "relu"))
    assert "is an input" in log.errors() and "another network" in log.errors()
    assert network.mark_debug(named(network, "relu")) and network.unmark_debug(named(network, "relu"))
    assert not engine_of(builder, network).is_debug_tensor("relu")
    assert not network.unmark_debug(named(other, "relu"))


def test_a_constant_can_be_marked() -> None:
    builder = trt.Builder(Log())
    network = chain(builder)
    constant = network.get_layer(0).get_output(0)
    constant.name = "W"
    assert network.mark_debug(constant)
    context, listener = engine_of(builder, network).create_execution_context(), Listener()
    context.set_debug_listener(listener)
    context.set_all_tensors_debug_state(True)
    x = np.eye(8, dtype=np.float32)[:4]
    run(context, x)
    np.testing.assert_allclose(listener.seen["W"][:4], expected(x)["product"], rtol=1e-5)


def test_values_of_data_dependent_shape() -> None:
    """What host steps make, of a size that only the data tell."""
    builder = trt.Builder(log := Log())
    network = builder.create_network()
    model = onnx.parser.parse_model('<ir_version: 9, opset_import: ["" : 18]> g (float[6] x) => (int64[1, n] y) '
                                    "{ i = NonZero(x) \n y = Neg(i) }")
    assert trt.OnnxParser(network, log).parse(model.SerializeToString())
    assert network.mark_debug(named(network, "i"))
    engine = builder.build_engine_with_config(network, quick(builder))
    assert engine, log.errors()

    class Out(trt.IOutputAllocator):
        def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> int:
            self.memory = np.zeros(size, np.uint8)
            return self.memory.ctypes.data
    context, listener = engine.create_execution_context(), Listener()
    context.set_debug_listener(listener)
    context.set_all_tensors_debug_state(True)
    x = np.float32([0, 1, 0, 2, 3, 0])
    context.set_tensor_address("x", x.ctypes.data)
    assert context.set_output_allocator("y", Out()) and context.execute_async_v3(0), log.errors()
    np.testing.assert_array_equal(listener.seen["i"], [[1, 3, 4]])


def test_unfused_tensors_do_not_hinder_fusion_and_have_the_reference_values() -> None:
    data = resources.files("tensorwright") / "data"
    model = (data / "digits.onnx").read_bytes()
    image = np.load((data / "digits_test.npz").open("rb"))["image"][:3]

    def built(keep: bool) -> trt.ICudaEngine:
        builder = trt.Builder(log := Log())
        network = builder.create_network()
        assert trt.OnnxParser(network, log).parse(model)
        network.get_input(0).shape = (3, 1, 8, 8)
        if keep:
            assert network.mark_unfused_tensors_as_debug_tensors()
        engine = builder.build_engine_with_config(network, quick(builder))
        assert engine, log.errors()
        return engine
    plain, kept = built(False), built(True)
    assert kept.num_layers == plain.num_layers and kept.device_memory_size_v2 > plain.device_memory_size_v2
    kept = trt.Runtime(Log()).deserialize_cuda_engine(kept.serialize())
    context, listener = kept.create_execution_context(), Listener()
    context.set_debug_listener(listener)
    logits = np.zeros((3, 10), np.float32)
    assert context.execute_v2([np.ascontiguousarray(image).ctypes.data, logits.ctypes.data]) and not listener.seen
    context.unfused_tensors_debug_state = True
    assert context.execute_v2([image.ctypes.data, logits.ctypes.data]) and context.unfused_tensors_debug_state
    network = importer.load(model, {"image": (3, 1, 8, 8)})
    values = evaluate(network, {"image": image}, keep=True)
    assert len(listener.seen) > 4 and set(listener.seen) <= set(values)
    for name, value in listener.seen.items():
        assert kept.is_debug_tensor(name)
        np.testing.assert_allclose(value, values[name], rtol=1e-3, atol=1e-4, err_msg=name)
    other = plain.create_execution_context()
    other.unfused_tensors_debug_state = True
    assert not other.unfused_tensors_debug_state


def test_generations() -> None:
    assert not hasattr(v8.INetworkDefinition, "mark_debug") and hasattr(v10.IExecutionContext, "set_debug_listener")


def test_a_tensor_inside_a_loop_is_refused_and_its_result_is_shown() -> None:
    def built(inside: bool) -> tuple[Any, Log]:
        builder = trt.Builder(log := Log())
        network = builder.create_network()
        x, count = network.add_input("x", trt.float32, (3,)), network.add_input("count", trt.int32, ())
        loop = network.add_loop()
        loop.add_trip_limit(count, trt.TripLimit.COUNT)
        state = loop.add_recurrence(x)
        doubled = network.add_elementwise(state.get_output(0), state.get_output(0), trt.ElementWiseOperation.SUM)
        state.set_input(1, doubled.get_output(0))
        last = loop.add_loop_output(state.get_output(0), trt.LoopOutput.LAST_VALUE, 0).get_output(0)
        last.name = "last"
        doubled.get_output(0).name = "doubled"
        y = network.add_unary(last, trt.UnaryOperation.NEG).get_output(0)
        y.name = "y"
        network.mark_output(y)
        assert network.mark_debug(doubled.get_output(0) if inside else last)
        return builder.build_engine_with_config(network, quick(builder)), log
    engine, log = built(inside=True)
    assert engine is None and "'doubled' lies inside a loop" in log.errors()
    engine, log = built(inside=False)
    assert engine, log.errors()
    context, listener = engine.create_execution_context(), Listener()
    context.set_debug_listener(listener)
    context.set_all_tensors_debug_state(True)
    x, count, y = np.float32([1, 2, 3]), np.array(3, np.int32), np.zeros(3, np.float32)
    for name, array in (("x", x), ("count", count), ("y", y)):
        assert context.set_tensor_address(name, array.ctypes.data)
    assert context.execute_async_v3(0), log.errors()
    np.testing.assert_array_equal(listener.seen["last"], 8 * x)
    np.testing.assert_array_equal(y, -8 * x)
