"""TensorRT's programming model over tensorwright: build from ONNX or by hand, serialize, deserialize, execute.

The classes are thin and mutable; the compiler sees frozen records only. Errors are returned as None or False and logged
where TensorRT does so. Names follow TensorRT's generation 10: explicit batch, tensors addressed by name.
"""

from __future__ import annotations

from .. import __version__
from . import enums as _enums
from . import layers as _layers
from . import plugins as _plugins
from .algorithms import IAlgorithm, IAlgorithmContext, IAlgorithmIOInfo, IAlgorithmSelector, IAlgorithmVariant
from .allocators import IGpuAllocator, IGpuAsyncAllocator
from .builder import Builder
from .caffe import CaffeParser, IBlobNameToTensor
from .calibrators import (
    IInt8Calibrator,
    IInt8EntropyCalibrator,
    IInt8EntropyCalibrator2,
    IInt8LegacyCalibrator,
    IInt8MinMaxCalibrator,
)
from .callbacks import IOutputAllocator, IProfiler, IProgressMonitor, Profiler, Stream
from .conditionals import (
    IConditionLayer,
    IIfConditional,
    IIfConditionalBoundaryLayer,
    IIfConditionalInputLayer,
    IIfConditionalOutputLayer,
)
from .config import IBuilderConfig, IOptimizationProfile
from .context import IExecutionContext
from .debug import IDebugListener
from .engine import ICudaEngine
from .enums import *  # noqa: F403
from .factories import (
    FieldCollection,
    FieldMap,
    ICaffePluginFactory,
    ICaffePluginFactoryExt,
    ICaffePluginFactoryV2,
    IUffPluginFactory,
    IUffPluginFactoryExt,
)
from .foundation import (
    Dims,
    Dims2,
    Dims3,
    Dims4,
    DimsHW,
    IHostMemory,
    Permutation,
    Weights,
    bfloat16,
    bool,
    e8m0,
    float16,
    float32,
    fp4,
    fp8,
    int4,
    int8,
    int32,
    int64,
    nptype,
    uint8,
    volume,
)
from .inspector import EngineInspector
from .layer import ILayer
from .layers import *  # noqa: F403
from .layers.formulas import IOutputDimensionsFormula
from .legacy_dims import DimsCHW, DimsNCHW
from .logger import ILogger, Logger
from .loops import (
    IIteratorLayer,
    ILoop,
    ILoopBoundaryLayer,
    ILoopOutputLayer,
    IRecurrenceLayer,
    ITripLimitLayer,
)
from .network import INetworkDefinition
from .parser import OnnxParser
from .parser_error import ParserError
from .parser_refitter import OnnxParserRefitter
from .parser_support import NodeIndices, SubGraphCollection, get_nv_onnx_parser_version, shutdown_protobuf_library
from .plugins import *  # noqa: F403
from .recorder import IErrorRecorder
from .refitter import Refitter
from .runtime import Runtime
from .serialization import ISerializationConfig
from .streams import IStreamReader, IStreamReaderV2, IStreamWriter
from .tensor import ITensor
from .timing_cache import ITimingCache, TimingCacheKey, TimingCacheValue
from .uff import UffParser
from .working_memory import IRuntimeConfig

__all__ = [
    "Builder",
    "CaffeParser",
    "Dims",
    "Dims2",
    "Dims3",
    "Dims4",
    "DimsCHW",
    "DimsHW",
    "DimsNCHW",
    "EngineInspector",
    "FieldCollection",
    "FieldMap",
    "IAlgorithm",
    "IAlgorithmContext",
    "IAlgorithmIOInfo",
    "IAlgorithmSelector",
    "IAlgorithmVariant",
    "IBlobNameToTensor",
    "IBuilderConfig",
    "ICaffePluginFactory",
    "ICaffePluginFactoryExt",
    "ICaffePluginFactoryV2",
    "IConditionLayer",
    "ICudaEngine",
    "IDebugListener",
    "IErrorRecorder",
    "IExecutionContext",
    "IGpuAllocator",
    "IGpuAsyncAllocator",
    "IHostMemory",
    "IIfConditional",
    "IIfConditionalBoundaryLayer",
    "IIfConditionalInputLayer",
    "IIfConditionalOutputLayer",
    "IInt8Calibrator",
    "IInt8EntropyCalibrator",
    "IInt8EntropyCalibrator2",
    "IInt8LegacyCalibrator",
    "IInt8MinMaxCalibrator",
    "IIteratorLayer",
    "ILayer",
    "ILogger",
    "ILoop",
    "ILoopBoundaryLayer",
    "ILoopOutputLayer",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IOutputAllocator",
    "IOutputDimensionsFormula",
    "IProfiler",
    "IProgressMonitor",
    "IRecurrenceLayer",
    "IRuntimeConfig",
    "ISerializationConfig",
    "IStreamReader",
    "IStreamReaderV2",
    "IStreamWriter",
    "ITensor",
    "ITimingCache",
    "ITripLimitLayer",
    "IUffPluginFactory",
    "IUffPluginFactoryExt",
    "Logger",
    "NodeIndices",
    "OnnxParser",
    "OnnxParserRefitter",
    "ParserError",
    "Permutation",
    "Profiler",
    "Refitter",
    "Runtime",
    "Stream",
    "SubGraphCollection",
    "TimingCacheKey",
    "TimingCacheValue",
    "UffParser",
    "Weights",
    "__version__",
    "bfloat16",
    "bool",
    "e8m0",
    "float16",
    "float32",
    "fp4",
    "fp8",
    "get_nv_onnx_parser_version",
    "int32",
    "int4",
    "int64",
    "int8",
    "nptype",
    "shutdown_protobuf_library",
    "uint8",
    "volume",
    *_enums.__all__,
    *_layers.__all__,
    *_plugins.__all__,
]
