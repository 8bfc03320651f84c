"""What a value is: a tensor of known rank and (symbolic) shape, or something only host steps can look into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from ..dims import Dim, product
from ..dtypes import DType


@dataclass(frozen=True)
class TensorType:
    """A dense tensor: element type and shape; each dimension an int or an expression of the network's symbols."""

    shape: tuple[Dim, ...]
    dtype: DType

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> Dim:
        """Number of elements."""
        return product(self.shape)

    @property
    def is_static(self) -> bool:
        return all(isinstance(d, int) for d in self.shape)

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join(map(str, self.shape))}{',' if len(self.shape) == 1 else ''})"


@dataclass(frozen=True)
class OpaqueType:
    """A value of data-dependent shape, a sequence, an optional, or a type no kernel computes in. Host steps only.

    text     what is known, for people: "float32 (?, 3)", "sequence of float32"
    dtype    the element type when it is a tensor of known type, else None
    dims     when it is a tensor of known rank: its dimensions, None for those that only the data decide
    """

    text: str = "unknown"
    dtype: DType | None = None
    dims: tuple[Dim | None, ...] | None = None

    def __str__(self) -> str:
        return self.text


ValueType = Union[TensorType, OpaqueType]
