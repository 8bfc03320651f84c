"""Versions: of the operator sets (opset), up and down, and of the file format (IR).

onnx's converter rewrites the nodes; it gets the model without its large weights, which are put back afterwards.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, UnsupportedError
from ..importer.expand import schema_of
from .check import plain
from .edit import edit
from .meaning import STANDARD, constant_tensor
from .model import Model
from .rewire import label
from .storage import LARGE

if TYPE_CHECKING:
    import onnx_ir

#: Operator set → the oldest IR version that may hold it, where it needs a newer one than its predecessors.
OLDEST_IR = {9: 4, 10: 5, 12: 7, 15: 8, 19: 9, 21: 10, 23: 11, 24: 12}


@edit
def set_opset(model: Model, version: int) -> None:
    """Convert the model to another version of the default operator set.

    Raises   UnsupportedError when a node cannot be converted: it names the node and the way out.
    """
    import onnx
    import onnx_ir

    newest = onnx.defs.onnx_opset_version()
    if not 7 <= version <= newest:
        raise ModelError(f"opset {version} is outside 7 to {newest}", at=model.label,
                         try_="update the onnx package for newer ones")
    if version == model.opset:
        return
    if not any(changes(n, model.opset, version) for n in model.all_nodes()):
        set_version(model, version)                      # every operator is the same in both: only the number changes
        return
    if model.ir.functions:
        raise UnsupportedError("onnx's converter does not know functions, and operators of the model change",
                               at=model.label, try_="export without functions, or inline them first")
    large, fed = large_tensors(model), {v.name for v in model.graph.inputs}
    proto = model.skeleton()
    try:
        made = onnx.version_converter.convert_version(proto, version)
    except Exception as error:                           # the converter raises RuntimeError, and others
        raise refusal(model, version, plain(str(error))) from error
    result = onnx_ir.from_proto(made)
    inputs = {v.name: v for v in result.graph.inputs}
    for name, tensor in large.items():
        value = inputs.get(name)
        if value is None:
            raise UnsupportedError(f"onnx's converter lost the weight {name!r}", at=model.label)
        if name not in fed:
            result.graph.inputs.remove(value)
        value.const_value = tensor
        result.graph.register_initializer(value)
    if wrong := [n for n in result.graph if n.domain in STANDARD and schema_of(n.op_type, version) is None]:
        raise UnsupportedError(f"{wrong[0].op_type} {label(wrong[0])!r} is not in opset {version}", at=model.label,
                               try_="keep the opset, or replace the node first")
    drop_defaults(model, result, version)
    keep_notes(model.ir, result)
    model.ir = result
    raise_ir(model)


def drop_defaults(model: Model, made: onnx_ir.Model, version: int) -> None:
    """Attributes that the target version lacks go, when they say what it does anyway: onnx's converter leaves some."""
    for node in made.graph:
        schema, before = schema_of(node.op_type, version), schema_of(node.op_type, model.opset)
        if node.domain not in STANDARD or schema is None or before is None:
            continue
        for name in [n for n in node.attributes if n not in schema.attributes]:
            usual = before.attributes[name].default_value if name in before.attributes else None
            given = node.attributes[name]
            if usual is None or not usual.name or onnx_value(usual) != given.value:
                raise UnsupportedError(f"{node.op_type} {label(node)!r} has {name} = {given.value}, which opset "
                                       f"{version} cannot say", at=model.label,
                                       try_="keep the opset, or replace the node first")
            del node.attributes[name]


def onnx_value(attribute: Any) -> Any:
    import onnx
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else value


def large_tensors(model: Model) -> dict[str, Any]:
    """Name → content of what `Model.skeleton` leaves out: large initialisers and Constants of the main graph."""
    found: dict[Any, Any] = {name: v.const_value for name, v in model.graph.initializers.items()}
    for node in model.graph:
        if node.op_type == "Constant" and node.domain in STANDARD:
            found.update({v.name: constant_tensor(v) for v in node.outputs})
    return {str(n): t for n, t in found.items() if t is not None and t.dtype.name != "STRING" and t.nbytes >= LARGE}


def set_version(model: Model, version: int) -> None:
    model.ir.opset_imports[""] = version
    model.ir.opset_imports.pop("ai.onnx", None)
    for function in model.ir.functions.values():
        if "" in function.opset_imports:
            function.opset_imports[""] = version
    raise_ir(model)


@edit
def set_ir_version(model: Model, version: int) -> None:
    """Set the version of the file format, which old runtimes may ask for.

    Raises   ModelError when the model uses what that version does not have.
    """
    import onnx
    if not 3 <= version <= onnx.IR_VERSION:
        raise ModelError(f"IR version {version} is outside 3 to {onnx.IR_VERSION}", at=model.label)
    if version < (least := least_ir(model)):
        raise ModelError(f"opset {model.opset} needs IR version {least} or later", at=model.label,
                         try_="set_opset first")
    if version < 8 and model.ir.functions:
        raise ModelError("functions need IR version 8 or later", at=model.label)
    if version < 4:
        for value in model.graph.initializers.values():
            if not value.is_graph_input():
                model.graph.inputs.append(value)         # they had to be inputs as well
    model.ir.ir_version = version


def least_ir(model: Model) -> int:
    return max([ir for opset, ir in OLDEST_IR.items() if opset <= model.opset], default=3)


def raise_ir(model: Model) -> None:
    model.ir.ir_version = max(model.ir.ir_version or 3, least_ir(model))


def changes(node: onnx_ir.Node, old: int, new: int) -> bool:
    """Whether an operator is defined differently in two operator sets."""
    if node.domain not in STANDARD:
        return False
    a, b = schema_of(node.op_type, old), schema_of(node.op_type, new)
    return a is None or b is None or a.since_version != b.since_version


def keep_notes(old: Any, new: Any) -> None:
    """What onnx's converter drops: metadata and documentation of the model, its graph, and nodes of the same result."""
    for name in ("doc_string", "producer_name", "producer_version", "domain", "model_version"):
        setattr(new, name, getattr(old, name))
    new.metadata_props.update(old.metadata_props)
    new.graph.metadata_props.update(old.graph.metadata_props)
    new.graph.doc_string, new.graph.name = old.graph.doc_string, old.graph.name
    made = {v.name: n for n in old.graph for v in n.outputs if v.name}
    for node in new.graph:
        before = next((made[v.name] for v in node.outputs if v.name in made), None)
        if before is not None:
            node.metadata_props.update(before.metadata_props)
            node.doc_string, node.name = node.doc_string or before.doc_string, node.name or before.name
    for domain, version in old.opset_imports.items():
        if domain not in STANDARD:
            new.opset_imports.setdefault(domain, version)


def refusal(model: Model, version: int, said: str) -> UnsupportedError:
    """The error for what onnx's converter said, with the nodes it is about."""
    named = re.search(r"(?:for|operator|of type|op) '?([A-Z]\w+)'?", said)
    ops = {named.group(1)} if named else set()
    nodes = [n for n in model.all_nodes() if n.op_type in ops] or [
        n for n in model.all_nodes() if changes(n, model.opset, version)]
    direction = "newer" if version > model.opset else "older"
    return UnsupportedError(
        f"opset {model.opset} → {version}: onnx's converter cannot convert the model: {said[:200]}", at=model.label,
        nodes=", ".join(f"{n.op_type} {label(n)!r}" for n in nodes[:6]) or "not known",
        try_=f"export with the {direction} opset, convert in smaller steps, or replace these nodes first")
