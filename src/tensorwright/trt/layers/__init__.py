"""The layer classes, by what they do to a tensor."""

from .assertion import IAssertionLayer, IDistCollectiveLayer
from .attention import IAttention, IAttentionBoundaryLayer, IAttentionInputLayer, IAttentionOutputLayer
from .experts import IDynamicQuantizeLayer, IKVCacheUpdateLayer, IMoELayer
from .index import IGatherLayer, IResizeLayer, IScatterLayer
from .matrix import IFullyConnectedLayer, IMatrixMultiplyLayer
from .movement import (
    IConcatenationLayer,
    IConstantLayer,
    IPaddingLayer,
    IShapeLayer,
    IShuffleLayer,
    ISqueezeLayer,
    IUnsqueezeLayer,
)
from .pointwise import (
    IActivationLayer,
    ICastLayer,
    IElementWiseLayer,
    IIdentityLayer,
    IParametricReLULayer,
    IScaleLayer,
    ISelectLayer,
    IUnaryLayer,
)
from .recurrent import IRNNLayer, IRNNv2Layer
from .reduce import ICumulativeLayer, INormalizationLayer, IReduceLayer, ISoftMaxLayer, ITopKLayer
from .slice import ISliceLayer
from .standard import (
    IDequantizeLayer,
    IEinsumLayer,
    IFillLayer,
    IGridSampleLayer,
    ILRNLayer,
    INMSLayer,
    INonZeroLayer,
    IOneHotLayer,
    IQuantizeLayer,
    IRaggedSoftMaxLayer,
    IReverseSequenceLayer,
    IRotaryEmbeddingLayer,
)
from .window import IConvolutionLayer, IDeconvolutionLayer, IPoolingLayer

__all__ = [
    "IActivationLayer",
    "IAssertionLayer",
    "IAttention",
    "IAttentionBoundaryLayer",
    "IAttentionInputLayer",
    "IAttentionOutputLayer",
    "ICastLayer",
    "IConcatenationLayer",
    "IConstantLayer",
    "IConvolutionLayer",
    "ICumulativeLayer",
    "IDeconvolutionLayer",
    "IDequantizeLayer",
    "IDistCollectiveLayer",
    "IDynamicQuantizeLayer",
    "IEinsumLayer",
    "IElementWiseLayer",
    "IFillLayer",
    "IFullyConnectedLayer",
    "IGatherLayer",
    "IGridSampleLayer",
    "IIdentityLayer",
    "IKVCacheUpdateLayer",
    "ILRNLayer",
    "IMatrixMultiplyLayer",
    "IMoELayer",
    "INMSLayer",
    "INonZeroLayer",
    "INormalizationLayer",
    "IOneHotLayer",
    "IPaddingLayer",
    "IParametricReLULayer",
    "IPoolingLayer",
    "IQuantizeLayer",
    "IRNNLayer",
    "IRNNv2Layer",
    "IRaggedSoftMaxLayer",
    "IReduceLayer",
    "IResizeLayer",
    "IReverseSequenceLayer",
    "IRotaryEmbeddingLayer",
    "IScaleLayer",
    "IScatterLayer",
    "ISelectLayer",
    "IShapeLayer",
    "IShuffleLayer",
    "ISliceLayer",
    "ISoftMaxLayer",
    "ISqueezeLayer",
    "ITopKLayer",
    "IUnaryLayer",
    "IUnsqueezeLayer",
]
