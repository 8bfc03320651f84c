"""TensorRT 7.2: the names of generation 7."""

from .view import publish

__version__ = "7.2.3.4"
__all__ = publish(globals(), "7")
