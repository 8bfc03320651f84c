"""A model as data for the page: nodes, tensors, operators. Weights' values stay out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..look.cost import Costs, nbytes
from ..look.nodes import abridged, attribute_text, default_text, label, role, schema_for
from ..look.overview import dims_text, operator, type_text
from ..model import Model, subgraphs
from ..structure.tensors import constant, named
from .scopes import scopes

if TYPE_CHECKING:
    import onnx_ir

#: Longer texts of metadata are abridged.
LONGEST = 4000


def graph_data(model: Model, costs: Costs | None) -> tuple[dict[str, Any], dict[onnx_ir.Value, int]]:
    """The main graph, what is inside its nodes, and the model's functions; and where in values each tensor is.

    values      name, type, kind (computed, input, output, weight), size in bytes, shape for labels on edges
    nodes       name, operator, inputs and outputs as places in values (−1: absent), results of inner graphs, the groups
                it lies in, given attributes, cost, metadata
    operators   per operator: link, since, names of inputs and outputs, default attributes, one sentence
    """
    collector = Collector(model, costs)
    return collector.collect(), collector.places


class Collector:
    def __init__(self, model: Model, costs: Costs | None) -> None:
        self.model, self.costs = model, costs
        self.values: list[dict[str, Any]] = []
        self.places: dict[onnx_ir.Value, int] = {}
        self.nodes: list[dict[str, Any]] = []
        self.operators: dict[str, dict[str, Any]] = {}
        self.owners: dict[str, str] = {}                 # a graph inside a node or a function → what it is

    def collect(self) -> dict[str, Any]:
        model = self.model
        for value in model.inputs:
            self.value(value, "input")
        results = set(model.outputs)
        self.graph(model.graph, [], results, main=True)
        for (domain, name, _), function in model.ir.functions.items():
            key = f"function {domain}::{name}" if domain else f"function {name}"
            self.graph(function, [key], set(function.outputs))
        return {"values": self.values, "nodes": self.nodes, "operators": self.operators,
                "inputs": [self.value(v) for v in model.inputs],
                "outputs": [self.value(v, "output") for v in model.outputs]}

    def graph(self, graph: Any, groups: list[str], results: set[onnx_ir.Value], main: bool = False) -> None:
        for index, node in enumerate(graph):
            made = self.node(node, groups, index if main else None)
            for value in node.outputs:
                self.value(value, "output" if main and value in results else None)
            for inner in subgraphs(node):
                self.graph(inner, [*made["groups"], f"{label(node)}: {inner.name or 'graph'}"], set(inner.outputs))
                made["inner"] += [self.value(v) for v in inner.outputs]

    def node(self, node: onnx_ir.Node, groups: list[str], index: int | None) -> dict[str, Any]:
        name = operator(node)
        version = self.operator(name, node)
        made: dict[str, Any] = {
            "name": node.name or "", "op": name, "inputs": [self.value(v) for v in node.inputs],
            "outputs": [self.value(v) for v in node.outputs], "inner": [], "groups": [*groups, *scopes(node)],
            "attributes": {a.name: attribute_text(a) for a in node.attributes.values()}, "version": version}
        if node.metadata_props or node.doc_string:
            notes = {**({"doc": node.doc_string} if node.doc_string else {}), **node.metadata_props}
            made["notes"] = {k: v if len(v) <= LONGEST else v[:LONGEST] + " ..." for k, v in notes.items()}
        if index is not None:
            made["index"] = index
            if self.costs is not None:
                cost = self.costs.nodes[index]
                made |= {"flops": cost.flops, "bytes": cost.bytes, "way": cost.way, "why": cost.why}
        self.nodes.append(made)
        return made

    def operator(self, name: str, node: onnx_ir.Node) -> int | None:
        if name not in self.operators:
            schema = schema_for(self.model, node)
            standard = node.domain in ("", "ai.onnx")
            self.operators[name] = {} if schema is None else {
                "url": f"https://onnx.ai/onnx/operators/onnx__{node.op_type}.html" if standard else "",
                "since": schema.since_version,
                "inputs": [role(schema.inputs, i) for i in range(len(schema.inputs))],
                "outputs": [role(schema.outputs, i) for i in range(len(schema.outputs))],
                "defaults": {k: default_text(a.default_value) for k, a in sorted(schema.attributes.items())
                             if a.default_value.name},
                "about": abridged((schema.doc or "").strip().split("\n\n")[0].replace("\n", " "))}
        return self.operators[name].get("since")

    def value(self, value: onnx_ir.Value | None, kind: str | None = None) -> int:
        if value is None or not value.name:
            return -1
        if value in self.places:
            place = self.places[value]
            if kind:
                self.values[place]["kind"] = kind
            return place
        content = constant(value)
        known = self.costs.types.get(value.name) if self.costs is not None and value.graph is self.model.graph else None
        entry: dict[str, Any] = {"name": value.name, "type": type_text(value)}
        entry["kind"] = kind or ("weight" if content is not None else "computed")
        if content is not None:
            shape = [int(d) for d in content.shape.numpy()]
            entry |= {"type": f"{named(content.dtype)} {tuple(shape)}", "bytes": content.nbytes, "shape": shape}
        else:
            if value.shape is not None:
                entry["shape"] = dims_text(value.shape)
            elif known is not None and hasattr(known, "shape"):
                entry["shape"] = [str(d) for d in known.shape]
            if (size := nbytes(known)) is not None:
                entry["bytes"] = size
            if entry["type"].endswith("?") and known is not None:
                entry["type"] = str(known)
        self.places[value] = len(self.values)
        self.values.append(entry)
        return self.places[value]
