"""Graph inputs whose values are sizes: found by walking back from operands that decide shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..dims import symbols
from ..dtypes import DType
from ..ir import NetworkEditor, TensorType, ValueType
from ..ir.value_inputs import MOST_VALUES, companion, companion_type, value_symbols
from .registry import SHAPE_RULES
from .values import Value

if TYPE_CHECKING:
    import onnx

#: Operator → operands whose values decide the output's shape.
SIZES: dict[str, tuple[int, ...]] = {
    "Reshape": (1,), "Expand": (1,), "Slice": (1, 2, 3, 4), "Resize": (3,), "ConstantOfShape": (0,), "Tile": (1,),
    "Range": (0, 1, 2), "TopK": (1,), "Pad": (1,), "OneHot": (1,), "Split": (1,), "CenterCropPad": (1,)}


def value_inputs(graph: onnx.GraphProto, types: Mapping[str, ValueType]) -> list[str]:
    """Inputs, integers, that reach such an operand through operators that compute with sizes."""
    makers = {o: node for node in graph.node for o in node.output if o}
    waiting = [node.input[i] for node in graph.node for i in SIZES.get(node.op_type, ()) if i < len(node.input)]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if (node := makers.get(name)) is not None and node.op_type in SHAPE_RULES:
            waiting += node.input
    return [n for n, t in types.items() if n in seen and may_be_sizes(t)]


def may_be_sizes(t: ValueType | None) -> bool:
    return isinstance(t, TensorType) and t.dtype in (DType.int32, DType.int64) and t.rank <= 1 \
        and isinstance(t.size, int) and 0 < t.size <= MOST_VALUES


def with_values(v: Value, name: str) -> Value:
    """The value of an input, its content known as symbols."""
    content = np.empty(v.tensor.size, object)                        # type: ignore[call-overload]
    content[:] = value_symbols(name, len(content))
    return Value(v.type, v.name, None, content.reshape(v.shape), v.hint)  # type: ignore[arg-type]


def add_companions(editor: NetworkEditor, names: Iterable[str]) -> None:
    """Companions for the values of those inputs that the network's shapes or operators speak of."""
    used: set[str] = set()
    for t in editor.types.values():
        for d in t.shape if isinstance(t, TensorType) else ():
            used |= symbols(d)
    for layer in editor.layers:
        used |= layer.op.symbols()
    for name in names:
        t = editor.types[name]
        assert isinstance(t, TensorType)
        values = value_symbols(name, t.size)                         # type: ignore[arg-type]
        if any(str(v) in used for v in values):
            for i, v in enumerate(values):
                editor.input(companion(name, i), companion_type(v))
