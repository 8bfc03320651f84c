"""Which build route gives the fastest engine: --tuneBuildRoutes and its kin build and measure one after the other."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError, TensorwrightError
from ..console import UsageError
from . import files
from .build import built
from .data import Stream, inputs_of, shapes_of
from .flags import Asked, Given
from .loading import engine_of
from .timing import Pace, measure

if TYPE_CHECKING:
    from ..console import Console
    from .log import Log

Knobs = dict[str, tuple[str, ...]]
#: Milliseconds of a route's engine; None: it could not be built.
Found = dict[str, "float | None"]


def knobs(text: str) -> Knobs:
    """"-a=[1|2] -b=3" → {"a": ("1", "2"), "b": ("3",)}."""
    found: Knobs = {}
    for word in text.split():
        match = re.fullmatch(r"-+(\w+)=(?:\[([\w|]+)\]|(\w+))", word)
        if match is None or match[1] in found:
            raise UsageError(f"{word!r} is not -knob=[a|b], or names a knob twice")
        found[match[1]] = tuple(dict.fromkeys((match[2] or match[3]).split("|")))
    if not found:
        raise UsageError("no knob is given: --helpBuildRoute lists them")
    return found


def route_of(values: Mapping[str, str]) -> str:
    return " ".join(f"-{name}={value}" for name, value in values.items())


def every(space: Knobs) -> list[str]:
    """All routes."""
    return [route_of(dict(zip(space, values, strict=True))) for values in itertools.product(*space.values())]


def search(kind: str, space: Knobs, try_: Callable[[str], float]) -> None:
    """full: every route. fast: one knob after the other, the others at their best so far. mixed: fast, then every route
    of the two best values of each knob. try_: route → milliseconds, infinite when it fails."""
    if kind == "full":
        for route in every(space):
            try_(route)
        return
    best = {name: values[0] for name, values in space.items()}
    close: Knobs = {}
    for name, values in space.items():
        times = {value: try_(route_of({**best, name: value})) for value in values}
        ordered = sorted(values, key=times.__getitem__)
        best[name], close[name] = ordered[0], tuple(ordered[:2])
    if kind == "mixed":
        search("full", close, try_)


class Ledger:
    """What was measured, in a file of JSON lines: a header that says for what, then a line for each route."""

    def __init__(self, path: Path | None, header: Mapping[str, Any], go_on: bool) -> None:
        """InputError when the search is to go on and the file is of another one."""
        self.path, self.lines, self.found = path, [json.dumps(header)], Found()
        if not go_on:
            return
        if path is None:
            raise UsageError("--continue needs --tuningCacheFile=FILE")
        first, *rows = files.read(path, "leave out --continue to begin anew").decode().splitlines() or [""]
        try:
            if json.loads(first) != header:
                raise InputError(f"{path} is of another search", try_="leave out --continue to begin anew")
            self.found = {str(row["route"]): row["medianMs"] for row in map(json.loads, rows)}
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path} is not a file of --tuningCacheFile", try_="leave out --continue") from None
        self.lines += rows

    def add(self, route: str, milliseconds: float | None) -> None:
        self.found[route] = milliseconds
        self.lines.append(json.dumps({"route": route, "medianMs": milliseconds}))
        if self.path is not None:
            files.write(self.path, "\n".join([*self.lines, ""]).encode())


def tune(asked: Asked, log: Log, console: Console) -> None:
    """Report the route whose engine is fastest; --saveEngine gets that engine."""
    text = asked["tuneBuildRoutes"]
    if text is None:
        text = files.read(asked["tuneBuildRouteFile"], "check --tuneBuildRouteFile").decode()
    space = knobs(text)
    if asked["dryRun"]:
        for route in every(space):
            log.info(f"Build route: {route}")
        return
    model = hashlib.sha256(files.read(asked["onnx"], "check the path of --onnx")).hexdigest()
    header = {"model": model, "shapes": str(asked["shapes"]), "knobs": space_text(space)}
    ledger = Ledger(asked["tuningCacheFile"], header, asked["continue"])
    end = float("inf") if asked["tuningTimeOut"] is None else time.monotonic() + asked["tuningTimeOut"]

    def try_(route: str) -> float:
        if route not in ledger.found:
            if time.monotonic() >= end:
                return float("inf")
            ledger.add(route, median_of(route, asked, log))
        found = ledger.found[route]
        log.info(f"Build route {route}: " + ("failed" if found is None else f"median = {found:.6g} ms"))
        return float("inf") if found is None else found
    search(asked["tuningSearch"], space, try_)
    times = {route: ms for route, ms in ledger.found.items() if ms is not None}
    if not times:
        raise TensorwrightError("no build route was measured: the log above says why")
    best = min(times, key=times.__getitem__)
    log.info(f"Best build route of {len(ledger.found)}: {best}: median = {times[best]:.6g} ms")
    console.result(build_route=best, median_ms=times[best], routes=ledger.found)
    if asked["tuningResultFile"] is not None:
        files.write_json(asked["tuningResultFile"], {"route": best, "medianMs": times[best]})
    if asked["saveEngine"] is not None:
        files.write(asked["saveEngine"], built(with_route(best, asked), log))
        log.info(f"Engine saved to {asked['saveEngine']}")


def space_text(space: Knobs) -> str:
    return " ".join(f"-{name}=[{'|'.join(values)}]" for name, values in space.items())


def with_route(route: str, asked: Asked) -> Asked:
    flag = asked.flags["setBuildRoute"]
    return Asked(asked.flags.values(), [*asked.given, Given(flag, f"--{flag.name}", route, route)])


def median_of(route: str, asked: Asked, log: Log) -> float | None:
    """Milliseconds of a query; None when the engine could not be built."""
    asked = with_route(route, asked)
    try:
        plan = built(asked, log)
    except TensorwrightError as error:
        log.warning(f"build route {route}: {error.what}")
        return None
    if asked["saveAllEngines"] is not None:
        name = "_".join(re.findall(r"\w+", route))
        files.write(Path(asked["saveAllEngines"]) / f"{name}.plan", plan)
    engine = engine_of(plan, asked, log)
    inputs = inputs_of(engine, shapes_of(engine, asked), asked, log)
    stream = Stream(engine, inputs, asked["useProfile"], asked["allocationStrategy"])
    pace = Pace(asked["iterations"], max(0.0, asked["duration"]), asked["warmUp"] / 1e3)
    return statistics.median(measure([stream.query], pace).latencies)
