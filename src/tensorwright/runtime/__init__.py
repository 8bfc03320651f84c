"""Plan → Engine → Context: memory, shapes, running."""

from .context import Context
from .engine import Engine

__all__ = ["Context", "Engine"]
