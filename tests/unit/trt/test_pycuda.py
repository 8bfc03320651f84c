"""Scripts with pycuda on a machine without a GPU: the usual sequence, and misuse reported as CUDA reports it."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensorwright import compat
from tensorwright.cuda import memory
from tensorwright.cuda.present import gpu_is_present

pytestmark = pytest.mark.skipif(gpu_is_present(), reason="with a GPU the real pycuda is left alone")

SCRIPT = '''
import numpy as np
import tensorrt as trt
import pycuda.driver as cuda
import pycuda.autoinit

logger = trt.Logger(trt.Logger.WARNING)
builder = trt.Builder(logger)
network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
x = network.add_input("x", trt.float32, (-1, 3))
y = network.add_activation(x, trt.ActivationType.RELU).get_output(0)
y.name = "y"
network.mark_output(y)
config = builder.create_builder_config()
config.max_workspace_size = 1 << 20
profile = builder.create_optimization_profile()
profile.set_shape("x", (1, 3), (2, 3), (4, 3))
config.add_optimization_profile(profile)
engine = builder.build_engine(network, config)
with engine.create_execution_context() as context:
    stream = cuda.Stream()
    for batch in (2, 4, 1):
        host_in = cuda.pagelocked_empty((batch, 3), np.float32)
        host_out = cuda.pagelocked_empty((batch, 3), np.float32)
        host_in[...] = np.arange(3 * batch).reshape(batch, 3) - 4
        device_in, device_out = cuda.mem_alloc(host_in.nbytes), cuda.mem_alloc(host_out.nbytes)
        context.set_binding_shape(0, host_in.shape)
        cuda.memcpy_htod_async(device_in, host_in, stream)
        assert context.execute_async_v2(bindings=[int(device_in), int(device_out)], stream_handle=stream.handle)
        cuda.memcpy_dtoh_async(host_out, device_out, stream)
        stream.synchronize()
        assert (host_out == np.maximum(host_in, 0)).all()
    assert not context.execute_async_v2([int(device_in), int(device_out) + 256], stream.handle), "past the end"
    device_out.free()
    assert not context.execute_async_v2([int(device_in), int(device_in) + 1], stream.handle)
print("passed", trt.__version__)
'''


def test_the_usual_sequence(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    found = subprocess.run([sys.executable, str(tmp_path / "script.py")], env=compat.environment("8", dict(os.environ)),
                           capture_output=True, text=True, check=False)
    assert found.returncode == 0 and "passed 8." in found.stdout, found.stdout + found.stderr


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(compat.WITHOUT_GPU))
    import pycuda.driver as driver
    assert str(compat.WITHOUT_GPU) in str(driver.__file__)
    driver.init()
    context = driver.Device(0).make_context()
    yield driver
    context.pop()
    context.detach()


def test_copies_both_ways_and_within_the_device(cuda: Any) -> None:
    a = np.random.default_rng(0).standard_normal((5, 7))
    device = cuda.to_device(a)
    other = cuda.mem_alloc(a.nbytes)
    cuda.memcpy_dtod(other, device, a.nbytes)
    np.testing.assert_array_equal(cuda.from_device(other, a.shape, a.dtype), a)
    part = np.empty(7)
    cuda.memcpy_dtoh(part, int(other) + 2 * 7 * 8)                        # pointer arithmetic inside the allocation
    np.testing.assert_array_equal(part, a[2])
    cuda.memset_d32(other, 0x3F800000, a.nbytes // 4)
    np.testing.assert_array_equal(cuda.from_device(other, (70,), np.float32), 1)


def test_misuse_is_reported(cuda: Any) -> None:
    a = np.zeros(10, np.float32)
    device = cuda.mem_alloc(a.nbytes)
    with pytest.raises(cuda.LogicError, match="reach beyond the allocation of 40 bytes"):
        cuda.memcpy_htod(device, np.zeros(11, np.float32))
    with pytest.raises(cuda.LogicError, match="nothing is allocated there"):
        cuda.memcpy_dtoh(a, memory.SPACE._next + (1 << 40))
    with pytest.raises(cuda.LogicError, match="not an address of the device"):
        cuda.memcpy_htod(a.ctypes.data, a)
    address = int(device)
    device.free()
    with pytest.raises(cuda.LogicError, match="that memory was freed"):
        cuda.memcpy_htod(address, a)
    with pytest.raises(cuda.LogicError, match="freed before"):
        device.free()
    with pytest.raises(cuda.MemoryError):
        cuda.mem_alloc(1 << 60)
    with pytest.raises(cuda.LogicError):
        cuda.mem_alloc(0)
    with pytest.raises(ValueError, match="not contiguous"):
        cuda.memcpy_htod(cuda.mem_alloc(400), np.zeros((10, 10), np.float32)[:, ::2])
    locked = np.zeros(3)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="not writable"):
        cuda.memcpy_dtoh(locked, cuda.mem_alloc(24))
    with pytest.raises(cuda.LogicError, match="device 1 of 1"):
        cuda.Device(1)


def test_contexts_belong_to_threads(cuda: Any) -> None:
    errors: list[str] = []

    def other() -> None:
        try:
            cuda.mem_alloc(4)
        except cuda.LogicError as error:
            errors.append(str(error))
        mine = cuda.Device(0).make_context()
        cuda.mem_alloc(4).free()
        mine.pop()
        mine.detach()
        with pytest.raises(cuda.LogicError):
            mine.push()
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(errors) == 1 and "invalid device context" in errors[0]
    primary = cuda.Device(0).retain_primary_context()
    primary.push()
    assert cuda.Context.get_current() == primary
    primary.pop()
    primary.detach()
    with pytest.raises(cuda.LogicError):
        primary.detach()


def test_memory_is_given_back(cuda: Any) -> None:
    before = memory.SPACE.used()
    held = cuda.mem_alloc(1 << 20)
    assert memory.SPACE.used() == before + (1 << 20) and cuda.mem_get_info()[0] <= cuda.mem_get_info()[1]
    del held
    gc.collect()
    assert memory.SPACE.used() == before


def test_events_measure(cuda: Any) -> None:
    start, end = cuda.Event(), cuda.Event()
    start.record()
    sum(range(100000))
    end.record().synchronize()
    assert 0 < start.time_till(end) == end.time_since(start) < 1e4
    with pytest.raises(cuda.LogicError):
        cuda.Event().time_since(start)
    assert cuda.Device.count() == 1 and cuda.Device(0).compute_capability() == (0, 0)
