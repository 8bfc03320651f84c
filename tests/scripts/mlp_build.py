"""A network of three inputs written out by hand, weights from a .wts file, the engine saved: generations 6 to 8.

    mlp_build.py WEIGHTS ENGINE
"""

import struct
import sys

import numpy as np
import tensorrt as trt

INPUT_NAME = "data"
OUTPUT_NAME = "output"
INPUT_SIZE = 3
OUTPUT_SIZE = 2
TRT_LOGGER = trt.Logger(trt.Logger.INFO)


def load_weights(file):
    weight_map = {}
    with open(file) as f:
        lines = [line.strip() for line in f]
    count = int(lines[0])
    assert count == len(lines) - 1
    for i in range(1, count + 1):
        splits = lines[i].split(" ")
        name = splits[0]
        cur_count = int(splits[1])
        assert cur_count + 2 == len(splits)
        values = []
        for j in range(2, len(splits)):
            values.append(struct.unpack(">f", bytes.fromhex(splits[j])))
        weight_map[name] = np.array(values, dtype=np.float32)
    return weight_map


def create_engine(weight_map, max_batch_size, builder, config, dt):
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    data = network.add_input(INPUT_NAME, dt, (1, INPUT_SIZE, 1, 1))
    assert data
    fc1 = network.add_fully_connected(data, OUTPUT_SIZE, weight_map["fc1.weight"], weight_map["fc1.bias"])
    assert fc1
    sigmoid = network.add_activation(fc1.get_output(0), trt.ActivationType.SIGMOID)
    assert sigmoid
    sigmoid.get_output(0).name = OUTPUT_NAME
    network.mark_output(sigmoid.get_output(0))
    builder.max_batch_size = max_batch_size
    config.max_workspace_size = 1 << 28
    engine = builder.build_engine(network, config)
    del network
    del weight_map
    return engine


def main():
    builder = trt.Builder(TRT_LOGGER)
    config = builder.create_builder_config()
    engine = create_engine(load_weights(sys.argv[1]), 1, builder, config, trt.float32)
    if not engine:
        print("failed to create the engine", file=sys.stderr)
        return 1
    with open(sys.argv[2], "wb") as f:
        f.write(engine.serialize())
    del engine
    del builder
    del config
    return 0


if __name__ == "__main__":
    sys.exit(main())
