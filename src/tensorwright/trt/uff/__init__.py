"""UFF models, as TensorFlow's converter wrote them (generations 5 to 8)."""

from .parser import UffParser as UffParser
