"""TensorRT 5.1: the names of generation 5."""

from .view import publish

__version__ = "5.1.5.0"
__all__ = publish(globals(), "5")
