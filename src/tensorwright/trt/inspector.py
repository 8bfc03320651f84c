"""EngineInspector: the engine's layers as text or JSON."""

from __future__ import annotations

import json
from typing import Any

from ..plan.inspect import as_json
from .context import IExecutionContext
from .engine import ICudaEngine
from .enums import LayerInformationFormat, ProfilingVerbosity


class EngineInspector:
    """How much it tells is decided by IBuilderConfig.profiling_verbosity when the engine is built."""

    execution_context: IExecutionContext | None = None

    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine

    def get_layer_information(self, layer_index: int, format: LayerInformationFormat) -> str:
        """One layer; empty for an index the engine lacks."""
        layers = self._layers()
        if not 0 <= layer_index < len(layers):
            return ""
        layer = layers[layer_index]
        return json.dumps(layer, indent=2) if format == LayerInformationFormat.JSON else _line(layer)

    def get_engine_information(self, format: LayerInformationFormat) -> str:
        """{"Layers": [...], "Bindings": [...]}, or a line per layer."""
        layers = self._layers()
        if format == LayerInformationFormat.JSON:
            return json.dumps({"Layers": layers, "Bindings": list(self._engine)}, indent=2)
        return "\n".join(_line(layer) for layer in layers)

    def _layers(self) -> list[Any]:
        verbosity = self._engine.profiling_verbosity
        if verbosity == ProfilingVerbosity.NONE:
            return []
        index = 0 if self.execution_context is None else self.execution_context.active_optimization_profile
        data = as_json(self._engine._plan, self._engine._plan.programs[index])
        if verbosity == ProfilingVerbosity.LAYER_NAMES_ONLY:
            return [row["name"] for row in data["layers"]]
        return [{"Name": row["name"], "LayerType": row["kind"], "Outputs": [_tensor(t) for t in row["types"]],
                 "TacticName": row["tactic"], "Origin": row["origin"], "Host": row["host"], "Note": row["note"],
                 "TimeUs": row["microseconds"]} for row in data["layers"]]


def _tensor(text: str) -> dict[str, str]:
    return {"Name": "", "Format/Datatype": text, "Datatype": text.split(" ")[0], "Format": "Row-major linear"}


def _line(layer: Any) -> str:
    return layer if isinstance(layer, str) else f"{layer['Name']}: {layer['LayerType']} [{layer['TacticName']}]"
