"""TensorRT 8.6: the names of generation 8."""

from .view import publish

__version__ = "8.6.1.6"
__all__ = publish(globals(), "8")
