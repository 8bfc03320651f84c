"""The files that `wright exec` reads and writes. A file is written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...files import whole_file
from ..console import finite
from .syntax import shown

if TYPE_CHECKING:
    import numpy as np

    from .profile import LayerTimes
    from .timing import Trace


def read(path: str | Path, try_: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", try_=try_) from None


def write(path: Path, content: bytes) -> None:
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}", try_="give another place") from None


def write_json(path: Path, content: Any) -> None:
    """A list has a record per line, as a trace has very many. Numbers that JSON has no word for (infinity, NaN) become
    null."""
    if isinstance(content, list):
        text = "[\n" + ",\n".join(map(_json, content)) + "\n]"
    else:
        text = _json(content)
    write(path, text.encode() + b"\n")


def _json(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(finite(value), allow_nan=False)


def times(trace: Trace) -> list[dict[str, float]]:
    """--exportTimes: one record per query, in ms since the first began. Work runs when it is submitted, so a query is
    enqueued while it computes; nothing is transferred, so transfers begin and end where the computation does."""
    rows = []
    for begin, end in trace.relative():
        begin, end = begin * 1e3, end * 1e3
        rows.append({"startEnqMs": begin, "endEnqMs": end, "startH2dMs": begin, "endH2dMs": begin,
                     "startComputeMs": begin, "endComputeMs": end, "startD2hMs": end, "endD2hMs": end,
                     "h2dMs": 0.0, "computeMs": end - begin, "d2hMs": 0.0, "latencyMs": end - begin})
    return rows


def profile(layers: LayerTimes) -> list[dict[str, Any]]:
    """--exportProfile: the number of queries, then a record per layer; times in ms."""
    return [{"count": layers.count},
            *({"name": row.name, "timeMs": row.total, "averageMs": row.total / max(1, layers.count),
               "medianMs": row.median, "percentage": row.percentage} for row in layers.rows())]


def outputs(arrays: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """--exportOutput: name, dimensions joined by x, all elements in C order."""
    return [{"name": name, "dimensions": shown(array.shape), "values": numbers(array)}
            for name, array in arrays.items()]


def numbers(array: np.ndarray) -> list[Any]:
    """The elements as JSON's numbers: booleans as 0 and 1, types that NumPy lacks as float32."""
    import numpy as np
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    elif array.dtype.type.__module__ != "numpy":
        array = array.astype(np.float32)
    return list(array.reshape(-1).tolist())


def raw_name(name: str, side: str, array: np.ndarray) -> str:
    """--dumpRawBindingsToFile: NAME.input.1.3.224.224.float32.raw"""
    return ".".join([name.replace("/", "_"), side, *map(str, array.shape), str(array.dtype), "raw"])
