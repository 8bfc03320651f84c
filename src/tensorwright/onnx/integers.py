"""int64 where int32 does: indices that are stored as int64 although every number fits and their readers take both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..importer.expand import schema_of
from .edit import edit
from .meaning import STANDARD, array_of, constant_tensor
from .model import Model
from .rewire import Names

if TYPE_CHECKING:
    import onnx_ir

LOW, HIGH = np.iinfo(np.int32).min, np.iinfo(np.int32).max
#: Ends of slices beyond these mean "to the end": they may be clamped, for no axis is as long.
SLICE_BOUNDS = frozenset({1, 2})


@edit
def narrow_integers(model: Model) -> list[str]:
    """Store int64 weights as int32 where that changes nothing. Returns their names.

    All readers must take int32 there, by their operator's schema and with their other operands as they are (or
    narrowed as well), and all numbers must fit; ends of Slice beyond int32 are clamped, they mean the same.
    """
    names, done = Names(model), []
    nodes = [n for n in model.all_nodes() if n.domain in STANDARD]
    wanted: dict[Any, Any] = {}
    for node in nodes:
        for group in groups(node, model.opset):
            values = [node.inputs[i] for i in group]
            if all(v is not None and constant_tensor(v) is not None for v in values):
                for i, value in zip(group, values, strict=True):
                    wanted.setdefault(value, set()).add((node, i))
    changed = True
    while changed:                                       # a group is narrowed whole and for all readers, or not at all
        changed = False
        for value in list(wanted):
            uses = {(n, i) for n, i in value.uses()}
            partners = [node.inputs[j] for node, i in wanted[value] for g in groups(node, model.opset) if i in g
                        for j in g]
            if uses != wanted[value] or value.is_graph_output() or not fits(value, uses) or \
                    any(p not in wanted for p in partners):
                del wanted[value]
                changed = True
    for value in wanted:
        done.append(str(value.name))
        replace(value, names)
    return done


def groups(node: onnx_ir.Node, opset: int) -> list[list[int]]:
    """Operands that may be int32 or int64 alike: indices of those that share a type, which no result has."""
    schema: Any = schema_of(node.op_type, opset)
    if schema is None:
        return []
    found: dict[str, list[int]] = {}
    for i, value in enumerate(node.inputs):
        formal = schema.inputs[min(i, len(schema.inputs) - 1)] if schema.inputs else None
        if value is not None and formal is not None:
            found.setdefault(formal.type_str, []).append(i)
    results = {o.type_str for o in schema.outputs}
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    return [g for name, g in found.items() if name not in results and "tensor(int32)" in allowed.get(name, ())
            and all(is_int64(node.inputs[i]) for i in g)]


def is_int64(value: onnx_ir.Value | None) -> bool:
    tensor = None if value is None else constant_tensor(value)
    return tensor is not None and tensor.dtype.name == "INT64"


def fits(value: onnx_ir.Value, uses: set[Any]) -> bool:
    array = array_of(constant_tensor(value))
    return all(n.op_type == "Slice" and i in SLICE_BOUNDS for n, i in uses) or not array.size or (
        int(array.min()) >= LOW and int(array.max()) <= HIGH)


def replace(value: onnx_ir.Value, names: Names) -> None:
    import onnx_ir
    array = np.clip(array_of(constant_tensor(value)), LOW, HIGH).astype(np.int32)
    tensor, node = onnx_ir.tensor(array, name=value.name), value.producer()
    if node is not None:
        node.attributes.clear()
        node.attributes["value"] = onnx_ir.AttrTensor("value", tensor)
    else:
        value.const_value = tensor
    value.type = onnx_ir.TensorType(onnx_ir.DataType.INT32)
