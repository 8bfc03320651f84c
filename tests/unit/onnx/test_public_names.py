"""The names of tensorwright.onnx: complete, lazy, and never hidden by a module of the same name."""

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

from tensorwright import onnx


def test_names_are_what_they_say_after_every_module_is_imported() -> None:
    for module in pkgutil.walk_packages(onnx.__path__, "tensorwright.onnx."):
        importlib.import_module(module.name)
    for name in onnx.__all__:
        assert not isinstance(getattr(onnx, name), ModuleType), f"the module {name}.py hides the function {name}"
    assert set(onnx._HOME) <= set(onnx.__all__) and list(onnx.__all__) == sorted(onnx.__all__)


def test_import_is_light() -> None:
    code = "import sys, tensorwright.onnx; sys.exit(any(m in sys.modules for m in ('onnx', 'onnx_ir', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
