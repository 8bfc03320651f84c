"""Element types of tensors: names as in ONNX, NumPy equivalents through ml_dtypes."""

from __future__ import annotations

from enum import Enum
from functools import cached_property

import ml_dtypes
import numpy as np

_Bool = bool                                   # the class below has a member named bool


class DType(Enum):
    """An element type. `value` is the lower-case name; `.numpy` is the NumPy type; `.itemsize` is bytes per element."""

    float32 = "float32"
    float64 = "float64"
    float16 = "float16"
    bfloat16 = "bfloat16"
    int8 = "int8"
    int16 = "int16"
    int32 = "int32"
    int64 = "int64"
    uint8 = "uint8"
    uint16 = "uint16"
    uint32 = "uint32"
    uint64 = "uint64"
    bool = "bool"
    complex64 = "complex64"
    complex128 = "complex128"
    string = "string"
    float8_e4m3fn = "float8_e4m3fn"
    float8_e4m3fnuz = "float8_e4m3fnuz"
    float8_e5m2 = "float8_e5m2"
    float8_e5m2fnuz = "float8_e5m2fnuz"
    float8_e8m0 = "float8_e8m0"
    uint4 = "uint4"
    int4 = "int4"
    float4_e2m1 = "float4_e2m1"
    uint2 = "uint2"
    int2 = "int2"

    def __repr__(self) -> str:
        return self.value

    def __str__(self) -> str:
        return self.value

    @cached_property
    def numpy(self) -> np.dtype:
        if self is DType.string:
            return np.dtype(object)
        name = {"float8_e8m0": "float8_e8m0fnu", "float4_e2m1": "float4_e2m1fn"}.get(self.value, self.value)
        if hasattr(ml_dtypes, name) and not hasattr(np, name):
            return np.dtype(getattr(ml_dtypes, name))
        return np.dtype(name)

    @cached_property
    def itemsize(self) -> int:
        return int(self.numpy.itemsize)

    @property
    def is_float(self) -> _Bool:
        return self.value.startswith(("float", "bfloat"))

    @property
    def is_int(self) -> _Bool:
        return self.value.startswith(("int", "uint"))

    @property
    def is_signed(self) -> _Bool:
        return not self.value.startswith("uint") and self is not DType.bool

    @classmethod
    def of(cls, x: object) -> DType:
        """The element type of a NumPy array, NumPy dtype, or name. Raises TypeError for what tensors cannot hold."""
        if isinstance(x, DType):
            return x
        found = _BY_NUMPY.get(np.dtype(getattr(x, "dtype", x)))  # type: ignore[call-overload]
        if found is None:
            kind = np.dtype(getattr(x, "dtype", x)).kind  # type: ignore[call-overload]
            if kind in "OUST":
                return DType.string
            raise TypeError(f"no tensor element type for {x!r}")
        return found


_BY_NUMPY = {t.numpy: t for t in DType}

#: Types that compiled kernels compute in. The rest is converted around kernels, or runs as a host step.
NATIVE = frozenset({DType.float32, DType.float64, DType.int8, DType.int16, DType.int32, DType.int64,
                    DType.uint8, DType.uint16, DType.uint32, DType.uint64, DType.bool})
