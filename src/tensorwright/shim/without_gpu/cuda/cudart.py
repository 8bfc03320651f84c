"""cuda.cudart: the older name of cuda.bindings.runtime."""

from cuda.bindings.runtime import *  # noqa: F403
from cuda.bindings.runtime import __all__ as __all__
