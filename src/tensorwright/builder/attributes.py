"""What viewers of engines show of a layer: its parameters, under the names that TensorRT's inspector gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dims import Dim
from ..dtypes import DType
from ..ir import Op, TensorType
from ..ops import (
    Attention,
    Chain,
    Concat,
    Convolution,
    ConvTranspose,
    Fused,
    Gather,
    MatMul,
    Normalize,
    Pad,
    Pointwise,
    Pool,
    Reduce,
    Resize,
    Softmax,
)
from ..ops.expr import Apply, Const, Expr, In, operands

#: Element types as TensorRT writes those of weights.
WEIGHTS = {DType.float32: "Float", DType.float16: "Half", DType.int8: "Int8", DType.int32: "Int32",
           DType.bool: "Bool", DType.uint8: "UInt8", DType.bfloat16: "BFloat16", DType.int64: "Int64"}
#: Operators whose parameters viewers know by another name than ours.
NAMES = {"ConvTranspose": "Deconvolution", "Pool": "Pooling", "Pointwise": "PointWise", "MatMul": "MatrixMultiply",
         "Softmax": "SoftMax", "Normalize": "Normalization", "ArgReduce": "TopK", "CumSum": "Cumulative",
         "CumProd": "Cumulative", "Concat": "Concatenation", "Iota": "Fill", "ScatterND": "Scatter",
         "ScatterElements": "Scatter", "GatherElements": "Gather", "GatherND": "Gather", "Pad": "Slice"}


def attributes(op: Op, inputs: Sequence[TensorType | None], constant: Sequence[bool], copies: bool = False
               ) -> dict[str, Any]:
    """Parameters of a step as JSON; always with ParameterType, and with Weights {Type, Count} where it has any.

    constant    which inputs are weights
    copies      it only moves its input into another layout
    """
    if copies:
        return {"ParameterType": "Reformat", "Origin": "REFORMAT"}
    if isinstance(op, Chain):
        stages = [attributes(stage, own, flags) for stage, own, flags
                  in zip(op.stages, op.split(inputs), op.split(constant), strict=True)]
        return {"ParameterType": "Chain", "Stages": stages, **_weights(inputs, constant, 0)}
    if isinstance(op, Fused):
        found = attributes(op.core, inputs[:op.arity], constant[:op.arity])
        relu = is_relu(op.epilogue)
        found |= {"HasReLU": int(relu), "Activation": "RELU" if relu else "NONE"}
        return found if relu else found | pointwise(op.epilogue, ["result", *names(op.arity, len(inputs))])
    kind = type(op).__name__
    found = {"ParameterType": NAMES.get(kind, kind)}
    match op:
        case Convolution() | ConvTranspose():
            found |= convolution(op, inputs, constant)
        case MatMul():
            found |= {"MatrixOpA": "NONE", "MatrixOpB": "NONE", **_weights(inputs, constant, 1)}
        case Pool():
            found |= {"PoolingType": op.kind.upper(), "WindowSize": list(op.window), "Stride": list(op.strides),
                      "PaddingMode": "kEXPLICIT_ROUND_UP" if op.ceil else "kEXPLICIT_ROUND_DOWN",
                      "PrePadding": [b for b, _ in op.pads], "PostPadding": [a for _, a in op.pads], "BlendFactor": 0,
                      "AverageCountExcludesPadding": int(not op.include_pad)}
        case Pointwise():
            found |= pointwise(op.expr, names(0, len(inputs)))
        case Softmax():
            found |= {"Axis": op.axis}
        case Reduce():
            found |= {"Operation": op.kind, "Axes": list(op.axes), "KeepDims": int(op.keepdims)}
        case Normalize():
            found |= {"Axes": list(op.axes), "Epsilon": op.epsilon, **_weights(inputs, constant, 1)}
        case Attention():
            found |= {"Scale": op.scale, "Causal": int(op.causal)}
        case Resize():
            found |= {"ResizeMode": op.mode, "CoordTransform": op.coordinate, "NNRounding": op.nearest_mode,
                      "ResizeScales": [] if op.scales is None else list(op.scales)}
        case Concat() | Gather():
            found |= {"Axis": op.axis}
        case Pad():
            found |= {"Mode": op.mode, "PrePadding": [_plain(b) for b, _ in op.pads],
                      "PostPadding": [_plain(a) for _, a in op.pads]}
    return found if "Weights" in found else found | _weights(inputs, constant, 0)


def convolution(op: Convolution | ConvTranspose, inputs: Sequence[TensorType | None], constant: Sequence[bool]
                ) -> dict[str, Any]:
    w, has_bias = inputs[1], len(inputs) > 2 and inputs[2] is not None
    assert w is not None
    maps: Any = w.shape[0] if isinstance(op, Convolution) else w.shape[1] * op.groups
    found = {"Kernel": [_plain(d) for d in w.shape[2:]], "PaddingMode": "kEXPLICIT_ROUND_DOWN",
             "PrePadding": [b for b, _ in op.pads], "PostPadding": [a for _, a in op.pads],
             "Stride": list(op.strides), "Dilation": list(op.dilations), "OutMaps": _plain(maps), "Groups": op.groups,
             "HasBias": int(has_bias), "HasReLU": 0, "Activation": "NONE", "HasSparseWeights": 0,
             **_weights(inputs[:2], constant[:2], 1)}
    return found | (_weights(inputs[:3], constant[:3], 2, "Bias") if has_bias else {})


def _weights(inputs: Sequence[TensorType | None], constant: Sequence[bool], first: int, name: str = "Weights"
             ) -> dict[str, Any]:
    """{Weights: {Type, Count}} of the constants from input `first` on; nothing when there are none."""
    given = [t for t, c in zip(inputs[first:], constant[first:], strict=True) if t is not None and c]
    sizes = [size for t in given if isinstance(size := t.size, int)]
    if not sizes:
        return {}
    dtype = given[sizes.index(max(sizes))].dtype
    return {name: {"Type": WEIGHTS.get(dtype, str(dtype)), "Count": sum(sizes)}}


def names(first: int, end: int) -> list[str]:
    return [f"arg{i}" for i in range(first, end)]


def is_relu(e: Expr) -> bool:
    """max(operand 0, 0)"""
    return isinstance(e, Apply) and e.fn == "max" and len(e.args) == 2 and isinstance(e.args[0], In) \
        and e.args[0].index == 0 and isinstance(e.args[1], Const) and e.args[1].value == 0


def pointwise(e: Expr, args: Sequence[str]) -> dict[str, Any]:
    """The expression as a list of operations, each with a name for its result."""
    known: dict[Expr, str] = {}
    literals: dict[str, None] = {}
    lines: list[str] = []
    stack = [(e, False)]
    while stack:
        node, ready = stack.pop()
        if node in known:
            continue
        if isinstance(node, In):
            known[node] = args[node.index]
        elif isinstance(node, Const):
            known[node] = str(node)
            literals[str(node)] = None
        elif ready:
            known[node] = f"v{len(lines)}"
            call = f"cast<{node.dtype}>" if node.fn == "cast" else node.fn
            lines.append(f"auto const {known[node]} = {call}({', '.join(known[a] for a in node.args)});")
        else:
            stack += [(node, True), *((a, False) for a in reversed(node.args))]
    read = [args[x.index] for x in operands(e)]
    return {"ParameterSubType": "PointWiseExpression", "NbInputArgs": len(read), "InputArgs": read,
            "NbOutputVars": 1, "OutputVars": [known[e]], "NbParams": 0, "Params": [], "NbLiterals": len(literals),
            "Literals": list(literals), "NbOperations": len(lines), "Operations": lines}


def _plain(d: Dim) -> int | str:
    return int(d) if isinstance(d, int) else str(d)
