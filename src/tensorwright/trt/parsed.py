"""What a layer that came from a parser says of itself, as its operator has it: its type, and its class's attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir import Op
from ..ops import (
    Concat,
    Convolution,
    ConvTranspose,
    Gather,
    MatMul,
    Normalize,
    Pointwise,
    Pool,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    Transpose,
)
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
    SampleMode,
    UnaryOperation,
)
from .foundation import Dims, Permutation

if TYPE_CHECKING:
    from .layer import ILayer

Writer = Callable[[Any, "ILayer", Any], Op]
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


def known(sizes: Sequence[Any]) -> Dims:
    """Sizes as the API has them: -1 where only run time knows."""
    return Dims(d if isinstance(d, int) else -1 for d in sizes)


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
_SHUFFLE: dict[str, Reader] = {"first_transpose": lambda op, _: Permutation(),
                               "second_transpose": lambda op, _: Permutation()}
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
    Reshape: {**_SHUFFLE, "reshape_dims": lambda op, _: known(op.shape), "zero_is_placeholder": lambda op, _: False},
    Transpose: {**_SHUFFLE, "first_transpose": lambda op, _: Permutation(op.perm),
                "reshape_dims": lambda op, _: Dims([0] * len(op.perm)), "zero_is_placeholder": lambda op, _: True},
    Slice: {"start": lambda op, _: known(op.starts), "shape": lambda op, _: known(op.sizes),
            "stride": lambda op, _: known(op.steps), "mode": lambda op, _: SampleMode.STRICT_BOUNDS},
    Normalize: {"axes": lambda op, _: sum(1 << a for a in op.axes), "epsilon": lambda op, _: op.epsilon,
                "num_groups": lambda op, _: 1},
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


def _weights(index: int) -> Writer:
    """Other numbers in the place of the constant at an input."""
    def put(op: Any, layer: ILayer, value: Any) -> Op:
        from .weights import Constant
        old = layer._inputs[index] if index < len(layer._inputs) else None
        if old is None or old._array is None:
            raise AttributeError(f"layer {layer.name!r} has no constant at input {index}")
        shape = np.shape(old._array)
        if value.size != int(np.prod(shape)):
            raise ValueError(f"{value.size} weights do not fill shape {shape} of layer {layer.name!r}")
        tensor = layer._network._class(type(old))(layer._network, f"{old.name} of {layer.name}")
        tensor._array = np.array(value, np.asarray(old._array).dtype).reshape(shape)
        layer._network._constants.append(Constant(tensor, tensor._array, True))
        layer._inputs[index] = tensor
        return op                                         # type: ignore[no-any-return]
    return put


def _numbers(field: str) -> Writer:
    """One number per spatial axis."""
    def put(op: Any, layer: ILayer, value: Any) -> Op:
        given = tuple(int(v) for v in value)
        if len(given) != len(getattr(op, field)):
            raise ValueError(f"layer {layer.name!r} has {len(getattr(op, field))} spatial axes, not {len(given)}")
        return replace(op, **{field: given})              # type: ignore[no-any-return]
    return put


def _padding(after: bool) -> Writer:
    def put(op: Any, layer: ILayer, value: Any) -> Op:
        given = tuple(int(v) for v in value)
        if len(given) != len(op.pads):
            raise ValueError(f"layer {layer.name!r} has {len(op.pads)} spatial axes, not {len(given)}")
        pads = tuple((b, n) if after else (n, a) for (b, a), n in zip(op.pads, given, strict=True))
        return replace(op, pads=pads)                     # type: ignore[no-any-return]
    return put


_WINDOW: dict[str, Writer] = {"stride_nd": _numbers("strides"), "pre_padding": _padding(False),
                              "post_padding": _padding(True)}
_FILTERED: dict[str, Writer] = {**_WINDOW, "dilation_nd": _numbers("dilations"), "kernel": _weights(1),
                                "bias": _weights(2)}
WRITERS: dict[type, dict[str, Writer]] = {
    Convolution: _FILTERED, ConvTranspose: _FILTERED,
    Pool: {**_WINDOW, "window_size_nd": _numbers("window"),
           "average_count_excludes_padding": lambda op, _, value: replace(op, include_pad=not value)},
    Concat: {"axis": lambda op, _, value: replace(op, axis=int(value))},
    Gather: {"axis": lambda op, _, value: replace(op, axis=int(value))},
    Reduce: {"axes": lambda op, _, value: replace(op, axes=tuple(i for i in range(8) if int(value) >> i & 1)),
             "keep_dims": lambda op, _, value: replace(op, keepdims=bool(value)),
             "op": lambda op, _, value: replace(op, kind=next(k for k, v in _REDUCTIONS.items() if v == value))},
    Softmax: {"axes": lambda op, _, value: replace(op, axis=int(value).bit_length() - 1)},
}


def write(layer: ILayer, name: str, value: Any) -> None:
    """Change what the operator says of an attribute. AttributeError when it is not one that can change."""
    writer = WRITERS.get(type(layer._record), {}).get(name)
    if writer is None or layer._record is None:
        raise AttributeError(f"layer {layer.name!r} came from a parser as {type(layer._record).__name__}: its {name} "
                             "cannot be changed")
    layer._record = writer(layer._record, layer, value)
    layer._network._changed()


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
