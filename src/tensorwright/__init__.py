"""tensorwright: trained networks become engines tuned for this machine.

    engine = tensorwright.build("model.onnx", shapes={"image": (1, 3, 224, 224)})
    y = engine(image)
    engine.save("model.plan")                    # later: tensorwright.load("model.plan")

TensorRT's classes are here too (`import tensorwright as trt`). Importing the package costs little: each name is looked
up when it is first used.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: Public name → the module that defines it. All other public names come from `trt`.
_HOME = {
    "build": ".api", "load": ".api", "Engine": ".runtime", "Context": ".runtime", "Network": ".ir",
    "BuildOptions": ".builder", "Profile": ".plan.records", "DType": ".dtypes", "custom_op": ".plugins",
    "TensorwrightError": ".errors", "ShapeError": ".errors", "TypeMismatch": ".errors", "ModelError": ".errors",
    "UnsupportedError": ".errors", "BuildError": ".errors", "VerificationError": ".errors", "PlanError": ".errors",
    "InputError": ".errors", "DeviceError": ".errors", "ExportError": ".errors",
}

#: Submodules that are attributes without being imported first.
_MODULES = ("compat", "errors", "generations", "onnx", "onnx_backend", "plugin", "plugins", "torch", "trt")

if TYPE_CHECKING:
    from . import compat as compat
    from . import errors as errors
    from . import generations as generations
    from . import onnx as onnx
    from . import onnx_backend as onnx_backend
    from . import plugin as plugin
    from . import plugins as plugins
    from . import torch as torch
    from . import trt as trt
    from .api import build, load
    from .builder import BuildOptions
    from .dtypes import DType
    from .errors import (
        BuildError,
        DeviceError,
        ExportError,
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
    from .plugins import custom_op
    from .runtime import Context, Engine
    from .trt import *  # noqa: F403

if not TYPE_CHECKING:                    # so that checkers know every name, and flag those that are not there
    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f".{name}", __name__)
        if name in _HOME:
            value = getattr(importlib.import_module(_HOME[name], __name__), name)
        elif name != "__all__" and (name.startswith("__") or importlib.util.find_spec(f"{__name__}.{name}")):
            raise AttributeError(f"module 'tensorwright' has no attribute {name!r}")    # a part: imported by who asks
        else:
            trt = importlib.import_module(".trt", __name__)
            if name == "__all__":
                value = sorted({*_HOME, *trt.__all__, "__version__"} - {"bool"})
            elif name in trt.__all__:
                value = getattr(trt, name)
            else:
                raise AttributeError(f"module 'tensorwright' has no attribute {name!r}")
        globals()[name] = value                              # next time without this function
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES, *importlib.import_module(".trt", __name__).__all__})
