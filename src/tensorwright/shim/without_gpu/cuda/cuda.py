"""cuda.cuda: the older name of cuda.bindings.driver."""

from cuda.bindings.driver import *  # noqa: F403
from cuda.bindings.driver import __all__ as __all__
