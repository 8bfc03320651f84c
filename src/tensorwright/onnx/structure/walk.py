"""Walking a graph: who makes a tensor, who reads it, and how to say so in a message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Union

from ...errors import ModelError
from ..model import Model, subgraphs

if TYPE_CHECKING:
    import onnx_ir

    #: A node, its name, the name of a tensor it makes, or its place in the main graph.
    NodeKey = Union[str, int, onnx_ir.Node]
    #: A tensor or its name.
    TensorKey = Union[str, onnx_ir.Value]


# finding -------------------------------------------------------------------------------------------------------------
def node_of(model: Model, key: NodeKey) -> onnx_ir.Node:
    """The node; ModelError when there is none, or the object is not (or no longer) part of this model."""
    import onnx_ir
    if isinstance(key, str) and key and not any(n.name == key for n in model.all_nodes()) and key in model.values():
        value = value_of(model, key)
        made = value.producer()
        if made is None:
            raise ModelError(f"no node makes {key!r}: it is an {origin(value)}", at=model.label,
                             try_="; ".join([readers(value)]))
        return made
    if not isinstance(key, onnx_ir.Node):
        return model.node(key)
    if not belongs(model, key.graph):
        raise ModelError(f"{named(key)} is not a node of this model, or not any more", at=model.label,
                         try_="look it up again by its name: after a refused edit all objects are new")
    return key


def value_of(model: Model, key: TensorKey) -> onnx_ir.Value:
    """The tensor; ModelError when there is none, or more than one (in branches of an If, say), or the object is not (or
    no longer) part of this model.
    """
    import onnx_ir
    if not isinstance(key, onnx_ir.Value):
        called = values_called(model, key)
        if len(called) > 1:
            raise ModelError(f"{len(called)} tensors are called {key!r}", at=model.label,
                             graphs=", ".join(str(v.graph.name if v.graph is not None else "") for v in called[:4]),
                             try_="rename_tensor changes all of them; other edits take the onnx_ir.Value")
        return called[0] if called else model.value(key)
    if not belongs(model, key.graph):
        raise ModelError(f"{key.name!r} is not a tensor of this model, or not any more", at=model.label,
                         try_="look it up again by its name: after a refused edit all objects are new")
    return key


def values_called(model: Model, name: str) -> list[onnx_ir.Value]:
    """The tensors of this name in the main graph and the graphs inside it; when there is none, those in functions."""
    return next((found for place in by_name(model) if (found := place.get(name))), [])


def by_name(model: Model) -> tuple[dict[str, list[onnx_ir.Value]], dict[str, list[onnx_ir.Value]]]:
    """Name → tensors: of the main graph and the graphs inside it, and of all functions."""
    functions = [g for f in model.ir.functions.values() for g in (f.graph, *f.subgraphs())]
    found: tuple[dict[str, list[onnx_ir.Value]], ...] = ({}, {})
    for names, place in zip(found, ([model.graph, *model.graph.subgraphs()], functions), strict=True):
        for graph in dict.fromkeys(place):
            for value in defined(graph):
                names.setdefault(str(value.name), []).append(value)
    return found[0], found[1]


def defined(graph: onnx_ir.Graph) -> Iterator[onnx_ir.Value]:
    """The tensors that come to be in this graph itself: inputs, initialisers, results of nodes."""
    yield from dict.fromkeys((*graph.inputs, *graph.initializers.values()))
    for node in graph:
        yield from (v for v in node.outputs if v.name)


def belongs(model: Model, graph: onnx_ir.Graph | None) -> bool:
    return graph is not None and any(getattr(g, "graph", g) is graph for g in model.graphs())


def owners(model: Model) -> dict[onnx_ir.Graph, onnx_ir.Node]:
    """Graph → the node it is an attribute of; the main graph and functions have none."""
    return {inner: node for node in model.all_nodes() for inner in subgraphs(node)}


def visible(value: onnx_ir.Value, graph: onnx_ir.Graph, owner: dict[onnx_ir.Graph, onnx_ir.Node]) -> bool:
    """May nodes of this graph read the tensor: is it of this graph, or of one around it?"""
    around: onnx_ir.Graph | None = graph
    while around is not None:
        if value.graph is around:
            return True
        around = owner[around].graph if around in owner else None
    return False


# walking -------------------------------------------------------------------------------------------------------------
def producers(model: Model, key: NodeKey) -> list[onnx_ir.Node]:
    """The nodes that make a node's inputs, in the order of the inputs."""
    return list(node_of(model, key).predecessors())


def consumers(model: Model, key: NodeKey | TensorKey) -> list[onnx_ir.Node]:
    """The nodes that read a tensor, or any output of a node; those in subgraphs too.

    A string names a tensor, or else a node.
    """
    import onnx_ir
    if isinstance(key, onnx_ir.Value):
        return list(value_of(model, key).consumers())
    if isinstance(key, str) and key in model.values():
        return list(value_of(model, key).consumers())
    return list(node_of(model, key).successors())


def upstream(model: Model, key: NodeKey | TensorKey) -> list[onnx_ir.Node]:
    """All nodes that a node or a tensor depends on, itself (the node, the tensor's own) first; nearest first."""
    import onnx_ir
    first = value_of(model, key).producer() if isinstance(key, onnx_ir.Value) else \
        None if isinstance(key, str) and _has_no_producer(model, key) else node_of(model, key)
    return [] if first is None else _spread(first, needs)


def downstream(model: Model, key: NodeKey | TensorKey) -> list[onnx_ir.Node]:
    """All nodes that depend on a node (itself first) or on a tensor; nearest first."""
    import onnx_ir
    if isinstance(key, onnx_ir.Value) or (isinstance(key, str) and key in model.values()):
        found: dict[onnx_ir.Node, None] = {}
        for reader in value_of(model, key).consumers():
            found.update(dict.fromkeys(_spread(reader, _feeds)))
        return list(found)
    return _spread(node_of(model, key), _feeds)


def _has_no_producer(model: Model, name: str) -> bool:
    value = model.values().get(name)
    return value is not None and value.producer() is None


def needs(node: onnx_ir.Node) -> Iterator[onnx_ir.Node]:
    """The nodes that make what a node, or a graph inside it, reads."""
    for value in captured(node):
        if (made := value.producer()) is not None:
            yield made


def _feeds(node: onnx_ir.Node) -> Iterator[onnx_ir.Node]:
    yield from node.successors()


def _spread(first: onnx_ir.Node, step: object) -> list[onnx_ir.Node]:
    found, rest = {first: None}, [first]
    for node in rest:
        for other in step(node):                         # type: ignore[operator]
            if other not in found:
                found[other] = None
                rest.append(other)
    return list(found)


def captured(node: onnx_ir.Node) -> Iterator[onnx_ir.Value]:
    """The tensors that a node reads, and those its inner graphs read from outside themselves."""
    yield from (v for v in node.inputs if v is not None)
    for graph in subgraphs(node):
        inside = {graph}
        rest = list(graph)
        for inner in rest:
            for below in subgraphs(inner):
                inside.add(below)
                rest += below
            yield from (v for v in inner.inputs if v is not None and v.graph not in inside)
        for result in graph.outputs:
            if result.graph not in inside:
                yield result


def detach(node: onnx_ir.Node) -> None:
    """Let a node that is to go, and all nodes inside it, read nothing any more."""
    for graph in subgraphs(node):
        for inner in graph:
            detach(inner)
    for k in range(len(node.inputs)):
        node.replace_input_with(k, None)


# saying --------------------------------------------------------------------------------------------------------------
def named(node: onnx_ir.Node) -> str:
    """How messages call a node: Relu 'relu', or by what it makes."""
    if node.name:
        return f"{node.op_type} {node.name!r}"
    made = [v.name for v in node.outputs if v.name]
    return f"{node.op_type} (unnamed, makes {made[0]!r})" if made else f"{node.op_type} (unnamed)"


def origin(value: onnx_ir.Value) -> str:
    """What kind of tensor this is that no node makes."""
    return "initialiser" if value.is_initializer() else "input"


def readers(value: onnx_ir.Value) -> str:
    """How messages say who reads a tensor: at most four nodes, and whether it is an output."""
    nodes = [named(n) for n in value.consumers()]
    said = ", ".join(nodes[:4]) + (f" and {len(nodes) - 4} more" if len(nodes) > 4 else "")
    output = "it is an output of the graph" if value.is_graph_output() else ""
    return " and ".join(filter(None, [f"{said} read{'s' if len(nodes) == 1 else ''} it" if nodes else "", output])) \
        or "nothing reads it"


def type_text(value: onnx_ir.Value) -> str:
    """float32 [batch, 16]; ? stands for what is not known."""
    from .tensors import named as dtype_name
    dtype = dtype_name(value.dtype) if value.dtype is not None else "type ?"
    if value.shape is None:
        return f"{dtype} shape ?"
    return f"{dtype} [{', '.join(str(d) if isinstance(d, int) or d.value is not None else '?' for d in value.shape)}]"


# naming --------------------------------------------------------------------------------------------------------------
class Names:
    """Names that are taken in a model, and new ones.

    Among other edits (`editing`) one object serves them all: looking through the model each time would take quadratic
    time. Names given past it, by assigning to onnx_ir objects, are found by the check at the end.
    """

    @classmethod
    def of(cls, model: Model) -> Names:
        if model.edit_depth <= 1:
            return cls(model)
        if model.names is None:
            model.names = cls(model)
        return model.names

    def __init__(self, model: Model) -> None:
        self.tensors: set[str | None] = set(model.values())
        self.nodes: set[str | None] = {n.name for n in model.all_nodes()}
        self._count: dict[str, int] = {}

    def tensor(self, base: str) -> str:
        """A name that no tensor has."""
        return self._fresh(base, self.tensors)

    def node(self, base: str) -> str:
        """A name that no node has."""
        return self._fresh(base, self.nodes)

    def fresh(self, base: str) -> str:
        """A name that neither a tensor nor a node has."""
        return self._fresh(base, self.tensors, self.nodes)

    def _fresh(self, base: str, *taken: set[str | None]) -> str:
        name, k = base, self._count.get(base, 1)
        while not name or any(name in names for names in taken):
            name, k = f"{base}_{k}", k + 1
        for names in taken:
            names.add(name)
        self._count[base] = k
        return name
