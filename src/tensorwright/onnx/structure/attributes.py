"""Reading and changing attributes of nodes, by the operator's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from ..edit import edit, settle_later
from ..model import Model
from . import schema as schemas
from .walk import named, node_of

if TYPE_CHECKING:
    import onnx_ir

    from .walk import NodeKey


def get_attributes(model: Model, node: NodeKey, *, defaults: bool = False) -> dict[str, Any]:
    """Name → value of a node's attributes; those at their schema's default too, when asked for.

    Values are int, float, str, tuples of them; arrays for tensors; onnx_ir objects for graphs and types.
    """
    node = node_of(model, node)
    found = {name: plain(a) for name, a in node.attributes.items()}
    if defaults:
        for name, value in default_values(model, node).items():
            found.setdefault(name, value)
    return found


def get_attribute(model: Model, node: NodeKey, name: str) -> Any:
    """An attribute's value, or its default. ModelError when the operator has no such attribute, or it has no value."""
    node = node_of(model, node)
    if name in node.attributes:
        return plain(node.attributes[name])
    known = schemas.schema(model, node.op_type, node.domain, node.graph)
    if known is None or name not in known.attributes:
        names = sorted({*node.attributes, *(known.attributes if known else ())})
        raise ModelError(f"{named(node)} has no attribute {name!r}", at=model.label, try_=", ".join(names) or None)
    found = default_values(model, node)
    if name not in found:
        raise ModelError(f"{named(node)} does not set {name!r}, and it has no default", at=model.label)
    return found[name]


@edit
def set_attribute(model: Model, node: NodeKey, name: str, value: Any) -> None:
    """Set an attribute. The schema of the operator (or the function it calls) says which there are, and of which type.

    Raises   ModelError for an attribute the operator has not, a value of another type, a word that is not among those
             the standard lists, and values that the shapes contradict.
    """
    node = node_of(model, node)
    try:
        made = schemas.attribute(model, node.op_type, node.domain, name, value, node.graph, node.attributes.get(name))
    except ModelError as error:
        error.at.append(named(node))
        raise
    if node.op_type == "Constant" and node.domain == "":
        node.attributes.clear()                          # it holds one value, in one form
    node.attributes[name] = made
    settle_later(model)


@edit
def delete_attribute(model: Model, node: NodeKey, name: str) -> None:
    """Remove an attribute: its default holds then. ModelError when it is not set, or the operator requires it."""
    node = node_of(model, node)
    if name not in node.attributes:
        raise ModelError(f"{named(node)} does not set {name!r}", at=model.label,
                         try_=", ".join(node.attributes) or "it sets no attribute")
    known = schemas.schema(model, node.op_type, node.domain, node.graph)
    if known is not None and name in known.attributes and known.attributes[name].required:
        raise ModelError(f"{named(node)} must have {name!r}: the operator requires it", at=model.label)
    del node.attributes[name]
    settle_later(model)


def default_values(model: Model, node: onnx_ir.Node) -> dict[str, Any]:
    """Name → default of the attributes that have one in the operator's schema."""
    import onnx
    known = schemas.schema(model, node.op_type, node.domain, node.graph)
    found: dict[str, Any] = {}
    for name, declared in (known.attributes if known else {}).items():
        if declared.default_value is not None and declared.default_value.type:
            value = onnx.helper.get_attribute_value(declared.default_value)
            found[name] = value.decode() if isinstance(value, bytes) else tuple(value) if isinstance(value, list) \
                else value
    return found


def plain(attribute: onnx_ir.Attr) -> Any:
    """An attribute's value: a reference to a function's attribute is the string "@name"."""
    import onnx_ir

    from .tensors import array
    if attribute.is_ref():
        return f"@{attribute.ref_attr_name}"
    kinds = onnx_ir.AttributeType
    value = attribute.value
    if attribute.type == kinds.TENSOR:
        return array(value)
    if attribute.type == kinds.TENSORS:
        return tuple(array(v) for v in value)
    if attribute.type in (kinds.INTS, kinds.FLOATS, kinds.STRINGS):
        return tuple(value)
    return value
