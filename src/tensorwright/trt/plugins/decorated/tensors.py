"""Tensors of decorated plugins: TensorDesc while shapes are worked out, Tensor, with memory, while one runs."""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ....dims import symbol
from ...enums import DataType, TensorFormat
from ...foundation import ours
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


class Tensor:
    """A tensor with memory, which lies in the host's. numpy.asarray(tensor) and torch.as_tensor(tensor) are arrays over
    that memory, not copies; what an implementation computes it writes there.

    There is no GPU behind it, so `__cuda_array_interface__` is an AttributeError, and libraries that look for it find
    `__array_interface__` instead.
    """

    def __init__(self) -> None:
        self._shape, self._dtype, self._strides, self._data_ptr = Shape(), DataType.FLOAT, (), 0
        self._format, self._scale = TensorFormat.LINEAR, 1.0
        self._data_dependent, self._alias = False, None

    _strides: tuple[int, ...]
    _alias: Tensor | None

    @classmethod
    def _at(cls, desc: PluginTensorDesc, address: int, strides: tuple[int, ...]) -> Tensor:
        made = cls()
        made._shape, made._dtype, made._data_ptr, made._strides = Shape(desc), desc.type, address, strides
        made._format, made._scale = desc.format, desc.scale
        return made

    @property
    def ndim(self) -> int:
        return len(self._shape)

    @property
    def data_ptr(self) -> int:
        return self._data_ptr

    @data_ptr.setter
    def data_ptr(self, value: int) -> None:
        self._data_ptr = value

    @property
    def dtype(self) -> DataType:
        return self._dtype

    @dtype.setter
    def dtype(self, value: DataType) -> None:
        self._dtype = value

    @property
    def shape(self) -> Shape:
        return self._shape

    @shape.setter
    def shape(self, value: Shape) -> None:
        self._shape = value

    @property
    def format(self) -> TensorFormat:
        return self._format

    @format.setter
    def format(self, value: TensorFormat) -> None:
        self._format = value

    @property
    def scale(self) -> float:
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._scale = value

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements between neighbours along each axis."""
        return self._strides

    @strides.setter
    def strides(self, value: tuple[int, ...]) -> None:
        self._strides = value

    def numel(self) -> int:
        return self._shape.numel()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The memory as an array; a copy when another type, or a copy, is asked for."""
        kind = ours(self._dtype).numpy
        shape = tuple(self._shape)
        if 0 in shape:
            array = np.empty(shape, kind)
        else:
            size = (sum((n - 1) * s for n, s in zip(shape, self._strides, strict=True)) + 1) * kind.itemsize
            memory = (ctypes.c_uint8 * size).from_address(self._data_ptr)
            steps = tuple(s * kind.itemsize for s in self._strides)
            array = np.ndarray(shape, kind, memory, 0, steps)  # type: ignore[arg-type]
        return array if dtype in (None, kind) and not copy else array.astype(dtype or kind)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        kind = ours(self._dtype).numpy
        if kind.str.lstrip("<>|=")[0] == "V":             # NumPy knows bfloat16 and its like by __array__ alone
            raise AttributeError(f"{self._dtype} has no array interface: use numpy.asarray")
        return {"shape": tuple(self._shape), "typestr": kind.str, "data": (self._data_ptr, False), "version": 3,
                "strides": tuple(s * kind.itemsize for s in self._strides)}

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        raise AttributeError("this tensor lies in the host's memory: use numpy.asarray(tensor)")

    @property
    def is_data_dependent(self) -> bool:
        """Whether its size is decided by this run; its shape is the largest it can have, then."""
        return self._data_dependent

    def get_aliased(self) -> Tensor | None:
        """The input in whose memory this output lies; None when it has its own."""
        return self._alias

    @property
    def is_aliased(self) -> bool:
        return self._alias is not None

    def aliased(self, shape: Shape | tuple[int, ...] | PluginTensorDesc | None = None) -> Tensor:
        """Another view of the same memory: of this shape, dense, or of the tensor's own."""
        made = Tensor()
        vars(made).update(vars(self))
        made._alias = self
        if shape is not None:
            made._shape = shape if isinstance(shape, Shape) else Shape(shape)
            dims = tuple(made._shape)
            made._strides = tuple(math.prod(dims[i + 1:]) for i in range(len(dims)))
        return made
