"""Enumerations: what a build, an engine and the parser are told."""

from __future__ import annotations

from .choice import Choice, OrderedChoice


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
    STRICT_TYPES = 100
    ENABLE_TACTIC_HEURISTIC = 101


class NetworkDefinitionCreationFlag(OrderedChoice):
    """Bits for Builder.create_network."""

    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1
    PREFER_JIT_PYTHON_PLUGINS = 2
    PREFER_AOT_PYTHON_PLUGINS = 3
    EXPLICIT_PRECISION = 100


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
    DEFAULT = 0
    VERBOSE = 2


class LayerInformationFormat(Choice):
    """Form of the engine inspector's answer."""

    ONELINE = 0
    JSON = 1


class EngineCapability(OrderedChoice):
    """Runtime an engine is made for."""

    STANDARD = 0
    SAFETY = 1
    DLA_STANDALONE = 2
    DEFAULT = 0
    SAFE_GPU = 1
    SAFE_DLA = 2


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


class PreviewFeature(Choice):
    """Features that generations offered before they were final."""

    PROFILE_SHARING_0806 = 0
    ALIASED_PLUGIN_IO_10_03 = 1
    RUNTIME_ACTIVATION_RESIZE_10_10 = 2
    MULTIDEVICE_RUNTIME_10_16 = 3
    FASTER_DYNAMIC_SHAPES_0805 = 100
    DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805 = 101


class QuantizationFlag(OrderedChoice):
    """Bits of IBuilderConfig.quantization_flags."""

    CALIBRATE_BEFORE_FUSION = 0


class CalibrationAlgoType(Choice):
    """How a calibrator finds ranges."""

    LEGACY_CALIBRATION = 0
    ENTROPY_CALIBRATION = 1
    ENTROPY_CALIBRATION_2 = 2
    MINMAX_CALIBRATION = 3


class RuntimePlatform(Choice):
    """System an engine is made for."""

    SAME_AS_BUILD = 0
    WINDOWS_AMD64 = 1


class TilingOptimizationLevel(Choice):
    """How hard the builder looks for tilings across layers."""

    NONE = 0
    FAST = 1
    MODERATE = 2
    FULL = 3


class DeviceType(Choice):
    """Device a layer is meant for."""

    GPU = 0
    DLA = 1


class DLAWorkspaceAllocationStrategy(OrderedChoice):
    """How scratch memory of a deep-learning accelerator is allocated."""

    DEFAULT = 0
    SHARED_STATIC = 1


class ExecutionContextAllocationStrategy(OrderedChoice):
    """Who allocates a context's memory, and when."""

    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class AllocatorFlag(OrderedChoice):
    """Bits of what an allocator may be asked for."""

    RESIZABLE = 0


class EngineStat(OrderedChoice):
    """Figures an engine tells of itself."""

    TOTAL_WEIGHTS_SIZE = 0
    STRIPPED_WEIGHTS_SIZE = 1


class ErrorCode(Choice):
    """What kind of error the ONNX parser met. Prints as the bare name."""

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

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


class ErrorCodeTRT(OrderedChoice):
    """What kind of error an IErrorRecorder is told of."""

    SUCCESS = 0
    UNSPECIFIED_ERROR = 1
    INTERNAL_ERROR = 2
    INVALID_ARGUMENT = 3
    INVALID_CONFIG = 4
    FAILED_ALLOCATION = 5
    FAILED_INITIALIZATION = 6
    FAILED_EXECUTION = 7
    FAILED_COMPUTATION = 8
    INVALID_STATE = 9
    UNSUPPORTED_STATE = 10


class OnnxParserFlag(Choice):
    """Bits of OnnxParser.flags."""

    NATIVE_INSTANCENORM = 0
    ENABLE_UINT8_AND_ASYMMETRIC_QUANTIZATION_DLA = 1
    REPORT_CAPABILITY_DLA = 2
    ENABLE_PLUGIN_OVERRIDE = 3
    ADJUST_FOR_DLA = 4


class SeekPosition(OrderedChoice):
    """From where a stream reader counts."""

    SET = 0
    CUR = 1
    END = 2


class SerializationFlag(OrderedChoice):
    """Bits of ISerializationConfig.flags."""

    EXCLUDE_WEIGHTS = 0
    EXCLUDE_LEAN_RUNTIME = 1
    INCLUDE_REFIT = 2


class TempfileControlFlag(Choice):
    """Bits of which temporary files a runtime may make."""

    ALLOW_IN_MEMORY_FILES = 0
    ALLOW_TEMPORARY_FILES = 1


class UffInputOrder(Choice):
    """Layout of an input of a UFF model."""

    NCHW = 0
    NHWC = 1
    NC = 2


class WeightsRole(Choice):
    """What weights of a layer are for."""

    KERNEL = 0
    BIAS = 1
    SHIFT = 2
    SCALE = 3
    CONSTANT = 4
    ANY = 5
