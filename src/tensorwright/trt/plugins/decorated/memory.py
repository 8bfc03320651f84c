"""Tensors of decorated plugins while one runs: arrays over memory of the host."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from ...enums import DataType, TensorFormat
from ...foundation import ours
from ..tensors import PluginTensorDesc
from .tensors import Shape


class Tensor:
    """A tensor with memory, which lies in the host's. numpy.asarray(tensor) and torch.as_tensor(tensor) are arrays over
    that memory, not copies; what an implementation computes it writes there.

    There is no GPU behind it, so `__cuda_array_interface__` is an AttributeError, and libraries that look for it find
    `__array_interface__` or DLPack instead.
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

    def __dlpack__(self, **options: Any) -> Any:
        """The memory for torch.from_dlpack(tensor) and its like."""
        return np.asarray(self).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0                                       # the host

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
