"""Two models at one level: the same versions of operator sets and of the format itself."""

from __future__ import annotations

from ..errors import ModelError
from .model import Model
from .versions import set_opset


def level(first: Model, second: Model) -> None:
    """Bring the operator sets of both models to the higher version of the two, and their ir_version alike.

    Raises   UnsupportedError for an operator that onnx's converter cannot bring to the newer version, ModelError for
             operators of other domains whose versions define them differently.
    """
    for domain in {*first.ir.opset_imports, *second.ir.opset_imports}:
        versions = [m.ir.opset_imports.get(domain) for m in (first, second)]
        target = max(v for v in versions if v is not None)
        for model, version in zip((first, second), versions, strict=True):
            if version is not None and version != target and not domain:
                set_opset(model, target)
            elif version is not None and (changed := changes(model, domain, version, target)):
                raise ModelError(f"version {version} of the operator set {domain!r} cannot become {target}: "
                                 f"{', '.join(changed)} may differ", at=model.label)
            model.ir.opset_imports[domain] = target
    first.ir.ir_version = second.ir.ir_version = max(first.ir.ir_version or 0, second.ir.ir_version or 0)


def changes(model: Model, domain: str, version: int, target: int) -> list[str]:
    """Operators of the domain that the model uses and that the two versions define differently.

    Of a domain that the onnx package does not know, all are taken to differ; functions of the model never do.
    """
    import onnx
    functions = {(f.domain, f.name) for f in model.ir.functions.values()}
    used = {n.op_type for n in model.all_nodes() if n.domain == domain and (domain, n.op_type) not in functions}
    found = []
    for name in sorted(used) if version != target else ():
        try:
            since = {onnx.defs.get_schema(name, v, domain).since_version for v in (version, target)}
        except onnx.defs.SchemaError:
            since = set()
        if len(since) != 1:
            found.append(name)
    return found
