"""Output allocators: either hook serves, notify_shape may be missing, and failure is a False with a log entry."""

from typing import Any

import numpy as np
import pytest

import tensorwright as trt
from tensorwright.generations import v8, v10

from .tiny import Log, chain, engine_of, expected


class Plain(trt.IOutputAllocator):
    def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> int:
        self.memory = np.zeros(size, np.uint8)
        return self.memory.ctypes.data


class Async(trt.IOutputAllocator):
    def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:
        self.memory = np.zeros(size, np.uint8)
        return self.memory.ctypes.data

    def notify_shape(self, tensor_name: str, shape: Any) -> None:
        self.shape = tuple(shape)


class Both(Plain, Async):
    def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> int:
        raise AssertionError("the asynchronous hook goes first")


class Neither(trt.IOutputAllocator):
    pass


X = np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8)


def executed(allocator: Any) -> tuple[bool, Log]:
    builder = trt.Builder(log := Log())
    context = engine_of(builder, chain(builder)).create_execution_context()
    context.set_input_shape("x", X.shape)
    context.set_tensor_address("x", X.ctypes.data)
    assert context.set_output_allocator("y", allocator)
    return context.execute_async_v3(0), log


@pytest.mark.parametrize("kind", [Plain, Async, Both])
def test_either_hook_gives_the_memory(kind: type) -> None:
    allocator = kind()
    worked, log = executed(allocator)
    assert worked, log.errors()
    np.testing.assert_allclose(allocator.memory.view(np.float32).reshape(4, 8), expected(X)["y"], rtol=1e-5)
    assert getattr(allocator, "shape", (4, 8)) == (4, 8)


def test_no_memory_is_an_error_and_no_crash(capsys: pytest.CaptureFixture[str]) -> None:
    worked, log = executed(Neither())
    assert not worked and "gave no memory for 'y'" in log.errors() and "defines neither" in capsys.readouterr().err

    class Out(Plain):
        def reallocate_output(self, tensor_name: str, memory: int, size: int, alignment: int) -> Any:
            return None
    worked, log = executed(Out())
    assert not worked and "gave no memory" in log.errors()


def test_generations_show_their_hooks() -> None:
    assert not hasattr(v8.IOutputAllocator, "reallocate_output_async") and hasattr(v8.IOutputAllocator, "notify_shape")
    assert v8.IOutputAllocator().tensorrt_version >= 8500 and not hasattr(v10.IOutputAllocator, "tensorrt_version")

    class Eighth(v8.IOutputAllocator):
        reallocate_output = Plain.reallocate_output
    worked, log = executed(Eighth())
    assert worked, log.errors()
