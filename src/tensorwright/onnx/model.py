"""An ONNX model to look at and to edit.

The model is an onnx_ir.Model underneath (`Model.ir`): nothing of a file is lost by loading and saving it. Weights stay
in the file they came from, mapped, until somebody reads them; wherever they were stored (inside the file, in external
data, in Constant nodes), they are tensors in memory to everyone here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..importer.source import LARGEST_FILE

if TYPE_CHECKING:
    import onnx
    import onnx_ir

    from .structure.walk import Names


class Model:
    """One ONNX model. Belongs to one thread at a time.

    ir         the onnx_ir.Model; edit it directly where the functions of this package do not reach
    label      for messages: the file's name, or "model"
    base       the folder external data is read from; None when the model came without one
    external   the file (relative) its weights were in when it was loaded; None: inside the model file
    """

    def __init__(self, ir: onnx_ir.Model, label: str = "model", base: Path | None = None,
                 external: str | None = None) -> None:
        self.ir, self.label, self.base, self.external = ir, label, base, external
        self.edit_depth = 0                              # calls of edit.editing that are under way
        self.names: Names | None = None                  # taken names, kept while edits are under way
        self.unsettled = False                           # edit.settle_later was asked for

    # looking ---------------------------------------------------------------------------------------------------------
    @property
    def graph(self) -> onnx_ir.Graph:
        return self.ir.graph

    @property
    def inputs(self) -> tuple[onnx_ir.Value, ...]:
        """What a user feeds: graph inputs that are not initialisers as well."""
        return tuple(v for v in self.graph.inputs if v.name not in self.graph.initializers)

    @property
    def outputs(self) -> tuple[onnx_ir.Value, ...]:
        return tuple(self.graph.outputs)

    @property
    def nodes(self) -> tuple[onnx_ir.Node, ...]:
        """Nodes of the main graph, in order; a copy, safe to walk while nodes are deleted and inserted."""
        return tuple(self.graph)

    @property
    def opset(self) -> int:
        """Version of the default operator set."""
        return int(self.ir.opset_imports.get("", 0))

    def graphs(self) -> Iterator[onnx_ir.Graph | onnx_ir.Function]:
        """The main graph, all graphs inside its nodes, outermost first, then the model's functions and theirs."""
        def below(graph: Any) -> Iterator[Any]:
            yield graph
            for node in graph:
                for inner in subgraphs(node):
                    yield from below(inner)
        yield from below(self.graph)
        for function in self.ir.functions.values():
            yield from below(function)

    def all_nodes(self) -> tuple[onnx_ir.Node, ...]:
        """Nodes of all graphs and functions; a copy."""
        return tuple(node for graph in self.graphs() for node in graph)

    def node(self, key: str | int) -> onnx_ir.Node:
        """The node of this name, or that makes the tensor of this name, or at this place of the main graph."""
        if isinstance(key, int):
            if not -len(self.graph) <= key < len(self.graph):
                raise ModelError(f"there is no node {key}: the graph has {len(self.graph)}", at=self.label)
            return self.graph[key]
        nodes = self.all_nodes()
        named = [n for n in nodes if key and n.name == key]    # unnamed ones are called ""
        if len(named) > 1:
            raise ModelError(f"{len(named)} nodes are called {key!r}", at=self.label,
                             try_="name the tensor it makes: " + ", ".join(str(n.outputs[0].name) for n in named[:4]))
        made = named or [n for n in nodes if key and any(v.name == key for v in n.outputs)]
        if not made:
            raise self._unknown("node", key, [n.name for n in nodes if n.name] + [
                v.name for n in nodes for v in n.outputs if v.name])
        return made[0]

    def value(self, name: str) -> onnx_ir.Value:
        """The tensor of this name: input, initialiser, or result of a node; the outermost graph that has it."""
        values = self.values()
        if name not in values:
            raise self._unknown("tensor", name, list(values))
        return values[name]

    def values(self) -> dict[str, onnx_ir.Value]:
        """Every named tensor; those of outer graphs win over those of inner graphs."""
        found: dict[str, onnx_ir.Value] = {}
        for graph in self.graphs():
            for value in (*graph.inputs, *getattr(graph, "initializers", {}).values(),
                          *(v for n in graph for v in n.outputs)):
                if value.name:
                    found.setdefault(value.name, value)
        return found

    def find(self, *op_types: str, domain: str | None = None,
             where: Callable[[onnx_ir.Node], bool] = lambda node: True) -> list[onnx_ir.Node]:
        """Nodes of all graphs with one of these operators (all when none is given), in order; a copy."""
        return [n for n in self.all_nodes() if (not op_types or n.op_type in op_types)
                and (domain is None or n.domain == domain) and where(n)]

    def _unknown(self, kind: str, key: str, names: list[str]) -> ModelError:
        near = difflib.get_close_matches(key, names, 3, 0.5)
        return ModelError(f"there is no {kind} {key!r}", at=self.label,
                          try_=" or ".join(map(repr, near)) if near else "`wright onnx show` lists the names")

    # writing ---------------------------------------------------------------------------------------------------------
    def clone(self) -> Model:
        """A model of its own that shares the weights' bytes with this one. ModelError when its graphs are damaged."""
        try:
            return Model(self.ir.clone(), self.label, self.base, self.external)
        except RuntimeError as error:                    # a value that no graph defines
            from .check import problem
            raise ModelError(f"the model is not valid: {problem(self) or str(error)[:300]}", at=self.label) from error

    def proto(self) -> onnx.ModelProto:
        """The whole model as a message, weights included. ModelError when it would exceed 2 GiB: `save` it then."""
        import onnx_ir

        from .storage import tensors
        if (size := sum(t.nbytes for t in tensors(self))) > LARGEST_FILE:
            raise ModelError(f"{size} bytes of weights do not fit into one message", at=self.label,
                             try_="save(model, path): larger models keep their weights in external data")
        return onnx_ir.to_proto(self.ir)

    def skeleton(self) -> onnx.ModelProto:
        """The model without large weights, for onnx's checker and shape inference: they became graph inputs."""
        from .storage import skeleton
        return skeleton(self)


def subgraphs(node: onnx_ir.Node) -> list[onnx_ir.Graph]:
    """The graphs in a node's attributes: branches of If, bodies of Loop and Scan."""
    import onnx_ir
    found: list[onnx_ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == onnx_ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == onnx_ir.AttributeType.GRAPHS:
            found += attribute.as_graphs()
    return found
