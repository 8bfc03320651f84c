"""What users hand in, as NumPy arrays: NumPy itself, DLPack on the CPU, the array interface. Never a silent cast."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import DType
from ..errors import InputError
from ..plan.records import TensorInfo

_DENSE = 0x101                                           # flags.num: C-contiguous and aligned
_CPU = (1, 3, 11)                                        # DLPack device types: CPU, and host memory pinned for a GPU


def as_array(x: Any, info: TensorInfo) -> np.ndarray:
    """x as a dense array of info's type: itself when it is one, without a copy when it can be had so."""
    array = x if type(x) is np.ndarray else _convert(x, info.name)
    dtype = info.dtype.numpy if info.dtype is not None else None
    if dtype is not None and array.dtype != dtype:
        if info.dtype is DType.string and array.dtype.kind in "UST":
            return array.astype(object)
        raise InputError(f"input {info.name!r} is {_type(array)}, the engine takes {info.dtype}",
                         shape=array.shape, try_=_advice(array, info))
    if array.flags.num & _DENSE != _DENSE:
        array = np.array(array, order="C")
    return array


def _convert(x: Any, name: str) -> np.ndarray:
    if isinstance(x, np.ndarray):
        if np.any(getattr(x, "mask", False)):
            raise InputError(f"input {name!r} has masked elements", try_="fill them first: x.filled(0)")
        return np.asarray(x)
    if hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__"):
        try:
            kind = int(x.__dlpack_device__()[0])
            if kind not in _CPU:
                raise InputError(f"input {name!r} is a {type(x).__name__} on a device (DLPack device type {kind})",
                                 try_="copy it to the CPU first")
            return np.from_dlpack(x)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"input {name!r}, a {type(x).__name__}, cannot be read through DLPack: {error}",
                             try_="give a NumPy array; detach tensors that require gradients") from None
    if hasattr(x, "__array_interface__"):
        return np.asarray(x)
    raise InputError(f"input {name!r} is a {type(x).__name__}, not an array",
                     try_="give a NumPy array, a DLPack tensor on the CPU, or an object with __array_interface__")


def _type(array: np.ndarray) -> str:
    swapped = not array.dtype.isnative
    return f"{array.dtype.name}{' in foreign byte order' if swapped else ''}"


def _advice(array: np.ndarray, info: TensorInfo) -> str:
    return f"convert it yourself, the engine does not guess: x.astype({np.dtype(info.dtype.numpy).name!r})" \
        if info.dtype is not None and info.dtype is not DType.string else "give an array of str objects"


def as_output(x: Any, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A user's array to write an output into; InputError when the result does not fit it exactly."""
    if not isinstance(x, np.ndarray):
        raise InputError(f"output {name!r} is to be written into a {type(x).__name__}", try_="give a NumPy array")
    if x.dtype != dtype or x.shape != shape:
        raise InputError(f"output {name!r} is {dtype} {shape}, the array given for it {_type(x)} {x.shape}")
    if x.flags.num & _DENSE != _DENSE or not x.flags.writeable:
        raise InputError(f"the array given for output {name!r} is not writable, dense and aligned",
                         strides=x.strides, writable=x.flags.writeable,
                         try_="give a fresh array, for example from numpy.empty")
    return np.asarray(x)
