"""Networks as JSON, and back. Constants are referred to by name and travel separately. Single records: `codec.py`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ..dtypes import DType
from ..errors import PlanError, TensorwrightError
from .codec import Json, Registry, Table, decode_entries, fits, keyed, pick, shown
from .network import Layer, Network
from .op import Op
from .types import OpaqueType, TensorType, ValueType

__all__ = ["FORMAT", "decode_network", "encode_network"]

FORMAT = 1
MAX_LAYERS = 1 << 20


def encode_network(network: Network) -> tuple[Json, dict[str, np.ndarray]]:
    """(the network as JSON-able data, its constants by name)."""
    table = Table()
    types = {name: table.add(t) for name, t in network.types.items()}
    layers = [[table.add(x.op), list(x.inputs), list(x.outputs), x.name, list(x.origin)] for x in network.layers]
    data = {"format": FORMAT, "name": network.name, "inputs": list(network.inputs), "outputs": list(network.outputs),
            "constants": list(network.constants), "types": types, "layers": layers,
            "metadata": dict(network.metadata), "entries": table.entries}
    return data, dict(network.constants)


def decode_network(data: Json, constants: Mapping[str, np.ndarray], registry: Registry) -> Network:
    """The network that `encode_network` wrote. `constants` must hold every name it refers to.

    Types of layers' outputs are inferred again, so that a network that was tampered with cannot make kernels touch
    memory that is not theirs; the recorded ones count for host operators. PlanError for anything wrong.
    """
    data = keyed(data, "network", format=int, name=str, inputs=list, outputs=list, constants=list, types=dict,
                 layers=list, metadata=dict, entries=list)
    if data["format"] != FORMAT:
        raise PlanError(f"network format {data['format']}, this version reads {FORMAT}")
    records = decode_entries(data["entries"], registry)
    types = {name: _type(name, pick(records, i)) for name, i in data["types"].items()}
    inputs, outputs, names = (_names(data[key], key) for key in ("inputs", "outputs", "constants"))
    if len(data["layers"]) > MAX_LAYERS:
        raise PlanError(f"{len(data['layers'])} layers, {MAX_LAYERS} are allowed")
    layers = tuple(_layer(entry, records) for entry in data["layers"])
    metadata = data["metadata"]
    if not all(isinstance(text, str) for text in metadata.values()):
        raise PlanError("metadata values must be strings")
    arrays = {name: _constant(name, constants, types) for name in names}
    if set(inputs) & set(names) or len(set(inputs)) != len(inputs):
        raise PlanError("inputs are not distinct, or are constants too")
    try:
        for layer in layers:
            types |= _outputs(layer, types)
        return Network(inputs, outputs, layers, MappingProxyType(arrays), MappingProxyType(types), data["name"],
                       metadata).check()
    except PlanError:
        raise
    except TensorwrightError as error:
        raise PlanError(f"the network contradicts itself: {error.what}", at=", ".join(error.at) or None) from None


def _of(kind: Any, x: Any, what: str) -> Any:
    if not fits(x, kind):
        raise PlanError(f"{what} cannot be {shown(x)}")
    return x


def _type(name: str, x: Any) -> ValueType:
    t = _of(ValueType, x, f"type of {name!r}")
    if isinstance(t, TensorType) and any(isinstance(d, int) and d < 0 for d in t.shape):
        raise PlanError(f"value {name!r} has a negative dimension: {t}")
    return t


def _names(items: list[Json], what: str) -> tuple[str, ...]:
    return _of(tuple[str, ...], tuple(items), what)


def _layer(entry: Json, records: list[Any]) -> Layer:
    match entry:
        case [op, list() as inputs, list() as outputs, str() as name, list() as origin]:
            return Layer(_of(Op, pick(records, op), f"operator of {name!r}"),
                         _of(tuple[str | None, ...], tuple(inputs), f"inputs of {name!r}"),
                         _names(outputs, f"outputs of {name!r}"), name, _names(origin, f"origin of {name!r}"))
    raise PlanError(f"not a layer: {shown(entry)}")


def _constant(name: str, constants: Mapping[str, np.ndarray], types: Mapping[str, ValueType]) -> np.ndarray:
    if name not in constants or name not in types:
        raise PlanError(f"constant {name!r} has no array or no type")
    array = constants[name]
    if TensorType(array.shape, DType.of(array)) != types[name]:
        raise PlanError(f"constant {name!r} is {DType.of(array)} {array.shape}, the network says {types[name]}")
    return array


def _outputs(layer: Layer, types: Mapping[str, ValueType]) -> dict[str, ValueType]:
    """The types of a layer's outputs: what its operator infers, where it can, else what is recorded."""
    for name in (*layer.inputs, *layer.outputs):
        if name and name not in types:
            raise PlanError(f"value {name!r} has no type", at=layer.name)
    operands = [None if name is None else types[name] for name in layer.inputs]
    if layer.op.types_are_given or any(isinstance(t, OpaqueType) for t in operands):
        return {}
    try:
        inferred = layer.op.infer(*operands)  # type: ignore[arg-type]
    except TensorwrightError as error:
        raise error.located(layer.name) from None
    except Exception as error:                            # too many operands, absent ones that are needed
        raise PlanError(f"{type(layer.op).__name__} does not take these operands: {error}", at=layer.name) from None
    found = inferred if isinstance(inferred, tuple) else (inferred,)
    if len(layer.outputs) > len(found):
        raise PlanError(f"{type(layer.op).__name__} has {len(found)} outputs, not {len(layer.outputs)}", at=layer.name)
    given = {name: t for name, t in zip(layer.outputs, found, strict=False) if name and isinstance(t, TensorType)}
    for name, t in given.items():
        if not _compatible(t, types[name]):
            raise PlanError(f"value {name!r} is {types[name]} in the plan, {type(layer.op).__name__} makes {t}",
                            at=layer.name)
    return dict(given)


def _compatible(inferred: TensorType, recorded: ValueType) -> bool:
    """Whether both may be the same type: dimensions may be written differently, but not differ by a constant."""
    if not isinstance(recorded, TensorType) or (recorded.rank, recorded.dtype) != (inferred.rank, inferred.dtype):
        return False
    gaps = (a - b for a, b in zip(inferred.shape, recorded.shape, strict=True))
    return not any(isinstance(gap, int) and gap for gap in gaps)
