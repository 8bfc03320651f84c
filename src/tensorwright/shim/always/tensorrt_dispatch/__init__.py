"""`import tensorrt_dispatch`, answered by tensorwright: see the package tensorrt beside it."""

import os
import sys

from tensorwright import compat

_module = compat.install(os.environ.get(compat.GENERATION, compat.USUAL))
if __name__ not in sys.modules:
    raise ModuleNotFoundError(f"TensorRT {_module.__version__} has no {__name__}", name=__name__)
