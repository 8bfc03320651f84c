"""ONNX nodes appended to a network under construction: how other front ends say what ONNX says already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..dims import symbols
from ..ir import NetworkEditor, TensorType
from ..ops import Pointwise
from ..ops.expr import In
from .values import Value

if TYPE_CHECKING:
    import onnx

#: The operator set that appended nodes are written in.
OPSET = 21


def append(editor: NetworkEditor, nodes: Sequence[onnx.NodeProto], operands: Mapping[str, Value],
           outputs: Mapping[str, str], name: str) -> list[Value]:
    """Lower the nodes as the importer lowers those of a model; the values of `outputs`, under their new names.

    operands  name in the nodes → value; with `array` or `dims`, what depends on it alone is computed now
    outputs   name in the nodes → name of the value in the network
    name      of the layers
    Raises    ModelError, ShapeError, TypeMismatch as the importer does.
    """
    import onnx

    from . import families
    from .graph import Frame, GraphImporter
    from .source import ModelSource

    assert families.COUNT, "no lowering is registered"
    reader = GraphImporter(ModelSource(onnx.ModelProto(opset_import=[onnx.helper.make_opsetid("", OPSET)]), name))
    reader.editor = reader.writer.editor = editor
    reader.symbols = frozenset(s for v in operands.values() if isinstance(v.type, TensorType)
                               for d in (*v.type.shape, *(() if v.dims is None else v.dims.flat)) for s in symbols(d))
    start, frame = len(editor.layers), Frame({"": OPSET}, dict(operands), origin=name, name=name)
    for index, node in enumerate(nodes):
        reader.node(node, index, frame)
    results: list[Value] = []
    for inner, wanted in outputs.items():
        value = frame.scope[inner]
        found = reader.writer.name(value)
        made = {o for layer in editor.layers[start:] for o in layer.outputs}
        if found not in made or any(r.name == found for r in results):       # an operand, or a result under two names
            found = str(editor.add(Pointwise(In(0, value.dtype)), found, name=name))
        rename(editor, start, found, wanted)
        results.append(Value(value.type, wanted, value.array, value.dims, wanted))
    return results


def rename(editor: NetworkEditor, start: int, old: str, new: str) -> None:
    """Rename a value that only layers from `start` on know."""
    editor.types[new] = editor.types.pop(old)
    for i in range(start, len(editor.layers)):
        layer = editor.layers[i]
        if old in layer.inputs or old in layer.outputs:
            editor.layers[i] = replace(layer, inputs=tuple(new if n == old else n for n in layer.inputs),
                                       outputs=tuple(new if n == old else n for n in layer.outputs))


def value_of(editor: NetworkEditor, name: str) -> Value:
    """A value of the network as the importer sees it; constants with their content."""
    array = editor.constants.get(name)
    return Value(editor.types[name], name, None if array is None else np.asanyarray(array), None, name)
