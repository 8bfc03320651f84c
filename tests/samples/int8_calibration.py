"""Calibration for INT8 with a cache (int8_caffe_mnist): batches are copied to the device, and read from there. In
generation 8 the network comes from a Caffe model, from 10 on from ONNX. Prints how many batches were asked for.

int8_calibration.py CACHE MODEL
"""

import sys
from importlib import resources
from pathlib import Path

import numpy as np
import tensorrt as trt
from buffers import allocate, call, cudart, infer, release

LOGGER = trt.Logger(trt.Logger.ERROR)
BATCH = 10
PROTOTXT = """
name: "digits"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
layer { name: "scale" type: "Power" bottom: "data" top: "scale" power_param { scale: 0.5 } }
layer { name: "conv" type: "Convolution" bottom: "scale" top: "conv"
        convolution_param { num_output: 6 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 10 } }
"""


class Calibrator(trt.IInt8EntropyCalibrator2):
    """Hands out batches of images; keeps the cache in a file."""

    def __init__(self, images, cache):
        trt.IInt8EntropyCalibrator2.__init__(self)
        self.images, self.cache, self.place, self.asked = images, Path(cache), 0, 0
        self.device = call(cudart.cudaMalloc(images[:BATCH].nbytes))

    def get_batch_size(self):
        return BATCH

    def get_batch(self, names, p_str=None):
        batch = np.ascontiguousarray(self.images[self.place: self.place + BATCH])
        if len(batch) < BATCH:
            return None
        self.place, self.asked = self.place + BATCH, self.asked + 1
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        call(cudart.cudaMemcpy(self.device, batch.ctypes.data, batch.nbytes, kind))
        return [int(self.device)]

    def read_calibration_cache(self):
        return self.cache.read_bytes() if self.cache.exists() else None

    def write_calibration_cache(self, cache):
        self.cache.write_bytes(cache)


def build(calibrator, model):
    builder = trt.Builder(LOGGER)
    network = builder.create_network(1)
    if hasattr(trt, "CaffeParser"):
        tensors = trt.CaffeParser().parse_buffer(PROTOTXT.encode(), None, network, trt.float32)
        network.mark_output(tensors.find("fc"))
        network.get_input(0).shape = (BATCH, 1, 8, 8)
    else:
        assert trt.OnnxParser(network, LOGGER).parse_from_file(model)
        network.get_input(0).shape = (BATCH, 1, 8, 8)
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.INT8)
    config.int8_calibrator = calibrator
    return trt.Runtime(LOGGER).deserialize_cuda_engine(builder.build_serialized_network(network, config))


def main():
    cache, model = sys.argv[1:]
    with np.load(resources.files("tensorwright") / "data" / "digits_test.npz") as data:
        images = data["image"][:45]
    first = Calibrator(images, cache)
    engine = build(first, model)
    lines = Path(cache).read_text().splitlines()
    assert first.asked == 4 and lines[0].startswith("TRT-") and "EntropyCalibration2" in lines[0]
    ranges = {name: np.frombuffer(bytes.fromhex(value.strip()), ">f4")[0] * 127
              for name, value in (line.rsplit(":", 1) for line in lines[1:])}
    seen, most = ranges[engine.get_tensor_name(0)], abs(images[:40]).max()
    assert most / 4 < seen < most * 1.05, (seen, most)
    again = Calibrator(images, cache)
    assert build(again, model) is not None and again.asked == 0
    inputs, outputs, addresses, stream = allocate(engine)
    np.copyto(inputs[0].host, images[:BATCH].ravel())
    scores, = infer(engine, engine.create_execution_context(), inputs, outputs, addresses, stream)
    assert np.isfinite(scores).all() and scores.std() > 0
    release(inputs, outputs, stream)
    print(f"asked for {first.asked} batches, then for {again.asked}; {len(ranges)} ranges")


if __name__ == "__main__":
    main()
