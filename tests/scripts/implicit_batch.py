"""LeNet's beginning with its batch left out of all shapes, built and run with execute_async: generations 5 to 7.

    implicit_batch.py WEIGHTS.npz INPUT.npy OUTPUT.npy
"""

import sys

import numpy as np
import pycuda.autoinit  # noqa: F401
import pycuda.driver as cuda
import tensorrt as trt

MAX_BATCH_SIZE = 8
TRT_LOGGER = trt.Logger(trt.Logger.WARNING)


def populate_network(network, weights):
    data = network.add_input("data", trt.float32, (1, 12, 12))
    conv1 = network.add_convolution(data, 6, (5, 5), weights["conv1.weight"], weights["conv1.bias"])
    conv1.stride = (1, 1)
    relu1 = network.add_activation(conv1.get_output(0), trt.ActivationType.RELU)
    pool1 = network.add_pooling(relu1.get_output(0), trt.PoolingType.MAX, (2, 2))
    pool1.stride = (2, 2)
    fc1 = network.add_fully_connected(pool1.get_output(0), 5, weights["fc1.weight"], weights["fc1.bias"])
    prob = network.add_softmax(fc1.get_output(0))
    prob.get_output(0).name = "prob"
    network.mark_output(prob.get_output(0))


def build_engine(weights):
    with trt.Builder(TRT_LOGGER) as builder, builder.create_network() as network:
        builder.max_batch_size = MAX_BATCH_SIZE
        builder.max_workspace_size = 1 << 20
        populate_network(network, weights)
        return builder.build_cuda_engine(network)


def main():
    weights = np.load(sys.argv[1])
    image = np.load(sys.argv[2]).astype(np.float32)
    batch = len(image)
    with build_engine(weights) as engine:
        assert engine.max_batch_size == MAX_BATCH_SIZE
        h_input = cuda.pagelocked_empty(batch * trt.volume(engine.get_binding_shape(0)), dtype=np.float32)
        h_output = cuda.pagelocked_empty(batch * trt.volume(engine.get_binding_shape(1)), dtype=np.float32)
        d_input = cuda.mem_alloc(h_input.nbytes)
        d_output = cuda.mem_alloc(h_output.nbytes)
        stream = cuda.Stream()
        np.copyto(h_input, image.ravel())
        with engine.create_execution_context() as context:
            cuda.memcpy_htod_async(d_input, h_input, stream)
            context.execute_async(batch_size=batch, bindings=[int(d_input), int(d_output)], stream_handle=stream.handle)
            cuda.memcpy_dtoh_async(h_output, d_output, stream)
            stream.synchronize()
    np.save(sys.argv[3], h_output.reshape(batch, -1))


if __name__ == "__main__":
    main()
