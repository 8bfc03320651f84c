"""TensorRT 10.16: the names of generation 10."""

from .view import publish

__version__ = "10.16.0.0"
__all__ = publish(globals(), "10")
