"""A context's working memory: from allocators, from the user, by profile; too little is refused, all is given back."""

import gc
from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.cuda.memory import SPACE
from tensorwright.generations import v7, v8, v10, v11

from .tiny import Log, chain, engine_of, expected, run

Strategy = trt.ExecutionContextAllocationStrategy
X = np.random.default_rng(0).standard_normal((4, 8), dtype=np.float32)


class Ledger:
    """Memory that is handed out and must come back; every byte is dirty."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, np.ndarray] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.most = 1 << 40

    def give(self, size: int, *rest: Any) -> int:
        self.asked.append((size, *rest))
        if sum(a.nbytes for a in self.live.values()) + size > self.most:
            return 0
        memory = np.full(size + 256, 0xA5, np.uint8)
        address = -(-memory.ctypes.data // 256) * 256
        self.live[address] = memory
        return address

    def take(self, address: int) -> bool:
        return self.live.pop(address, None) is not None


class Allocator(Ledger, trt.IGpuAllocator):
    def allocate(self, size: int, alignment: int, flags: int) -> Any:
        return self.give(size, alignment, flags)

    def deallocate(self, memory: int) -> bool:
        return self.take(memory)


class Async(Ledger, trt.IGpuAsyncAllocator):
    def allocate_async(self, size: int, alignment: int, flags: int, stream: int) -> int:
        return self.give(size, alignment, flags, "async")

    def deallocate_async(self, memory: int, stream: int) -> bool:
        return self.take(memory)


class Older(Ledger, v8.IGpuAllocator):
    def allocate(self, size: int, alignment: int, flags: int) -> int:
        return self.give(size, alignment, flags)

    def free(self, memory: int) -> None:
        self.take(memory)


def built(allocator: Any = None) -> tuple[trt.ICudaEngine, Log]:
    """Two profiles, of batch 1 to 4 and of 8 to 64."""
    builder = trt.Builder(log := Log())
    builder.gpu_allocator = allocator
    return engine_of(builder, chain(builder, (-1, 8)), (1, 2, 4), (8, 16, 64)), log


@pytest.fixture(scope="module")
def plan() -> bytes:
    return bytes(built()[0].serialize())


@pytest.fixture
def engine(plan: bytes) -> trt.ICudaEngine:
    return trt.Runtime(Log()).deserialize_cuda_engine(plan)


def check(context: trt.IExecutionContext, x: np.ndarray = X) -> None:
    np.testing.assert_allclose(run(context, x), expected(x)["y"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [Allocator, Async, Older])
def test_contexts_compute_in_memory_of_the_allocator_and_give_it_back(kind: type, plan: bytes) -> None:
    allocator = kind()
    runtime = trt.Runtime(Log())
    runtime.gpu_allocator = allocator
    engine = runtime.deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    assert [row[:2] for row in allocator.asked] == [(engine.device_memory_size_v2, 256)] and len(allocator.live) == 1
    before = next(iter(allocator.live.values())).copy()
    check(context)
    assert not np.array_equal(before, next(iter(allocator.live.values())))
    context.set_optimization_profile_async(1, 0)
    check(context, np.tile(X, (5, 1)))
    context.set_optimization_profile_async(0, 0)
    check(context)
    assert len(allocator.asked) == 1                      # static: enough for every profile
    del context
    gc.collect()
    assert not allocator.live
    with pytest.raises(AttributeError):
        _ = runtime.gpu_allocator


def test_an_engine_of_the_builder_uses_the_builders_allocator() -> None:
    allocator = Allocator()
    engine, _ = built(allocator)
    assert not allocator.asked                            # engines have no memory that they compute in
    check(engine.create_execution_context())
    assert len(allocator.asked) == 1


def test_no_memory_is_none_and_a_log_entry(plan: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(Allocator):
        def allocate(self, size: int, alignment: int, flags: int) -> Any:
            raise MemoryError("nothing left")

    class Crooked(Allocator):
        def allocate(self, size: int, alignment: int, flags: int) -> Any:
            return self.give(size + 16) + 8

        def deallocate(self, memory: int) -> bool:
            return self.take(memory - 8)
    for allocator, why in ((Failing(), "gave no memory"), (Crooked(), "not aligned")):
        runtime = trt.Runtime(log := Log())
        runtime.gpu_allocator = allocator
        assert runtime.deserialize_cuda_engine(plan).create_execution_context() is None
        assert why in log.errors() and not allocator.live
    assert "nothing left" in capsys.readouterr().err


def test_memory_of_the_emulated_device(plan: bytes) -> None:
    class Device(trt.IGpuAllocator):
        def allocate(self, size: int, alignment: int, flags: int) -> int:
            return SPACE.allocate(size)

        def deallocate(self, memory: int) -> bool:
            SPACE.release(memory)
            return True
    runtime, before = trt.Runtime(Log()), SPACE.used()
    runtime.gpu_allocator = Device()
    context = runtime.deserialize_cuda_engine(plan).create_execution_context()
    assert SPACE.used() - before == context.engine.device_memory_size_v2
    check(context)
    del context
    gc.collect()
    assert SPACE.used() == before


def test_on_profile_change_takes_what_the_profile_needs(plan: bytes) -> None:
    class Growing(Allocator):
        def reallocate(self, address: int, alignment: int, new_size: int) -> int:
            self.take(address)
            return self.give(new_size, "again")
    for kind in (Allocator, Growing):
        runtime, allocator = trt.Runtime(Log()), kind()
        runtime.gpu_allocator = allocator
        engine = runtime.deserialize_cuda_engine(plan)
        sizes = [engine.get_device_memory_size_for_profile_v2(k) for k in (0, 1)]
        assert sizes[0] < sizes[1] == engine.device_memory_size_v2
        config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(Strategy.ON_PROFILE_CHANGE)
        context = engine.create_execution_context(runtime_config=config)
        assert context.get_runtime_config().get_execution_context_allocation_strategy() is Strategy.ON_PROFILE_CHANGE
        check(context)
        context.set_optimization_profile_async(1, 0)
        check(context, np.tile(X, (4, 1)))
        assert [row[0] for row in allocator.asked] == sizes and len(allocator.live) == 1
        assert (allocator.asked[1][1:] == ("again",)) == (kind is Growing)


def aligned(size: int) -> np.ndarray:
    memory = np.full(size + 256, 0x5A, np.uint8)
    return memory[-memory.ctypes.data % 256 :][:size]


def test_the_users_memory(engine: trt.ICudaEngine) -> None:
    log: Log = engine._logger.logger  # type: ignore[assignment]
    context = engine.create_execution_context(Strategy.USER_MANAGED)
    y = np.zeros_like(X)
    assert context.set_input_shape("x", X.shape)
    context.set_tensor_address("x", X.ctypes.data)
    context.set_tensor_address("y", y.ctypes.data)
    assert not context.execute_async_v3(0) and "no working memory is set" in log.errors()
    need = context.update_device_memory_size_for_shapes()
    assert 0 < need <= engine.get_device_memory_size_for_profile_v2(0)
    small = aligned(need - 1)
    context.set_device_memory(small.ctypes.data, small.size)
    assert not context.execute_async_v3(0) and f"has {need - 1} bytes, these shapes need {need}" in log.errors()
    memory = aligned(need)
    context.set_device_memory(memory.ctypes.data, memory.size)
    check(context)
    memory[:] = 0xFF                                      # what lies in it between executions is nobody's
    check(context)
    context.set_device_memory(memory.ctypes.data + 1, 64)
    assert "not aligned" in log.errors()
    check(context)                                        # a refused address changes nothing
    context.set_optimization_profile_async(1, 0)
    assert context.update_device_memory_size_for_shapes() == 0 and "no shape is set for x" in log.errors()


def test_borders_survive_what_others_do_to_the_users_memory() -> None:
    """Zero padding lies inside an intermediate value's buffer, and must be zero at every execution."""
    builder = trt.Builder(log := Log())
    network = builder.create_network()
    x = network.add_input("x", trt.float32, (1, 8, 6, 6))
    for k in range(2):
        w = np.random.default_rng(k).standard_normal((8, 8, 3, 3), dtype=np.float32)
        conv = network.add_convolution_nd(x, 8, (3, 3), w)
        conv.padding_nd = (1, 1)
        x = network.add_activation(conv.get_output(0), trt.ActivationType.RELU).get_output(0)
    network.mark_output(x)
    engine = engine_of(builder, network)
    image = np.random.default_rng(9).standard_normal((1, 8, 6, 6), dtype=np.float32)
    results = []
    memory = aligned(engine.device_memory_size_v2)
    for strategy in (Strategy.STATIC, Strategy.USER_MANAGED):
        context = engine.create_execution_context(strategy)
        if strategy is Strategy.USER_MANAGED:
            context.set_device_memory(memory.ctypes.data, memory.size)
        for _ in range(2):
            memory[:] = 0x7F
            results.append(np.zeros((1, 8, 6, 6), np.float32))
            assert context.execute_v2([image.ctypes.data, results[-1].ctypes.data]), log.errors()
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_contexts_with_memory_of_their_own_take_no_other(engine: trt.ICudaEngine) -> None:
    log: Log = engine._logger.logger  # type: ignore[assignment]
    context = engine.create_execution_context()
    memory = aligned(1 << 16)
    context.set_device_memory(memory.ctypes.data, memory.size)
    assert "has memory of its own" in log.errors() and context.temporary_allocator is None
    context.temporary_allocator = allocator = Allocator()
    assert context.temporary_allocator is allocator and not allocator.asked
    check(context)
    assert len(allocator.live) == 1
    context.temporary_allocator = None
    assert not allocator.live
    check(context)
    allocator.most = 0
    context.temporary_allocator = allocator
    assert not context.execute_async_v3(0) and "gave no memory" in log.errors()


def test_names_of_generations(plan: bytes) -> None:
    for module in (v7, v8, v10):
        engine = module.Runtime(Log() if module is not v7 else module.Logger()).deserialize_cuda_engine(plan)
        context = engine.create_execution_context_without_device_memory()
        memory = aligned(engine.device_memory_size)
        context.device_memory = memory.ctypes.data
        y = np.zeros_like(X)
        if module is v7:
            assert context.set_binding_shape(0, X.shape) and context.execute_v2([X.ctypes.data, y.ctypes.data, 0, 0])
        else:
            y = run(context, X)
        np.testing.assert_allclose(y, expected(X)["y"], rtol=1e-4, atol=1e-6)
        with pytest.raises(AttributeError):
            _ = context.device_memory
    assert not hasattr(v11.ICudaEngine, "create_execution_context_without_device_memory")
    assert v10.IGpuAllocator().api_language is v10.APILanguage.PYTHON
    info = v10.IGpuAsyncAllocator().interface_info
    assert (info.kind, info.major) == ("IGpuAsyncAllocator", 1) and not hasattr(v8, "IVersionedInterface")
