"""Renaming tensors and nodes, everywhere their names occur."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ...errors import ModelError
from ..edit import edit
from ..model import Model, subgraphs
from .walk import by_name, defined, named, node_of, owners, value_of

if TYPE_CHECKING:
    import onnx_ir

    from .walk import NodeKey, TensorKey

#: Where onnx_ir keeps a tensor's quantisation annotation: role → name of the tensor that plays it.
ANNOTATION = "quant_parameter_tensor_names"


@edit
def rename_tensors(model: Model, names: Mapping[str, str] | Mapping[TensorKey, str]) -> None:
    """Rename tensors, all at once (so that names can be swapped): old name or tensor → new name.

    Inputs, outputs, initialisers and results of nodes alike; who reads them, captures them in a subgraph or names them
    in a quantisation annotation follows. A name stands for all tensors of the main graph and the graphs inside it that
    have it (the branches of an If may share one); when there is none, for those inside functions.
    Raises   ModelError for unknown and empty names, and for names that another visible tensor has.
    """
    new: dict[onnx_ir.Value, str] = {}
    called = by_name(model)
    for key, name in names.items():
        if not isinstance(name, str) or not name:
            raise ModelError("a tensor needs a name: the empty one stands for an absent operand", at=model.label)
        for value in _called(model, key, called):
            if new.setdefault(value, name) != name:
                raise ModelError(f"{value.name!r} cannot have two names, {new[value]!r} and {name!r}", at=model.label)
    _refuse_clashes(model, new)
    old = {value: value.name for value in new}
    _rename(new)
    _rename_annotations(model, {str(old[v]): name for v, name in new.items()})
    if model.names is not None:
        model.names.tensors.update(new.values())


@edit
def rename_tensor(model: Model, old: TensorKey, new: str) -> None:
    """`rename_tensors` for one."""
    rename_tensors(model, {old: new})


@edit
def rename_nodes(model: Model, names: Mapping[str, str] | Mapping[onnx_ir.Node, str]) -> None:
    """Rename nodes, all at once. ModelError for unknown names, and for names that another node has."""
    new = {node_of(model, key): name for key, name in names.items()}
    wanted: dict[str, onnx_ir.Node] = {}
    for node in model.all_nodes():
        name = new.get(node, node.name)
        other = wanted.get(name or "")
        if other is not None and (node in new or other in new):
            raise ModelError(f"two nodes would be called {name!r}", at=model.label,
                             nodes=f"{named(other)} and {named(node)}", try_="give one of them another name, too")
        if name:
            wanted[name] = node
    for node, name in new.items():
        node.name = name
    if model.names is not None:
        model.names.nodes.update(new.values())


@edit
def rename_node(model: Model, node: NodeKey, new: str) -> None:
    """`rename_nodes` for one, which need not have had a name."""
    rename_nodes(model, {node_of(model, node): new})


@edit
def rename_by(model: Model, expression: str, replacement: str, *, tensors: bool = True, nodes: bool = False,
              ) -> dict[str, str]:
    r"""Rename all tensors (and nodes) in whose names the regular expression occurs, as re.sub does. Returns old → new.

    rename_by(model, r"^/backbone/layer(\d+)/", r"stage\1.")
    Raises   ModelError when the expression is not one, matches nothing, or makes two tensors equal in name.
    """
    try:
        compiled = re.compile(expression)
        wanted = {kind: {n: compiled.sub(replacement, n) for n in found if compiled.search(n)} for kind, found in (
            ("tensors", list(model.values()) if tensors else []),
            ("nodes", [n.name for n in model.all_nodes() if n.name] if nodes else []))}
    except (re.error, IndexError) as error:
        raise ModelError(f"not a regular expression and its replacement: {error}", expression=expression,
                         replacement=replacement) from None
    if not any(wanted.values()):
        kinds = " and ".join(k for k, on in (("tensors", tensors), ("nodes", nodes)) if on)
        raise ModelError(f"no name of {kinds} matches {expression!r}", at=model.label)
    changed = {k: {old: new for old, new in names.items() if old != new} for k, names in wanted.items()}
    rename_tensors(model, changed["tensors"])
    by_name = {n: changed["nodes"][n.name] for n in model.all_nodes() if n.name in changed["nodes"]}
    rename_nodes(model, by_name)
    return {**changed["nodes"], **changed["tensors"]}


def _called(model: Model, key: TensorKey, called: Iterable[Mapping[str, list[onnx_ir.Value]]]) -> list[onnx_ir.Value]:
    import onnx_ir
    if isinstance(key, onnx_ir.Value):
        return [value_of(model, key)]
    return next((found for names in called if (found := names.get(key))), None) or [model.value(key)]


def _refuse_clashes(model: Model, new: Mapping[onnx_ir.Value, str]) -> None:
    """ModelError when a graph, or one around it, would have two tensors of one name."""
    owner = owners(model)

    def look(graph: onnx_ir.Graph, seen: dict[str, onnx_ir.Value]) -> None:
        seen = dict(seen) if owner.get(graph) is not None else {}
        for value in defined(graph):
            name = new.get(value, value.name)
            other = seen.setdefault(str(name), value)
            if other is not value and (value in new or other in new):
                taken = other if value in new else value
                made = taken.producer()
                what = f"made by {named(made)}" if made else "an input" if taken.is_graph_input() else "an initialiser"
                mine = value if value in new else other
                raise ModelError(f"{mine.name!r} cannot be called {name!r}: there is such a tensor", at=model.label,
                                 tensor=f"{name!r} is {what}",
                                 try_="another name, or rename both in one call")
        for node in graph:
            for inner in subgraphs(node):
                look(inner, seen)
    look(model.graph, {})
    for function in model.ir.functions.values():
        look(function.graph, {})


def _rename(new: Mapping[onnx_ir.Value, str]) -> None:
    """Initialisers leave their dictionaries meanwhile: names may be swapped."""
    held = [(value, value.graph) for value in new if value.is_initializer()]
    for value, graph in held:
        del graph.initializers[value.name]               # type: ignore[union-attr,arg-type]
    for value, name in new.items():
        value.name = name
    for value, graph in held:
        graph.initializers.add(value)                    # type: ignore[union-attr]


def _rename_annotations(model: Model, names: Mapping[str, str]) -> None:
    for graph in model.graphs():
        for value in defined(getattr(graph, "graph", graph)):  # type: ignore[arg-type]
            if ANNOTATION in value.meta:
                value.meta[ANNOTATION] = {role: names.get(name, name) for role, name in value.meta[ANNOTATION].items()}
