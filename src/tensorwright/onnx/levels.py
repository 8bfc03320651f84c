"""Two models at one level: the same versions of operator sets and of the format itself."""

from __future__ import annotations

from ..errors import ModelError
from .check import plain
from .model import Model
from .storage import skeleton


def level(first: Model, second: Model) -> None:
    """Bring the operator sets of both models to the higher version of the two, and their ir_version alike.

    Where the operators that a model uses are the same in both versions, only the number changes.
    Raises   ModelError naming the operators that differ and cannot be converted.
    """
    for domain in {*first.ir.opset_imports, *second.ir.opset_imports}:
        versions = [m.ir.opset_imports.get(domain) for m in (first, second)]
        target = max(v for v in versions if v is not None)
        for model, version in zip((first, second), versions, strict=True):
            if version is not None and version != target:
                raise_opset(model, domain, target)
            model.ir.opset_imports[domain] = target
    import onnx
    needed = onnx.helper.find_min_ir_version_for(
        [onnx.helper.make_opsetid(d, v) for d, v in first.ir.opset_imports.items()], ignore_unknown=True)
    first.ir.ir_version = second.ir.ir_version = max(first.ir.ir_version or 0, second.ir.ir_version or 0, needed)


def raise_opset(model: Model, domain: str, target: int) -> None:
    """The model in a newer version of an operator set, with onnx's converter where operators differ."""
    version = model.ir.opset_imports[domain]
    if not (changed := changes(model, domain, version, target)):
        model.ir.opset_imports[domain] = target
        return
    what = f"operator set {domain or 'ai.onnx'} {version} cannot become {target}"
    if domain:
        raise ModelError(f"{what}: {', '.join(changed)} differ", at=model.label)
    outer = {id(n) for n in model.graph}
    if inner := changes(model, domain, version, target, {id(n) for n in model.all_nodes()} - outer):
        raise ModelError(f"{what}: {', '.join(inner)} inside branches, bodies or functions cannot be converted",
                         at=model.label, try_="export it in the newer operator set")
    if model.ir.functions:
        raise ModelError(f"{what}: it has functions, which the converter drops", at=model.label,
                         try_="inline the functions first, or export it in the newer operator set")
    _convert(model, target, what)


def _convert(model: Model, target: int, what: str) -> None:
    """onnx's converter works on the model without large weights; they, and what it drops, are put back."""
    import onnx
    import onnx_ir

    before = model.ir
    proto = skeleton(model)
    try:
        after = onnx_ir.from_proto(onnx.version_converter.convert_version(proto, target))
    except Exception as error:                           # it raises several types, RuntimeError mostly
        raise ModelError(f"{what}: {plain(str(error))}", at=model.label) from error
    given = {v.name for v in before.graph.inputs}
    held = {v.name: v.const_value for v in before.graph.initializers.values()}
    held |= {n.outputs[0].name: n.attributes["value"].value for n in before.graph
             if n.op_type == "Constant" and not n.domain and "value" in n.attributes}
    for value in list(after.graph.inputs):
        if (weight := held.get(value.name)) is not None and value.name not in after.graph.initializers:
            value.const_value = weight
            if value.name not in given:
                after.graph.inputs.remove(value)
            after.graph.register_initializer(value)
    notes = {n.outputs[0].name: n for n in before.graph if n.outputs}
    for node in after.graph:
        if (old := notes.get(node.outputs[0].name if node.outputs else None)) is not None:
            node.metadata_props.update(old.metadata_props)
            node.doc_string = node.doc_string or old.doc_string
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        setattr(after, field, getattr(before, field))
    after.metadata_props.update(before.metadata_props)
    after.graph.metadata_props.update(before.graph.metadata_props)
    for domain, number in before.opset_imports.items():
        after.opset_imports.setdefault(domain, number)
    model.ir = after


def changes(model: Model, domain: str, version: int, target: int, among: set[int] | None = None) -> list[str]:
    """Operators of the domain that the model (or the nodes `among`, by id) uses and the versions define differently.

    Of a domain that the onnx package does not know, all are taken to differ; functions of the model never do.
    """
    import onnx
    functions = {(f.domain, f.name) for f in model.ir.functions.values()}
    found = set()
    for node in model.all_nodes():
        if node.domain == domain and (domain, node.op_type) not in functions and (among is None or id(node) in among):
            try:
                since = [onnx.defs.get_schema(node.op_type, v, domain).since_version for v in (version, target)]
            except onnx.defs.SchemaError:
                since = [0, 1]
            if since[0] != since[1]:
                found.add(node.op_type)
    return sorted(found)
