"""ResNet-50 with random weights, made on the spot: a real architecture to compile without downloading anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx


class _Graph:
    """Nodes and weights under construction."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, array: np.ndarray) -> str:
        from onnx import numpy_helper
        self.weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(self, kind: str, name: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        from onnx import helper
        output = output or f"{name}.out"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def conv(self, name: str, x: str, channels: tuple[int, int], window: int, stride: int = 1,
             gain: float = 1.0) -> str:
        """Convolution (He-initialised), batch normalisation: (N, c, H, W) → (N, k, H/stride, W/stride)"""
        c, k = channels
        kernel = self.random.standard_normal((k, c, window, window)) * np.sqrt(2 / (c * window * window))
        pad = window // 2
        y = self.node("Conv", name, x, self.weight(f"{name}.weight", kernel), strides=[stride, stride],
                      pads=[pad] * 4, kernel_shape=[window, window])
        normal = [("scale", gain * self.random.uniform(0.9, 1.1, k)), ("bias", self.random.normal(0, 0.1, k)),
                  ("mean", self.random.normal(0, 0.1, k)), ("var", self.random.uniform(0.8, 1.2, k))]
        return self.node("BatchNormalization", f"{name}.bn", y,
                         *(self.weight(f"{name}.bn.{part}", array) for part, array in normal), epsilon=1e-5)

    def relu(self, x: str) -> str:
        return self.node("Relu", f"{x.removesuffix('.out')}.relu", x)


def resnet(batch: int | None = 1, *, blocks: Sequence[int] = (3, 4, 6, 3), width: int = 64, image: int = 224,
           classes: int = 1000, seed: int = 0) -> onnx.ModelProto:
    """A bottleneck residual network: input `image` float32 (batch, 3, image, image), output `scores` (batch, classes).

    batch   None: dynamic. blocks, width: (3, 4, 6, 3) and 64 make ResNet-50 (v1.5: the stride is in the 3×3)
    """
    from onnx import TensorProto, helper
    g = _Graph(seed)
    x = g.relu(g.conv("stem", "image", (3, width), 7, 2))
    x = g.node("MaxPool", "stem.pool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = width
    for stage, count in enumerate(blocks):
        inner, outer = width << stage, width << stage + 2
        for block in range(count):
            name, stride = f"stage{stage + 1}.{block}", 2 if stage and not block else 1
            y = g.relu(g.conv(f"{name}.a", x, (channels, inner), 1))
            y = g.relu(g.conv(f"{name}.b", y, (inner, inner), 3, stride))
            y = g.conv(f"{name}.c", y, (inner, outer), 1, gain=0.3)
            if channels != outer or stride != 1:
                x = g.conv(f"{name}.shortcut", x, (channels, outer), 1, stride)
            x = g.relu(g.node("Add", f"{name}.add", y, x))
            channels = outer
    x = g.node("Flatten", "flatten", g.node("GlobalAveragePool", "pool", x))
    weights = g.random.standard_normal((classes, channels)) / np.sqrt(channels)
    g.node("Gemm", "classifier", x, g.weight("classifier.weight", weights),
           g.weight("classifier.bias", np.zeros(classes)), output="scores", transB=1)
    size = "batch" if batch is None else batch
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [size, 3, image, image])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [size, classes])]
    graph = helper.make_graph(g.nodes, "resnet50", inputs, outputs, g.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
                             producer_name="tensorwright")
