"""ONNX nodes in one line each, for layers that say what they mean by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..enums import DataType

if TYPE_CHECKING:
    import onnx


def node(op_type: str, inputs: str, outputs: str = "y0", **attributes: Any) -> onnx.NodeProto:
    """A node; names separated by spaces, "-" for an absent input; attributes that are None are left out."""
    import onnx
    given = {k: v for k, v in attributes.items() if v is not None}
    return onnx.helper.make_node(op_type, ["" if i == "-" else i for i in inputs.split()], outputs.split(), **given)


def constant(name: str, value: Any, dtype: Any) -> onnx.NodeProto:
    """A node that makes a constant of this name."""
    import onnx
    return onnx.helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.asarray(value, dtype)))


def onnx_type(dtype: DataType) -> int:
    """ONNX's number of an element type."""
    import onnx
    names = {"HALF": "FLOAT16", "BF16": "BFLOAT16", "FP8": "FLOAT8E4M3FN", "FP4": "FLOAT4E2M1", "E8M0": "FLOAT8E8M0"}
    return int(getattr(onnx.TensorProto, names.get(dtype.name, dtype.name)))
