"""Loads every family of lowerings, which register themselves."""

from . import (
    activations,
    attention,
    control,
    convolution,
    create,
    indexing,
    matmul,
    movement,
    normalize,
    pointwise,
    pooling,
    quantize,
    recurrent,
    reduce,
    resize,
    shapes,
    slicing,
)
from .registry import LOWERINGS

__all__ = ["activations", "attention", "control", "convolution", "create", "indexing", "matmul", "movement",
           "normalize", "pointwise", "pooling", "quantize", "recurrent", "reduce", "resize", "shapes", "slicing"]

COUNT = len(LOWERINGS)
