"""Weights and memory that an engine tells of, outputs in the memory of inputs, and what else a context remembers."""

from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.cuda.machine import MACHINE, Event
from tensorwright.generations import v10

from .tiny import Log, chain, engine_of, expected, quick, run

X = np.random.default_rng(0).standard_normal((4, 8), dtype=np.float32)


@pytest.fixture
def context() -> trt.IExecutionContext:
    builder = trt.Builder(Log())
    return engine_of(builder, chain(builder)).create_execution_context()


def log_of(context: trt.IExecutionContext) -> Log:
    return context._logger.logger  # type: ignore[return-value]


def test_weights_are_counted(context: trt.IExecutionContext) -> None:
    assert context.engine.get_engine_stat() == 8 * 8 * 4
    assert context.engine.get_engine_stat(trt.EngineStat.STRIPPED_WEIGHTS_SIZE) == -1
    builder = trt.Builder(Log())
    config = quick(builder)
    config.set_flag(trt.BuilderFlag.STRIP_PLAN)
    engine = trt.Runtime(Log()).deserialize_cuda_engine(builder.build_serialized_network(chain(builder), config))
    assert engine.get_engine_stat(trt.EngineStat.STRIPPED_WEIGHTS_SIZE) == 8 * 8 * 4 == engine.get_engine_stat()


def test_profiles_that_there_are_not_have_no_memory(context: trt.IExecutionContext) -> None:
    engine = context.engine
    assert engine.get_device_memory_size_for_profile_v2(0) == engine.device_memory_size_v2 > 0
    assert engine.get_device_memory_size_for_profile_v2(1) == engine.get_device_memory_size_for_profile_v2(-1) == 0
    assert "profile 1 was asked for" in log_of(context).errors()


def test_a_cache_is_updated_in_place() -> None:
    builder = v10.Builder(log := Log())
    network = builder.create_network()
    cache = network.add_input("cache", v10.float32, (2, 3, 6, 4))
    update = network.add_input("update", v10.float32, (2, 3, 2, 4))
    places = network.add_input("places", v10.int32, (2,))
    layer = network.add_kv_cache_update(cache, update, places, v10.KVCacheMode.LINEAR)
    layer.get_output(0).name = "new"
    network.mark_output(layer.get_output(0))
    old = network.add_unary(cache, v10.UnaryOperation.NEG).get_output(0)         # reads the cache, whatever the order
    old.name = "old"
    network.mark_output(old)
    engine = builder.build_engine_with_config(network, quick(builder))
    assert engine, log.errors()
    assert engine.get_aliased_input_tensor("new") == "cache" and engine.get_aliased_input_tensor("old") is None
    assert engine.get_aliased_input_tensor("cache") is None and engine.get_aliased_input_tensor("nope") is None
    rng = np.random.default_rng(1)
    memory = rng.standard_normal((2, 3, 6, 4), dtype=np.float32)
    before, expected_ = memory.copy(), memory.copy()
    rows, at = rng.standard_normal((2, 3, 2, 4), dtype=np.float32), np.int32([1, 4])
    negative = np.zeros_like(memory)
    for b in range(2):
        expected_[b, :, at[b] : at[b] + 2] = rows[b]
    context = engine.create_execution_context()
    for name, array in (("cache", memory), ("update", rows), ("places", at), ("new", memory), ("old", negative)):
        assert context.set_tensor_address(name, array.ctypes.data)
    assert context.execute_async_v3(0), log.errors()
    np.testing.assert_array_equal(memory, expected_)
    np.testing.assert_array_equal(negative, -before)
    for b in range(2):
        expected_[b, :, :2] = rows[b]
    at[:] = 0
    assert context.execute_async_v3(0), log.errors()
    np.testing.assert_array_equal(memory, expected_)


def test_any_output_may_lie_where_an_input_lies(context: trt.IExecutionContext) -> None:
    x = X.copy()
    assert context.execute_v2([x.ctypes.data, x.ctypes.data])
    np.testing.assert_allclose(x, expected(X)["y"], rtol=1e-4)


def test_the_event_of_consumed_inputs_is_recorded(context: trt.IExecutionContext) -> None:
    event = Event()
    MACHINE.events[event.handle] = event
    assert context.get_input_consumed_event() == 0 and context.set_input_consumed_event(event.handle)
    assert context.get_input_consumed_event() == event.handle and event.recorded is None
    run(context, X)
    first = event.recorded
    run(context, X)
    assert first is not None and event.recorded > first
    assert not context.set_input_consumed_event(12345) and "is not an event" in log_of(context).errors()
    assert context.set_input_consumed_event(0)
    second = event.recorded
    run(context, X)
    assert event.recorded == second
    del MACHINE.events[event.handle]


def test_settings_of_gpus_are_kept_and_logged(context: trt.IExecutionContext) -> None:
    assert context.nvtx_verbosity is trt.ProfilingVerbosity.LAYER_NAMES_ONLY and context.persistent_cache_limit == 0
    context.nvtx_verbosity, context.persistent_cache_limit = trt.ProfilingVerbosity.NONE, 4096
    context.set_aux_streams([1, 2])
    assert context.nvtx_verbosity is trt.ProfilingVerbosity.NONE and context.persistent_cache_limit == 4096
    for name in ("nvtx_verbosity", "persistent_cache_limit", "set_aux_streams"):
        assert f"{name} has no effect" in log_of(context).text()
    assert not context.set_communicator(object()) and "several devices" in log_of(context).errors()


def test_a_profiler_may_be_told_later(context: trt.IExecutionContext) -> None:
    class Times(trt.IProfiler):
        def __init__(self) -> None:
            super().__init__()
            self.layers: list[Any] = []

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.layers.append(layer_name)
    context.profiler = times = Times()
    context.enqueue_emits_profile = False
    run(context, X)
    assert not times.layers
    assert context.report_to_profiler() and times.layers
