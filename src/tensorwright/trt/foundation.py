"""Shapes, weights, byte buffers and element types, as TensorRT's Python API has them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar, Union, cast, overload

import numpy as np

from ..dtypes import DType
from .enums import DataType, DimensionType

T = TypeVar("T")


#: The symbol of an implicit batch dimension, and where a plan remembers the largest batch.
BATCH, IMPLICIT_BATCH = "batch", "implicit_batch"


class Closed:
    """An object that takes no attributes but its own: writing an unknown name is an AttributeError, not nothing.

    `_closed` is set at the end of __init__. Classes of one generation (`tensorwright.generations`) are subclasses; what
    one of them makes is of its own generation too, by `_class`.
    """

    _closed = False
    #: TensorRT's major version; 0: all generations in one.
    _number = 0
    #: Class name → that class or enumeration in this object's generation; those of all generations are not listed.
    _generation: ClassVar[Mapping[str, Any]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if self._closed and not name.startswith("_") and not hasattr(type(self), name) \
                and not hasattr(self, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        """The API's names: what is ours alone, or another generation's, is left out."""
        found = {n: next((vars(c)[n] for c in type(self).__mro__ if n in vars(c)), None) for n in super().__dir__()}
        return sorted(n for n, value in found.items() if (not n.startswith("_") or n.startswith("__"))
                      and not getattr(value, "hides_another_generation", False))

    def _class(self, kind: type[T]) -> type[T]:
        """What stands for a class or enumeration in this object's generation."""
        return cast("type[T]", self._generation.get(kind.__name__, kind))


class PerGeneration:
    """A function that makes objects; in the module of a generation (`tensorwright.generations`), its own.

    function(of, ...): of(class) is that class in the generation.
    """

    def __init__(self, function: Callable[..., Any], names: Mapping[str, Any] | None = None) -> None:
        self._function, self._names = function, names or {}
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._function(lambda kind: self._names.get(kind.__name__, kind), *args, **named)

    def within(self, names: Mapping[str, Any]) -> PerGeneration:
        return PerGeneration(self._function, names)


float32, float16, int8, int32 = DataType.FLOAT, DataType.HALF, DataType.INT8, DataType.INT32
bool, uint8, int64, bfloat16 = DataType.BOOL, DataType.UINT8, DataType.INT64, DataType.BF16
fp8, int4, fp4, e8m0 = DataType.FP8, DataType.INT4, DataType.FP4, DataType.E8M0

_TO_OURS = {DataType.FLOAT: DType.float32, DataType.HALF: DType.float16, DataType.INT8: DType.int8,
            DataType.INT32: DType.int32, DataType.BOOL: DType.bool, DataType.UINT8: DType.uint8,
            DataType.FP8: DType.float8_e4m3fn, DataType.BF16: DType.bfloat16, DataType.INT64: DType.int64,
            DataType.INT4: DType.int4, DataType.FP4: DType.float4_e2m1, DataType.E8M0: DType.float8_e8m0,
            DataType.DOUBLE: DType.float64, DataType.INT16: DType.int16, DataType.UINT16: DType.uint16,
            DataType.UINT32: DType.uint32, DataType.UINT64: DType.uint64}
_TO_THEIRS = {ours: theirs for theirs, ours in _TO_OURS.items()}
_NO_NUMPY = {DataType.BF16, DataType.FP8, DataType.INT4, DataType.FP4, DataType.E8M0}


def ours(dtype: DataType) -> DType:
    return _TO_OURS[dtype]


def theirs(dtype: DType) -> DataType:
    """TypeError for strings and complex numbers, which have no DataType."""
    if dtype not in _TO_THEIRS:
        raise TypeError(f"{dtype} has no DataType")
    return _TO_THEIRS[dtype]


def volume(iterable: Iterable[int]) -> int:
    """The product of the sizes; 1 when there are none."""
    result = 1
    for d in iterable:
        result *= d
    return result


def nptype(trt_type: DataType) -> Any:
    """The NumPy scalar type of a DataType. TypeError for those that NumPy lacks (bfloat16, fp8, 4-bit types)."""
    if trt_type in _NO_NUMPY:
        raise TypeError(f"{trt_type} has no NumPy counterpart")
    return np.bool_ if trt_type == DataType.BOOL else ours(trt_type).numpy.type


class Dims:
    """A shape: a sequence of at most 8 integers, -1 where only run time knows. Tuples and lists serve in its place."""

    MAX_DIMS = 8
    _types: tuple[DimensionType, ...] = ()

    def __init__(self, shape: Iterable[int] = ()) -> None:
        self._dims: list[int] | None = [int(d) for d in shape]
        if len(self._dims) > self.MAX_DIMS:
            raise ValueError(f"a shape has at most {self.MAX_DIMS} dimensions, not {len(self._dims)}")

    @classmethod
    def invalid(cls) -> Dims:
        """What stands for "no such shape": `len()` of it is refused, `is_valid` is False, it prints as (-1,)."""
        dims = cls()
        dims._dims = None
        return dims

    def get_type(self, index: int) -> DimensionType:
        """What an axis is, as generations 5 to 7 ask: SPATIAL, except in DimsCHW and DimsNCHW."""
        self._list()[index]                               # IndexError
        return self._types[index] if self._types else DimensionType.SPATIAL

    @property
    def nbDims(self) -> int:
        """Number of dimensions; -1 for an invalid shape."""
        return -1 if self._dims is None else len(self._dims)

    def _list(self) -> list[int]:
        if self._dims is None:
            raise ValueError("this shape is invalid: its tensor is unknown or its size could not be inferred")
        return self._dims

    def __len__(self) -> int:
        return len(self._list())

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[int, ...]: ...
    def __getitem__(self, index: int | slice) -> int | tuple[int, ...]:
        found = self._list()[index]
        return tuple(found) if isinstance(found, list) else found

    def __setitem__(self, index: Any, item: Any) -> None:
        self._list()[index] = item

    def __iter__(self) -> Iterator[int]:
        return iter(self._list())

    def __eq__(self, other: object) -> Any:
        if isinstance(other, Dims):
            return self._dims == other._dims
        return self._dims is not None and isinstance(other, (tuple, list)) and tuple(self._dims) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return "(-1,)" if self._dims is None else str(tuple(self._dims))

    __repr__ = __str__


class _FixedDims(Dims):
    rank = 0

    def __init__(self, *shape: Any) -> None:
        values = list(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else list(shape)
        if values and len(values) != self.rank:
            raise ValueError(f"{type(self).__name__} takes {self.rank} numbers, not {len(values)}")
        super().__init__(values or [0] * self.rank)


class Dims2(_FixedDims):
    rank = 2


class DimsHW(Dims2):
    """(height, width)"""

    @property
    def h(self) -> int:
        return self[0]

    @h.setter
    def h(self, value: int) -> None:
        self[0] = value

    @property
    def w(self) -> int:
        return self[1]

    @w.setter
    def w(self, value: int) -> None:
        self[1] = value


class Dims3(_FixedDims):
    rank = 3


class Dims4(_FixedDims):
    rank = 4


class Permutation(Dims):
    """An order of axes, always 8 long: output axis i takes input axis `permutation[i]`."""

    def __init__(self, order: Iterable[int] = ()) -> None:
        given = list(order)
        super().__init__(given + list(range(len(given), Dims.MAX_DIMS)))


Shape = Union[Dims, "tuple[int, ...]", "list[int]"]


class Weights:
    """A view of numbers that a network will use. The memory is borrowed until the build ends.

    Weights(dtype)                  no numbers
    Weights(dtype, address, count)  `count` elements at an address
    Weights(array)                  a C-contiguous NumPy array
    """

    def __init__(self, a: Any = DataType.FLOAT, ptr: int = 0, count: int = 0) -> None:
        if isinstance(a, DataType):
            self._dtype = a
            if count and not ptr:
                raise ValueError("weights at address 0 can have no elements")
            self._array = np.empty(0, ours(a).numpy)
            if count:
                self._array = np.ctypeslib.as_array((ctypes.c_uint8 * int(count * a.itemsize)).from_address(ptr)
                                                      ).view(ours(a).numpy)
        else:
            array = np.asarray(a)
            if not array.flags.c_contiguous:
                raise ValueError("weights must be C-contiguous: use numpy.ascontiguousarray")
            if array.dtype == np.float64:
                raise ValueError("float64 weights are not accepted: use array.astype(numpy.float32)")
            try:
                self._dtype = theirs(DType.of(array))
            except TypeError as error:
                raise ValueError(str(error)) from None
            self._array = array.reshape(-1)

    @property
    def dtype(self) -> DataType:
        return self._dtype

    @property
    def size(self) -> int:
        return int(self._array.size)

    @property
    def nbytes(self) -> int:
        return int(self._array.nbytes)

    def numpy(self) -> Any:
        return self if self._dtype in _NO_NUMPY else self._array

    def __len__(self) -> int:
        return self.size


def numbers(weights: Any) -> np.ndarray:
    """Weights, an array, or None as a flat array (of size 0 for None)."""
    if weights is None:
        return np.empty(0, np.float32)
    return (weights if isinstance(weights, Weights) else Weights(weights))._array


class IHostMemory(bytes):
    """Read-only bytes: write them to a file, or pass them to Runtime.deserialize_cuda_engine."""

    @property
    def dtype(self) -> DataType:
        return DataType.INT8

    @property
    def nbytes(self) -> int:
        return len(self)

    if not hasattr(bytes, "__buffer__"):                  # Python 3.12 and later have it

        def __buffer__(self, flags: int = 0) -> memoryview:
            return memoryview(self)

    def __del__(self) -> None:
        """Nothing: memory goes when nothing refers to it."""

    def __enter__(self) -> IHostMemory:
        return self

    def __exit__(self, *exception: object) -> None:
        pass
