"""Enumerations of the TensorRT-shaped API, with the integers of its generation 10.

Members print as `DataType.FLOAT`, convert with int(), and equal only members of their own enumeration.
"""

from __future__ import annotations

import enum


class Choice(enum.Enum):
    """Base of all enumerations here."""

    def __int__(self) -> int:
        return int(self.value)

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.name))


class OrderedChoice(Choice):
    """An enumeration whose members compare by their integers."""

    def __lt__(self, other: object) -> bool:
        return int(self) < int(other) if isinstance(other, type(self)) else NotImplemented

    def __le__(self, other: object) -> bool:
        return int(self) <= int(other) if isinstance(other, type(self)) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return int(self) > int(other) if isinstance(other, type(self)) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return int(self) >= int(other) if isinstance(other, type(self)) else NotImplemented


class DataType(Choice):
    """Element type of a tensor. `itemsize` is bytes per element (0.5 for 4-bit types). From 100 on: ours alone."""

    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    FP8 = 6
    BF16 = 7
    INT64 = 8
    INT4 = 9
    FP4 = 10
    E8M0 = 11
    DOUBLE = 100
    INT16 = 101
    UINT16 = 102
    UINT32 = 103
    UINT64 = 104

    @property
    def itemsize(self) -> float:
        return {"HALF": 2, "BF16": 2, "INT64": 8, "FLOAT": 4, "INT32": 4, "INT4": 0.5, "FP4": 0.5, "DOUBLE": 8,
                "INT16": 2, "UINT16": 2, "UINT32": 4, "UINT64": 8}.get(self.name, 1)


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


class TensorIOMode(Choice):
    """Whether a tensor is an input or an output of the engine."""

    NONE = 0
    INPUT = 1
    OUTPUT = 2


class TensorLocation(Choice):
    """Where a tensor lies. On the CPU, device memory is host memory."""

    DEVICE = 0
    HOST = 1


class TensorFormat(OrderedChoice):
    """Layout of a tensor of the engine. This version has LINEAR only."""

    LINEAR = 0
    CHW2 = 1
    HWC8 = 2
    CHW4 = 3
    CHW16 = 4
    CHW32 = 5
    DHWC8 = 6
    CDHW32 = 7
    HWC = 8
    DLA_LINEAR = 9
    DLA_HWC4 = 10
    HWC16 = 11
    DHWC = 12


class DeviceType(Choice):
    """Device a layer is meant for."""

    GPU = 0
    DLA = 1


class BuilderFlag(OrderedChoice):
    """Bits of IBuilderConfig.flags: use as `1 << int(flag)`, or through set_flag."""

    FP16 = 0
    INT8 = 1
    DEBUG = 2
    GPU_FALLBACK = 3
    REFIT = 4
    DISABLE_TIMING_CACHE = 5
    TF32 = 6
    SPARSE_WEIGHTS = 7
    SAFETY_SCOPE = 8
    OBEY_PRECISION_CONSTRAINTS = 9
    PREFER_PRECISION_CONSTRAINTS = 10
    DIRECT_IO = 11
    REJECT_EMPTY_ALGORITHMS = 12
    VERSION_COMPATIBLE = 13
    EXCLUDE_LEAN_RUNTIME = 14
    FP8 = 15
    ERROR_ON_TIMING_CACHE_MISS = 16
    BF16 = 17
    DISABLE_COMPILATION_CACHE = 18
    WEIGHTLESS = 19
    STRIP_PLAN = 19
    REFIT_IDENTICAL = 20
    WEIGHT_STREAMING = 21
    INT4 = 22
    REFIT_INDIVIDUAL = 23
    STRICT_NANS = 24
    MONITOR_MEMORY = 25
    FP4 = 26
    EDITABLE_TIMING_CACHE = 27
    DISTRIBUTIVE_INDEPENDENCE = 28


class NetworkDefinitionCreationFlag(OrderedChoice):
    """Bits for Builder.create_network."""

    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1
    PREFER_JIT_PYTHON_PLUGINS = 2
    PREFER_AOT_PYTHON_PLUGINS = 3


class MemoryPoolType(Choice):
    """Pools whose size a configuration can limit."""

    WORKSPACE = 0
    DLA_MANAGED_SRAM = 1
    DLA_LOCAL_DRAM = 2
    DLA_GLOBAL_DRAM = 3
    TACTIC_DRAM = 4
    TACTIC_SHARED_MEMORY = 5


class ProfilingVerbosity(Choice):
    """How much an engine tells of its layers."""

    LAYER_NAMES_ONLY = 0
    NONE = 1
    DETAILED = 2


class LayerInformationFormat(Choice):
    """Form of the engine inspector's answer."""

    ONELINE = 0
    JSON = 1


class EngineCapability(OrderedChoice):
    """Runtime an engine is made for."""

    STANDARD = 0
    SAFETY = 1
    DLA_STANDALONE = 2


class HardwareCompatibilityLevel(Choice):
    """Which other devices an engine must run on."""

    NONE = 0
    AMPERE_PLUS = 1
    SAME_COMPUTE_CAPABILITY = 2


class TacticSource(OrderedChoice):
    """Libraries that tactics may come from. None of them is used on the CPU."""

    CUBLAS = 0
    CUBLAS_LT = 1
    CUDNN = 2
    EDGE_MASK_CONVOLUTIONS = 3
    JIT_CONVOLUTIONS = 4


class ExecutionContextAllocationStrategy(OrderedChoice):
    """Who allocates a context's memory, and when."""

    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class ErrorCode(Choice):
    """What kind of error the ONNX parser met."""

    SUCCESS = 0
    INTERNAL_ERROR = 1
    MEM_ALLOC_FAILED = 2
    MODEL_DESERIALIZE_FAILED = 3
    INVALID_VALUE = 4
    INVALID_GRAPH = 5
    INVALID_NODE = 6
    UNSUPPORTED_GRAPH = 7
    UNSUPPORTED_NODE = 8
    UNSUPPORTED_NODE_ATTR = 9
    UNSUPPORTED_NODE_INPUT = 10
    UNSUPPORTED_NODE_DATATYPE = 11
    UNSUPPORTED_NODE_DYNAMIC = 12
    UNSUPPORTED_NODE_SHAPE = 13
    REFIT_FAILED = 14


class OnnxParserFlag(Choice):
    """Bits of OnnxParser.flags."""

    NATIVE_INSTANCENORM = 0
    ENABLE_UINT8_AND_ASYMMETRIC_QUANTIZATION_DLA = 1
    REPORT_CAPABILITY_DLA = 2
    ENABLE_PLUGIN_OVERRIDE = 3
    ADJUST_FOR_DLA = 4
