"""What the importer knows of a value while it reads a graph: its type, its name in the network, maybe its content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dims import Dim, Expr
from ..dtypes import NATIVE, DType
from ..errors import ShapeError
from ..ir import OpaqueType, TensorType, ValueType
from ..ir.refittable import reveal

#: Content of at most this many elements is tracked as shape values and folded while importing.
SMALL = 4096
#: Element types our operators take; the others are computed on the host.
COMPUTABLE = NATIVE | {DType.float16, DType.bfloat16}


class Decline(Exception):
    """A lowering cannot express this node: the next way is tried. The message says why."""


@dataclass(eq=False)
class Value:
    """One value of the model.

    type     tensor type, or opaque
    name     its name in the network; None until a layer needs it
    array    the content, when it is a constant
    dims     the content as an object array of dimensions, when it is a known function of the input shapes
    hint     the name it has in the model
    """

    type: ValueType
    name: str | None = None
    array: np.ndarray | None = None
    dims: np.ndarray | None = None
    hint: str = ""

    @property
    def tensor(self) -> TensorType:
        if isinstance(self.type, OpaqueType):
            raise Decline(f"the shape of {self.hint or self.name or 'an input'} is not known before it is computed")
        return self.type

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.tensor.shape

    @property
    def rank(self) -> int:
        return self.tensor.rank

    @property
    def dtype(self) -> DType:
        return self.tensor.dtype

    @property
    def is_constant(self) -> bool:
        return self.array is not None

    @property
    def content(self) -> np.ndarray | None:
        """An object array of ints, floats, bools or dimensions; None when not known (or too large to be a shape)."""
        if self.dims is not None:
            return self.dims
        if self.array is not None and self.array.size <= SMALL and self.array.dtype.kind in "iufb":
            return reveal(self.array).astype(object)
        return None


def constant(array: np.ndarray, hint: str = "") -> Value:
    array = np.asarray(array)
    return Value(TensorType(array.shape, DType.of(array)), array=array, hint=hint)


def known(content: np.ndarray, dtype: DType, hint: str = "") -> Value:
    """A value of known content: a constant when every element is a number, a shape value when some are symbolic."""
    content = np.asarray(content, dtype=object)
    if not any(isinstance(x, Expr) for x in content.flat):
        return constant(content.astype(dtype.numpy), hint)
    return Value(TensorType(content.shape, dtype), dims=content, hint=hint)


def whole_number(x: object) -> Dim:
    """x as a dimension. Decline for anything that is not an integer."""
    if isinstance(x, Expr):
        return x
    if isinstance(x, (bool, int, float, np.integer, np.floating)) and x == int(x):
        return int(x)
    raise Decline(f"{x!r} is not an integer")


def axis_of(axis: int, rank: int, what: str = "axis") -> int:
    """A possibly negative axis as a non-negative one."""
    if not -rank <= axis < rank:
        raise ShapeError(f"{what} {axis} is outside a tensor of {rank} dimensions")
    return axis % rank

