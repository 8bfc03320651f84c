"""What a model has twice: nodes that compute the same from the same, and equal initialisers."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from .edit import edit
from .meaning import STANDARD, random_nodes
from .model import Model, subgraphs
from .rewire import label, take_over

if TYPE_CHECKING:
    import onnx_ir


@edit
def merge_duplicates(model: Model) -> list[str]:
    """Of nodes with the same operator, attributes and operands, keep the first. Returns the names of the others.

    Random nodes, nodes with bodies, and operators of domains that nobody here knows are left alone.
    """
    import onnx
    known = {(f.domain, f.name) for f in model.ir.functions.values()}
    gone: list[str] = []
    for graph in model.graphs():
        seen: dict[Hashable, onnx_ir.Node] = {}
        for node in list(graph):
            if subgraphs(node) or random_nodes(node) or not node.outputs or node.op_type == "Dropout" or not (
                    node.domain in STANDARD or onnx.defs.has(node.op_type, node.domain)):
                continue
            if (node.domain, node.op_type) in known:
                continue                                 # its function may be random
            key = (node.domain, node.op_type, tuple(map(id, node.inputs)), tuple(bool(v.name) for v in node.outputs),
                   tuple(sorted((name, text(a)) for name, a in node.attributes.items())))
            first = seen.setdefault(key, node)
            if first is node:
                continue
            done = [take_over(node, first.outputs[i], i) for i, v in enumerate(node.outputs)
                    if v.uses() or v.is_graph_output()]
            if all(done):
                graph.remove(node, safe=True)
                gone.append(label(node))
    return gone


def text(attribute: onnx_ir.Attr) -> Hashable:
    """What an attribute says, comparable."""
    import onnx_ir
    if attribute.is_ref():
        return "ref", attribute.ref_attr_name
    value = attribute.value
    if attribute.type == onnx_ir.AttributeType.TENSOR:
        return fingerprint(value)
    if attribute.type == onnx_ir.AttributeType.TENSORS:
        return tuple(map(fingerprint, value))
    return str(attribute.type), repr(value)


def fingerprint(tensor: Any) -> tuple[str, tuple[int, ...], bytes]:
    """Equal for tensors of equal type, shape and content."""
    import onnx_ir

    from .storage import to_bytes
    content: Any = repr(tensor.numpy().tolist()).encode() if tensor.dtype == onnx_ir.DataType.STRING else \
        to_bytes(tensor)
    return tensor.dtype.name, tuple(int(d) for d in tensor.shape), hashlib.sha256(content).digest()


@edit
def merge_initialisers(model: Model) -> list[str]:
    """Of initialisers with equal content, keep the first of each graph. Returns the names of the others."""
    gone: list[str] = []
    graph: Any
    for graph in model.graphs():
        alike: dict[Hashable, list[onnx_ir.Value]] = {}
        for value in getattr(graph, "initializers", {}).values():
            tensor = value.const_value
            if tensor is not None and not value.is_graph_input() and not value.is_graph_output():
                alike.setdefault((tensor.dtype, tuple(map(int, tensor.shape))), []).append(value)
        for group in alike.values():                     # only those of one shape are read
            first: dict[Hashable, onnx_ir.Value] = {}
            for value in group if len(group) > 1 else ():
                kept = first.setdefault(fingerprint(value.const_value), value)
                if kept is not value:
                    value.replace_all_uses_with(kept)
                    del graph.initializers[str(value.name)]
                    gone.append(str(value.name))
    return gone


@edit
def deduplicate(model: Model) -> list[str]:
    """Merge equal initialisers, then nodes that compute the same, until there are none. Names of what went."""
    gone = merge_initialisers(model)
    while more := merge_duplicates(model):
        gone += more
    return gone
