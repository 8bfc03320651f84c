"""Host steps: one node, with its subgraphs, evaluated by the onnx package's reference implementation at run time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..dims import Dim, parse, symbols
from ..dtypes import DType
from ..errors import TensorwrightError
from ..ir import OpaqueType, TensorType, ValueType
from ..ir.refittable import reveal
from ..ops import Host, host_node
from .expand import type_proto
from .values import SMALL, Value

if TYPE_CHECKING:
    import onnx


#: Inference takes a vector for a shape, and makes as many dimensions: not for vectors longer than this.
LONGEST_SHAPE = 1 << 20
#: Operators whose shape inference in the onnx package gives wrong dimensions in some versions and modes.
MISTAKEN = frozenset({"STFT", "Attention"})


def captured_names(proto: onnx.NodeProto) -> tuple[str, ...]:
    """Names of outer values that the node's subgraphs read, in order of appearance."""
    found: dict[str, None] = {}
    for a in proto.attribute:
        for graph in [a.g] if a.HasField("g") else a.graphs:
            found.update(dict.fromkeys(_free(graph)))
    return tuple(found)


def _free(graph: onnx.GraphProto) -> list[str]:
    inside = {i.name for i in graph.input} | {i.name for i in graph.initializer}
    inside |= {s.values.name for s in graph.sparse_initializer}
    outside: list[str] = []
    for node in graph.node:
        outside += [name for name in (*node.input, *captured_names(node)) if name and name not in inside]
        inside |= set(node.output)
    return outside + [o.name for o in graph.output if o.name and o.name not in inside]


def domains_of(proto: onnx.NodeProto) -> set[str]:
    """Domains of the node and of everything in its subgraphs."""
    found = {proto.domain}
    for a in proto.attribute:
        for graph in [a.g] if a.HasField("g") else a.graphs:
            for node in graph.node:
                found |= domains_of(node)
    return found


def host_step(proto: onnx.NodeProto, opsets: Mapping[str, int], functions: Iterable[onnx.FunctionProto],
              inputs: Sequence[Value | None], captured: Mapping[str, Value], symbols_known: frozenset[str],
              ) -> tuple[Host, tuple[ValueType, ...]]:
    """The operator for a node, and the types of its outputs as far as ONNX's shape inference tells them."""
    op = host_node(proto, opsets, functions, tuple(captured))
    if proto.op_type in MISTAKEN:
        return op, tuple(OpaqueType() for name in proto.output if name)
    return op, _output_types(op, [*inputs, *captured.values()], symbols_known)


def _output_types(op: Host, inputs: Sequence[Value | None], known: frozenset[str]) -> tuple[ValueType, ...]:
    import onnx

    model = onnx.load_model_from_string(op.model)
    for info, value in zip(model.graph.input, inputs, strict=True):
        if value is None:
            continue
        info.type.CopyFrom(type_proto(value))
        if value.array is not None and value.array.size <= SMALL and value.array.dtype.kind in "iufb":
            model.graph.initializer.append(onnx.numpy_helper.from_array(reveal(value.array), info.name))
    if any(v is not None and isinstance(v.type, TensorType) and v.rank == 1 and isinstance(v.shape[0], int)
           and v.shape[0] > LONGEST_SHAPE for v in inputs):
        return tuple(OpaqueType() for _ in model.graph.output)
    keep = [i for i, v in zip(model.graph.input, inputs, strict=True) if v is not None]
    del model.graph.input[:]
    model.graph.input.extend(keep)
    try:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:               # inference is a help, not a check: without it the outputs are opaque
        return tuple(OpaqueType() for _ in model.graph.output)
    return tuple(_type_of(o.type, known) for o in model.graph.output)


def _type_of(t: onnx.TypeProto, known: frozenset[str]) -> ValueType:
    """An inferred type: a tensor when every dimension is a number or an expression of the network's symbols."""
    kind = t.WhichOneof("value")
    if kind != "tensor_type":
        return OpaqueType({None: "unknown", "sequence_type": "sequence", "optional_type": "optional"}.get(kind, kind))
    dtype = dtype_of(t.tensor_type.elem_type)
    if dtype is None:
        return OpaqueType("tensor of unknown type")
    if not t.tensor_type.HasField("shape"):
        return OpaqueType(f"{dtype} of unknown rank", dtype)
    dims = [_dimension(d, known) for d in t.tensor_type.shape.dim]
    if any(d is None for d in dims):
        return OpaqueType(f"{dtype} ({', '.join('?' if d is None else str(d) for d in dims)})", dtype,
                          tuple(dims))
    found = TensorType(tuple(dims), dtype)  # type: ignore[arg-type]
    return OpaqueType(str(found), dtype) if dtype is DType.string else found


def _dimension(d: onnx.TensorShapeProto.Dimension, known: frozenset[str]) -> Dim | None:
    if d.HasField("dim_value"):
        return d.dim_value if d.dim_value >= 0 else None
    try:
        found = parse(d.dim_param) if d.dim_param else None
    except ValueError:
        return None
    return found if found is not None and symbols(found) <= known else None


def dtype_of(code: int) -> DType | None:
    """ONNX's number of an element type → ours; None for one we do not know, or none given."""
    from .source import element_type
    try:
        return element_type(code, "value")
    except TensorwrightError:
        return None
