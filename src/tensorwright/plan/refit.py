"""What a plan keeps so that its weights can be replaced later, and plans without weights."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import DType
from ..errors import PlanError
from .fields import Fields
from .tensors import StoredTensors

if TYPE_CHECKING:
    from .records import Plan

#: Where a plan's weights have the constants of its network.
NETWORK = "network/"


@dataclass(frozen=True)
class WeightInfo:
    """Weights that can be replaced after the build: a constant of the plan's network, as its author knows it.

    constant      name in the network
    name          what they are called; "" when nobody named them
    layer, role   whose they are; "" likewise
    dtype, count  of what is to be given: it is reshaped, and converted where the constant has another type
    digest        of the only content that fits; "" when any does
    """

    constant: str
    name: str
    layer: str
    role: str
    dtype: DType
    count: int
    digest: str = ""

    def to_json(self) -> list[Any]:
        return [self.constant, self.name, self.layer, self.role, self.dtype.value, self.count, self.digest]


def from_json(data: Any) -> tuple[WeightInfo, ...]:
    """PlanError for anything but a list of what `to_json` writes."""
    found = []
    for entry in data if isinstance(data, list) else [data]:
        match entry:
            case [str() as constant, str() as name, str() as layer, str() as role, str() as dtype, int() as count,
                  str() as digest] if count >= 0:
                try:
                    found.append(WeightInfo(constant, name, layer, role, DType(dtype), count, digest))
                except ValueError:
                    raise PlanError(f"{dtype[:40]!r} is not an element type", at="refit") from None
            case _:
                raise PlanError("refit must be arrays of a constant, its names, type, count and digest", at="manifest")
    return tuple(found)


def check_refit(infos: tuple[WeightInfo, ...], weights: Mapping[str, np.ndarray]) -> None:
    """PlanError unless each stands for a constant of the network of as many elements."""
    for info in infos:
        name = NETWORK + info.constant
        if name not in weights:
            raise PlanError(f"there is no constant {info.constant!r} that could be replaced", at="refit")
        if elements(weights, name) != info.count:
            raise PlanError(f"constant {info.constant!r} has {elements(weights, name)} elements, not {info.count}",
                            at="refit")


def elements(weights: Mapping[str, np.ndarray], name: str) -> int:
    """Of an array, without reading it where its file tells."""
    if isinstance(weights, Hollow):
        return math.prod(weights.absent[name][1]) if name in weights.absent else elements(weights.there, name)
    shape = weights.shape(name) if isinstance(weights, StoredTensors) else weights[name].shape
    return math.prod(shape)


def digest_of(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()


def stripped(plan: Plan) -> Plan:
    """The plan without the weights that can be given again: those, and what was computed from them.

    PlanError when the plan cannot be refitted.
    """
    if not plan.refit:
        raise PlanError("the plan has no weights that can be replaced: without them it would be useless",
                        try_="build with BuilderFlag.REFIT or STRIP_PLAN")
    given = {NETWORK + w.constant for w in plan.refit}
    kept = {n: a for n, a in plan.weights.items() if n.startswith(NETWORK) and n not in given}
    absent = {n: (DType.of(a), a.shape) for n, a in plan.weights.items() if n not in kept}
    return replace(plan, weights=Hollow(kept, absent))


class Hollow(Mapping[str, np.ndarray]):
    """The arrays of a plan that was written without weights: those that are there, and zeros for the others.

    absent   name → (type, shape)
    """

    def __init__(self, there: Mapping[str, np.ndarray], absent: Mapping[str, tuple[DType, tuple[int, ...]]]) -> None:
        self.there, self.absent = there, dict(absent)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.absent:
            return self.there[name]
        dtype, shape = self.absent[name]
        try:
            return np.zeros(shape, dtype.numpy)
        except (MemoryError, ValueError) as error:
            raise PlanError(f"no memory for the weights {name!r} of shape {shape}: {error}") from None

    def __iter__(self) -> Iterator[str]:
        yield from self.there
        yield from self.absent

    def __len__(self) -> int:
        return len(self.there) + len(self.absent)

    def __contains__(self, name: object) -> bool:
        return name in self.absent or name in self.there

    def nbytes(self, name: str) -> int:
        if name not in self.absent:
            return self.there[name].nbytes
        dtype, shape = self.absent[name]
        return math.prod(shape) * dtype.itemsize

    def to_json(self) -> dict[str, Any]:
        return {name: {"dtype": dtype.value, "shape": list(shape)} for name, (dtype, shape) in self.absent.items()}

    @classmethod
    def read(cls, there: Mapping[str, np.ndarray], data: Any) -> Hollow:
        absent = {}
        for name, entry in Fields(data, "stripped").data.items():
            f = Fields(entry, f"stripped tensor {name!r}")
            absent[name] = f.dtype("dtype"), tuple(f.wholes("shape", 0, 1 << 40))
            if DType.string is absent[name][0] or math.prod(absent[name][1]) > 1 << 44 or name in there:
                raise PlanError("it is too large, of strings, or there twice", at=f.where)
        return cls(there, absent)
