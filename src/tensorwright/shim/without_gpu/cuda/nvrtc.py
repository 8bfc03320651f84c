"""cuda.nvrtc: the older name of cuda.bindings.nvrtc."""

from cuda.bindings.nvrtc import *  # noqa: F403
from cuda.bindings.nvrtc import __all__ as __all__
