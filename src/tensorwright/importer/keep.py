"""Which constants of a model are weights, to be kept apart from what is computed from them, and which are structure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

#: Inputs that say what a layer is, rather than what it computes with.
STRUCTURE: dict[str, set[int]] = {
    "Reshape": {1}, "Expand": {1}, "Tile": {1}, "Slice": {1, 2, 3, 4}, "Pad": {1, 2, 3}, "Resize": {1, 2, 3},
    "Upsample": {1}, "Squeeze": {1}, "Unsqueeze": {1}, "Split": {1}, "TopK": {1}, "ConstantOfShape": {0},
    "Range": {0, 1, 2}, "OneHot": {1, 2}, "CumSum": {1}, "CumProd": {1}, "Clip": {1, 2}, "Dropout": {1, 2},
    "Trilu": {1}, "NonMaxSuppression": {2, 3, 4}, "CenterCropPad": {1}, "AffineGrid": {1}, "Loop": {0, 1}, "If": {0},
    **{f"Reduce{kind}": {1} for kind in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp",
                                         "SumSquare")}}
#: Operators whose results differ from run to run, or that contain graphs.
NEVER_CONSTANT = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli",
                  "If", "Loop", "Scan", "SequenceMap"}


def weights_of(graph: onnx.GraphProto) -> set[str]:
    """Names of the constants of floating-point type and at least one axis (and of filters of 8-bit integers) that
    decide no shape: initializers, and outputs of Constant nodes."""
    stored = constants_of(graph)
    known = set(stored)
    for node in graph.node:
        if node.op_type not in NEVER_CONSTANT and all(i in known for i in node.input if i):
            known.update(node.output)
    structure: set[str] = set()
    for node in reversed(graph.node):
        slots = STRUCTURE.get(node.op_type, set())
        structure.update(i for k, i in enumerate(node.input) if k in slots)
        if structure.intersection(node.output) and node.output[0] in known:
            structure.update(node.input)
    return {name for name, t in stored.items() if name not in structure and _is_weight(t)}


def constants_of(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Stored tensors of a graph by the names their values have: initializers, and outputs of Constant nodes."""
    stored = {t.name: t for t in graph.initializer}
    return stored | {n.output[0]: n.attribute[0].t for n in graph.node
                     if n.op_type == "Constant" and n.attribute and n.attribute[0].name == "value"}


def _is_weight(t: onnx.TensorProto) -> bool:
    import onnx
    if t.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8):
        return len(t.dims) >= 2
    return len(t.dims) >= 1 and t.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16,
                                                onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE)
