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
    sampling,
    shapes,
    slicing,
    spectral,
)
from .registry import LOWERINGS

__all__ = ["activations", "attention", "control", "convolution", "create", "indexing", "matmul", "movement",
           "normalize", "pointwise", "pooling", "quantize", "recurrent", "reduce", "resize", "sampling", "shapes",
           "slicing", "spectral"]

COUNT = len(LOWERINGS)
