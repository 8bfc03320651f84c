"""What the page shows, part by part, each made when it is first asked for."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ...errors import TensorwrightError
from ..check import infer
from ..lint.run import lint
from ..look.fusion import fusion
from ..look.inventory import storage_of
from ..look.overview import Overview, overview
from ..look.sizes import Shapes
from ..look.statistics import statistics
from ..model import Model
from ..structure.tensors import array, constant
from .graph import graph_data

#: Values of a weight that the page shows.
FIRST = 256


class Content:
    """The parts of one model's page, as plain data for JSON. For several threads."""

    def __init__(self, model: Model, shapes: Shapes | None = None) -> None:
        self.model, self.shapes = model, shapes
        self._made: dict[str, Any] = {}
        self._lock = threading.RLock()

    def part(self, name: str) -> Any:
        """ "model", "fusion" or "findings"."""
        parts: dict[str, Callable[[], Any]] = {"model": self._model, "fusion": self._fusion,
                                               "findings": self._findings}
        with self._lock:
            if name not in self._made:
                self._made[name] = plain(parts[name]())
            return self._made[name]

    def tensor(self, place: int) -> dict[str, Any]:
        """Statistics and first values of the weight at this place in the model's values. KeyError: there is none."""
        with self._lock:
            self.part("model")
            content = constant(self._values.get(place))
            if content is None:
                raise KeyError(place)
            try:
                values = array(content)
                first = [f"{v:.7g}" if isinstance(v, float) else str(v) for v in values.reshape(-1)[:FIRST].tolist()]
                return plain({**asdict(statistics(values)), "first": first, "storage": storage_of(content)})
            except Exception as error:                   # a damaged tensor is decoded only now
                return {"error": f"its content cannot be decoded: {error}"}

    def _model(self) -> dict[str, Any]:
        note = ""
        try:
            infer(self.model)                            # types that the file does not give
        except TensorwrightError as error:
            note = error.what
        seen = overview(self.model, self.shapes)
        data, places = graph_data(self.model, seen.costs)
        self._values = {place: value for value, place in places.items()}
        return {**data, "summary": summary(seen), "note": note}

    def _fusion(self) -> dict[str, Any]:
        try:
            found = fusion(self.model, self.shapes)
        except TensorwrightError as error:
            return {"why_not": error.what}
        return {"layers": [{"what": x.what, "nodes": list(x.nodes), "host": x.host} for x in found.layers],
                "unread": {str(k): v for k, v in found.unread.items()}, "gone": sorted(found.gone)}

    def _findings(self) -> list[dict[str, Any]]:
        """What lint finds; "at" is the node's place in the model part's nodes, null for the model as a whole."""
        places: dict[str, int] = {}
        for place, node in enumerate(self.part("model")["nodes"]):
            made = (self.part("model")["values"][v]["name"] for v in node["outputs"] if v >= 0)
            places.setdefault(node["name"] or next(made, ""), place)
        return [{**found.as_json(), "at": places.get(found.node) if found.node else None} for found in lint(self.model)]


def summary(seen: Overview) -> dict[str, Any]:
    """The model at a glance, for the panel without a selection."""
    costs, live = seen.costs, seen.memory
    return {"label": seen.label, "producer": seen.producer, "ir_version": seen.ir_version, "opsets": dict(seen.opsets),
            "nodes": seen.nodes, "parameters": seen.parameters, "operators": dict(seen.operators),
            "weight_bytes": sum(w.tensor.nbytes for w in seen.weights), "metadata": dict(seen.metadata),
            "flops": costs.flops if costs else None, "bytes": costs.bytes if costs else None,
            "sizes": {k: list(v) for k, v in costs.sizes.shapes.items()} if costs else {},
            "assumed": dict(costs.sizes.assumed) if costs else {}, "unknown": costs.unknown if costs else None,
            "live": list(live.live) if live else [], "peak": live.peak if live else None,
            "why_not": seen.why_not}


def plain(value: Any) -> Any:
    """The value for JSON: null for infinities and NaN, text for names that are no UTF-8 and arrive as bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k if isinstance(k, str) else str(plain(k)): plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value
