"""Plugins inside bodies of loops and branches that run on the host: operators for the onnx package's evaluator."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UnsupportedError
from ..ops import host
from .definition import Definition
from .graph import expansion
from .nodes import how_to_register, plugin_of
from .op import concrete, keywords, use

if TYPE_CHECKING:
    import onnx
    from onnx.reference.op_run import OpRun

#: Operators with bodies.
BODIES = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def unknown_nodes(node: onnx.NodeProto, functions: Collection[tuple[str, str]]) -> Iterator[onnx.NodeProto]:
    """The nodes in a node's bodies that are neither ONNX's nor functions, given as (domain, name), of the model."""
    import onnx
    for a in node.attribute:
        for graph in [a.g] if a.HasField("g") else a.graphs:
            for inner in graph.node:
                domain = "" if inner.domain == "ai.onnx" else inner.domain
                known = (inner.domain, inner.op_type) in functions or onnx.defs.has(inner.op_type, domain=domain)
                if not known:
                    yield inner
                yield from unknown_nodes(inner, functions)


def check_bodies(node: onnx.NodeProto, functions: Collection[tuple[str, str]]) -> None:
    """UnsupportedError for a node in the node's bodies that no plugin computes."""
    for inner in unknown_nodes(node, functions):
        if plugin_of(inner, array_of) is None:
            raise UnsupportedError(f"operator {inner.op_type} of domain {inner.domain or 'ai.onnx'!r}, in a body of "
                                   f"{node.op_type}, is not known", try_=how_to_register(inner.op_type, inner.domain))


def plugin_operators(model: onnx.ModelProto) -> list[type[OpRun]]:
    """A class of the onnx package's evaluator for each kind of node in the model's bodies that it does not know."""
    kinds = {(n.domain, n.op_type) for n in foreign_nodes(model)}
    return [operator(domain, name) for domain, name in sorted(kinds)]


def in_bodies(op: host.Host) -> list[Definition]:
    """The registered plugins that compute nodes in the bodies of a loop or branch."""
    if op.node not in BODIES:
        return []
    import onnx
    model = onnx.load_model_from_string(op.model)
    found = []
    for inner in foreign_nodes(model):
        with contextlib.suppress(UnsupportedError):      # a version that is not registered: whoever runs it hears of it
            if (plugin := plugin_of(inner, array_of)) is not None:
                found.append(plugin[0])
    return found


def foreign_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    functions = {(f.domain, f.name) for f in model.functions}
    return [n for node in model.graph.node for n in unknown_nodes(node, functions)]


def operator(domain: str, name: str) -> type[OpRun]:
    from onnx.reference.op_run import OpRun

    def run(self: Any, *inputs: Any, **_: Any) -> tuple[Any, ...]:
        if (found := plugin_of(self.onnx_node, array_of)) is None:
            raise UnsupportedError(f"operator {name} of domain {domain!r} is not known",
                                   try_=how_to_register(name, domain))
        definition, given = found
        types = tuple(None if x is None else concrete(x) for x in inputs)
        if definition.expand is not None:
            function = expansion(definition, keywords(definition, given), types)
            feeds = {n: x for n, x in zip(function.input, inputs, strict=True) if x is not None}
            return tuple(host.evaluator(as_model(function).SerializeToString()).run(None, feeds))
        result = use(definition, given, types, count=len(self.onnx_node.output)).reference(*inputs)
        return result if isinstance(result, tuple) else (result,)
    return type(name, (OpRun,), {"op_domain": domain, "_run": run})


def as_model(function: onnx.FunctionProto) -> onnx.ModelProto:
    import onnx
    graph = onnx.GraphProto(name=function.name, node=function.node)
    graph.input.extend(onnx.ValueInfoProto(name=name) for name in function.input)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in function.output)
    return onnx.ModelProto(ir_version=10, graph=graph, opset_import=function.opset_import)


def array_of(tensor: onnx.TensorProto) -> np.ndarray:
    import onnx
    return onnx.numpy_helper.to_array(tensor)


host.FOREIGN.append(plugin_operators)
