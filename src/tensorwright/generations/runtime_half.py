"""tensorrt_lean and tensorrt_dispatch: a generation without what builds engines."""

from __future__ import annotations

import functools
from types import ModuleType

from .. import trt

#: Generations that have the two packages, from version 8.6 on.
GENERATIONS = ("8", "10", "11")
NAMES = ("tensorrt_lean", "tensorrt_dispatch")
#: What builds: these, what derives from them, and layers.
BUILDING = ("Builder", "IBuilderConfig", "INetworkDefinition", "ITensor", "ILayer", "ILoop", "IIfConditional",
            "IAttention", "IOptimizationProfile", "ITimingCache", "TimingCacheKey", "TimingCacheValue",
            "IProgressMonitor", "IInt8Calibrator", "IAlgorithmSelector", "IAlgorithm", "IAlgorithmContext",
            "IAlgorithmIOInfo", "IAlgorithmVariant", "OnnxParser", "OnnxParserRefitter", "ParserError", "CaffeParser",
            "UffParser", "IBlobNameToTensor")
FUNCTIONS = ("get_nv_onnx_parser_version", "get_builder_plugin_registry")


@functools.cache
def half(module: ModuleType, name: str) -> ModuleType:
    """The runtime half of a generation's module, as a module of this name."""
    kinds = tuple(kind for n in BUILDING if isinstance(kind := getattr(trt, n, None), type))
    made = ModuleType(name, f"{module.__doc__ or ''}\n\nWithout what builds engines.".strip())
    for key, value in vars(module).items():
        builds = isinstance(value, type) and issubclass(value, kinds)
        if not builds and key not in FUNCTIONS and not (key.startswith("__") and key != "__version__"):
            setattr(made, key, value)
    made.tensorrt = made                                  # type: ignore[attr-defined]
    return made
