"""TW201: float64."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ....dtypes import DType
from ...meaning import array_of, constant_tensor
from ...structure.weights import set_weight
from ..context import Context, integer, plural, standard
from ..record import Found, Severity, rule

if TYPE_CHECKING:
    import onnx_ir

#: Operators that round once per element, or not at all: float32 instead of float64 changes their results by 1e-7.
HARMLESS = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Abs", "Sqrt", "Relu", "Sigmoid", "Tanh", "Min", "Max",
                      "Where", "Clip", "Reshape", "Transpose", "Concat", "Slice", "Squeeze", "Unsqueeze", "Gather",
                      "Expand", "Identity", "Cast", "Flatten", "Split"})
#: Steps of arithmetic whose rounding may add up.
FEW = 8
DOUBLE, FLOAT = 11, 1


@rule("TW201", "float64", Severity.WARNING, "Numbers in float64", why="""
    float64 halves the speed of vector units on CPUs; GPUs have a small fraction of their float32 rate for it, and GPU
    engines refuse it or convert it silently. Nearly always it came in by accident: a NumPy array or a Python float made
    into a tensor, `torch.float64` in a table of frequencies or anchors.
    """, bad="""
    self.frequencies = torch.from_numpy(np.exp(np.linspace(0, 1, 64)))      # NumPy's default: float64
    y = (x * self.frequencies).float()
    """, good="""
    self.frequencies = torch.from_numpy(np.exp(np.linspace(0, 1, 64))).float()
    y = x * self.frequencies
    """, fixed="""
    A part of the graph that enters float64 from float32 or constants and leaves it again by Casts becomes float32, when
    it has at most 8 steps of arithmetic, and only such as round to 1e-7. Inputs and outputs in float64 are yours to
    change, as are integers made float64: float32 holds them exactly only up to 16,777,216.
    """, fixes=True)
def float64(context: Context) -> Iterator[Found]:
    seen: set[Any] = set()
    for value in context.model.inputs:
        if context.dtype(value) is DType.float64:
            yield Found(f"input {value.name!r} is float64", next(iter(value.consumers()), None), str(value.name))
    for node in context.nodes:
        start = next((v for v in node.outputs if context.dtype(v) is DType.float64), None)
        if start is None or node in seen or node.op_type == "Constant":
            continue
        region, constants, closed = region_of(context, node)
        seen |= region
        arithmetic = sum(n.op_type not in ("Cast", "Reshape", "Transpose", "Identity") for n in region)
        fixable = closed and arithmetic <= FEW
        yield Found(f"{plural(len(region), 'node')} {'works' if len(region) == 1 else 'work'} in float64, from here on",
                    node, str(start.name), (partial(lower, context, region, constants)) if fixable else None,
                    list(region) if fixable else [])
    for weight in context.weights:
        if weight.tensor.dtype.name == "DOUBLE" and not any(r in seen for r in weight.readers):
            yield Found(f"{weight.size:,} numbers are stored in float64", next(iter(weight.readers), None), weight.name)


def region_of(context: Context, start: onnx_ir.Node) -> tuple[set[Any], set[Any], bool]:
    """Nodes that take or give float64, joined by it; its constants; whether it begins and ends in float32."""
    region: set[Any] = {start}
    constants: set[Any] = set()
    waiting, closed = [start], True
    while waiting:
        node = waiting.pop()
        closed &= node in context.main and standard(node) and node.op_type in HARMLESS
        for value in (*node.inputs, *node.outputs):
            if value is None or context.dtype(value) is not DType.float64:
                continue
            closed &= not value.is_graph_output() and not value.is_graph_input()
            if context.is_constant(value):
                constants.add(value)
                neighbours = context.readers(value)
            else:
                maker = value.producer()
                neighbours = (*([maker] if maker is not None else []), *context.readers(value))
            for other in neighbours:
                if other not in region:
                    region.add(other)
                    waiting.append(other)
        if node.op_type == "Cast" and integer(node, "to", 0) == DOUBLE:
            closed &= context.dtype(node.inputs[0]) in (DType.float32, DType.float16, DType.bfloat16, DType.bool)
    nodes = {n for n in region if not (n.op_type == "Constant" and n.outputs[0] in constants)}
    return nodes, constants, closed


def lower(context: Context, region: set[Any], constants: set[Any]) -> bool:
    import onnx_ir

    arrays = {}
    for value in constants:
        array = array_of(constant_tensor(value))
        if np.abs(array[np.isfinite(array)]).max(initial=0) > np.finfo(np.float32).max:
            return False
        arrays[value] = array.astype(np.float32)
    for value, array in arrays.items():
        set_weight(context.model, value, array)
    for node in region:
        if node.op_type == "Cast" and integer(node, "to", 0) == DOUBLE:
            node.attributes["to"] = onnx_ir.AttrInt64("to", FLOAT)
        for value in node.outputs:
            if value.dtype == onnx_ir.DataType.DOUBLE:
                value.type = onnx_ir.TensorType(onnx_ir.DataType.FLOAT)
    return True
