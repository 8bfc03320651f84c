"""Sparse weights are written out when a model is loaded: onnx-ir has no sparse tensors, and hardly a runtime has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..importer.source import ModelSource

if TYPE_CHECKING:
    import onnx

#: A sparse tensor of more elements than this is not written out: 256 MiB of float32.
MOST = 1 << 26


def write_out(source: ModelSource) -> None:
    """Put dense tensors in the place of sparse initialisers and of Constants' sparse values, in the message itself.

    Raises   ModelError when one is too large, or its indices lie outside.
    """
    import onnx
    for graph in graphs(source.proto):
        if isinstance(graph, onnx.GraphProto) and graph.sparse_initializer:
            graph.initializer.extend(dense(source, s, s.values.name) for s in graph.sparse_initializer)
            del graph.sparse_initializer[:]
        for node in graph.node:
            for attribute in sparse_values(node):
                tensor = dense(source, attribute.sparse_tensor, "")
                attribute.Clear()
                attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
                attribute.t.CopyFrom(tensor)


def dense(source: ModelSource, sparse: onnx.SparseTensorProto, name: str) -> onnx.TensorProto:
    import onnx
    if any(d < 0 for d in sparse.dims) or (size := math.prod(sparse.dims)) > MOST:
        raise ModelError(f"sparse tensor {name!r} of shape {list(sparse.dims)} cannot be written out: at most {MOST} "
                         "elements can", at=source.label)
    try:
        return onnx.numpy_helper.from_array(source.dense(sparse), name)
    except ModelError:
        raise
    except Exception as error:                           # NumPy and onnx raise several types for damaged tensors
        raise ModelError(f"sparse tensor {name!r} of {size} elements is damaged: {error}", at=source.label) from error


def sparse_values(node: onnx.NodeProto) -> list[onnx.AttributeProto]:
    return [a for a in node.attribute if a.name == "sparse_value" and a.HasField("sparse_tensor")] \
        if node.op_type == "Constant" else []


def graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """All graphs and functions of a message."""
    rest: list[onnx.GraphProto | onnx.FunctionProto] = [proto.graph, *proto.functions]
    for graph in rest:
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                rest += [attribute.g] if attribute.HasField("g") else []
                rest += attribute.graphs
