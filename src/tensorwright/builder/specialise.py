"""A network for one profile: symbols that the profile fixes become numbers before anything is lowered."""

from __future__ import annotations

from collections.abc import Mapping

from ..dims import substitute
from ..ir import Network, NetworkEditor, OpaqueType, TensorType, ValueType
from ..plan.records import Profile


def fixed_symbols(profile: Profile) -> dict[str, int]:
    """Symbols whose smallest and largest value are the same."""
    return {name: low for name, (low, _, high) in profile.ranges if low == high}


def specialise(network: Network, values: Mapping[str, int]) -> Network:
    """The network with symbols replaced and all types inferred again; names stay.

    Raises ShapeError when the network contradicts itself at these values.
    """
    if not values:
        return network

    def bound(t: ValueType) -> ValueType:
        return t if isinstance(t, OpaqueType) else TensorType(tuple(substitute(d, values) for d in t.shape), t.dtype)

    editor = NetworkEditor(network.name)
    editor.metadata.update(network.metadata)
    for name in network.inputs:
        editor.input(name, bound(network.types[name]))
    for name, array in network.constants.items():
        editor.constants[name] = array
        editor.types[name] = network.types[name]
    for layer in network.layers:
        op = layer.op.bind(values)
        operands = [None if v is None else editor.types[v] for v in layer.inputs]
        if op.types_are_given or any(isinstance(t, OpaqueType) for t in operands):
            types = tuple(bound(network.types[v]) if v else OpaqueType() for v in layer.outputs)
        else:
            inferred = op.infer(*operands)  # type: ignore[arg-type]
            types = (inferred if isinstance(inferred, tuple) else (inferred,))[: len(layer.outputs)]
        editor.add(op, *layer.inputs, name=layer.name, outputs=layer.outputs, origin=layer.origin, types=types)
    editor.outputs = list(network.outputs)
    return editor.finish()
