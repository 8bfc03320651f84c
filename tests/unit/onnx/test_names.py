"""The package's public names are what they say, whatever has been imported before."""

import subprocess
import sys

CODE = """
import importlib, pkgutil, types
from tensorwright import onnx
for found in pkgutil.walk_packages(onnx.__path__, onnx.__name__ + "."):
    importlib.import_module(found.name)
for name in onnx.__all__:
    assert name == "pieces" or not isinstance(getattr(onnx, name), types.ModuleType), name
assert set(onnx.__all__) <= set(dir(onnx))
"""


def test_no_public_name_is_hidden_by_a_module_of_that_name() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_is_light() -> None:
    code = "import sys, tensorwright.onnx; sys.exit(any(m in sys.modules for m in ('onnx', 'onnx_ir', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
