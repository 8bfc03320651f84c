"""wright inspect: what a plan or a model consists of."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .console import OK, Console, UsageError
from .values import is_model, whole

HELP = "list a plan's layers, tactics and times, or how a model would run"
DESCRIPTION = """Of a plan: inputs, outputs, profiles, memory, and each step with its tactic and the time measured when
it was tuned; steps that run slowly on the host come first, with the reason. Of a model: its inputs, outputs and
operators, and how each operator would run (compiled, expanded, or on the host). Nothing is compiled or run."""
EPILOG = """examples:
  wright inspect resnet50.plan
  wright inspect resnet50.plan --json | jq '.layers[] | [.name, .tactic, .microseconds]'
  wright inspect resnet50.onnx"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="plan, or ONNX file")
    parser.add_argument("--profile", type=whole(0), default=0, metavar="K",
                        help="profile of the plan to show (default 0)")


def run(options: argparse.Namespace, console: Console) -> int:
    return model(options.file, console) if is_model(options.file) else plan(options.file, options.profile, console)


def plan(path: Path, profile: int, console: Console) -> int:
    from ..plan.inspect import as_json, as_text
    from ..runtime import store
    content = store.load(path)
    if profile >= len(content.programs):
        raise UsageError(f"--profile {profile}: there are {len(content.programs)}")
    program = content.programs[profile]
    console.say(as_text(content, program))
    console.result(**as_json(content, program))
    return OK


def model(path: Path, console: Console) -> int:
    from .. import importer
    network = importer.load(path)
    ways: dict[str, dict[str, int]] = json.loads(network.metadata.get("importer/ways", "{}"))
    reasons: dict[str, str] = json.loads(network.metadata.get("importer/host", "{}"))
    nodes, parameters = sum(sum(w.values()) for w in ways.values()), sum(c.size for c in network.constants.values())
    console.say(f"{network.name}: {nodes} nodes, {len(network.layers)} layers before optimisation, "
                f"{parameters:,} parameters")
    for kind, names in (("input", network.inputs), ("output", network.outputs)):
        for name in names:
            console.say(f"  {kind:<7} {name}: {network.types[name]}")
    rows: list[Any] = [("operator", "compiled", "expanded", "on the host")]
    rows += [(op, *(str(w.get(k) or "") for k in ("native", "expanded", "host"))) for op, w in sorted(ways.items())]
    console.table(rows, right=(1, 2, 3))
    for name, why in reasons.items():
        console.say(f"  host step {name}: {why}")
    console.result(name=network.name, inputs={n: str(network.types[n]) for n in network.inputs},
                   outputs={n: str(network.types[n]) for n in network.outputs}, operators=ways, host_steps=reasons)
    return OK
