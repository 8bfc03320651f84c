"""An engine read from a file and run once on three numbers: generations 7 and 8.

    mlp_run.py ENGINE A B C
"""

import sys

import numpy as np
import pycuda.autoinit
import pycuda.driver as cuda
import tensorrt as trt

BATCH_SIZE = 1
TRT_LOGGER = trt.Logger(trt.Logger.INFO)


class HostDeviceMem:
    def __init__(self, host_mem, device_mem):
        self.host = host_mem
        self.device = device_mem


def do_inference(context, inputs, outputs, bindings, stream):
    for inp in inputs:
        cuda.memcpy_htod_async(inp.device, inp.host, stream)
    if not context.execute_async_v2(bindings=bindings, stream_handle=stream.handle):
        raise RuntimeError("enqueue failed")
    for out in outputs:
        cuda.memcpy_dtoh_async(out.host, out.device, stream)
    stream.synchronize()
    return [out.host for out in outputs]


def main():
    assert pycuda.autoinit.device is not None
    runtime = trt.Runtime(TRT_LOGGER)
    assert runtime
    with open(sys.argv[1], "rb") as f:
        engine = runtime.deserialize_cuda_engine(f.read())
    if engine is None:
        print("failed to deserialize the engine", file=sys.stderr)
        return 1
    context = engine.create_execution_context()
    assert context
    assert engine.num_bindings == 2
    inputs, outputs, bindings = [], [], []
    for binding in engine:
        size = trt.volume(engine.get_binding_shape(binding)) * BATCH_SIZE
        host_mem = cuda.pagelocked_empty(size, trt.nptype(engine.get_binding_dtype(binding)))
        device_mem = cuda.mem_alloc(host_mem.nbytes)
        bindings.append(int(device_mem))
        if engine.binding_is_input(binding):
            inputs.append(HostDeviceMem(host_mem, device_mem))
        else:
            outputs.append(HostDeviceMem(host_mem, device_mem))
    stream = cuda.Stream()
    np.copyto(inputs[0].host, np.array([float(word) for word in sys.argv[2:]], dtype=np.float32))
    result = do_inference(context, inputs, outputs, bindings, stream)
    print("result:", " ".join(f"{value:.9g}" for value in result[0]))
    del context
    del engine
    del runtime
    return 0


if __name__ == "__main__":
    sys.exit(main())
