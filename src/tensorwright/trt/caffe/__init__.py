"""Caffe models (generations 5 to 8)."""

from .parser import CaffeParser as CaffeParser
from .parser import IBlobNameToTensor as IBlobNameToTensor
