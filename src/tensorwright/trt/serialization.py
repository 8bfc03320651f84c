"""Engines as bytes, with or without their weights, and how to ask for either."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import TensorwrightError, UnsupportedError
from ..plan.records import Plan
from ..plan.refit import Hollow, stripped
from .enums import SerializationFlag
from .enums.choice import bits, members
from .foundation import Closed, IHostMemory
from .weights import REFIT

#: Where a plan remembers that it was built without weights.
STRIPPED = "stripped"


def serialized(plan: Plan) -> IHostMemory:
    """The bytes of the plan's file."""
    from ..runtime.store import save
    with tempfile.TemporaryDirectory(prefix="tensorwright-") as folder:
        path = Path(folder) / "engine.plan"
        save(plan, path)
        return IHostMemory(path.read_bytes())


class ISerializationConfig(Closed):
    """What ICudaEngine.serialize_with_config leaves out. Made by the engine."""

    def __init__(self, flags: set[SerializationFlag]) -> None:
        self._flags = flags
        self._closed = True

    def set_flag(self, flag: SerializationFlag) -> bool:
        self._flags.add(flag)
        return True

    def clear_flag(self, flag: SerializationFlag) -> bool:
        self._flags.discard(flag)
        return True

    def get_flag(self, flag: SerializationFlag) -> bool:
        return flag in self._flags

    @property
    def flags(self) -> int:
        """The flags that are set, as bits. RuntimeError for bits that stand for none."""
        return bits(self._flags, self._class(SerializationFlag))

    @flags.setter
    def flags(self, value: int) -> None:
        try:
            self._flags = set(members(value, self._class(SerializationFlag)))
        except ValueError as error:
            raise RuntimeError(str(error)) from None


class EngineSerialization(Closed):
    """The part of ICudaEngine that turns it into bytes."""

    def create_serialization_config(self: Any) -> ISerializationConfig:
        """EXCLUDE_WEIGHTS is set for an engine that was built without weights."""
        bare = {SerializationFlag.EXCLUDE_WEIGHTS} if STRIPPED in self._plan.metadata else set()
        made: ISerializationConfig = self._class(ISerializationConfig)(bare)
        return made

    def serialize(self: Any) -> IHostMemory | None:
        """The engine as it was built: refittable or not, without weights or with those it has now."""
        flags = {SerializationFlag.INCLUDE_REFIT} if self.refittable else set()
        if STRIPPED in self._plan.metadata:
            flags.add(SerializationFlag.EXCLUDE_WEIGHTS)
        return self._serialized(flags)

    def serialize_with_config(self: Any, config: ISerializationConfig) -> IHostMemory | None:
        """None, with an error in the log, for weights that are to be left out and could not be given again, or that
        are to be written and are not there.

        An engine from these bytes can be refitted when this one can and INCLUDE_REFIT is set, or when its weights are
        left out. EXCLUDE_LEAN_RUNTIME is always so: plans contain no runtime.
        """
        return self._serialized(config._flags)

    def _serialized(self: Any, flags: set[SerializationFlag]) -> IHostMemory | None:
        try:
            return serialized(chosen(self._plan, flags))
        except TensorwrightError as error:
            self._logger.error(error)
            return None


def chosen(plan: Plan, flags: set[SerializationFlag]) -> Plan:
    """The plan with what the flags ask for. TensorwrightError when that cannot be."""
    if SerializationFlag.EXCLUDE_WEIGHTS in flags:
        bare = stripped(plan)
        return replace(bare, metadata={**bare.metadata, STRIPPED: "yes"})
    if isinstance(plan.weights, Hollow):
        raise UnsupportedError("the engine has no weights that could be written", try_="refit it first, or set "
                               "SerializationFlag.EXCLUDE_WEIGHTS")
    keep = SerializationFlag.INCLUDE_REFIT in flags
    lost = {STRIPPED} if keep else {STRIPPED, REFIT}
    return replace(plan, metadata={k: v for k, v in plan.metadata.items() if k not in lost},
                   refit=plan.refit if keep else ())
