"""The part of INetworkDefinition that makes loops and conditionals, and keeps formulas for output sizes."""

from __future__ import annotations

from typing import Any

from .conditionals import IIfConditional
from .layers.formulas import IOutputDimensionsFormula
from .loops import ILoop
from .nesting import Construct
from .shape_tensors import NetworkShapes


def formula(what: str) -> Any:
    """A property: the IOutputDimensionsFormula for one kind of window; None: the usual sizes."""
    def get(network: Any) -> IOutputDimensionsFormula | None:
        return network._formulas.get(what)                # type: ignore[no-any-return]

    def put(network: Any, value: IOutputDimensionsFormula | None) -> None:
        network._formulas[what] = value
        network._changed()
    return property(get, put)


class NetworkFlow(NetworkShapes):
    """Both kinds take layers between their boundary layers inside. They need explicit batch."""

    convolution_output_dimensions_formula = formula("convolution")
    deconvolution_output_dimensions_formula = formula("deconvolution")
    pooling_output_dimensions_formula = formula("pooling")

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
