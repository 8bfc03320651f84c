"""Enumerations: kinds of layers and what they compute."""

from __future__ import annotations

from .choice import Choice


class LayerType(Choice):
    """What kind of layer an ILayer is."""

    CONVOLUTION = 0
    CAST = 1
    ACTIVATION = 2
    POOLING = 3
    LRN = 4
    SCALE = 5
    SOFTMAX = 6
    DECONVOLUTION = 7
    CONCATENATION = 8
    ELEMENTWISE = 9
    PLUGIN = 10
    UNARY = 11
    PADDING = 12
    SHUFFLE = 13
    REDUCE = 14
    TOPK = 15
    GATHER = 16
    MATRIX_MULTIPLY = 17
    RAGGED_SOFTMAX = 18
    CONSTANT = 19
    IDENTITY = 20
    PLUGIN_V2 = 21
    SLICE = 22
    SHAPE = 23
    PARAMETRIC_RELU = 24
    RESIZE = 25
    TRIP_LIMIT = 26
    RECURRENCE = 27
    ITERATOR = 28
    LOOP_OUTPUT = 29
    SELECT = 30
    FILL = 31
    QUANTIZE = 32
    DEQUANTIZE = 33
    CONDITION = 34
    CONDITIONAL_INPUT = 35
    CONDITIONAL_OUTPUT = 36
    SCATTER = 37
    EINSUM = 38
    ASSERTION = 39
    ONE_HOT = 40
    NON_ZERO = 41
    GRID_SAMPLE = 42
    NMS = 43
    REVERSE_SEQUENCE = 44
    NORMALIZATION = 45
    PLUGIN_V3 = 46
    SQUEEZE = 47
    UNSQUEEZE = 48
    CUMULATIVE = 49
    DYNAMIC_QUANTIZE = 50
    ATTENTION_INPUT = 51
    ATTENTION_OUTPUT = 52
    ROTARY_EMBEDDING = 53
    KV_CACHE_UPDATE = 54
    MOE = 55
    DIST_COLLECTIVE = 56
    FULLY_CONNECTED = 100
    RNN = 101
    RNN_V2 = 102


class ActivationType(Choice):
    """Functions of IActivationLayer."""

    RELU = 0
    SIGMOID = 1
    TANH = 2
    LEAKY_RELU = 3
    ELU = 4
    SELU = 5
    SOFTSIGN = 6
    SOFTPLUS = 7
    CLIP = 8
    HARD_SIGMOID = 9
    SCALED_TANH = 10
    THRESHOLDED_RELU = 11
    GELU_ERF = 12
    GELU_TANH = 13


class PoolingType(Choice):
    """How a window is reduced."""

    MAX = 0
    AVERAGE = 1
    MAX_AVERAGE_BLEND = 2


class PaddingMode(Choice):
    """How output sizes of windows are rounded, and whether padding is computed."""

    EXPLICIT_ROUND_DOWN = 0
    EXPLICIT_ROUND_UP = 1
    SAME_UPPER = 2
    SAME_LOWER = 3
    CAFFE_ROUND_DOWN = 4
    CAFFE_ROUND_UP = 5


class ElementWiseOperation(Choice):
    """Functions of IElementWiseLayer."""

    SUM = 0
    PROD = 1
    MAX = 2
    MIN = 3
    SUB = 4
    DIV = 5
    POW = 6
    FLOOR_DIV = 7
    AND = 8
    OR = 9
    XOR = 10
    EQUAL = 11
    GREATER = 12
    LESS = 13


class UnaryOperation(Choice):
    """Functions of IUnaryLayer."""

    EXP = 0
    LOG = 1
    SQRT = 2
    RECIP = 3
    ABS = 4
    NEG = 5
    SIN = 6
    COS = 7
    TAN = 8
    SINH = 9
    COSH = 10
    ASIN = 11
    ACOS = 12
    ATAN = 13
    ASINH = 14
    ACOSH = 15
    ATANH = 16
    CEIL = 17
    FLOOR = 18
    ERF = 19
    NOT = 20
    SIGN = 21
    ROUND = 22
    ISINF = 23
    ISNAN = 24


class ReduceOperation(Choice):
    """Functions of IReduceLayer."""

    SUM = 0
    PROD = 1
    MAX = 2
    MIN = 3
    AVG = 4
    NONE = 5


class ScaleMode(Choice):
    """Whether scale, shift and power are one value, one per channel, or one per element."""

    UNIFORM = 0
    CHANNEL = 1
    ELEMENTWISE = 2


class MatrixOperation(Choice):
    """What happens to an operand before the product."""

    NONE = 0
    TRANSPOSE = 1
    VECTOR = 2


class TopKOperation(Choice):
    """Largest or smallest."""

    MAX = 0
    MIN = 1


class GatherMode(Choice):
    """numpy.take, element-wise, or by index vectors."""

    DEFAULT = 0
    ELEMENT = 1
    ND = 2


class ScatterMode(Choice):
    """Element-wise, or by index vectors."""

    ELEMENT = 0
    ND = 1


class SampleMode(Choice):
    """What lies outside a tensor."""

    STRICT_BOUNDS = 0
    WRAP = 1
    CLAMP = 2
    FILL = 3
    REFLECT = 4
    DEFAULT = 0


class InterpolationMode(Choice):
    """How resizing interpolates."""

    NEAREST = 0
    LINEAR = 1
    CUBIC = 2


class ResizeCoordinateTransformation(Choice):
    """Which input place an output index stands for."""

    ALIGN_CORNERS = 0
    ASYMMETRIC = 1
    HALF_PIXEL = 2


class ResizeRoundMode(Choice):
    """How nearest resizing rounds."""

    HALF_UP = 0
    HALF_DOWN = 1
    FLOOR = 2
    CEIL = 3


class ResizeSelector(Choice):
    """The place taken when the output has one pixel."""

    FORMULA = 0
    UPPER = 1


class CumulativeOperation(Choice):
    """Functions of ICumulativeLayer."""

    SUM = 0


class FillOperation(Choice):
    """What IFillLayer fills with."""

    LINSPACE = 0
    RANDOM_UNIFORM = 1
    RANDOM_NORMAL = 2


class LoopOutput(Choice):
    """What a loop gives: the last value, or all of them, in order or reversed."""

    LAST_VALUE = 0
    CONCATENATE = 1
    REVERSE = 2


class TripLimit(Choice):
    """What ends a loop: a count, or a condition."""

    COUNT = 0
    WHILE = 1


class AttentionIOForm(Choice):
    """How the operands of IAttention are laid out: padded batches, or sequences one after the other."""

    PADDED_BHND = 0
    PACKED_NHD = 1


class AttentionNormalizationOp(Choice):
    """What makes weights of attention scores."""

    NONE = 0
    SOFTMAX = 1


class CausalMaskKind(Choice):
    """Which keys a query of attention may see: all, or those up to its own place, aligned at either corner."""

    NONE = 0
    UPPER_LEFT = 1
    LOWER_RIGHT = 2


class CollectiveOperation(Choice):
    """Operations among several devices."""

    ALL_REDUCE = 0
    ALL_GATHER = 1
    BROADCAST = 2
    REDUCE = 3
    REDUCE_SCATTER = 4
    ALL_TO_ALL = 5
    GATHER = 6
    SCATTER = 7


class KVCacheMode(Choice):
    """How a cache of keys and values is laid out."""

    LINEAR = 0


class MoEActType(Choice):
    """Activation inside a mixture of experts."""

    NONE = 0
    SILU = 1


class RNNDirection(Choice):
    """Whether a recurrent layer reads forwards only, or both ways."""

    UNIDIRECTION = 0
    BIDIRECTION = 1


class RNNGateType(Choice):
    """Gates of recurrent cells."""

    INPUT = 0
    OUTPUT = 1
    FORGET = 2
    UPDATE = 3
    RESET = 4
    CELL = 5
    HIDDEN = 6


class RNNInputMode(Choice):
    """Whether a recurrent layer multiplies its input by weights."""

    LINEAR = 0
    SKIP = 1


class RNNOperation(Choice):
    """Cells of recurrent layers."""

    RELU = 0
    TANH = 1
    LSTM = 2
    GRU = 3
