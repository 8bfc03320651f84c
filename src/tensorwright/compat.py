"""Scripts written for NVIDIA's TensorRT, as they are: `import tensorrt` gives one generation of our API.

    import tensorwright.compat
    tensorwright.compat.install(generation="8")
    import tensorrt as trt                               # tensorwright.generations.v8

From outside, without a change to the script: `wright shim --generation 8 -- python script.py`.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

from .errors import InputError

GENERATIONS = ("5", "6", "7", "8", "10", "11")
NEWEST = GENERATIONS[-1]
#: Environment variable that tells the stand-in package which generation is asked for.
GENERATION = "TENSORWRIGHT_GENERATION"
#: The folder whose packages stand in for NVIDIA's when it comes first on PYTHONPATH.
SHIM = Path(__file__).parent / "shim"


def install(generation: str = NEWEST) -> ModuleType:
    """Make `import tensorrt` give this generation, in this process. Returns the module.

    generation   "7", "8", "10" or "11" ("5" and "6" too); a version such as "8.6.1" counts as its generation
    Raises       InputError for a generation that is not known, and when another tensorrt is imported already.
    """
    module = view(generation)
    present = sys.modules.get("tensorrt")
    if present is not None and not getattr(present, "__file__", "").startswith(str(SHIM)) \
            and not present.__name__.startswith("tensorwright."):
        raise InputError("another tensorrt is imported already", module=getattr(present, "__file__", present),
                         try_="call tensorwright.compat.install before anything imports tensorrt")
    sys.modules["tensorrt"] = sys.modules["tensorrt.tensorrt"] = module
    return module


def view(generation: str) -> ModuleType:
    """The module of a generation."""
    number = str(generation).partition(".")[0]
    if number not in GENERATIONS:
        raise InputError(f"there is no generation {generation!r} of TensorRT here", generations=", ".join(GENERATIONS))
    return importlib.import_module(f".generations.v{number}", __package__)


def environment(generation: str, inherited: dict[str, str] | None = None) -> dict[str, str]:
    """The environment in which `import tensorrt` gives this generation, in a new process and those it starts."""
    view(generation)
    result = dict(os.environ if inherited is None else inherited)
    path = [str(SHIM), *(p for p in result.get("PYTHONPATH", "").split(os.pathsep) if p and p != str(SHIM))]
    return {**result, "PYTHONPATH": os.pathsep.join(path), GENERATION: str(generation)}
