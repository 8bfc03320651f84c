"""Layers that an ONNX operator defines too: each says which nodes it stands for, and the importer lowers those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...dtypes import DType
from ...errors import ShapeError, UnsupportedError
from ...ir import TensorType
from ..enums import (
    BoundingBoxFormat,
    DataType,
    FillOperation,
    InterpolationMode,
    LayerType,
    SampleMode,
)
from ..foundation import Dims, ours
from ..layer import ILayer, Lowering, Param
from .nodes import constant, node, onnx_type
from .window import sizes

if TYPE_CHECKING:
    import onnx


def optional_sizes(value: Any) -> Dims | None:
    return None if value is None else sizes(value)


class Standard(ILayer):
    """Base: `_nodes` gives ONNX nodes that read x0, x1, ... and write y0, y1, ...; "" stands for an absent input."""

    _implicit_batch = False

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        raise NotImplementedError(type(self).__name__)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        return self._appended(to, values, self._nodes([None if v is None else to.type(v) for v in values]))


class ILRNLayer(Standard):
    """y = x / (k + alpha / window_size · Σ x²)^beta over a window of channels around each. ONNX LRN."""

    _layer_type = LayerType.LRN
    _implicit_batch = True
    window_size = Param(5, int)
    alpha = Param(1e-4, float)
    beta = Param(0.75, float)
    k = Param(1.0, float)

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        return [node("LRN", "x0", size=self.window_size, alpha=self.alpha, beta=self.beta, bias=self.k)]


class IEinsumLayer(Standard):
    """Sums of products by an equation with lower-case labels. ONNX Einsum."""

    _layer_type = LayerType.EINSUM
    equation = Param("", str)

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        if "." in self.equation:
            raise UnsupportedError(f"equation {self.equation!r}: an ellipsis is not allowed here",
                                   try_="name every axis by a letter")
        return [node("Einsum", " ".join(f"x{i}" for i in range(len(types))), equation=self.equation)]


class IGridSampleLayer(Standard):
    """x (N, C, H, W) sampled at grid (N, H', W', 2) of (x, y) in [-1, 1]. ONNX GridSample."""

    _layer_type = LayerType.GRID_SAMPLE
    interpolation_mode = Param(InterpolationMode.LINEAR)
    align_corners = Param(False, bool)
    sample_mode = Param(SampleMode.FILL)

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        outside = {"FILL": "zeros", "CLAMP": "border", "REFLECT": "reflection"}.get(self.sample_mode.name)
        if outside is None:
            raise UnsupportedError(f"grid sampling takes FILL, CLAMP or REFLECT outside, not {self.sample_mode}")
        return [node("GridSample", "x0 x1", mode=self.interpolation_mode.name.lower(), padding_mode=outside,
                     align_corners=int(self.align_corners))]


class IOneHotLayer(Standard):
    """values[1] where an index equals its place along a new axis, else values[0]. Inputs: indices, values, depth."""

    _layer_type = LayerType.ONE_HOT
    axis = Param(-1, int)

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        return [node("OneHot", "x0 x2 x1", axis=self.axis)]


class INonZeroLayer(Standard):
    """Indices of the elements that are not zero, (rank, count), in row-major order. The count is known when it runs."""

    _layer_type = LayerType.NON_ZERO
    indices_type = Param(DataType.INT32)

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        return [node("NonZero", "x0", "n"), node("Cast", "n", to=onnx_type(self.indices_type))]


class IReverseSequenceLayer(Standard):
    """The first lengths[n] elements of each sequence, reversed. ONNX ReverseSequence."""

    _layer_type = LayerType.REVERSE_SEQUENCE
    batch_axis = Param(1, int)
    sequence_axis = Param(0, int)

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        return [node("Cast", "x1", "n", to=onnx_type(DataType.INT64)),
                node("ReverseSequence", "x0 n", batch_axis=self.batch_axis, time_axis=self.sequence_axis)]


class INMSLayer(Standard):
    """Boxes that overlap better ones are dropped, per class. Inputs: boxes (N, B, 4) or (N, B, classes, 4), scores
    (N, B, classes), the largest number of boxes per class; optional: IoU threshold, score threshold.

    Outputs: (count, 3) of (batch, class, box), and the count. topk_box_limit: considered per class; 0: all.
    """

    _layer_type = LayerType.NMS
    _optional_inputs = 2
    bounding_box_format = Param(BoundingBoxFormat.CORNER_PAIRS)
    topk_box_limit = Param(0, int)
    indices_type = Param(DataType.INT32)

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        boxes = types[0]
        if boxes is None or boxes.rank != 3:
            raise UnsupportedError("boxes of their own for each class (N, B, classes, 4) are not in this version",
                                   boxes=boxes)
        if self.topk_box_limit:
            raise UnsupportedError("topk_box_limit is not in this version", try_="a TopK layer before the scores")
        inputs = ["x0", "s", "m", *(f"x{i}" if len(types) > i and types[i] else "-" for i in (3, 4))]
        while inputs[-1] == "-":
            inputs.pop()
        flat = [constant("one", [1], np.int64)]
        for k, name in enumerate(inputs[3:]):
            if name != "-":
                flat.append(node("Reshape", f"{name} one", f"t{k}"))
                inputs[3 + k] = f"t{k}"
        center = int(self.bounding_box_format == BoundingBoxFormat.CENTER_SIZES)
        wanted = onnx_type(self.indices_type)
        return [*flat, node("Transpose", "x1", "s", perm=[0, 2, 1]),
                node("Cast", "x2", "m64", to=onnx_type(DataType.INT64)), node("Reshape", "m64 one", "m"),
                node("NonMaxSuppression", " ".join(inputs), "n", center_point_box=center),
                node("Cast", "n", to=wanted), node("Shape", "n", "c1", start=0, end=1),
                constant("none", [], np.int64), node("Reshape", "c1 none", "c"), node("Cast", "c", "y1", to=wanted)]


class _Scaled(Standard):
    """x and scale; a zero point, input 2, must be zero. axis: of a scale per channel; block_shape: of one per block."""

    _optional_inputs = 1
    axis = Param(-1, int)
    block_shape = Param(None, optional_sizes)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        if len(values) > 2 and values[2] is not None:
            zero = to.value(values[2]).array
            if zero is None or zero.any():
                raise UnsupportedError(f"layer {self.name!r}: zero points must be constants, and zero",
                                       try_="leave input 2 out")
        return super()._lower(to, values)

    def _attributes(self, types: list[TensorType | None]) -> dict[str, Any]:
        x, scale = types[0], types[1]
        assert x is not None and scale is not None
        if self.block_shape is not None:
            blocked = [(i, b) for i, b in enumerate(self.block_shape) if b != 1]
            if len(blocked) != 1:
                raise UnsupportedError(f"blocks of {self.block_shape}: blocks along one axis are in this version")
            return {"axis": blocked[0][0], "block_size": blocked[0][1]}
        if scale.rank == 0 or scale.shape == (1,):
            return {}
        if self.axis < 0:
            raise ShapeError("a scale per channel needs an axis", x=x, scale=scale)
        return {"axis": self.axis}

    def _scale(self, types: list[TensorType | None]) -> tuple[list[onnx.NodeProto], str]:
        if types[1] is not None and types[1].shape == (1,):
            return [constant("none", [], np.int64), node("Reshape", "x1 none", "scale")], "scale"
        return [], "x1"


class IQuantizeLayer(_Scaled):
    """clamp(round half to even(x / scale)). ONNX QuantizeLinear."""

    _layer_type = LayerType.QUANTIZE
    to_type = Param(DataType.INT8)

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        before, scale = self._scale(types)
        return [*before, node("QuantizeLinear", f"x0 {scale}", output_dtype=onnx_type(self.to_type),
                              **self._attributes(types))]


class IDequantizeLayer(_Scaled):
    """x · scale. ONNX DequantizeLinear."""

    _layer_type = LayerType.DEQUANTIZE
    to_type = Param(DataType.FLOAT)

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        before, scale = self._scale(types)
        return [*before, node("DequantizeLinear", f"x0 {scale}", "d", **self._attributes(types)),
                node("Cast", "d", to=onnx_type(self.to_type))]


class IFillLayer(Standard):
    """A tensor of `shape`, or of input 0: LINSPACE alpha + Σ beta · index, RANDOM_UNIFORM in [alpha, beta],
    RANDOM_NORMAL of mean alpha and deviation beta. Inputs 1 and 2 stand for alpha and beta: LINSPACE only."""

    _layer_type = LayerType.FILL
    _optional_inputs = 3
    _size_inputs = (0,)
    shape = Param((), sizes)
    operation = Param(FillOperation.LINSPACE)
    alpha = Param(0.0)
    beta = Param(1.0)
    to_type = Param(DataType.FLOAT)

    def is_alpha_beta_int64(self) -> bool:
        return isinstance(self.alpha, int) and isinstance(self.beta, int) and self.to_type == DataType.INT64

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        given = [i < len(types) and types[i] is not None for i in range(3)]
        if self.operation != FillOperation.LINSPACE:
            if any(given):
                raise UnsupportedError(f"{self.operation} with a shape or limits that only run time knows",
                                       try_="give them as numbers")
            same: dict[str, Any] = {"shape": list(self.shape), "dtype": onnx_type(self.to_type)}
            if self.operation == FillOperation.RANDOM_UNIFORM:
                return [node("RandomUniform", "", low=float(self.alpha), high=float(self.beta), **same)]
            return [node("RandomNormal", "", mean=float(self.alpha), scale=float(self.beta), **same)]
        kind = ours(self.to_type).numpy
        start = [] if given[1] else [constant("a", self.alpha, kind)]
        if given[0]:
            if given[2] and types[2] is not None and types[2].size != 1:
                raise UnsupportedError("LINSPACE with one beta per axis needs a shape known when the network is built")
            step = [node("Squeeze", "x2", "b")] if given[2] else [constant("b", self.beta, kind)]
            return [*start, *step, *([node("Identity", "x1", "a")] if given[1] else []),
                    node("Cast", "x0", "n64", to=onnx_type(DataType.INT64)), node("ReduceProd", "n64", "n", keepdims=0),
                    constant("zero", 0, np.int64), constant("one", 1, np.int64), node("Range", "zero n one", "i"),
                    node("Cast", "i", "k", to=onnx_type(self.to_type)), node("Mul", "k b", "kb"),
                    node("Add", "kb a", "flat"), node("Reshape", "flat n64", "y0")]
        steps = np.indices(tuple(self.shape)) if len(self.shape) else np.zeros((0,))
        if given[2]:
            axes = len(self.shape)
            return [*start, *([node("Identity", "x1", "a")] if given[1] else []),
                    constant("grid", np.moveaxis(steps, 0, -1), kind), constant("column", [axes, 1], np.int64),
                    node("Reshape", "x2 column", "b"), node("MatMul", "grid b", "s"), constant("last", [-1], np.int64),
                    node("Squeeze", "s last", "q"), node("Add", "q a")]
        if len(self.shape) != 1:
            raise ShapeError(f"LINSPACE of shape {self.shape} needs one beta per axis: set_input(2, betas)")
        return [*start, *([node("Identity", "x1", "a")] if given[1] else []),
                constant("s", steps[0] * np.asarray(self.beta, kind), kind), node("Add", "s a")]


class IRaggedSoftMaxLayer(Standard):
    """Softmax over the first bounds[z] elements of each row of x (Z, S); zeros after them. bounds (Z, 1) integers."""

    _layer_type = LayerType.RAGGED_SOFTMAX

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        kind = types[0].dtype if types[0] is not None else DType.float32
        import onnx
        number = {DType.float16: onnx.TensorProto.FLOAT16, DType.bfloat16: onnx.TensorProto.BFLOAT16}.get(
            kind, onnx.TensorProto.FLOAT)
        return [node("Shape", "x0", "size", start=-1), constant("none", [], np.int64),
                node("Reshape", "size none", "n"), constant("zero", 0, np.int64), constant("one", 1, np.int64),
                node("Range", "zero n one", "place"), node("Cast", "x1", "limit", to=onnx.TensorProto.INT64),
                node("Less", "place limit", "inside"), node("Cast", "inside", "mask", to=number),
                constant("low", -1e30 if kind is not DType.float16 else -6e4, np.float32),
                node("CastLike", "low x0", "least"), node("Where", "inside x0 least", "kept"),
                node("Softmax", "kept", "soft", axis=-1), node("Mul", "soft mask")]


class IRotaryEmbeddingLayer(Standard):
    """Rotary position embedding of x (N, heads, S, D) by cos and sin caches; optional input 3: position ids (N, S).

    ONNX RotaryEmbedding (operator set 23): x1, x2 → x1·cos − x2·sin, x1·sin + x2·cos over the first
    rotary_embedding_dim elements (0: all), pairs adjacent when interleaved, else halves.
    """

    _layer_type = LayerType.ROTARY_EMBEDDING
    _optional_inputs = 1
    interleaved = Param(False, bool)
    rotary_embedding_dim = Param(0, int)

    def _nodes(self, types: list[TensorType | None]) -> list[onnx.NodeProto]:
        x = types[0]
        assert x is not None
        size = x.shape[-1]
        if x.rank != 4 or not isinstance(size, int):
            raise ShapeError("rotary embedding takes (batch, heads, sequence, size) of known size", x=x)
        width = self.rotary_embedding_dim or size
        if width % 2 or width > size:
            raise ShapeError(f"rotary_embedding_dim {width} must be even and at most {size}", x=x)
        has_ids = len(types) > 3 and types[3] is not None
        caches = [node("Gather", "x1 x3", "cos3", axis=0), node("Gather", "x2 x3", "sin3", axis=0)] if has_ids else \
            [node("Identity", "x1", "cos3"), node("Identity", "x2", "sin3")]
        half = width // 2

        def part(out: str, start: int, stop: int, step: int = 1) -> list[onnx.NodeProto]:
            return [constant(f"{out}_0", [start], np.int64), constant(f"{out}_1", [stop], np.int64),
                    constant(f"{out}_s", [step], np.int64),
                    node("Slice", f"x0 {out}_0 {out}_1 last {out}_s", out)]
        pairs = [*part("a", 0, width, 2), *part("b", 1, width, 2)] if self.interleaved else \
            [*part("a", 0, half), *part("b", half, width)]
        rotated = [node("Mul", "a cos", "ac"), node("Mul", "b sin", "bs"), node("Sub", "ac bs", "p"),
                   node("Mul", "a sin", "as"), node("Mul", "b cos", "bc"), node("Add", "as bc", "q")]
        if self.interleaved:
            rotated += [node("Unsqueeze", "p last", "p5"), node("Unsqueeze", "q last", "q5"),
                        node("Concat", "p5 q5", "pq", axis=-1), constant("flat", [0, 0, 0, width], np.int64),
                        node("Reshape", "pq flat", "r")]
        else:
            rotated += [node("Concat", "p q", "r", axis=-1)]
        end = [node("Identity", "r")] if width == size else [*part("rest", width, size),
                                                             node("Concat", "r rest", axis=-1)]
        return [constant("last", [-1], np.int64), constant("heads", [1], np.int64), *caches,
                node("Unsqueeze", "cos3 heads", "cos"), node("Unsqueeze", "sin3 heads", "sin"), *pairs, *rotated, *end]
