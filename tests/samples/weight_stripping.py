"""A plan without weights, which get their place again from the ONNX model (sample_weight_stripping), and plans that are
written to and read from streams (stream_writer). Prints the sizes of both plans.

weight_stripping.py MODEL
"""

import sys
from importlib import resources

import numpy as np
import tensorrt as trt
from buffers import allocate, infer, release

LOGGER = trt.Logger(trt.Logger.ERROR)


def build(path, stripped):
    with trt.Builder(LOGGER) as builder, builder.create_network(0) as network, \
            trt.OnnxParser(network, LOGGER) as parser:
        assert parser.parse_from_file(path)
        network.get_input(0).shape = (1, 1, 8, 8)
        with builder.create_builder_config() as config:
            cache = config.create_timing_cache(b"")
            assert config.set_timing_cache(cache, ignore_mismatch=False)
            if stripped:
                config.set_flag(trt.BuilderFlag.STRIP_PLAN)
            if not hasattr(builder, "build_serialized_network_to_stream"):
                return bytes(builder.build_serialized_network(network, config))

            class Writer(trt.IStreamWriter):
                def __init__(self):
                    trt.IStreamWriter.__init__(self)
                    self.content = b""

                def write(self, data):
                    self.content += bytes(data)
                    return len(data)

            writer = Writer()
            assert builder.build_serialized_network_to_stream(network, config, writer)
            return writer.content


class Reader(trt.IStreamReaderV2 if hasattr(trt, "IStreamReaderV2") else object):
    """A plan, read piece by piece."""

    def __init__(self, content):
        trt.IStreamReaderV2.__init__(self)
        self.content, self.place = content, 0

    def read(self, num_bytes, stream):
        piece = self.content[self.place: self.place + num_bytes]
        self.place += len(piece)
        return piece

    def seek(self, offset, where):
        start = {trt.SeekPosition.SET: 0, trt.SeekPosition.CUR: self.place, trt.SeekPosition.END: len(self.content)}
        self.place = start[where] + offset
        return True


def answers(engine, images):
    inputs, outputs, addresses, stream = allocate(engine)
    context = engine.create_execution_context()
    found = []
    for image in images:
        np.copyto(inputs[0].host, image.ravel())
        found.append(np.array(infer(engine, context, inputs, outputs, addresses, stream)[0]))
    release(inputs, outputs, stream)
    return np.array(found)


def main():
    path = sys.argv[1]
    whole, stripped = build(path, False), build(path, True)
    print(f"plan {len(whole)} bytes, without weights {len(stripped)}")
    assert len(stripped) < len(whole) / 2
    with np.load(resources.files("tensorwright") / "data" / "digits_test.npz") as data:
        images = data["image"][:50]
    runtime = trt.Runtime(LOGGER)
    expected = answers(runtime.deserialize_cuda_engine(whole), images)
    engine = runtime.deserialize_cuda_engine(Reader(stripped) if hasattr(trt, "IStreamReaderV2") else stripped)
    refitter = trt.Refitter(engine, LOGGER)
    parser = trt.OnnxParserRefitter(refitter, LOGGER)
    assert refitter.get_missing_weights() and not refitter.refit_cuda_engine()
    assert parser.refit_from_file(path) and refitter.refit_cuda_engine()
    np.testing.assert_allclose(answers(engine, images), expected, rtol=1e-4, atol=1e-4)
    print("refitted: same answers")


if __name__ == "__main__":
    main()
