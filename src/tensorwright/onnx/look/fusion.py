"""What the compiler makes of the nodes: which of them end up in one layer, and which are gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ... import passes
from ...ir import Layer, Network, Op
from ...ops import Fused
from ..model import Model
from .reading import read
from .sizes import Shapes


@dataclass(frozen=True)
class FusedLayer:
    """One layer of the network after the compiler's passes.

    what    its operator: "Convolution + epilogue"
    nodes   places in the main graph of the nodes it does the work of
    host    whether it runs slowly on the host
    """

    what: str
    nodes: tuple[int, ...]
    host: bool = False


@dataclass(frozen=True)
class Fusion:
    """layers: in the order they run. unread: nodes the compiler cannot read → the reason. nodes: how many there are."""

    layers: tuple[FusedLayer, ...]
    unread: Mapping[int, str]
    nodes: int

    @property
    def gone(self) -> frozenset[int]:
        """Nodes of which no layer is left: folded, merged with an equal one, a matter of layout, or never needed."""
        return frozenset(range(self.nodes)) - self.unread.keys() - {n for layer in self.layers for n in layer.nodes}


def fusion(model: Model, shapes: Shapes | None = None) -> Fusion:
    """Import the main graph at these sizes and run the compiler's passes. Nothing is compiled; folding reads weights.

    Raises   ModelError when the model cannot be read at all, InputError when shapes contradicts it.
    """
    reading = read(model, shapes)
    places: dict[str, int] = {}
    for index, node in enumerate(reading.nodes):
        for layer in node.layers:
            for origin in layer.origin:
                places.setdefault(origin, index)
    network, _ = passes.run(reading.network)
    named = [{places[o] for o in layer.origin if o in places} for layer in network.layers]
    known = set().union(*named)
    layers = []
    for layer, nodes, found in zip(network.layers, named, covered(reading.network, network), strict=True):
        inside = {places[o] for old in found for o in old.origin if o in places}
        places_inside = tuple(sorted(nodes | (inside - known)))
        layers.append(FusedLayer(name_of(layer.op), places_inside, bool(layer.op.on_host)))
    unread = {i: n.why_not for i, n in enumerate(reading.nodes) if n.why_not}
    return Fusion(tuple(layers), unread, len(reading.nodes))


def covered(before: Network, after: Network) -> Iterator[list[Layer]]:
    """For each layer after the passes, the layers before them whose work it does.

    Values that survive the passes keep their names: what lies between a layer's results and the nearest survivors
    above is inside it, save for what depends on constants alone, which is computed while building.
    """
    makers, constant = before.producers(), set(before.constants)
    for layer in before.layers:
        if layer.inputs and all(i is None or i in constant for i in layer.inputs):
            constant.update(layer.outputs)
    for layer in after.layers:
        rest, seen, found = list(layer.outputs), set(layer.outputs), list[Layer]()
        while rest:
            maker = makers.get(rest.pop())
            if maker is None or maker in found:
                continue
            found.append(maker)
            more = {i for i in maker.inputs if i and i not in after.types and i not in constant} - seen
            seen |= more
            rest += more
        yield found


def name_of(op: Op) -> str:
    if isinstance(op, Fused):
        return f"{type(op.core).__name__} + epilogue"
    if op.on_host:
        return f"{getattr(op, 'node', op)} on the host"
    return type(op).__name__
