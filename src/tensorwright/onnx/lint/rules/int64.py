"""TW202: int64 where int32 would do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ....dtypes import DType
from ...meaning import array_of
from ...structure.weights import set_weight
from ..context import Context, integer, standard
from ..record import Found, Severity, rule
from ..weights import Weight

if TYPE_CHECKING:
    import onnx_ir

#: Operator → inputs that are indices and may be int32 as well as int64.
INDICES = {"Gather": 1, "GatherElements": 1, "ScatterElements": 1, "OneHot": 0}
#: Shorter constants are not worth a word.
MANY = 64
INT64, INT32 = 7, 6


@rule("TW202", "int64", Severity.INFO, "Indices in int64 where int32 says the same", why="""
    PyTorch's integers are int64, so token ids, positions and masks are too. GPU engines and accelerators compute
    indices in int32: they convert at the border, warn, or copy the input once more per call. No vocabulary and no
    position needs more than 31 bits.
    """, bad="""
    torch.onnx.export(model, (ids,), "model.onnx")             # ids: torch.int64
    mask = (ids != 0).long()
    """, good="""
    torch.onnx.export(model, (ids.int(),), "model.onnx")       # embeddings take int32
    mask = (ids != 0).int()
    """, fixed="""
    Casts to int64 and constants of int64 that are read as indices only become int32. The type of an input is part of
    the model's interface and stays: `wright onnx boundary --type ids=int32` changes it when the callers can follow.
    """, fixes=True)
def int64(context: Context) -> Iterator[Found]:
    for value in context.model.inputs:
        if context.dtype(value) is DType.int64 and value.shape is not None and len(value.shape) and value.uses():
            readers = sorted(context.readers(value), key=lambda n: n.op_type == "Shape")
            yield Found(f"input {value.name!r} is int64", readers[0], str(value.name))
    for node in context.nodes:
        if standard(node, "Cast") and integer(node, "to", 0) == INT64 and only_indices(node.outputs[0]) and \
                not node.outputs[0].is_graph_output():
            yield Found("casts to int64 what is read as an index only", node, str(node.outputs[0].name),
                        partial(narrow_cast, node), [node])
    for weight in context.weights:
        if weight.tensor.dtype.name == "INT64" and weight.size > MANY and only_indices(weight.value) and \
                not weight.value.is_graph_input() and fits(weight):
            yield Found(f"{weight.size:,} indices are stored in int64", weight.readers[0], weight.name,
                        partial(narrow_constant, context, weight), list(weight.readers))


def only_indices(value: onnx_ir.Value) -> bool:
    uses = list(value.uses())
    return bool(uses) and all(standard(u.node) and INDICES.get(u.node.op_type) == u.idx for u in uses) and \
        not value.is_graph_output()


def fits(weight: Weight) -> bool:
    array = array_of(weight.tensor)
    return bool(array.min() >= -(2**31) and array.max() < 2**31)


def narrow_cast(node: onnx_ir.Node) -> bool:
    import onnx_ir
    node.attributes["to"] = onnx_ir.AttrInt64("to", INT32)
    node.outputs[0].type = onnx_ir.TensorType(onnx_ir.DataType.INT32)
    return True


def narrow_constant(context: Context, weight: Weight) -> bool:
    set_weight(context.model, weight.value, array_of(weight.tensor).astype(np.int32))
    return True
