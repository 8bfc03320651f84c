"""Shapes with named axes, as generations 5 to 7 have them."""

from __future__ import annotations

from typing import Any

from .enums import DimensionType
from .foundation import Dims3, Dims4


def axis(index: int) -> Any:
    """A property that is one of the sizes."""
    def get(dims: Any) -> int:
        return int(dims[index])

    def put(dims: Any, value: int) -> None:
        dims[index] = value
    return property(get, put)


class DimsCHW(Dims3):
    """(channels, height, width)"""

    _types = (DimensionType.CHANNEL, DimensionType.SPATIAL, DimensionType.SPATIAL)
    c = axis(0)
    h = axis(1)
    w = axis(2)


class DimsNCHW(Dims4):
    """(batch, channels, height, width)"""

    _types = (DimensionType.INDEX, DimensionType.CHANNEL, DimensionType.SPATIAL, DimensionType.SPATIAL)
    n = axis(0)
    c = axis(1)
    h = axis(2)
    w = axis(3)
