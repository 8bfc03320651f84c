"""Function bodies: of standard operators (fixed, or made for the node's types) and of the model's own functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..dtypes import DType
from ..ir import TensorType
from .values import Value

if TYPE_CHECKING:
    import onnx


@lru_cache(maxsize=4096)
def schema_of(op_type: str, opset: int, domain: str = "") -> onnx.defs.OpSchema | None:
    """The definition of an operator in an operator set; None when that set does not have it."""
    import onnx
    try:
        return onnx.defs.get_schema(op_type, opset, domain)
    except Exception:       # onnx.defs.SchemaError, which some versions do not export
        return None


def standard_body(proto: onnx.NodeProto, schema: Any, opset: int, inputs: Sequence[Value | None],
                  ) -> onnx.FunctionProto | None:
    """The function body that the ONNX standard gives for a node; None when there is none for these types."""
    import onnx

    body = onnx.FunctionProto()
    if schema.has_context_dependent_function:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
        if versions:
            node = onnx.NodeProto()
            node.CopyFrom(proto)
            types = [type_proto(v).SerializeToString() for v in inputs]
            try:
                data = schema.get_context_dependent_function_with_opset_version(
                    max(versions), node.SerializeToString(), types)
            except Exception:           # the definition refuses these types
                data = b""
            if data:
                body.ParseFromString(data)
                return body
    versions = [v for v in schema.function_opset_versions if v <= opset]
    if schema.has_function and versions:
        body.ParseFromString(schema.get_function_with_opset_version(max(versions)))
        return body
    return None


def type_proto(v: Value | None) -> onnx.TypeProto:
    """What is known of a value's type, as ONNX writes it. Symbolic dimensions are written as text."""
    import onnx

    result = onnx.TypeProto()
    if v is None:
        return result
    if isinstance(v.type, TensorType):
        result.tensor_type.elem_type = type_code(v.type.dtype)
        result.tensor_type.shape.SetInParent()
        for d in v.type.shape:
            dim = result.tensor_type.shape.dim.add()
            if isinstance(d, int):
                dim.dim_value = d
            else:
                dim.dim_param = str(d)
    elif v.type.dtype is not None:
        result.tensor_type.elem_type = type_code(v.type.dtype)
        for known in v.type.dims or ():
            dim = result.tensor_type.shape.dim.add()
            if isinstance(known, int):
                dim.dim_value = known
            elif known is not None:
                dim.dim_param = str(known)
    return result


def type_code(dtype: DType) -> int:
    """Our element type → ONNX's number."""
    import onnx

    name = {"float32": "FLOAT", "float64": "DOUBLE"}.get(dtype.value, dtype.value.upper())
    if name.startswith(("FLOAT8", "FLOAT4")):
        name = name.replace("_", "", 1)
    return onnx.TensorProto.DataType.Value(name)


def with_attributes(body: onnx.FunctionProto, proto: onnx.NodeProto, defaults: Mapping[str, onnx.AttributeProto],
                    ) -> list[onnx.NodeProto]:
    """The body's nodes with references to the function's attributes replaced by what the node gives."""
    given = dict(defaults)
    given.update({a.name: a for a in body.attribute_proto if a.name not in given})
    given.update({a.name: a for a in proto.attribute})
    return [_bound(node, given) for node in body.node]


def _bound(node: onnx.NodeProto, given: Mapping[str, onnx.AttributeProto]) -> onnx.NodeProto:
    import onnx

    result = onnx.NodeProto()
    result.CopyFrom(node)
    del result.attribute[:]
    for a in node.attribute:
        if a.ref_attr_name:
            if (value := given.get(a.ref_attr_name)) is not None:
                copy = result.attribute.add()
                copy.CopyFrom(value)
                copy.name = a.name
            continue
        copy = result.attribute.add()
        copy.CopyFrom(a)
        for graph in [copy.g] if a.HasField("g") else list(copy.graphs):
            bound = [_bound(inner, given) for inner in graph.node]
            del graph.node[:]
            graph.node.extend(bound)
    return result
