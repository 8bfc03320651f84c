"""A network written by hand: three inputs, one fully connected layer, a sigmoid, two outputs; weights from a file.

    python examples/mlp_by_hand.py [weights.wts or weights.npz]

A .wts file is text: the number of tensors; then per line a name, the number of values, and each value as hexadecimal
digits of a float32. The tensors are linear.weight (2, 3) and linear.bias (2).
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np

import tensorwright as trt


def load_weights(path: Path) -> dict[str, np.ndarray]:
    """Tensors by name, flat."""
    if path.suffix == ".npz":
        return {name: array.astype(np.float32).ravel() for name, array in np.load(path).items()}
    lines = path.read_text().splitlines()
    weights = {}
    for line in lines[1:1 + int(lines[0])]:
        name, count, *values = line.split()
        assert len(values) == int(count), f"{name}: {len(values)} values instead of {count}"
        weights[name] = np.array([struct.unpack(">f", bytes.fromhex(v))[0] for v in values], np.float32)
    return weights


def build(weights: dict[str, np.ndarray], logger: trt.Logger) -> bytes:
    """The plan of sigmoid(W · x + b)."""
    builder = trt.Builder(logger)
    network = builder.create_network()
    x = network.add_input("data", trt.float32, (1, 3, 1, 1))
    kernel, bias = trt.Weights(weights["linear.weight"]), trt.Weights(weights["linear.bias"])
    linear = network.add_fully_connected(x, 2, kernel, bias)
    sigmoid = network.add_activation(linear.get_output(0), trt.ActivationType.SIGMOID)
    sigmoid.get_output(0).name = "prob"
    network.mark_output(sigmoid.get_output(0))
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    if plan is None:
        raise SystemExit("the build failed: see the log")
    return plan


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("mlp.wts")
    weights, logger = load_weights(path), trt.Logger(trt.Logger.WARNING)
    engine = trt.Runtime(logger).deserialize_cuda_engine(build(weights, logger))
    context = engine.create_execution_context()
    x, y = np.array([4, 5, 6], np.float32), np.empty(2, np.float32)
    context.set_tensor_address("data", x.ctypes.data)
    context.set_tensor_address("prob", y.ctypes.data)
    if not context.execute_async_v3(stream_handle=0):
        raise SystemExit("the run failed: see the log")
    expected = 1 / (1 + np.exp(-(weights["linear.weight"].reshape(2, 3) @ x + weights["linear.bias"])))
    print("prob", y, "expected", expected)
    assert np.allclose(y, expected, atol=1e-6)


if __name__ == "__main__":
    main()
