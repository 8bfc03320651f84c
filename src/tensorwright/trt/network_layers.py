"""INetworkDefinition.add_...: every call gives a new layer, or None after logging why it was refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .enums import (
    ActivationType,
    CumulativeOperation,
    DataType,
    ElementWiseOperation,
    FillOperation,
    GatherMode,
    MatrixOperation,
    PoolingType,
    ReduceOperation,
    ScaleMode,
    ScatterMode,
    TopKOperation,
    UnaryOperation,
)
from .foundation import Closed, DimsHW, Shape
from .layers import (
    IActivationLayer,
    ICastLayer,
    IConcatenationLayer,
    IConstantLayer,
    IConvolutionLayer,
    ICumulativeLayer,
    IDeconvolutionLayer,
    IDequantizeLayer,
    IEinsumLayer,
    IElementWiseLayer,
    IFillLayer,
    IFullyConnectedLayer,
    IGatherLayer,
    IGridSampleLayer,
    IIdentityLayer,
    ILRNLayer,
    IMatrixMultiplyLayer,
    INMSLayer,
    INonZeroLayer,
    INormalizationLayer,
    IOneHotLayer,
    IPaddingLayer,
    IParametricReLULayer,
    IPoolingLayer,
    IQuantizeLayer,
    IRaggedSoftMaxLayer,
    IReduceLayer,
    IResizeLayer,
    IReverseSequenceLayer,
    IRotaryEmbeddingLayer,
    IScaleLayer,
    IScatterLayer,
    ISelectLayer,
    IShapeLayer,
    IShuffleLayer,
    ISliceLayer,
    ISoftMaxLayer,
    ISqueezeLayer,
    ITopKLayer,
    IUnaryLayer,
    IUnsqueezeLayer,
)
from .tensor import ITensor

MOST_K = 3840                                             # of top-k, as TensorRT has it


class NetworkLayers(Closed):
    """The part of INetworkDefinition that makes layers."""

    def _add(self, kind: Any, inputs: list[Any], outputs: int = 1, **params: Any) -> Any:
        raise NotImplementedError

    def _error(self, text: str) -> None:
        raise NotImplementedError

    def _refuse(self, text: str) -> Any:
        self._error(text)

    def add_constant(self, shape: Shape, weights: Any) -> IConstantLayer | None:
        return self._add(IConstantLayer, [], shape=shape, weights=weights)

    def add_convolution_nd(self, input: ITensor, num_output_maps: int, kernel_shape: Shape, kernel: Any,
                           bias: Any = None) -> IConvolutionLayer | None:
        return self._add(IConvolutionLayer, [input], num_output_maps=num_output_maps, kernel_size_nd=kernel_shape,
                         kernel=kernel, bias=bias)

    def add_deconvolution_nd(self, input: ITensor, num_output_maps: int, kernel_shape: Shape, kernel: Any,
                             bias: Any = None) -> IDeconvolutionLayer | None:
        return self._add(IDeconvolutionLayer, [input], num_output_maps=num_output_maps, kernel_size_nd=kernel_shape,
                         kernel=kernel, bias=bias)

    def add_pooling_nd(self, input: ITensor, type: PoolingType, window_size: Shape) -> IPoolingLayer | None:
        return self._add(IPoolingLayer, [input], type=type, window_size_nd=window_size)

    def add_activation(self, input: ITensor, type: ActivationType) -> IActivationLayer | None:
        return self._add(IActivationLayer, [input], type=type)

    def add_elementwise(self, input1: ITensor, input2: ITensor, op: ElementWiseOperation) -> IElementWiseLayer | None:
        return self._add(IElementWiseLayer, [input1, input2], op=op)

    def add_unary(self, input: ITensor, op: UnaryOperation) -> IUnaryLayer | None:
        return self._add(IUnaryLayer, [input], op=op)

    def add_scale(self, input: ITensor, mode: ScaleMode, shift: Any = None, scale: Any = None,
                  power: Any = None) -> IScaleLayer | None:
        return self._add(IScaleLayer, [input], mode=mode, shift=shift, scale=scale, power=power)

    def add_scale_nd(self, input: ITensor, mode: ScaleMode, shift: Any = None, scale: Any = None, power: Any = None,
                     channel_axis: int | None = None) -> IScaleLayer | None:
        return self._add(IScaleLayer, [input], mode=mode, shift=shift, scale=scale, power=power,
                         channel_axis=channel_axis)

    def add_parametric_relu(self, input: ITensor, slopes: ITensor) -> IParametricReLULayer | None:
        return self._add(IParametricReLULayer, [input, slopes])

    def add_select(self, condition: ITensor, then_input: ITensor, else_input: ITensor) -> ISelectLayer | None:
        return self._add(ISelectLayer, [condition, then_input, else_input])

    def add_identity(self, input: ITensor) -> IIdentityLayer | None:
        return self._add(IIdentityLayer, [input])

    def add_cast(self, input: ITensor, to_type: DataType) -> ICastLayer | None:
        return self._add(ICastLayer, [input], to_type=to_type)

    def add_matrix_multiply(self, input0: ITensor, op0: MatrixOperation, input1: ITensor,
                            op1: MatrixOperation) -> IMatrixMultiplyLayer | None:
        return self._add(IMatrixMultiplyLayer, [input0, input1], op0=op0, op1=op1)

    def add_fully_connected(self, input: ITensor, num_outputs: int, kernel: Any,
                            bias: Any = None) -> IFullyConnectedLayer | None:
        return self._add(IFullyConnectedLayer, [input], num_output_channels=num_outputs, kernel=kernel, bias=bias)

    def add_softmax(self, input: ITensor) -> ISoftMaxLayer | None:
        return self._add(ISoftMaxLayer, [input])

    def add_reduce(self, input: ITensor, op: ReduceOperation, axes: int, keep_dims: bool) -> IReduceLayer | None:
        rank = input.shape.nbDims if isinstance(input, ITensor) else -1       # -1: not known
        if rank >= 0 and (axes < 0 or axes >> rank):
            return self._refuse(f"add_reduce: axes {axes:#b} reach beyond the {rank} dimensions of {input.name!r}")
        return self._add(IReduceLayer, [input], op=op, axes=axes, keep_dims=keep_dims)

    def add_topk(self, input: ITensor, op: TopKOperation, k: int, axes: int,
                 indices_type: DataType = DataType.INT32) -> ITopKLayer | None:
        if k > MOST_K:
            return self._refuse(f"add_topk: k is {k}, more than {MOST_K}")
        return self._add(ITopKLayer, [input], outputs=2, op=op, k=k, axes=axes, indices_type=indices_type)

    def add_normalization(self, input: ITensor, scale: ITensor, bias: ITensor,
                          axesMask: int) -> INormalizationLayer | None:
        return self._add(INormalizationLayer, [input, scale, bias], axes=axesMask)

    def add_normalization_v2(self, input: ITensor, scale: ITensor, bias: ITensor,
                             axesMask: int) -> INormalizationLayer | None:
        return self._add(INormalizationLayer, [input, scale, bias], axes=axesMask, _per_channel=True)

    def add_cumulative(self, input: ITensor, axis: ITensor, op: CumulativeOperation, exclusive: bool,
                       reverse: bool) -> ICumulativeLayer | None:
        return self._add(ICumulativeLayer, [input, axis], op=op, exclusive=exclusive, reverse=reverse)

    def add_concatenation(self, inputs: Sequence[ITensor]) -> IConcatenationLayer | None:
        inputs = list(inputs)
        if not inputs:
            return self._refuse("add_concatenation: there is nothing to concatenate")
        return self._add(IConcatenationLayer, inputs)

    def add_shuffle(self, input: ITensor) -> IShuffleLayer | None:
        return self._add(IShuffleLayer, [input])

    def add_slice(self, input: ITensor, start: Shape, shape: Shape, stride: Shape) -> ISliceLayer | None:
        return self._add(ISliceLayer, [input], start=start, shape=shape, stride=stride)

    def add_padding_nd(self, input: ITensor, pre_padding: Shape, post_padding: Shape) -> IPaddingLayer | None:
        return self._add(IPaddingLayer, [input], pre_padding_nd=pre_padding, post_padding_nd=post_padding)

    def add_squeeze(self, input: ITensor, axes: ITensor) -> ISqueezeLayer | None:
        return self._add(ISqueezeLayer, [input, axes])

    def add_unsqueeze(self, input: ITensor, axes: ITensor) -> IUnsqueezeLayer | None:
        return self._add(IUnsqueezeLayer, [input, axes])

    def add_gather(self, input: ITensor, indices: ITensor, axis: int) -> IGatherLayer | None:
        return self._add(IGatherLayer, [input, indices], axis=axis)

    def add_gather_v2(self, input: ITensor, indices: ITensor, mode: GatherMode) -> IGatherLayer | None:
        return self._add(IGatherLayer, [input, indices], mode=mode)

    def add_scatter(self, data: ITensor, indices: ITensor, updates: ITensor, mode: ScatterMode) -> IScatterLayer | None:
        return self._add(IScatterLayer, [data, indices, updates], mode=mode)

    def add_resize(self, input: ITensor) -> IResizeLayer | None:
        return self._add(IResizeLayer, [input])

    def add_shape(self, input: ITensor) -> IShapeLayer | None:
        return self._add(IShapeLayer, [input])

    # ---- layers that ONNX defines too

    def add_lrn(self, input: ITensor, window: int, alpha: float, beta: float, k: float) -> ILRNLayer | None:
        return self._add(ILRNLayer, [input], window_size=window, alpha=alpha, beta=beta, k=k)

    def add_einsum(self, inputs: Sequence[ITensor], equation: str) -> IEinsumLayer | None:
        return self._add(IEinsumLayer, list(inputs), equation=equation)

    def add_grid_sample(self, input: ITensor, grid: ITensor) -> IGridSampleLayer | None:
        return self._add(IGridSampleLayer, [input, grid])

    def add_one_hot(self, indices: ITensor, values: ITensor, depth: ITensor, axis: int) -> IOneHotLayer | None:
        return self._add(IOneHotLayer, [indices, values, depth], axis=axis)

    def add_non_zero(self, input: ITensor, indices_type: DataType = DataType.INT32) -> INonZeroLayer | None:
        return self._add(INonZeroLayer, [input], indices_type=indices_type)

    def add_reverse_sequence(self, input: ITensor, sequence_lens: ITensor) -> IReverseSequenceLayer | None:
        return self._add(IReverseSequenceLayer, [input, sequence_lens])

    def add_nms(self, boxes: ITensor, scores: ITensor, max_output_boxes_per_class: ITensor,
                indices_type: DataType = DataType.INT32) -> INMSLayer | None:
        return self._add(INMSLayer, [boxes, scores, max_output_boxes_per_class], outputs=2, indices_type=indices_type)

    def add_quantize(self, input: ITensor, scale: ITensor,
                     output_type: DataType = DataType.INT8) -> IQuantizeLayer | None:
        return self._add(IQuantizeLayer, [input, scale], to_type=output_type)

    def add_dequantize(self, input: ITensor, scale: ITensor,
                       output_type: DataType = DataType.FLOAT) -> IDequantizeLayer | None:
        return self._add(IDequantizeLayer, [input, scale], to_type=output_type)

    def add_fill(self, shape: Shape, op: FillOperation, output_type: DataType = DataType.FLOAT) -> IFillLayer | None:
        return self._add(IFillLayer, [], shape=shape, operation=op, to_type=output_type)

    def add_ragged_softmax(self, input: ITensor, bounds: ITensor) -> IRaggedSoftMaxLayer | None:
        return self._add(IRaggedSoftMaxLayer, [input, bounds])

    def add_rotary_embedding(self, input: ITensor, cos_cache: ITensor, sin_cache: ITensor, interleaved: bool,
                             rotary_embedding_dim: int) -> IRotaryEmbeddingLayer | None:
        return self._add(IRotaryEmbeddingLayer, [input, cos_cache, sin_cache], interleaved=interleaved,
                         rotary_embedding_dim=rotary_embedding_dim)

    # ---- the two-dimensional forms of generations up to 8

    def add_convolution(self, input: ITensor, num_output_maps: int, kernel_shape: Shape, kernel: Any,
                        bias: Any = None) -> IConvolutionLayer | None:
        return self.add_convolution_nd(input, num_output_maps, DimsHW(kernel_shape), kernel, bias)

    def add_deconvolution(self, input: ITensor, num_output_maps: int, kernel_shape: Shape, kernel: Any,
                          bias: Any = None) -> IDeconvolutionLayer | None:
        return self.add_deconvolution_nd(input, num_output_maps, DimsHW(kernel_shape), kernel, bias)

    def add_pooling(self, input: ITensor, type: PoolingType, window_size: Shape) -> IPoolingLayer | None:
        """Strides are 1 until `stride` is set."""
        return self.add_pooling_nd(input, type, DimsHW(window_size))

    def add_padding(self, input: ITensor, pre_padding: Shape, post_padding: Shape) -> IPaddingLayer | None:
        return self.add_padding_nd(input, DimsHW(pre_padding), DimsHW(post_padding))

    def add_matrix_multiply_deprecated(self, input0: ITensor, transpose0: bool, input1: ITensor,
                                       transpose1: bool) -> IMatrixMultiplyLayer | None:
        ops = [MatrixOperation.TRANSPOSE if t else MatrixOperation.NONE for t in (transpose0, transpose1)]
        return self.add_matrix_multiply(input0, ops[0], input1, ops[1])
