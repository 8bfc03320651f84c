"""Layers that may refuse: assertions, and collectives, for which there is no other device."""

from __future__ import annotations

from typing import Any

from ...dtypes import DType
from ...errors import BuildError, TypeMismatch, UnsupportedError
from ...ops import Assertion
from ..enums import CollectiveOperation, LayerType, ReduceOperation
from ..layer import ILayer, Lowering, Param


class IAssertionLayer(ILayer):
    """The build fails when the condition is constant and has a False element; else the run that meets one fails."""

    _layer_type = LayerType.ASSERTION
    _implicit_batch = False
    message = Param("", str)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        t = to.type(values[0])
        if t.dtype is not DType.bool:
            raise TypeMismatch(f"an assertion takes bool, not {t.dtype}")
        known = to.value(values[0]).array
        if known is None:
            to.editor.add(Assertion(self.message), *values, name=self.name, outputs=(), types=())
        elif not known.all():
            raise BuildError(self.message or "an assertion does not hold")
        return []


class IDistCollectiveLayer(ILayer):
    """An operation among the ranks of several devices. Refused when built: there is one rank, and no communicator."""

    _layer_type = LayerType.DIST_COLLECTIVE
    _implicit_batch = False
    _collective = Param(CollectiveOperation.ALL_REDUCE)
    _reduce = Param(ReduceOperation.NONE)
    _root = Param(-1)
    _groups = Param(None)

    def _lower(self, to: Lowering, values: list[Any]) -> list[str]:
        raise UnsupportedError(f"{self._collective} needs a communicator among several devices: here is one rank",
                               try_="build the network of one rank, without collectives")
