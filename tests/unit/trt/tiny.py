"""What tests of the objects around an engine share: a log that remembers, and engines that are built at once."""

from __future__ import annotations

from typing import Any

import numpy as np

import tensorwright as trt


class Log(trt.ILogger):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[Any, str]] = []

    def log(self, severity: Any, msg: str) -> None:
        self.lines.append((severity, msg))

    def text(self, at_least: Any = trt.Logger.VERBOSE) -> str:
        return "\n".join(msg for severity, msg in self.lines if severity <= at_least)

    def errors(self) -> str:
        return self.text(trt.Logger.ERROR)


def quick(builder: trt.Builder) -> trt.IBuilderConfig:
    """A configuration that does not spend time on tuning."""
    config = builder.create_builder_config()
    config.builder_optimization_level = 0
    return config


def chain(builder: trt.Builder, shape: tuple[int, ...] = (4, 8), module: Any = trt) -> trt.INetworkDefinition:
    """y = softmax(relu(x @ W)) of shape (n, 8), where W is `weights()`; the tensors in between have names too."""
    network = builder.create_network()
    x = network.add_input("x", module.float32, shape)
    w = network.add_constant((8, 8), weights()).get_output(0)
    none = module.MatrixOperation.NONE
    product = network.add_matrix_multiply(x, none, w, none).get_output(0)
    product.name = "product"
    relu = network.add_activation(product, module.ActivationType.RELU).get_output(0)
    relu.name = "relu"
    softmax = network.add_softmax(relu)
    softmax.axes = 1 << 1
    softmax.get_output(0).name = "y"
    network.mark_output(softmax.get_output(0))
    return network


def weights() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((8, 8), dtype=np.float32)


def expected(x: np.ndarray) -> dict[str, np.ndarray]:
    """The tensors of `chain` in float64."""
    product = x.astype(np.float64) @ weights()
    relu = np.maximum(product, 0)
    e = np.exp(relu - relu.max(1, keepdims=True))
    return {"product": product, "relu": relu, "y": e / e.sum(1, keepdims=True)}


def engine_of(builder: trt.Builder, network: trt.INetworkDefinition, *sizes: tuple[int, int, int],
              config: trt.IBuilderConfig | None = None) -> trt.ICudaEngine:
    """The engine; sizes: (min, opt, max) of the batch of input "x", for each profile."""
    config = config or quick(builder)
    for low, usual, high in sizes:
        profile = builder.create_optimization_profile()
        profile.set_shape("x", (low, 8), (usual, 8), (high, 8))
        config.add_optimization_profile(profile)
    engine = builder.build_engine_with_config(network, config)
    assert engine is not None
    return engine


def run(context: trt.IExecutionContext, x: np.ndarray) -> np.ndarray:
    """The output of `chain` through addresses of arrays. AssertionError when a call refuses."""
    y = np.zeros_like(x)
    assert context.set_input_shape("x", x.shape)
    assert context.set_tensor_address("x", x.ctypes.data) and context.set_tensor_address("y", y.ctypes.data)
    assert context.execute_async_v3(0)
    return y
