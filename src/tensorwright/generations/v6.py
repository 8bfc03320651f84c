"""TensorRT 6.0: the names of generation 6."""

from .view import publish

__version__ = "6.0.1.10"
__all__ = publish(globals(), "6")
