"""Arrays and ONNX tensors: of every element type, and never rounded without being told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ModelError
from .schema import element_type

if TYPE_CHECKING:
    import onnx_ir


def constant(value: onnx_ir.Value | None) -> onnx_ir.TensorProtocol | None:
    """The content of an initialiser or of a Constant node's result, in whichever form it is stored; else None.

    An initialiser that is a graph input too is a default the user may replace: still its content.
    """
    import onnx_ir
    if value is None:
        return None
    node = value.producer()
    if node is None:
        return value.const_value if value.is_initializer() else None
    if node.op_type != "Constant" or node.domain != "" or len(node.attributes) != 1:
        return None
    (name, stored), = node.attributes.items()
    if stored.is_ref():
        return None
    if name == "value":
        return stored.as_tensor()
    if name in ("value_string", "value_strings"):
        return tensor(np.array(stored.value, object))
    if name in ("value_float", "value_floats"):
        return onnx_ir.tensor(np.array(stored.value, np.float32))
    if name in ("value_int", "value_ints"):
        return onnx_ir.tensor(np.array(stored.value, np.int64))
    return None


def array(content: onnx_ir.TensorProtocol) -> np.ndarray:
    """A tensor as an array: types NumPy lacks are ml_dtypes' (4-bit ones one per byte), strings are objects (str)."""
    import onnx_ir
    if content.dtype == onnx_ir.DataType.STRING:
        found = [v.decode("utf8", "surrogateescape") if isinstance(v, bytes) else str(v)
                 for v in content.numpy().reshape(-1)]
        result = np.empty(len(found), object)
        result[:] = found
        return result.reshape(tuple(content.shape.numpy()))
    return content.numpy()


def tensor(values: np.ndarray, name: str | None = None) -> onnx_ir.TensorProtocol:
    """An array as a tensor. str, bytes and object arrays of them are strings. ModelError for types ONNX has not."""
    import onnx_ir
    if values.dtype.kind in "USOT":
        flat = values.reshape(-1).tolist()
        if not all(isinstance(v, (str, bytes)) for v in flat):
            raise ModelError("an array of objects must hold strings", found=type(flat[0]).__name__)
        content = [v if isinstance(v, bytes) else v.encode("utf8", "surrogateescape") for v in flat]
        return onnx_ir.StringTensor(content, shape=onnx_ir.Shape(values.shape), name=name)
    dtype = data_type(values.dtype)
    return onnx_ir.Tensor(np.ascontiguousarray(values).reshape(values.shape), dtype,
                          shape=onnx_ir.Shape(values.shape), name=name)


def data_type(dtype: np.dtype[Any]) -> onnx_ir.DataType:
    """ONNX's element type of an array's. ModelError when it has none."""
    import onnx_ir
    try:
        return onnx_ir.DataType.STRING if dtype.kind in "USOT" else onnx_ir.DataType.from_numpy(dtype.newbyteorder("="))
    except TypeError:
        raise ModelError(f"ONNX has no element type for arrays of {dtype}",
                         try_="array.astype(np.float32), or another type ONNX has") from None


def named(dtype: onnx_ir.DataType) -> str:
    """The element type's usual name: float32, bfloat16, int64, string."""
    return {"FLOAT": "float32", "DOUBLE": "float64"}.get(dtype.name, dtype.name.lower())


def cast(values: np.ndarray, dtype: str | onnx_ir.DataType, what: str) -> np.ndarray:
    """The array in another element type. ModelError when values do not fit: overflow, fractions lost, strings.

    Rounding to a shorter floating type is what was asked for; becoming infinite, or another integer, is not.
    """
    import onnx_ir
    wanted = element_type(dtype) if isinstance(dtype, str) else dtype
    if wanted == onnx_ir.DataType.STRING or values.dtype.kind in "USOT":
        if data_type(values.dtype) != wanted:
            raise ModelError(f"{what}: {named(data_type(values.dtype))} cannot become {named(wanted)}")
        return values
    target = wanted.numpy()
    if values.dtype == target:
        return values
    with np.errstate(all="ignore"):
        result = values.astype(target)
        if target.kind in "iu" or wanted.is_integer():
            bad = (result.astype(values.dtype) != values) | (
                (result.astype(np.float64) < 0) != (values.astype(np.float64) < 0))
        elif target.kind == "b":
            bad = (values != 0) & (values != 1)
        else:
            bad = np.isfinite(values.astype(np.float64)) & ~np.isfinite(result.astype(np.float64))
    if count := int(np.count_nonzero(bad)):
        first = values.reshape(-1)[np.flatnonzero(bad)[0]]
        raise ModelError(f"{what}: {count} of {values.size} values do not fit into {named(wanted)}", first=first)
    return result
