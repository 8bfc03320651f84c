"""Tensors of decorated plugins without memory: what shapes and sizes they will have."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from ....dims import symbol
from ...enums import DataType, TensorFormat
from ..tensors import DynamicPluginTensorDesc, PluginTensorDesc
from .symbols import ShapeExpr, ShapeExprs

_numbers = itertools.count()


class Shape:
    """A shape of numbers. Of a tensor whose shape varies, -1 where it does; `min`, `opt` and `max` are its range."""

    def __init__(self, tensor_desc: tuple[int, ...] | DynamicPluginTensorDesc | PluginTensorDesc | None = None) -> None:
        self._range: tuple[tuple[int, ...], ...] | None = None
        if isinstance(tensor_desc, DynamicPluginTensorDesc):
            self._dims = list(tensor_desc.desc.dims)
            self._range = tuple(tensor_desc.min), tuple(tensor_desc.opt), tuple(tensor_desc.max)
        elif isinstance(tensor_desc, PluginTensorDesc):
            self._dims = list(tensor_desc.dims)
        else:
            self._dims = [int(d) for d in tensor_desc or ()]

    def numel(self) -> int:
        """How many elements it has. ValueError when that varies."""
        if self.is_dynamic:
            raise ValueError(f"the shape {tuple(self._dims)} varies: ask min, opt or max")
        return math.prod(self._dims)

    def __iter__(self) -> Iterator[int]:
        return iter(self._dims)

    def __getitem__(self, index: Any) -> Any:
        found = self._dims[index]
        return tuple(found) if isinstance(found, list) else found

    def __setitem__(self, index: int, val: int) -> None:
        self._dims[index] = int(val)

    def __len__(self) -> int:
        return len(self._dims)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Shape, tuple, list)) and list(self._dims) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Shape{tuple(self._dims)}"

    @property
    def is_dynamic(self) -> bool:
        return any(d < 0 for d in self._dims)

    def _of(self, which: int) -> tuple[int, ...]:
        if self._range is None:
            if self.is_dynamic:
                raise ValueError("the range of this shape is not known")
            return tuple(self._dims)
        return self._range[which]

    @property
    def min(self) -> tuple[int, ...]:
        return self._of(0)

    @property
    def opt(self) -> tuple[int, ...]:
        return self._of(1)

    @property
    def max(self) -> tuple[int, ...]:
        return self._of(2)


class TensorDesc:
    """A tensor without memory. `shape_expr` has sizes to compute with; `shape` has numbers, once ranges are known."""

    def __init__(self, shape_expr: ShapeExprs | None = None, dtype: DataType | None = None,
                 format: TensorFormat | None = None, scale: float | None = None) -> None:
        self._shape_expr, self._shape, self._alias = shape_expr, None, None
        self._dtype, self._format, self._scale = dtype, format, scale

    _shape: Shape | None
    _alias: TensorDesc | None

    @property
    def shape_expr(self) -> ShapeExprs:
        return self._known(self._shape_expr, "shape_expr")  # type: ignore[no-any-return]

    @shape_expr.setter
    def shape_expr(self, value: ShapeExprs) -> None:
        if not isinstance(value, ShapeExprs):
            raise ValueError(f"shape_expr is a ShapeExprs, not {type(value).__name__}: use ShapeExprs.from_tuple")
        self._shape_expr = value

    @property
    def dtype(self) -> DataType:
        return self._known(self._dtype, "dtype")  # type: ignore[no-any-return]

    @dtype.setter
    def dtype(self, value: DataType) -> None:
        if not isinstance(value, DataType):
            raise ValueError(f"dtype is a DataType, not {type(value).__name__}")
        self._dtype = value

    @property
    def shape(self) -> Shape:
        return self._known(self._shape, "shape")  # type: ignore[no-any-return]

    @shape.setter
    def shape(self, value: Shape) -> None:
        if not isinstance(value, Shape):
            raise ValueError(f"shape is a Shape, not {type(value).__name__}")
        self._shape = value

    @property
    def format(self) -> TensorFormat:
        return self._known(self._format, "format")  # type: ignore[no-any-return]

    @format.setter
    def format(self, value: TensorFormat) -> None:
        self._format = value

    @property
    def scale(self) -> float:
        return self._known(self._scale, "scale")  # type: ignore[no-any-return]

    @scale.setter
    def scale(self, value: float) -> None:
        self._scale = value

    @staticmethod
    def _known(value: Any, name: str) -> Any:
        if value is None:
            raise AttributeError(f"{name} of this TensorDesc is not known here")
        return value

    @property
    def has_shape(self) -> bool:
        return self._shape is not None

    @property
    def has_shape_expr(self) -> bool:
        return self._shape_expr is not None

    @property
    def is_dynamic(self) -> bool:
        return self.shape.is_dynamic

    @property
    def ndim(self) -> int:
        return len(self._shape if self._shape_expr is None and self._shape is not None else self.shape_expr)

    def numel(self) -> int:
        """How many elements it has, where its shape is known. ValueError when that varies."""
        return self.shape.numel()

    @property
    def is_size_tensor(self) -> bool:
        return False

    def like(self) -> TensorDesc:
        """A tensor of the same shape, type, format and scale."""
        made = TensorDesc(None if self._shape_expr is None else ShapeExprs.from_tuple(tuple(self._shape_expr)),
                          self._dtype, self._format, self._scale)
        made._shape = self._shape
        return made

    def aliased(self) -> TensorDesc:
        """An output in this input's memory."""
        made = self.like()
        made._alias = self
        return made

    def get_aliased(self) -> TensorDesc | None:
        """The input in whose memory this output lies; None when it has its own."""
        return self._alias

    @property
    def is_aliased(self) -> bool:
        return self._alias is not None


class SizeTensorShapeExpr(ShapeExpr):
    """The size that a SizeTensorDesc stands for."""

    def __init__(self, size_tensor_desc: SizeTensorDesc) -> None:
        super().__init__()
        self._dim, self._desc, self._declared = size_tensor_desc._symbol, size_tensor_desc, True

    @property
    def is_constant(self) -> bool:
        return False


class SizeTensorDesc(TensorDesc):
    """An output of rank 0 that holds a size which only the run tells. Return it beside the outputs whose size it is."""

    def __init__(self, opt: ShapeExpr, upper_bound: ShapeExpr) -> None:
        super().__init__(ShapeExprs(0), DataType.INT32)
        self._opt, self._upper_bound = opt, upper_bound
        self._index: int | None = None
        self._symbol = symbol(f"size_described_{next(_numbers)}")

    @property
    def is_size_tensor(self) -> bool:
        return True

    @property
    def opt(self) -> ShapeExpr:
        return self._opt

    @property
    def upper_bound(self) -> ShapeExpr:
        return self._upper_bound

    @property
    def index(self) -> int:
        """Which output it is; known when the function that describes the outputs has returned it."""
        return self._known(self._index, "index")  # type: ignore[no-any-return]

    def expr(self) -> SizeTensorShapeExpr:
        """The size, to compute with."""
        return SizeTensorShapeExpr(self)


def size_tensor(opt: ShapeExpr, upper_bound: ShapeExpr) -> SizeTensorDesc:
    """An output that holds a size: what to expect, and what it never exceeds."""
    return SizeTensorDesc(opt, upper_bound)


def from_shape_expr(shape_expr: tuple[ShapeExpr | int, ...] | ShapeExprs, dtype: DataType) -> TensorDesc:
    """A tensor of this shape and type."""
    if isinstance(shape_expr, tuple):
        shape_expr = ShapeExprs.from_tuple(shape_expr)
    elif not isinstance(shape_expr, ShapeExprs):
        raise ValueError(f"a tuple or ShapeExprs is needed, not {type(shape_expr).__name__}")
    return TensorDesc(shape_expr, dtype)
