"""A plan as a table for people, and as JSON for programs: layers, tactics, origins, times, rates, memory."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .check import bytes_of
from .fields import Fields, parse
from .records import HostStep, LayerInfo, Plan, Program, Step, TensorInfo


def layers(program: Program) -> list[LayerInfo]:
    """One LayerInfo per step; made from the step where the builder left none."""
    named = {info.name: info for info in program.layers}

    def made(step: Step) -> LayerInfo:
        if isinstance(step, HostStep):
            return LayerInfo(step.layer, f"Host {type(step.op).__name__}", note=step.reason)
        return LayerInfo(step.layer, step.kernel)
    if len(program.layers) == len(program.steps):
        return list(program.layers)
    return [named.get(step.layer) or made(step) for step in program.steps]


def as_json(plan: Plan, program: Program, seconds: Sequence[float] | None = None) -> dict[str, Any]:
    """seconds: measured time per step; default the tuner's."""
    rows = []
    for k, (step, info) in enumerate(zip(program.steps, layers(program), strict=True)):
        took = seconds[k] if seconds is not None else info.seconds
        rows.append({"name": info.name, "kind": info.kind, "host": isinstance(step, HostStep),
                     "tactic": info.tactic, "origin": list(info.origin), "types": list(info.types),
                     "microseconds": None if took is None else took * 1e6,
                     "gflops": _rate(info.flops, took), "gbytes_per_second": _rate(info.bytes, took),
                     "flops": info.flops, "bytes": info.bytes, "note": info.note})
    return {"name": plan.name, "target": program.target, "threads": program.threads,
            "profile": {name: list(r) for name, r in program.profile.ranges},
            "inputs": [_tensor(i) for i in program.inputs], "outputs": [_tensor(o) for o in program.outputs],
            "arena_bytes": program.arena_bytes, "weights_bytes": weights_bytes(plan, program),
            "code_bytes": sum(len(k.code) for k in program.kernels), "kernels": len(program.kernels),
            "host_steps": [r for r in rows if r["host"]], "layers": rows,
            "plugins": plugins(plan), "metadata": dict(plan.metadata), "provenance": dict(plan.provenance),
            "verification": _plain(plan.verification)}


def as_text(plan: Plan, program: Program, seconds: Sequence[float] | None = None) -> str:
    """A table; host steps come first, with their reason."""
    data = as_json(plan, program, seconds)
    timed = [r["microseconds"] for r in data["layers"] if r["microseconds"] is not None]
    host = len(data["host_steps"])
    lines = [f"{plan.name}: {len(data['layers'])} steps, {host or 'none'} of them on the host, "
             f"{data['kernels']} kernels, {program.threads} thread{'s' if program.threads != 1 else ''}"]
    if program.profile.ranges:
        lines.append("profile  " + ", ".join(f"{name} {low}..{high}, best at {best}"
                                             for name, (low, best, high) in program.profile.ranges))
    lines += [f"input    {_line(i)}" for i in program.inputs] + [f"output   {_line(o)}" for o in program.outputs]
    lines.append(f"memory   {_size(data['weights_bytes'])} weights, {_size(program.arena_bytes)} arena per context, "
                 f"{_size(data['code_bytes'])} code")
    for p in data["plugins"]:
        title = f"{p['namespace']}::{p['name']}" if p["namespace"] else p["name"]
        install = f", from the package {p['package']}" if p["package"] else ""
        lines.append(f"plugin   {title}, version {p['version']}{install}")
    if timed:
        lines.append(f"time     {sum(timed) / 1000:.3f} ms in {len(timed)} timed steps, median step "
                     f"{statistics.median(timed):.1f} µs")
    if host:
        lines += ["", "host steps (slow: NumPy between native code)"]
        lines += _table([("layer", "operator", "µs", "reason", "origin")] + [
            (r["name"], r["kind"], _number(r["microseconds"]), r["note"], " ".join(r["origin"]))
            for r in data["host_steps"]])
    native = [r for r in data["layers"] if not r["host"]]
    if native:
        lines += ["", "native steps"]
        lines += _table([("layer", "operator", "tactic", "µs", "GFLOP/s", "GB/s", "result", "origin", "note")] + [
            (r["name"], r["kind"], r["tactic"], _number(r["microseconds"]), _number(r["gflops"]),
             _number(r["gbytes_per_second"]), ", ".join(r["types"]), " ".join(r["origin"]), r["note"]) for r in native])
    return "\n".join(lines)


def plugins(plan: Plan) -> list[dict[str, str]]:
    """Name, version, namespace and package of every plugin that has to be registered for the plan to run."""
    told = Fields({"plugins": parse(plan.metadata.get("plugins", "[]").encode(), "the list of plugins")}, "metadata")
    keys = ("name", "version", "namespace", "package")
    return list(told.each("plugins", lambda f: {key: f.text(key) for key in keys}))


def weights_bytes(plan: Plan, program: Program) -> int:
    """Bytes of the constants that the program reads."""
    names = {b.name for b in program.buffers if b.kind == "constant"}
    return sum(bytes_of(plan.weights, n) for n in names if n in plan.weights)


def _rate(amount: int, seconds: float | None) -> float | None:
    return amount / seconds / 1e9 if seconds and amount else None


def _tensor(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "dtype": str(info.dtype) if info.dtype else None,
            "shape": None if info.shape is None else [d if isinstance(d, int) else str(d) for d in info.shape]}


def _line(info: TensorInfo) -> str:
    shape = "shape known after running" if info.shape is None else \
        f"({', '.join(map(str, info.shape))}{',' if len(info.shape) == 1 else ''})"
    return f"{info.name}: {info.dtype or 'object'} {shape}"


def _size(n: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024  # type: ignore[assignment]
    return f"{n:.2f} GiB"


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:.1f}"


def _table(rows: list[tuple[str, ...]], widest: int = 60) -> list[str]:
    """Columns as wide as their content, cut at `widest`; empty columns are left out; numbers to the right."""
    keep = [k for k in range(len(rows[0])) if any(row[k] for row in rows[1:])]
    cut = [[c if len(c) <= widest else c[:widest - 1] + "…" for c in (row[k] for k in keep)] for row in rows]
    widths = [max(len(row[k]) for row in cut) for k in range(len(keep))]
    right = [rows[0][k] in ("µs", "GFLOP/s", "GB/s") for k in keep]
    pad = [[c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)] for row in cut]
    return ["  " + "  ".join(row).rstrip() for row in pad]


def _plain(x: Any) -> Any:
    """Mappings and sequences as JSON takes them."""
    if isinstance(x, Mapping):
        return {str(k): _plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    return x if isinstance(x, (str, int, float, bool)) or x is None else str(x)
