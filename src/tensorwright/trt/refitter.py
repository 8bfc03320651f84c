"""Refitter: other weights for an engine, without building it again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from ..cuda.memory import host, is_device
from ..dtypes import DType
from ..errors import InputError, TensorwrightError
from ..plan.refit import NETWORK, Hollow, WeightInfo, digest_of
from ..runtime.memory import array_at
from .calibration import RANGES, ranges_of
from .engine import ICudaEngine
from .enums import TensorLocation, WeightsRole
from .foundation import Weights, ours, theirs
from .lifetime import Lifetime
from .logger import ILogger, say
from .recorder import Recorded, Voice


class Refitter(Recorded, Lifetime):
    """Collects weights, and gives them to the engine all at once. Contexts see them in their next execution.

    Weights are known by their layer and role, and by name where they have one. Those that are not given stay as they
    are. An execution at the same time may compute with some of the old weights and some of the new.

    weights_validation   weights of an engine that takes only those it was built with are compared with them first
    """

    max_threads = 1
    weights_validation = True

    def __init__(self, engine: ICudaEngine, logger: ILogger) -> None:
        self._engine, self._logger = engine, Voice(logger)
        self._given: dict[str, tuple[Weights, TensorLocation]] = {}               # by constant of the plan's network
        self._closed = True
        if not engine.refittable:
            self._refuse("the engine cannot be refitted: build it with BuilderFlag.REFIT")

    @property
    def logger(self) -> ILogger:
        return self._logger.logger

    def _refuse(self, text: str) -> bool:
        say(self._logger, ILogger.ERROR, text)
        return False

    @property
    def _all(self) -> tuple[WeightInfo, ...]:
        return self._engine._plan.refit

    def _missing(self) -> list[WeightInfo]:
        """Weights that must be given before the engine can run: all of an engine without, none of others."""
        absent = isinstance(self._engine._plan.weights, Hollow)
        return [w for w in self._all if absent and w.constant not in self._given]

    # ---- by layer and role

    def set_weights(self, layer_name: str, role: WeightsRole, weights: Any) -> bool:
        found = [w for w in self._all if w.layer == layer_name and w.role == role.name]
        if not found:
            return self._refuse(f"layer {layer_name!r} has no weights of {role} that can be replaced")
        return self._set(found, weights, TensorLocation.HOST)

    def get_all(self) -> tuple[list[str], list[WeightsRole]]:
        """(layer names, roles) of all weights that can be replaced."""
        return _pairs(self._all)

    def get_missing(self) -> tuple[list[str], list[WeightsRole]]:
        """(layer names, roles) of those that must be given."""
        return _pairs(self._missing())

    # ---- by name

    def _named(self, name: str) -> list[WeightInfo]:
        return [w for w in self._all if name and w.name == name]

    def set_named_weights(self, name: str, weights: Any, location: TensorLocation = TensorLocation.HOST) -> bool:
        """location: whether the weights' address is the host's or the emulated device's."""
        found = self._named(name)
        if not found:
            return self._refuse(f"no weights named {name!r} can be replaced")
        return self._set(found, weights, location)

    def unset_named_weights(self, weights_name: str) -> bool:
        """Forget weights that were given. False when there are none of that name."""
        known = [w for w in self._named(weights_name) if w.constant in self._given]
        for w in known:
            del self._given[w.constant]
        return bool(known)

    def get_all_weights(self) -> list[str]:
        return list(dict.fromkeys(w.name for w in self._all if w.name))

    def get_missing_weights(self) -> list[str]:
        return list(dict.fromkeys(w.name for w in self._missing() if w.name))

    def get_named_weights(self, weights_name: str) -> Weights:
        """Those that were given; empty ones when none were."""
        return next((self._given[w.constant][0] for w in self._named(weights_name) if w.constant in self._given),
                    Weights())

    def get_weights_location(self, weights_name: str) -> TensorLocation:
        """Where the weights that were given lie; HOST when none were."""
        return next((self._given[w.constant][1] for w in self._named(weights_name) if w.constant in self._given),
                    TensorLocation.HOST)

    def get_weights_prototype(self, weights_name: str) -> Weights:
        """Type and number of the weights of that name, their content zero; none of them for an unknown name."""
        found = self._named(weights_name)
        prototype = Weights(theirs(found[0].dtype)) if found else Weights()
        if found:
            prototype._array = np.broadcast_to(np.zeros((), found[0].dtype.numpy), found[0].count)
        return prototype

    def _set(self, found: Iterable[WeightInfo], weights: Any, location: TensorLocation) -> bool:
        try:
            given = weights if isinstance(weights, Weights) else Weights(weights)
        except ValueError as error:
            return self._refuse(str(error))
        for w in found:
            if given.size != w.count or ours(given.dtype) != w.dtype:
                return self._refuse(f"weights {w.name or w.layer!r}: {given.size} of {given.dtype} were given, "
                                    f"{w.count} of {theirs(w.dtype)} are needed")
        if given.size and (location == TensorLocation.DEVICE) != is_device(given._array.ctypes.data):
            return self._refuse(f"the weights' address {given._array.ctypes.data:#x} is not of {location}")
        for w in found:
            self._given[w.constant] = given, location
        return True

    # ---- dynamic ranges: engines remember them, and compute in the types of the network all the same

    def get_tensors_with_dynamic_range(self) -> list[str]:
        return list(ranges_of(self._engine._plan))

    def get_dynamic_range(self, tensor_name: str) -> tuple[float, float]:
        """(0, 0), with an error in the log, for a tensor that has none."""
        found = ranges_of(self._engine._plan).get(tensor_name)
        if found is None:
            self._refuse(f"tensor {tensor_name!r} has no dynamic range")
        return found or (0.0, 0.0)

    def set_dynamic_range(self, tensor_name: str, range: Any) -> bool:
        """False for a tensor that has none. ValueError for anything but two numbers."""
        if len(range) != 2:
            raise ValueError(f"a dynamic range is two numbers, not {len(range)}")
        known, plan = ranges_of(self._engine._plan), self._engine._plan
        if tensor_name not in known:
            return self._refuse(f"tensor {tensor_name!r} has no dynamic range that could be replaced")
        known[tensor_name] = float(range[0]), float(range[1])
        self._engine._plan = replace(plan, metadata={**plan.metadata, RANGES: json.dumps(known)})
        return True

    # ---- all at once

    def refit_cuda_engine(self) -> bool:
        """Give the engine the weights collected. False, with an error in the log, when some are missing or wrong."""
        from ..builder.refit import recomputed
        if not self._engine.refittable:
            return self._refuse("the engine cannot be refitted: build it with BuilderFlag.REFIT")
        if missing := self._missing():
            names = ", ".join(w.name or f"{w.layer} ({w.role})" for w in missing[:8])
            return self._refuse(f"{len(missing)} weights are missing: {names}{', ...' * (len(missing) > 8)}")
        if self.max_threads != 1:
            say(self._logger, ILogger.WARNING, "Refitter.max_threads has no effect: weights are packed on one thread")
        try:
            plan = self._engine._plan
            fresh = recomputed(plan, {w.constant: self._array(w) for w in self._all if w.constant in self._given})
            self._engine._engine.replace_weights(fresh)
            self._engine._plan = replace(plan, weights=self._engine._engine.plan.weights)
        except (TensorwrightError, MemoryError, RuntimeError) as error:
            self._logger.error(error if isinstance(error, TensorwrightError) else InputError(str(error)))
            return False
        return True

    def refit_cuda_engine_async(self, stream_handle: Any) -> bool:
        """refit_cuda_engine: the weights are there when it returns."""
        return self.refit_cuda_engine()

    def release_refit_resources(self) -> None:
        """Forget the weights that were given; the engine keeps those it took."""
        self._given.clear()

    def _array(self, w: WeightInfo) -> np.ndarray:
        """The weights given, as the network has them. InputError when they are not those an engine insists on."""
        given, location = self._given[w.constant]
        flat = given._array
        if location == TensorLocation.DEVICE:
            flat = array_at(host(flat.ctypes.data, flat.nbytes), flat.shape, flat.strides, flat.dtype)
        held = self._engine._plan.weights
        known = held.absent.get(NETWORK + w.constant) if isinstance(held, Hollow) else None
        if known is not None:
            dtype, shape = known
        else:
            kept = held[NETWORK + w.constant]
            dtype, shape = DType.of(kept), kept.shape
        array = np.array(flat.reshape(shape).astype(dtype.numpy, copy=False))
        if w.digest and self.weights_validation and digest_of(array) != w.digest:
            raise InputError(f"weights {w.name or w.layer!r} are not those the engine was built with, and it takes no "
                             "others", try_="build with BuilderFlag.REFIT instead of REFIT_IDENTICAL")
        return array


def _pairs(found: Iterable[WeightInfo]) -> tuple[list[str], list[WeightsRole]]:
    known = [w for w in found if w.layer]
    return [w.layer for w in known], [WeightsRole[w.role] for w in known]
