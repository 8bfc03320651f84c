"""TensorRT 11.1: the names of generation 11."""

from .view import publish

__version__ = "11.1.0.0"
__all__ = publish(globals(), "11")
