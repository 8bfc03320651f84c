"""What a UFF node results in while a network is made of it: a tensor with its framework's axes, or a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ModelError, UnsupportedError
from ..network import INetworkDefinition
from ..tensor import ITensor


@dataclass(frozen=True)
class Value:
    """tensor: channels second when it has 4 axes. last: the framework has the channels last. Or: array, a constant."""

    tensor: ITensor | None = None
    array: np.ndarray | None = None
    last: bool = False


class Making:
    """Helpers of the translation: all axes are those of the framework, the batch first."""

    def __init__(self, network: INetworkDefinition) -> None:
        self.network = network
        self.lead = int(network.has_implicit_batch_dimension)

    def rank(self, x: Value) -> int:
        return x.array.ndim if x.array is not None else len(self.tensor(x).shape) + self.lead

    def tensor(self, x: Value) -> ITensor:
        if x.tensor is None:
            raise UnsupportedError("this input must be computed, not constant")
        return x.tensor

    def constant(self, x: Value) -> np.ndarray:
        if x.array is None:
            raise UnsupportedError("this input must be a constant")
        return x.array

    def shape(self, x: Value) -> list[int]:
        """Sizes in the framework's order; -1 for an implicit batch."""
        sizes = [-1] * self.lead + list(self.tensor(x).shape)
        return [sizes[0], *sizes[2:], sizes[1]] if self.swapped(x) else sizes

    def swapped(self, x: Value) -> bool:
        return x.last and self.rank(x) == 4

    def axis(self, x: Value, axis: int) -> int:
        """The tensor's axis for one of the framework's."""
        rank = self.rank(x)
        found = axis + rank if axis < 0 else axis
        if not self.lead <= found < rank:
            raise ModelError(f"axis {axis} is the implicit batch, or beyond the {rank} axes")
        if self.swapped(x):
            found = (0, 2, 3, 1)[found]
        return found - self.lead

    def plain(self, x: Value) -> Value:
        """The same with its axes in the framework's order."""
        if not self.swapped(x):
            return Value(self.tensor(x))
        return Value(self.shuffled(self.tensor(x), transpose=(0, 2, 3, 1)))

    def shuffled(self, tensor: ITensor, shape: Any = None, transpose: Any = None) -> ITensor:
        """Transposed, then given another shape; both count the batch, which stays first when it is implicit."""
        layer: Any = self.network.add_shuffle(tensor)
        if transpose is not None:
            if self.lead and transpose[0]:
                raise ModelError(f"{tuple(transpose)} moves the batch, which is implicit")
            layer.first_transpose = [a - self.lead for a in transpose[self.lead:]]
        if shape is not None:
            layer.reshape_dims = list(shape[self.lead:])
        return layer.get_output(0)                        # type: ignore[no-any-return]

    def spread(self, array: np.ndarray, rank: int, last: bool) -> np.ndarray:
        """A constant with as many axes as a tensor: of 1 in front, and the channels where the tensor has them."""
        array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        if last and rank == 4:
            array = array.transpose(0, 3, 1, 2)
        if self.lead:
            if array.shape[0] != 1:
                raise ModelError(f"a constant of shape {array.shape} varies over the batch, which is implicit")
            array = array[0]
        return np.ascontiguousarray(array)

    def both(self, a: Value, b: Value) -> tuple[ITensor, ITensor, bool]:
        """Two operands with the same axes in the same order, and whether the framework has the channels last."""
        if a.tensor is not None and b.tensor is not None:
            if self.rank(a) != self.rank(b):
                raise UnsupportedError(f"tensors of {self.rank(a)} and {self.rank(b)} axes are combined",
                                       try_="reshape one of them before")
            return a.tensor, b.tensor, a.last or b.last    # an input is not known to have its channels last
        like = a if a.tensor is not None else b
        rank = max(self.rank(a), self.rank(b))
        if self.rank(like) != rank:
            raise UnsupportedError("a constant with more axes than the tensor it is combined with")
        made = []
        for x in (a, b):
            if x.tensor is None:
                array = self.spread(self.constant(x), rank, self.swapped(like))
                made.append(self.network.add_constant(array.shape, array).get_output(0))   # type: ignore[union-attr]
            else:
                made.append(x.tensor)
        return made[0], made[1], like.last                # type: ignore[return-value]
