"""Scripts written for NVIDIA's TensorRT, as they are: `import tensorrt` gives one generation of our API.

    import tensorwright.compat
    tensorwright.compat.install(generation="8")
    import tensorrt as trt                               # tensorwright.generations.v8

From outside, without a change to the script: `wright shim --generation 8 -- python script.py`. There, a program that
loads libcudart.so by ctypes finds one as well (cuda.cudart); in a process where `install` was called, it must be loaded
by its path: `ctypes.CDLL(tensorwright.compat.cudart())`.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType

from .cuda.present import gpu_is_present
from .errors import InputError

GENERATIONS = ("5", "6", "7", "8", "10", "11")
#: What `import tensorrt` is when nobody says otherwise: the newest that has what most scripts ask for. 11 removed
#: precision flags and calibrators.
USUAL = "10"
#: Environment variable that tells the stand-in package which generation is asked for.
GENERATION = "TENSORWRIGHT_GENERATION"
#: Folders whose packages stand in for NVIDIA's when they come first on PYTHONPATH: `tensorrt` always, the packages that
#: drive CUDA where there is no GPU.
SHIM = Path(__file__).parent / "shim"
ALWAYS, WITHOUT_GPU = SHIM / "always", SHIM / "without_gpu"


def install(generation: str = USUAL) -> ModuleType:
    """Make `import tensorrt` give this generation, in this process. Returns the module.

    Without a GPU, `pycuda` and `cuda` are answered as well, by a device that the processor plays (tensorwright.cuda).

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
    if hasattr(module, "plugin"):
        sys.modules["tensorrt.plugin"] = module.plugin
    else:
        sys.modules.pop("tensorrt.plugin", None)
    from .generations import runtime_half
    for name in runtime_half.NAMES:                        # packages of NVIDIA's that have the runtime only
        sys.modules.pop(name, None)
        if str(generation).partition(".")[0] in runtime_half.GENERATIONS:
            sys.modules[name] = runtime_half.half(module, name)
    for folder in folders():
        if folder not in sys.path:
            sys.path.insert(0, folder)
    return module


def folders() -> list[str]:
    """The folders of stand-ins that this machine needs."""
    return [str(ALWAYS)] if gpu_is_present() else [str(ALWAYS), str(WITHOUT_GPU)]


def cudart() -> str | None:
    """The path of a libcudart.so for this machine, written if it is not there yet; None where none is needed, because
    there is a GPU, or where none can be made: systems other than Linux on x86-64, an unwritable cache folder (a warning
    says so)."""
    from .cuda import cudart as library
    from .device.elf import LinkError
    if gpu_is_present() or not library.supported():
        return None
    try:
        return str(library.folder() / library.NAMES[0])
    except (OSError, RuntimeError, LinkError) as error:                # RuntimeError: what LLVM says
        warnings.warn(f"there will be no libcudart.so: it cannot be written: {error}", stacklevel=2)
        return None


def view(generation: str) -> ModuleType:
    """The module of a generation."""
    number = str(generation).partition(".")[0]
    if number not in GENERATIONS:
        raise InputError(f"there is no generation {generation!r} of TensorRT here", generations=", ".join(GENERATIONS))
    return importlib.import_module(f".generations.v{number}", __package__)


def environment(generation: str, inherited: dict[str, str] | None = None) -> dict[str, str]:
    """The environment in which `import tensorrt` gives this generation, in a new process and those it starts. Without a
    GPU, the loader finds our libcudart.so there."""
    view(generation)
    result = dict(os.environ if inherited is None else inherited)
    library = cudart()
    return {**result, **_first(result, "PYTHONPATH", folders()), GENERATION: str(generation),
            **_first(result, "LD_LIBRARY_PATH", [str(Path(library).parent)] if library else [])}


def _first(variables: dict[str, str], name: str, folders: list[str]) -> dict[str, str]:
    """The variable with these folders before those it has; nothing when there are none."""
    others = [p for p in variables.get(name, "").split(os.pathsep) if p and p not in folders]
    return {name: os.pathsep.join([*folders, *others])} if folders else {}
