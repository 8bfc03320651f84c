"""Removing what nothing needs: nodes, initialisers, functions, inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ModelError
from ..edit import edit
from ..model import Model, subgraphs
from .walk import detach, readers

if TYPE_CHECKING:
    import onnx_ir


@dataclass(frozen=True)
class Removed:
    """What `remove_unused` took away. nodes: as messages name them; the others: by name."""

    nodes: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.nodes or self.weights or self.functions or self.inputs)

    def __str__(self) -> str:
        said = [f"{len(found)} {kind if len(found) != 1 else kind[:-1]}" for kind, found in (
            ("nodes", self.nodes), ("weights", self.weights), ("functions", self.functions), ("inputs", self.inputs))
            if found]
        return "removed " + ", ".join(said) if said else "nothing is unused"


@edit
def remove_unused(model: Model, *, inputs: bool = False) -> Removed:
    """Remove nodes whose results nothing reads, then initialisers nothing reads, then functions nothing calls.

    inputs   remove graph inputs that nothing reads, too: the model is fed less then
    """
    nodes: list[str] = []
    weights: list[str] = []
    for graph in [model.graph, *(f.graph for f in model.ir.functions.values())]:
        _sweep(graph, nodes, weights)
    functions = []
    while idle := set(model.ir.functions) - {n.op_identifier() for n in model.all_nodes()}:
        for key in idle:
            functions.append("::".join(filter(None, key)))
            del model.ir.functions[key]
    dropped = [v for v in model.graph.inputs if not v.uses() and not v.is_graph_output() and inputs]
    for value in dropped:
        model.graph.inputs.remove(value)
    return Removed(tuple(nodes), tuple(weights), tuple(sorted(functions)), tuple(str(v.name) for v in dropped))


@edit
def remove_inputs(model: Model, names: Iterable[str] | None = None) -> tuple[str, ...]:
    """Remove graph inputs that nothing reads: these, or all such. Returns their names.

    Raises   ModelError for an input that is read: it says by whom.
    """
    if names is None:
        chosen = [v for v in model.inputs if not v.uses() and not v.is_graph_output()]
    else:
        known = {v.name: v for v in model.graph.inputs}
        chosen = []
        for name in names:
            if name not in known:
                raise ModelError(f"there is no input {name!r}", at=model.label, try_=", ".join(map(str, known)) or None)
            chosen.append(known[name])
    for value in chosen:
        if value.uses() or value.is_graph_output():
            raise ModelError(f"input {value.name!r} is needed: {readers(value)}", at=model.label,
                             try_="extract() cuts the model so that it is not needed, set_weight() makes it constant")
    for value in chosen:
        model.graph.inputs.remove(value)
        model.graph.initializers.pop(str(value.name), None)
    return tuple(str(v.name) for v in chosen)


def _sweep(graph: onnx_ir.Graph, nodes: list[str], weights: list[str]) -> None:
    """Last nodes first: what a removed node alone has read goes, too. Branches and bodies keep all their results."""
    for node in reversed(list(graph)):
        if not any(v.uses() or v.is_graph_output() for v in node.outputs):
            nodes.append(node.name or f"{node.op_type} of {node.outputs[0].name!r}" if node.outputs else node.op_type)
            detach(node)
            graph.remove(node)
            continue
        for inner in subgraphs(node):
            _sweep(inner, nodes, weights)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            weights.append(name)
            del graph.initializers[name]
            if value.is_graph_input():
                graph.inputs.remove(value)               # it was listed for its default only
