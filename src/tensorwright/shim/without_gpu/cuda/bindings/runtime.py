"""cuda.bindings.runtime, answered by tensorwright."""

from tensorwright.cuda.runtime import *  # noqa: F403
from tensorwright.cuda.runtime import __all__ as __all__
