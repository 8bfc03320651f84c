"""cuda-python on a machine without a GPU: both APIs, statuses instead of exceptions, and an engine that runs on it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensorwright import compat
from tensorwright.cuda.machine import MACHINE
from tensorwright.cuda.present import gpu_is_present

pytestmark = pytest.mark.skipif(gpu_is_present(), reason="with a GPU the real package is left alone")

SCRIPT = '''
import ctypes
import numpy as np
import tensorrt as trt
from cuda import cuda, cudart

def checked(result):
    error, values = result[0], result[1:]
    if int(error):
        name = cudart.cudaGetErrorName(error) if isinstance(error, cudart.cudaError_t) else cuda.cuGetErrorName(error)
        raise RuntimeError(name[1].decode())
    return values[0] if len(values) == 1 else values or None

logger = trt.Logger(trt.Logger.WARNING)
builder = trt.Builder(logger)
network = builder.create_network(0)
x = network.add_input("x", trt.float32, (4, 3))
y = network.add_unary(x, trt.UnaryOperation.ABS).get_output(0)
y.name = "y"
network.mark_output(y)
plan = builder.build_serialized_network(network, builder.create_builder_config())
engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
context = engine.create_execution_context()
stream = checked(cudart.cudaStreamCreate())
held = {}
for i in range(engine.num_io_tensors):
    name = engine.get_tensor_name(i)
    nbytes = trt.volume(engine.get_tensor_shape(name)) * np.dtype(trt.nptype(engine.get_tensor_dtype(name))).itemsize
    pinned = checked(cudart.cudaMallocHost(nbytes))
    array = np.ctypeslib.as_array(ctypes.cast(pinned, ctypes.POINTER(ctypes.c_float)), (4, 3))
    held[name] = array, pinned, checked(cudart.cudaMalloc(nbytes)), nbytes
    assert context.set_tensor_address(name, held[name][2])
array, pinned, device, nbytes = held["x"]
array[...] = np.arange(12).reshape(4, 3) - 6
kind = cudart.cudaMemcpyKind
checked(cudart.cudaMemcpyAsync(device, pinned, nbytes, kind.cudaMemcpyHostToDevice, stream))
assert context.execute_async_v3(stream_handle=stream)
result, pinned_out, device_out, nbytes = held["y"]
checked(cudart.cudaMemcpyAsync(pinned_out, device_out, nbytes, kind.cudaMemcpyDeviceToHost, stream))
checked(cudart.cudaStreamSynchronize(stream))
assert (result == abs(array)).all()
checked(cudart.cudaFree(device_out))
assert not context.execute_async_v3(stream_handle=stream), "freed memory"
try:
    checked(cudart.cudaFree(device_out))
except RuntimeError as error:
    print("passed", error)
'''


def test_the_usual_sequence(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    found = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=False,
                           env=compat.environment("10", dict(os.environ)))
    assert found.returncode == 0 and "passed cudaErrorInvalidValue" in found.stdout, found.stdout + found.stderr


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(compat.WITHOUT_GPU))
    for name in [n for n in sys.modules if n == "cuda" or n.startswith("cuda.")]:
        monkeypatch.delitem(sys.modules, name)
    from cuda import cuda, cudart
    from cuda.bindings import driver, runtime
    assert cudart.cudaMalloc is runtime.cudaMalloc and cuda.cuInit is driver.cuInit
    yield runtime, driver
    MACHINE.stack.clear()


def test_runtime(packages: Any) -> None:
    r, _ = packages
    ok = r.cudaError_t.cudaSuccess
    assert r.cudaGetDeviceCount() == (ok, 1) and r.cudaSetDevice(0) == (ok,)
    assert r.cudaSetDevice(1) == (r.cudaError_t.cudaErrorInvalidDevice,)
    assert r.cudaGetLastError() == (r.cudaError_t.cudaErrorInvalidDevice,) and r.cudaGetLastError() == (ok,)
    properties = r.cudaGetDeviceProperties(0)[1]
    assert (properties.major, properties.minor) == (0, 0) and b"no GPU" in properties.name
    a, b = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
    device = r.cudaMalloc(32)[1]
    kind = r.cudaMemcpyKind
    assert r.cudaMemcpy(device, a.ctypes.data, 32, kind.cudaMemcpyHostToDevice) == (ok,)
    assert r.cudaMemcpy(b, device, 32, kind.cudaMemcpyDeviceToHost) == (ok,)
    np.testing.assert_array_equal(a, b)
    assert r.cudaMemcpy(device, a, 33, kind.cudaMemcpyHostToDevice)[0] == r.cudaError_t.cudaErrorIllegalAddress
    assert r.cudaMemcpy(a, device, 32, kind.cudaMemcpyHostToDevice)[0] == r.cudaError_t.cudaErrorInvalidValue
    assert r.cudaMemset(device, 0, 32) == (ok,) and r.cudaMemset(a.ctypes.data, 0, 4)[0] != ok
    assert r.cudaMalloc(0) == (ok, 0) and r.cudaFree(0) == (ok,) and r.cudaFree(device) == (ok,)
    assert r.cudaMalloc(1 << 62) == (r.cudaError_t.cudaErrorMemoryAllocation, None)
    assert r.cudaMemGetInfo()[0] == ok and len(r.cudaMemGetInfo()) == 3
    stream = r.cudaStreamCreate()[1]
    start, end = r.cudaEventCreate()[1], r.cudaEventCreate()[1]
    assert r.cudaEventElapsedTime(start, end) == (r.cudaError_t.cudaErrorInvalidResourceHandle, None)
    assert r.cudaEventRecord(start, stream) == r.cudaEventRecord(end, stream) == (ok,)
    assert r.cudaEventElapsedTime(start, end)[1] >= 0
    assert r.cudaStreamDestroy(stream) == (ok,) and r.cudaStreamSynchronize(stream)[0] != ok
    assert r.cudaGetErrorString(2) == (ok, b"out of memory")
    device = r.cudaMalloc(8)[1]
    assert r.cudaDeviceReset() == (ok,) and r.cudaFree(device)[0] != ok and r.cudaEventDestroy(start)[0] != ok


def test_driver(packages: Any) -> None:
    _, d = packages
    MACHINE.initialised = False
    assert d.cuDeviceGet(0) == (d.CUresult.CUDA_ERROR_NOT_INITIALIZED, None)
    assert d.cuInit(0) == (d.CUresult.CUDA_SUCCESS,) and d.cuDeviceGet(0) == (0, 0)
    assert d.cuMemAlloc(4) == (d.CUresult.CUDA_ERROR_INVALID_CONTEXT, None)
    context = d.cuCtxCreate(0, 0)[1]
    a = np.arange(4, dtype=np.int32)
    device = d.cuMemAlloc(16)[1]
    assert d.cuMemcpyHtoD(device, a.ctypes.data, 16) == (0,) and d.cuMemsetD32(device + 4, 9, 2) == (0,)
    assert d.cuMemcpyDtoH(a.ctypes.data, device, 16) == (0,)
    assert a.tolist() == [0, 9, 9, 3]
    assert d.cuCtxPopCurrent() == (0, context) and d.cuCtxGetCurrent() == (0, 0)
    assert d.cuMemFree(device)[0] == d.CUresult.CUDA_ERROR_INVALID_CONTEXT
    assert d.cuCtxSetCurrent(context) == (0,) and d.cuMemFree(device) == (0,) and d.cuMemFree(device)[0] != 0
    assert d.cuCtxDestroy(context) == (0,) and d.cuCtxPushCurrent(context)[0] == d.CUresult.CUDA_ERROR_INVALID_CONTEXT
    primary = d.cuDevicePrimaryCtxRetain(0)[1]
    assert d.cuCtxPushCurrent(primary) == (0,) and d.cuCtxGetDevice() == (0, 0)
    assert d.cuDevicePrimaryCtxRelease(0) == (0,) and d.cuDevicePrimaryCtxRelease(0)[0] != 0
    assert d.cuGetErrorName(201) == (0, b"CUDA_ERROR_INVALID_CONTEXT")


def test_the_run_time_compiler_says_that_it_does_not_compile(packages: Any) -> None:
    from cuda import nvrtc as old
    from cuda.bindings import nvrtc
    R = nvrtc.nvrtcResult
    assert old.nvrtcResult is R and nvrtc.nvrtcVersion()[0] == R.NVRTC_SUCCESS
    error, program = nvrtc.nvrtcCreateProgram(b"__global__ void f() {}", b"f.cu", 0, [], [])
    assert error == R.NVRTC_SUCCESS and nvrtc.nvrtcGetProgramLogSize(program)[1] == 1
    error, = nvrtc.nvrtcCompileProgram(program, 1, [b"--gpu-architecture=compute_86"])
    assert error == R.NVRTC_ERROR_COMPILATION and nvrtc.nvrtcGetErrorString(error)[1] == b"NVRTC_ERROR_COMPILATION"
    error, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = b" " * size
    assert nvrtc.nvrtcGetProgramLog(program, log) == (R.NVRTC_SUCCESS,) and b"with NumPy" in log
    again = bytearray(size)
    assert nvrtc.nvrtcGetProgramLog(program, again) == (R.NVRTC_SUCCESS,) and bytes(again) == log
    assert nvrtc.nvrtcGetPTXSize(program)[0] == R.NVRTC_ERROR_INVALID_PROGRAM
    assert nvrtc.nvrtcGetCUBIN(program, log)[0] == R.NVRTC_ERROR_INVALID_PROGRAM
    assert nvrtc.nvrtcDestroyProgram(program) == (R.NVRTC_SUCCESS,)
    assert nvrtc.nvrtcCompileProgram(None, 0, [])[0] == R.NVRTC_ERROR_INVALID_PROGRAM
    assert nvrtc.nvrtcCreateProgram("text", b"", 0, [], [])[0] == R.NVRTC_ERROR_INVALID_INPUT
