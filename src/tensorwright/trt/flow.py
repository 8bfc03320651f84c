"""The part of INetworkDefinition that makes loops and conditionals."""

from __future__ import annotations

from typing import Any

from .conditionals import IIfConditional
from .loops import ILoop
from .nesting import Construct
from .shape_tensors import NetworkShapes


class NetworkFlow(NetworkShapes):
    """Both kinds take layers between their boundary layers inside. They need explicit batch."""

    def add_loop(self) -> ILoop | None:
        return self._add_construct(ILoop, "loop")

    def add_if_conditional(self) -> IIfConditional | None:
        return self._add_construct(IIfConditional, "conditional")

    def _add_construct(self: Any, kind: type[Any], label: str) -> Any:
        if self.has_implicit_batch_dimension:
            return self._error(f"add_{label}: a network with an implicit batch dimension can have none")
        made: Construct = self._class(kind)(self, f"{label}_{len(self._constructs)}")
        self._constructs.append(made)
        return made
