"""Light models: a network's structure without its weights, and random weights put back in their place.

Two forms are read. Ours (`strip`): large initialisers are emptied and remember shape, mean and deviation in their
doc string. The onnx package's: weights come from ConstantOfShape nodes whose shapes are initialisers.
"""

from __future__ import annotations

import math
import re
import zlib

import numpy as np
import onnx
from onnx import numpy_helper

SMALL = 256
_MARK = re.compile(r"^normal (\S+) (\S+)$")


def strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Large float initialisers emptied in place: what is left is small enough for a repository."""
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.size > SMALL and array.dtype == np.float32:
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
            tensor.doc_string = f"normal {array.mean():.6g} {array.std():.6g}"
    return model


def fill(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """Random weights in place of placeholders; equal seeds give equal weights. Activations keep a sensible scale."""
    filters = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    for tensor in model.graph.initializer:
        found = _MARK.match(tensor.doc_string)
        if found:
            mean, deviation = map(float, found.groups())
            if tensor.name in filters:  # PyTorch's default lets activations die out in deep networks
                deviation = math.sqrt(2 / math.prod(tensor.dims[1:]))
            noise = _rng(tensor.name, seed).standard_normal(tuple(tensor.dims), dtype=np.float32)
            tensor.raw_data = (noise * np.float32(deviation) + np.float32(mean)).tobytes()
            tensor.doc_string = ""
    _fill_constant_of_shape(model.graph, seed)
    return model


def _rng(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _fill_constant_of_shape(graph: onnx.GraphProto, seed: int) -> None:
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    roles = {name: (node.op_type, i) for node in graph.node for i, name in enumerate(node.input)}
    for node in graph.node:  # a scale that is reshaped first is still a scale
        if node.op_type == "Unsqueeze" and node.output[0] in roles:
            roles[node.input[0]] = roles[node.output[0]]
    kept = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in shapes:
            kept.append(node)
            continue
        name, shape = node.output[0], tuple(int(d) for d in shapes[node.input[0]])
        graph.initializer.append(numpy_helper.from_array(_weight(roles.get(name, ("", 0)), name, shape, seed), name))
    del graph.node[:]
    graph.node.extend(kept)
    read = {name for node in graph.node for name in node.input}
    weights = [t for t in graph.initializer if t.name in read]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    data = [i for i in graph.input if i.name not in shapes]
    del graph.input[:]
    graph.input.extend(data)


def _weight(role: tuple[str, int], name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A weight for its place: He-initialised filters, positive variances near one, small biases."""
    noise = _rng(name, seed).standard_normal(shape, dtype=np.float32)
    operator, position = role
    if operator in ("BatchNormalization", "InstanceNormalization"):
        return {1: 1 + 0.1 * noise, 4: 1 + 0.1 * np.abs(noise)}.get(position, 0.1 * noise).astype(np.float32)
    if operator == "Mul":
        return 1 + np.float32(0.1) * noise
    if len(shape) >= 2 and operator in ("Conv", "Gemm", "MatMul"):
        fan_in = math.prod(shape[1:]) if operator in ("Conv", "Gemm") else shape[0]
        return noise * np.float32(math.sqrt(2 / fan_in))
    return noise * np.float32(0.05)
