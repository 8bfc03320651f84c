"""The layer classes, by what they do to a tensor."""

from .index import IGatherLayer, IResizeLayer, IScatterLayer
from .matrix import IFullyConnectedLayer, IMatrixMultiplyLayer
from .movement import (
    IConcatenationLayer,
    IConstantLayer,
    IPaddingLayer,
    IShapeLayer,
    IShuffleLayer,
    ISliceLayer,
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
from .reduce import ICumulativeLayer, INormalizationLayer, IReduceLayer, ISoftMaxLayer, ITopKLayer
from .window import IConvolutionLayer, IDeconvolutionLayer, IPoolingLayer

__all__ = ["IActivationLayer", "ICastLayer", "IConcatenationLayer", "IConstantLayer", "IConvolutionLayer",
           "ICumulativeLayer", "IDeconvolutionLayer", "IElementWiseLayer", "IFullyConnectedLayer", "IGatherLayer",
           "IIdentityLayer", "IMatrixMultiplyLayer", "INormalizationLayer", "IPaddingLayer", "IParametricReLULayer",
           "IPoolingLayer", "IReduceLayer", "IResizeLayer", "IScaleLayer", "IScatterLayer", "ISelectLayer",
           "IShapeLayer", "IShuffleLayer", "ISliceLayer", "ISoftMaxLayer", "ISqueezeLayer", "ITopKLayer", "IUnaryLayer",
           "IUnsqueezeLayer"]
