"""Two engines in a row (sampleDynamicReshape): one resizes images of any size to what the other, an ONNX classifier
with a batch of 1, takes. The memory between them belongs to the script. Prints the share of right answers."""

import sys
from importlib import resources

import numpy as np
import tensorrt as trt
from buffers import call, cudart

LOGGER = trt.Logger(trt.Logger.WARNING)
EXPLICIT = 1


def preprocessor():
    """(1, 1, H, W) of 1 to 64 → (1, 1, 8, 8)."""
    builder = trt.Builder(LOGGER)
    network = builder.create_network(EXPLICIT)
    x = network.add_input("input", trt.float32, (-1, 1, -1, -1))
    resize = network.add_resize(x)
    resize.shape = (1, 1, 8, 8)
    resize.resize_mode = trt.InterpolationMode.LINEAR if hasattr(trt, "InterpolationMode") else trt.ResizeMode.LINEAR
    network.mark_output(resize.get_output(0))
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape(x.name, min=(1, 1, 1, 1), opt=(1, 1, 16, 16), max=(1, 1, 64, 64))
    assert profile and config.add_optimization_profile(profile) == 0
    if hasattr(config, "set_calibration_profile"):
        assert config.set_calibration_profile(profile)
    return deserialized(builder.build_serialized_network(network, config))


def classifier(path):
    builder = trt.Builder(LOGGER)
    network = builder.create_network(EXPLICIT)
    parser = trt.OnnxParser(network, LOGGER)
    assert parser.parse_from_file(path)
    softmax = network.add_softmax(network.get_output(0))
    softmax.axes = 1 << 1
    network.unmark_output(network.get_output(0))
    network.mark_output(softmax.get_output(0))
    network.get_input(0).shape = (1, 1, 8, 8)
    return deserialized(builder.build_serialized_network(network, builder.create_builder_config()))


def deserialized(plan):
    engine = trt.Runtime(LOGGER).deserialize_cuda_engine(plan)
    assert engine is not None
    return engine


def main():
    first, second = preprocessor(), classifier(sys.argv[1])
    resizing, predicting = first.create_execution_context(), second.create_execution_context()
    assert not resizing.set_input_shape("input", (1, 1, 65, 8))          # beyond the profile
    raw, between, scores = (call(cudart.cudaMalloc(n)) for n in (64 * 64 * 4, 8 * 8 * 4, 10 * 4))
    stream = call(cudart.cudaStreamCreate())
    with np.load(resources.files("tensorwright") / "data" / "digits_test.npz") as data:
        images, labels = data["image"][:60], data["label"][:60]
    right = 0
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        factor = 1 + i % 4
        large = np.ascontiguousarray(np.kron(image[None], np.ones((1, 1, factor, factor), np.float32)))
        assert resizing.set_input_shape("input", large.shape)
        assert tuple(resizing.get_tensor_shape(first.get_tensor_name(1))) == (1, 1, 8, 8)
        call(cudart.cudaMemcpyAsync(raw, large.ctypes.data, large.nbytes,
                                    cudart.cudaMemcpyKind.cudaMemcpyHostToDevice, stream))
        assert resizing.execute_v2([raw, between]) and predicting.execute_v2([between, scores])
        found = np.empty(10, np.float32)
        call(cudart.cudaMemcpyAsync(found.ctypes.data, scores, found.nbytes,
                                    cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost, stream))
        call(cudart.cudaStreamSynchronize(stream))
        assert abs(found.sum() - 1) < 1e-4
        right += int(np.argmax(found) == label)
    print(f"right: {right / len(images):.2f}")


if __name__ == "__main__":
    main()
