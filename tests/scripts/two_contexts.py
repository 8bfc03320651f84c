"""One engine, two contexts, two streams, on a device that the script selects; a thread for each: generations 7 and 8.

    two_contexts.py ENGINE OUTPUT.npz INPUT.npy INPUT.npy
"""

import sys
import threading

import numpy as np
import pycuda.driver as cuda
import tensorrt as trt

DEVICE = 0
TRT_LOGGER = trt.Logger(trt.Logger.WARNING)


class Worker(threading.Thread):
    def __init__(self, device_context, engine, images):
        threading.Thread.__init__(self)
        self.device_context = device_context
        self.engine = engine
        self.images = images
        self.results = []
        device_context.push()
        self.context = engine.create_execution_context()
        self.stream = cuda.Stream()
        self.h_output = cuda.pagelocked_empty(trt.volume(engine.get_binding_shape(1)), np.float32)
        self.d_input = cuda.mem_alloc(trt.volume(engine.get_binding_shape(0)) * 4)
        self.d_output = cuda.mem_alloc(self.h_output.nbytes)
        device_context.pop()

    def run(self):
        self.device_context.push()
        try:
            for image in self.images:
                cuda.memcpy_htod_async(self.d_input, np.ascontiguousarray(image), self.stream)
                assert self.context.execute_async_v2([int(self.d_input), int(self.d_output)], self.stream.handle)
                cuda.memcpy_dtoh_async(self.h_output, self.d_output, self.stream)
                self.stream.synchronize()
                self.results.append(self.h_output.copy())
        finally:
            self.device_context.pop()


def main():
    cuda.init()
    print("devices:", cuda.Device.count())
    device = cuda.Device(DEVICE)
    device_context = device.make_context()
    try:
        with open(sys.argv[1], "rb") as f:
            engine = trt.Runtime(TRT_LOGGER).deserialize_cuda_engine(f.read())
        workers = [Worker(device_context, engine, np.load(file)) for file in sys.argv[3:]]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        np.savez(sys.argv[2], *(np.stack(worker.results) for worker in workers))
    finally:
        device_context.pop()
        device_context.detach()


if __name__ == "__main__":
    main()
