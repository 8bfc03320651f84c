"""tensorwright: trained networks become engines tuned for this machine.

    engine = tensorwright.build("model.onnx", shapes={"image": (1, 3, 224, 224)})
    y = engine(image)
    engine.save("model.plan")                    # later: tensorwright.load("model.plan")

TensorRT's classes are here too (`import tensorwright as trt`). Importing the package costs little: each name is looked
up when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: Public name → the module that defines it. All other names of __all__ come from `trt`.
_HOME = {
    "build": ".api", "load": ".api", "Engine": ".runtime", "Context": ".runtime", "Network": ".ir",
    "BuildOptions": ".builder", "Profile": ".plan.records", "DType": ".dtypes",
    "TensorwrightError": ".errors", "ShapeError": ".errors", "TypeMismatch": ".errors", "ModelError": ".errors",
    "UnsupportedError": ".errors", "BuildError": ".errors", "VerificationError": ".errors", "PlanError": ".errors",
    "InputError": ".errors", "DeviceError": ".errors",
}

#: Submodules that are attributes without being imported first.
_MODULES = ("errors", "onnx", "onnx_backend", "trt")

if TYPE_CHECKING:
    from . import errors as errors
    from . import onnx as onnx
    from . import onnx_backend as onnx_backend
    from . import trt as trt
    from .api import build, load
    from .builder import BuildOptions
    from .dtypes import DType
    from .errors import (
        BuildError,
        DeviceError,
        InputError,
        ModelError,
        PlanError,
        ShapeError,
        TensorwrightError,
        TypeMismatch,
        UnsupportedError,
        VerificationError,
    )
    from .ir import Network
    from .plan.records import Profile
    from .runtime import Context, Engine
    from .trt import *  # noqa: F403

__all__ = [  # noqa: F405
    "ActivationType",
    "BuildError",
    "BuildOptions",
    "Builder",
    "BuilderFlag",
    "Context",
    "CumulativeOperation",
    "DType",
    "DataType",
    "DeviceError",
    "DeviceType",
    "Dims",
    "Dims2",
    "Dims3",
    "Dims4",
    "DimsHW",
    "ElementWiseOperation",
    "Engine",
    "EngineCapability",
    "EngineInspector",
    "ErrorCode",
    "ExecutionContextAllocationStrategy",
    "GatherMode",
    "HardwareCompatibilityLevel",
    "IActivationLayer",
    "IBuilderConfig",
    "ICastLayer",
    "IConcatenationLayer",
    "IConstantLayer",
    "IConvolutionLayer",
    "ICudaEngine",
    "ICumulativeLayer",
    "IDeconvolutionLayer",
    "IElementWiseLayer",
    "IExecutionContext",
    "IFullyConnectedLayer",
    "IGatherLayer",
    "IHostMemory",
    "IIdentityLayer",
    "ILayer",
    "ILogger",
    "IMatrixMultiplyLayer",
    "INetworkDefinition",
    "INormalizationLayer",
    "IOptimizationProfile",
    "IOutputAllocator",
    "IPaddingLayer",
    "IParametricReLULayer",
    "IPoolingLayer",
    "IProfiler",
    "IProgressMonitor",
    "IReduceLayer",
    "IResizeLayer",
    "IScaleLayer",
    "IScatterLayer",
    "ISelectLayer",
    "IShapeLayer",
    "IShuffleLayer",
    "ISliceLayer",
    "ISoftMaxLayer",
    "ISqueezeLayer",
    "ITensor",
    "ITimingCache",
    "ITopKLayer",
    "IUnaryLayer",
    "IUnsqueezeLayer",
    "InputError",
    "InterpolationMode",
    "LayerInformationFormat",
    "LayerType",
    "Logger",
    "MatrixOperation",
    "MemoryPoolType",
    "ModelError",
    "Network",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "OnnxParserFlag",
    "PaddingMode",
    "ParserError",
    "Permutation",
    "PlanError",
    "PoolingType",
    "Profile",
    "Profiler",
    "ProfilingVerbosity",
    "ReduceOperation",
    "ResizeCoordinateTransformation",
    "ResizeRoundMode",
    "ResizeSelector",
    "Runtime",
    "SampleMode",
    "ScaleMode",
    "ScatterMode",
    "ShapeError",
    "Stream",
    "TensorFormat",
    "TensorIOMode",
    "TensorLocation",
    "TensorwrightError",
    "TopKOperation",
    "TypeMismatch",
    "UnaryOperation",
    "UnsupportedError",
    "VerificationError",
    "Weights",
    "__version__",
    "bfloat16",
    "build",
    "e8m0",
    "float16",
    "float32",
    "fp4",
    "fp8",
    "init_libnvinfer_plugins",
    "int4",
    "int8",
    "int32",
    "int64",
    "load",
    "nptype",
    "uint8",
    "volume",
]


if not TYPE_CHECKING:                    # so that checkers know every name, and flag those that are not there
    def __getattr__(name: str) -> Any:
        import importlib
        if name in _MODULES:
            return importlib.import_module(f".{name}", __name__)
        if name in _HOME:
            value = getattr(importlib.import_module(_HOME[name], __name__), name)
        elif name in __all__ or name == "bool":
            value = getattr(importlib.import_module(".trt", __name__), name)
        else:
            raise AttributeError(f"module 'tensorwright' has no attribute {name!r}")
        globals()[name] = value                              # next time without this function
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
