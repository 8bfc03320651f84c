"""What a layer that came from a parser says of itself, as its operator has it: its type, and its class's attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir import Op
from ..ops import Concat, Convolution, ConvTranspose, Gather, MatMul, Pointwise, Pool, Reduce, Softmax
from ..ops.expr import Apply, Const, Expr, In, operands
from .enums import (
    ActivationType,
    ElementWiseOperation,
    GatherMode,
    LayerType,
    MatrixOperation,
    PaddingMode,
    PoolingType,
    ReduceOperation,
    UnaryOperation,
)
from .foundation import Dims

if TYPE_CHECKING:
    from .layer import ILayer

Reader = Callable[[Any, "ILayer"], Any]


def constant(index: int) -> Reader:
    """The constant at an input, flat; empty when there is none. AttributeError when it is computed."""
    def read(op: Any, layer: ILayer) -> np.ndarray:
        tensor = layer._inputs[index] if index < len(layer._inputs) else None
        if tensor is None:
            return np.empty(0, np.float32)
        if tensor._array is None:
            raise AttributeError(f"input {index} of layer {layer.name!r} is computed, not constant")
        return np.asarray(tensor._array).reshape(-1)
    return read


def window(op: Any, layer: ILayer) -> tuple[int, ...]:
    """(output maps, *window) of a convolution, from the shape of its filter."""
    assert layer._inputs[1] is not None
    shape = layer._inputs[1].shape
    maps = shape[1] * op.groups if isinstance(op, ConvTranspose) else shape[0]
    return (maps, *shape[2:])


_SLIDING: dict[str, Reader] = {
    "stride_nd": lambda op, _: Dims(op.strides), "pre_padding": lambda op, _: Dims(b for b, _a in op.pads),
    "post_padding": lambda op, _: Dims(a for _b, a in op.pads)}
_FILTER: dict[str, Reader] = {
    **_SLIDING, "dilation_nd": lambda op, _: Dims(op.dilations), "num_groups": lambda op, _: op.groups,
    "kernel": constant(1), "bias": constant(2), "num_output_maps": lambda op, layer: window(op, layer)[0],
    "kernel_size_nd": lambda op, layer: Dims(window(op, layer)[1:]),
    "padding_mode": lambda op, _: PaddingMode.EXPLICIT_ROUND_DOWN}
_REDUCTIONS = {"sum": ReduceOperation.SUM, "prod": ReduceOperation.PROD, "max": ReduceOperation.MAX,
               "min": ReduceOperation.MIN, "mean": ReduceOperation.AVG}
_BINARY = {"add": ElementWiseOperation.SUM, "mul": ElementWiseOperation.PROD, "max": ElementWiseOperation.MAX,
           "min": ElementWiseOperation.MIN, "sub": ElementWiseOperation.SUB, "div": ElementWiseOperation.DIV,
           "pow": ElementWiseOperation.POW, "and": ElementWiseOperation.AND, "or": ElementWiseOperation.OR,
           "xor": ElementWiseOperation.XOR, "eq": ElementWiseOperation.EQUAL, "gt": ElementWiseOperation.GREATER,
           "lt": ElementWiseOperation.LESS}
_ACTIVATIONS = {"sigmoid": ActivationType.SIGMOID, "tanh": ActivationType.TANH}

READERS: dict[type, dict[str, Reader]] = {
    Convolution: _FILTER, ConvTranspose: _FILTER,
    Pool: {**_SLIDING, "window_size_nd": lambda op, _: Dims(op.window),
           "type": lambda op, _: PoolingType.MAX if op.kind == "max" else PoolingType.AVERAGE,
           "average_count_excludes_padding": lambda op, _: not op.include_pad, "blend_factor": lambda op, _: 0.0,
           "padding_mode": lambda op, _: PaddingMode.EXPLICIT_ROUND_UP if op.ceil else PaddingMode.EXPLICIT_ROUND_DOWN},
    Softmax: {"axes": lambda op, _: 1 << op.axis},
    Reduce: {"op": lambda op, _: _REDUCTIONS[op.kind], "axes": lambda op, _: sum(1 << a for a in op.axes),
             "keep_dims": lambda op, _: op.keepdims},
    Concat: {"axis": lambda op, _: op.axis},
    MatMul: {"op0": lambda op, _: MatrixOperation.NONE, "op1": lambda op, _: MatrixOperation.NONE},
    Gather: {"axis": lambda op, _: op.axis, "mode": lambda op, _: GatherMode.DEFAULT,
             "num_elementwise_dims": lambda op, _: 0},
}


def read(layer: ILayer, name: str) -> Any:
    """The attribute's value. AttributeError when the operator does not say it."""
    op = layer._record
    value = pointwise(op.expr, name) if isinstance(op, Pointwise) else None
    reader = READERS.get(type(op), {}).get(name)
    if reader is not None:
        value = reader(op, layer)
    if value is None:
        raise AttributeError(f"layer {layer.name!r} came from a parser as {type(op).__name__}: it has no {name}")
    return value


def pointwise(e: Expr, name: str) -> Any:
    """What a pointwise layer that is one function of its inputs says: `op`, or an activation's `type`, without alpha
    and beta."""
    if not isinstance(e, Apply):
        return None
    if name == "type":
        relu = e.fn == "max" and isinstance(e.args[0], In) and isinstance(e.args[1], Const) and e.args[1].value == 0
        return ActivationType.RELU if relu else _ACTIVATIONS.get(e.fn)
    if name in ("alpha", "beta"):
        return None if pointwise(e, "type") is None else 0.0
    if name == "op" and all(isinstance(a, In) for a in e.args):
        if len(e.args) == 2:
            return _BINARY.get(e.fn)
        return UnaryOperation.__members__.get(e.fn.upper())
    return None


def layer_type(op: Op) -> LayerType:
    """The LayerType that says best what an operator of ours does."""
    if isinstance(op, Pointwise):
        arity = len(set(x.index for x in operands(op.expr)))
        activation = isinstance(op.expr, Apply) and op.expr.fn in ("sigmoid", "tanh", "softplus", "max", "min", "where")
        return LayerType.ELEMENTWISE if arity > 1 else LayerType.ACTIVATION if activation else LayerType.UNARY
    kinds = {"Convolution": LayerType.CONVOLUTION, "ConvTranspose": LayerType.DECONVOLUTION,
             "MatMul": LayerType.MATRIX_MULTIPLY, "Reduce": LayerType.REDUCE, "ArgReduce": LayerType.TOPK,
             "Pool": LayerType.POOLING, "Softmax": LayerType.SOFTMAX, "Normalize": LayerType.NORMALIZATION,
             "Transpose": LayerType.SHUFFLE, "Reshape": LayerType.SHUFFLE, "Expand": LayerType.SLICE,
             "Slice": LayerType.SLICE, "Pad": LayerType.SLICE, "Concat": LayerType.CONCATENATION,
             "Gather": LayerType.GATHER, "GatherElements": LayerType.GATHER, "GatherND": LayerType.GATHER,
             "ScatterElements": LayerType.SCATTER, "ScatterND": LayerType.SCATTER, "Resize": LayerType.RESIZE,
             "TopK": LayerType.TOPK, "CumSum": LayerType.CUMULATIVE, "CumProd": LayerType.CUMULATIVE,
             "ShapeVector": LayerType.SHAPE, "Iota": LayerType.FILL, "Fill": LayerType.FILL}
    return kinds.get(type(op).__name__, LayerType.PLUGIN)
