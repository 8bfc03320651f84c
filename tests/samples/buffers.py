"""Memory and streams as samples handle them, by cuda-python: pairs of page-locked and device memory, and one execution.

Imported by the scripts beside it, which run in processes of their own in which `tensorrt` is a view of one generation.
"""

import ctypes

import numpy as np
import tensorrt as trt

try:
    from cuda.bindings import driver as cuda
    from cuda.bindings import runtime as cudart
except ImportError:
    from cuda import cuda, cudart


def call(answer):
    """The values of a call. RuntimeError with the name of its error."""
    status, values = answer[0], answer[1:]
    if status.value:
        name = cuda.cuGetErrorName if isinstance(status, cuda.CUresult) else cudart.cudaGetErrorName
        raise RuntimeError(f"CUDA error {status.value}: {name(status)[1]}")
    return values[0] if len(values) == 1 else values or None


class Pair:
    """Memory of one tensor: `host`, a page-locked array of `count` elements, and `device`, an address."""

    def __init__(self, count, dtype):
        self.dtype = np.dtype(dtype)
        self.nbytes = max(1, count * self.dtype.itemsize)
        self.pinned = call(cudart.cudaMallocHost(self.nbytes))
        kind = ctypes.POINTER(np.ctypeslib.as_ctypes_type(self.dtype))
        self.host = np.ctypeslib.as_array(ctypes.cast(self.pinned, kind), (count,))
        self.device = call(cudart.cudaMalloc(self.nbytes))

    def free(self):
        call(cudart.cudaFree(self.device))
        call(cudart.cudaFreeHost(self.pinned))


def allocate(engine, profile=None):
    """(inputs, outputs, addresses in the engine's order, stream); inputs as large as the profile allows, outputs of
    run-time sizes of 4096 elements."""
    inputs, outputs, addresses = [], [], []
    for i in range(engine.num_io_tensors):
        name = engine.get_tensor_name(i)
        taken = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        if profile is not None and taken:
            shape = engine.get_tensor_profile_shape(name, profile)[-1]
        else:
            shape = engine.get_tensor_shape(name)
        count = 4096 if any(d < 0 for d in shape) else trt.volume(shape)
        pair = Pair(count, trt.nptype(engine.get_tensor_dtype(name)))
        (inputs if taken else outputs).append(pair)
        addresses.append(int(pair.device))
    return inputs, outputs, addresses, call(cudart.cudaStreamCreate())


def infer(engine, context, inputs, outputs, addresses, stream):
    """Copy in, execute by the generation's own call, copy out; the outputs' host arrays."""
    to_device, to_host = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice, cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
    for pair in inputs:
        call(cudart.cudaMemcpyAsync(pair.device, pair.host.ctypes.data, pair.nbytes, to_device, stream))
    if hasattr(context, "execute_async_v2"):
        assert context.execute_async_v2(bindings=addresses, stream_handle=stream)
    else:
        for i, address in enumerate(addresses):
            assert context.set_tensor_address(engine.get_tensor_name(i), address)
        assert context.execute_async_v3(stream_handle=stream)
    for pair in outputs:
        call(cudart.cudaMemcpyAsync(pair.host.ctypes.data, pair.device, pair.nbytes, to_host, stream))
    call(cudart.cudaStreamSynchronize(stream))
    return [pair.host for pair in outputs]


def release(inputs, outputs, stream):
    for pair in (*inputs, *outputs):
        pair.free()
    call(cudart.cudaStreamDestroy(stream))
