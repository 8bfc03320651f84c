"""One node with all there is to know of it: attributes, neighbours, types, where the exporter says it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...importer.expand import schema_of
from ..model import Model
from ..structure.tensors import array, constant, named
from ..structure.walk import captured
from .overview import operator, text, type_text

if TYPE_CHECKING:
    import onnx
    import onnx_ir

#: Longer attributes are abridged.
LONGEST = 200


@dataclass(frozen=True)
class Attribute:
    """given: whether the node says so, or it is the operator's default."""

    name: str
    value: str
    given: bool


@dataclass(frozen=True)
class End:
    """One input or output of a node.

    name     of the tensor; "" for an optional one that is absent
    role     what the operator calls it, "" when unknown
    kind     "input", "weight", "computed", "output" (a result of the model) or "absent"
    others   the node that makes it (of an input), the nodes that read it (of an output)
    """

    name: str
    role: str
    type: str
    kind: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Description:
    """A node; metadata holds what the exporter left, its stack trace for instance."""

    name: str
    operator: str
    since: int | None
    summary: str
    doc_url: str
    attributes: tuple[Attribute, ...]
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    metadata: Mapping[str, str]
    doc: str = ""


def describe(model: Model, node: onnx_ir.Node) -> Description:
    """The node's schema comes from the operator sets the model imports; None there for custom operators."""
    schema = schema_for(model, node)
    given = [Attribute(a.name, attribute_text(a), True) for a in node.attributes.values()]
    have = {a.name for a in given}
    defaults = [Attribute(name, default_text(a.default_value), False)
                for name, a in (sorted(schema.attributes.items()) if schema else ())
                if name not in have and a.default_value.name]
    outputs = {id(v) for v in (node.graph.outputs if node.graph is not None else ())}
    standard = node.domain in ("", "ai.onnx")
    return Description(
        label(node), operator(node), schema.since_version if schema else None,
        (schema.doc.strip().split("\n\n")[0].replace("\n", " ") if schema and schema.doc else ""),
        f"https://onnx.ai/onnx/operators/onnx__{node.op_type}.html" if schema and standard else "",
        tuple(given + defaults),
        tuple(input_end(v, role(schema.inputs if schema else (), i)) for i, v in enumerate(node.inputs))
        + tuple(input_end(v, "captured") for v in outside(node)),
        tuple(output_end(v, role(schema.outputs if schema else (), i), id(v) in outputs)
              for i, v in enumerate(node.outputs)),
        {text(k): text(v) for k, v in node.metadata_props.items()}, text(node.doc_string))


def outside(node: onnx_ir.Node) -> list[onnx_ir.Value]:
    """What only the node's branches and bodies read, each once."""
    return [v for v in dict.fromkeys(captured(node)) if v not in node.inputs]


def schema_for(model: Model, node: onnx_ir.Node) -> onnx.defs.OpSchema | None:
    imports = model.ir.opset_imports
    version = imports.get(node.domain) or (imports.get("") if node.domain == "ai.onnx" else imports.get("ai.onnx"))
    return schema_of(node.op_type, version, "" if node.domain == "ai.onnx" else node.domain) if version else None


def input_end(value: onnx_ir.Value | None, called: str) -> End:
    if value is None or not value.name:
        return End("", called, "", "absent")
    maker = value.producer()
    if constant(value) is not None:
        return End(value.name, called, type_text(value), "weight", (label(maker),) if maker is not None else ())
    if maker is None:
        return End(value.name, called, type_text(value), "input")
    return End(value.name, called, type_text(value), "computed", (label(maker),))


def output_end(value: onnx_ir.Value, called: str, result: bool) -> End:
    if not value.name:
        return End("", called, "", "absent")
    return End(value.name, called, type_text(value), "output" if result else "computed",
               tuple(dict.fromkeys(label(use.node) for use in value.uses())))


def role(formal: Any, index: int) -> str:
    """What a schema calls its input or output of this number; a variadic last one stands for all that follow."""
    if not len(formal):
        return ""
    return str(formal[min(index, len(formal) - 1)].name)


def label(node: onnx_ir.Node) -> str:
    """The node's name; of a nameless one that of its first result, by which `Model.node` finds it."""
    return node.name or next((v.name for v in node.outputs if v.name), "") or node.op_type


def attribute_text(attribute: onnx_ir.Attr) -> str:
    import onnx_ir
    kinds = onnx_ir.AttributeType
    if attribute.is_ref():
        return f"the function's attribute {attribute.ref_attr_name}"
    value = attribute.value
    if attribute.type == kinds.TENSOR:
        return tensor_text(value)
    if attribute.type == kinds.TENSORS:
        return ", ".join(map(tensor_text, value))
    if attribute.type == kinds.GRAPH:
        return f"graph {value.name or ''} of {len(value)} nodes"
    if attribute.type == kinds.GRAPHS:
        return f"{len(value)} graphs"
    if attribute.type in (kinds.INTS, kinds.FLOATS, kinds.STRINGS):
        return abridged("[" + ", ".join(number(v) for v in value) + "]")
    return abridged(number(value))


def default_text(attribute: onnx.AttributeProto) -> str:
    import onnx
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return "[" + ", ".join(map(number, value)) + "]" if isinstance(value, (list, tuple)) else number(value)


def tensor_text(tensor: onnx_ir.TensorProtocol) -> str:
    """Type and shape; the elements too when they are few."""
    shape = tuple(tensor.shape.numpy())
    text = f"{named(tensor.dtype)} {shape}"
    if tensor.size <= 8:
        text += f" = {abridged(str(array(tensor).tolist()))}"
    return text


def number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.7g}"
    return repr(value) if isinstance(value, (str, bytes)) else str(value)


def abridged(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({len(text)} characters)"
