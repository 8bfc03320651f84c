"""Weights of a network that a refit may replace: whose they are, what they are called, and which of them are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import DType
from ..importer.values import SMALL
from ..ir import Layer, Network, TensorType
from ..ir.refittable import Refittable, closed, is_free, plain
from ..ops import Convolution, ConvTranspose
from ..plan.refit import WeightInfo
from .enums import BuilderFlag, WeightsRole
from .foundation import Closed, Weights
from .tensor import ITensor

if TYPE_CHECKING:
    from .config import IBuilderConfig
    from .layer import Lowering

#: Parameters of layers that hold weights.
ROLES = {"kernel": WeightsRole.KERNEL, "bias": WeightsRole.BIAS, "shift": WeightsRole.SHIFT,
         "scale": WeightsRole.SCALE, "weights": WeightsRole.CONSTANT}
#: Where a plan remembers that it was built for refit.
REFIT = "refit"


def is_refit(config: IBuilderConfig) -> bool:
    return any(map(config.get_flag, (BuilderFlag.REFIT, BuilderFlag.REFIT_IDENTICAL, BuilderFlag.REFIT_INDIVIDUAL,
                                     BuilderFlag.STRIP_PLAN)))


def is_identical(config: IBuilderConfig) -> bool:
    """Whether only the same weights may be given again: asked for, or what stripping alone means."""
    return config.get_flag(BuilderFlag.REFIT_IDENTICAL) or not (
        config.get_flag(BuilderFlag.REFIT) or config.get_flag(BuilderFlag.REFIT_INDIVIDUAL))


@dataclass(frozen=True)
class Constant:
    """A constant of a parsed model.

    is_weight   a refit may replace it
    recipe      how it is computed from other constants, when a weight is among them: the record, and its operands
    """

    tensor: ITensor
    array: np.ndarray
    is_weight: bool = False
    recipe: tuple[Layer, tuple[ITensor | None, ...]] | None = None

    def write(self, to: Lowering) -> str:
        """The value in the network's records: the array, or in those of an engine for refit what leads to it."""
        if to.refit and self.recipe is not None:
            record, operands = self.recipe
            names = [None if t is None else to.values[id(t)] for t in operands]
            return str(to.editor.add(record.op, *names, name=record.name, outputs=[to.editor.fresh(self.tensor.name)],
                                     origin=record.origin))
        return to.constant(Refittable.of(self.array) if to.refit and self.is_weight else self.array, self.tensor.name)


def derived(record: Layer, parsed: Network, known: dict[str, Constant]) -> Constant | None:
    """What a layer of constants gives, when a weight is among them and all is small; its tensor is still to be made."""
    operands = [known.get(i) if i is not None else None for i in record.inputs]
    given = [c for i, c in zip(record.inputs, operands, strict=True) if i is not None]
    types = [parsed.types[o] for o in record.outputs]
    if any(c is None or c.array.size > SMALL for c in given) or len(types) != 1 or record.op.symbols() \
            or not any(c is not None and (c.is_weight or c.recipe is not None) for c in given) \
            or not isinstance(types[0], TensorType) or not types[0].is_static \
            or types[0].size > SMALL:                                                           # type: ignore[operator]
        return None
    array = np.asarray(record.op.reference(*(None if c is None else c.array for c in operands)))
    recipe = record, tuple(None if c is None else c.tensor for c in operands)
    return Constant(None, array.astype(types[0].dtype.numpy), recipe=recipe)                   # type: ignore[arg-type]


class NetworkWeights(Closed):
    """The part of INetworkDefinition that names weights and chooses those that a refit may replace."""

    def _all_weights(self: Any) -> Iterator[tuple[Any, str, np.ndarray]]:
        """(what identifies them, name, array): parameters of layers, then weights of parsed models."""
        for layer in self._layers:
            for param in ROLES:
                array = layer._params.get(param)
                if isinstance(array, np.ndarray) and array.size:
                    key = id(layer.__dict__), param
                    yield key, self._weight_names.get(key, ""), array
        for constant in self._constants:
            if constant.is_weight:
                own = id(constant.tensor), ""
                yield own, self._weight_names.get(own, constant.tensor.name), constant.array

    def set_weights_name(self: Any, weights: Any, name: str) -> bool:
        """Name the weights at that address, of that type and number, wherever layers use them. False when none do."""
        wanted = (weights if isinstance(weights, Weights) else Weights(weights))._array
        place = wanted.ctypes.data, wanted.dtype, wanted.size
        found = [key for key, _, array in self._all_weights()
                 if wanted.size and (array.ctypes.data, array.dtype, array.size) == place]
        if not found:
            self._error(f"set_weights_name {name!r}: no layer uses these weights")
        self._weight_names.update(dict.fromkeys(found, name))
        return bool(found)

    def mark_weights_refittable(self: Any, name: str) -> bool:
        """With BuilderFlag.REFIT_INDIVIDUAL, only weights that are marked can be replaced. False for unknown names."""
        if not any(known == name for _, known, _ in self._all_weights()) or not name:
            self._error(f"mark_weights_refittable: no weights are named {name!r}")
            return False
        self._marked.add(name)
        return True

    def unmark_weights_refittable(self: Any, name: str) -> bool:
        """False when they were not marked."""
        if name not in self._marked:
            return False
        self._marked.discard(name)
        return True

    def are_weights_marked_refittable(self: Any, name: str) -> bool:
        return name in self._marked

    def _finish_for(self: Any, config: IBuilderConfig) -> tuple[Network, tuple[WeightInfo, ...]]:
        """The frozen network, and its constants that a refit may replace."""
        if not is_refit(config):
            return self._finish(), ()
        network, infos = self._finish_for_refit()
        individual = config.get_flag(BuilderFlag.REFIT_INDIVIDUAL)
        return network, tuple(w for w in infos if w.name in self._marked or not individual)

    def _finish_for_refit(self: Any) -> tuple[Network, list[WeightInfo]]:
        """The frozen network, and all that may be replaced."""
        self._refitting = True
        self._changed()
        try:
            network = self._finish()
            return closed(network), list(self._infos(network, self._lowering))
        finally:
            self._refitting = False
            self._changed()

    def _infos(self: Any, network: Network, lowering: Lowering) -> Iterator[WeightInfo]:
        """All that may be replaced; what was needed to know shapes is not among them."""
        for value, (layer, param) in lowering.weights.items():
            if is_free(network.constants.get(value)):
                array = getattr(layer, param)
                name = self._weight_names.get((id(layer.__dict__), param), "")
                yield WeightInfo(value, name, layer.name, ROLES[param].name, DType.of(array), array.size)
        users = roles(network)
        for constant in self._constants:
            value = lowering.values[id(constant.tensor)]
            if constant.is_weight and is_free(network.constants.get(value)):
                name = self._weight_names.get((id(constant.tensor), ""), constant.tensor.name)
                layer_name, role = users.get(value, (constant.tensor.name, WeightsRole.CONSTANT))
                yield WeightInfo(value, name, layer_name, role.name, DType.of(plain(constant.array)),
                                 constant.array.size)


def roles(network: Network) -> dict[str, tuple[str, Any]]:
    """Constant → (layer, role), of those that are filters and biases of convolutions."""
    found = {}
    for layer in network.layers:
        if isinstance(layer.op, (Convolution, ConvTranspose)):
            for value, role in zip(layer.inputs[1:], (WeightsRole.KERNEL, WeightsRole.BIAS), strict=False):
                if value is not None:
                    found[value] = layer.name, role
    return found
