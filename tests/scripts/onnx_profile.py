"""An ONNX model whose batch, height and width vary, built with one profile, run at several shapes: generations 7, 8.

    onnx_profile.py MODEL ENGINE OUTPUT.npz INPUT.npy...
"""

import os
import sys

import numpy as np
import pycuda.autoinit  # noqa: F401
import pycuda.driver as cuda
import tensorrt as trt

EXPLICIT_BATCH = 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
MAX_BATCH_SIZE = 10
TRT_LOGGER = trt.Logger(trt.Logger.WARNING)


def get_engine(onnx_file_path, engine_file_path):
    if os.path.exists(engine_file_path):
        print("reading the engine from", engine_file_path)
        with open(engine_file_path, "rb") as f, trt.Runtime(TRT_LOGGER) as runtime:
            return runtime.deserialize_cuda_engine(f.read())
    with trt.Builder(TRT_LOGGER) as builder, builder.create_network(EXPLICIT_BATCH) as network, \
            trt.OnnxParser(network, TRT_LOGGER) as parser, builder.create_builder_config() as config:
        config.max_workspace_size = 1 << 28
        with open(onnx_file_path, "rb") as model:
            if not parser.parse(model.read()):
                for error in range(parser.num_errors):
                    print(parser.get_error(error))
                return None
        input_tensor = network.get_input(0)
        input_channel = input_tensor.shape[1]
        assert input_tensor.shape[0] == -1
        profile = builder.create_optimization_profile()
        profile.set_shape(input_tensor.name, (1, input_channel, 3, 3), (1, input_channel, 3, 3),
                          (MAX_BATCH_SIZE, input_channel, 5, 5))
        config.add_optimization_profile(profile)
        engine = builder.build_engine(network, config)
        with open(engine_file_path, "wb") as f:
            f.write(engine.serialize())
        return engine


def infer(context, engine, image, stream):
    context.set_binding_shape(0, image.shape)
    assert context.all_binding_shapes_specified
    shape = tuple(context.get_binding_shape(1))
    h_output = cuda.pagelocked_empty(shape, dtype=trt.nptype(engine.get_binding_dtype(1)))
    d_input, d_output = cuda.mem_alloc(image.nbytes), cuda.mem_alloc(h_output.nbytes)
    cuda.memcpy_htod_async(d_input, image, stream)
    assert context.execute_async_v2(bindings=[int(d_input), int(d_output)], stream_handle=stream.handle)
    cuda.memcpy_dtoh_async(h_output, d_output, stream)
    stream.synchronize()
    return h_output


def main():
    with get_engine(sys.argv[1], sys.argv[2]) as engine, engine.create_execution_context() as context:
        assert engine.get_binding_shape(engine["image"])[0] == -1
        assert [tuple(s) for s in engine.get_profile_shape(0, 0)][2][0] == MAX_BATCH_SIZE
        stream = cuda.Stream()
        results = [infer(context, engine, np.ascontiguousarray(np.load(file)), stream) for file in sys.argv[4:]]
        assert not context.set_binding_shape(0, (MAX_BATCH_SIZE + 1, 1, 3, 3)), "beyond the profile"
        np.savez(sys.argv[3], *results)


if __name__ == "__main__":
    main()
