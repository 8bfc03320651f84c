"""Writes docs/operators.md: how each ONNX operator is run, and how many of ONNX's cases pass.

    python -m tests.conformance.scoreboard [--engine] [--out docs/operators.md]

Without --engine cases run through the importer and the NumPy meaning only, which takes seconds; with it they are also
compiled, which takes minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from tensorwright import ir

from .cases import Case, cases
from .expectations import expected_failures, missing_package
from .runners import by_engine, by_reference
from .variants import with_constants

OUT = Path(__file__).parents[2] / "docs" / "operators.md"
WAYS = ("native", "expanded", "host")


class Score:
    """Counts per operator: cases, passes, and nodes by the way they took."""

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()
        self.passed: dict[str, Counter[str]] = {"reference": Counter(), "engine": Counter()}
        self.ways: dict[str, Counter[str]] = defaultdict(Counter)
        self.reasons: dict[str, Counter[str]] = defaultdict(Counter)
        self.totals: Counter[str] = Counter()
        self.failures: list[str] = []

    def run(self, case: Case, engine: bool) -> None:
        """One case, with its parameters as constants where it has some: that is how exporters write models."""
        written = with_constants(case) or case
        operators = sorted({node.op_type for node in case.model.graph.node if node.domain in ("", "ai.onnx")})
        self.cases.update(operators)
        self.totals["cases"] += 1
        ways: dict[str, Callable[[], None]] = {"reference": lambda: by_reference(written, self.seen)}
        if engine:
            ways["engine"] = lambda: by_engine(written)
        for way, attempt in ways.items():
            try:
                attempt()
            except Exception as error:
                known = {n.partition(":")[0]: why for n, why in expected_failures(way).items()}
                text = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
                self.failures.append(f"{way}: {case.name}: {known.get(case.name, text)}")
            else:
                self.passed[way].update(operators)
                self.totals[way] += 1

    def seen(self, network: ir.Network) -> None:
        for operator, ways in json.loads(network.metadata["importer/ways"]).items():
            self.ways[operator].update(ways)
        for origin, reason in json.loads(network.metadata["importer/host"]).items():
            self.reasons[origin.split(" ")[0]][general(reason)] += 1


def general(reason: str) -> str:
    """The reason without the names of a particular model."""
    if reason.startswith("the shape of "):
        return "the shape of an input is not known before it is computed"
    if reason.startswith(("no kernel takes element type", "no kernel converts to", "no kernel writes")):
        return "element types outside of the kernels' (float8, float4, int4, int2, string, complex)"
    return reason


def table(score: Score, engine: bool) -> str:
    known = sorted({s.name for s in onnx.defs.get_all_schemas() if s.domain == ""})
    head = ["operator", "ways", "native", "expanded", "host", "cases pass", *(["compiled"] if engine else []),
            "why on the host"]
    rows = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in known:
        ways = score.ways.get(name, Counter())
        used = ", ".join(w for w in WAYS if ways[w]) or "no case"
        total = score.cases[name]
        counts = [str(ways[w] or "") for w in WAYS]
        passes = [f"{score.passed['reference'][name]}/{total}" if total else ""]
        if engine:
            passes.append(f"{score.passed['engine'][name]}/{total}" if total else "")
        why = "; ".join(r for r, _ in score.reasons.get(name, Counter()).most_common(3)) if ways["host"] else ""
        rows.append("| " + " | ".join([name, used, *counts, *passes, why]) + " |")
    return "\n".join(rows)


def page(score: Score, engine: bool) -> str:
    every = Counter(w for name, ways in score.ways.items() for w in WAYS if ways[w] and w == best(ways))
    cases_run = score.totals["cases"]
    lines = [
        "# ONNX operators",
        "",
        f"Written by `python -m tests.conformance.scoreboard{' --engine' if engine else ''}`, onnx {onnx.__version__}.",
        "Every operator of the standard domain runs, by the first of three ways that can express the node:",
        "",
        "- **native**: lowered to tensorwright's operators and compiled;",
        "- **expanded**: by the operator's own function body in the ONNX standard, whose nodes are lowered;",
        "- **host**: one step evaluated by the onnx package's reference implementation at run time. Slow, never wrong.",
        "",
        "Numbers count the nodes of ONNX's backend test cases that took each way, with parameters such as axes and "
        "shapes given as constants, as exporters write them.",
        f"Cases passing by the operators' NumPy meaning: {score.totals['reference']} of {cases_run}"
        + (f"; compiled: {score.totals['engine']} of {cases_run}." if engine else "."),
        "At their best, " + ", ".join(f"{every[w]} operators are {w}" for w in WAYS) + ".", "",
        table(score, engine), "", "## Cases that do not pass", "",
        *([f"- {f}" for f in score.failures] or ["None."]), ""]
    return "\n".join(lines)


def best(ways: Counter[str]) -> str:
    return next((w for w in WAYS if ways[w]), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", action="store_true", help="compile and run every case, too")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    score = Score()
    for case in cases():
        if not missing_package(case):
            score.run(case, args.engine)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(page(score, args.engine))
    print(f"{args.out.name}: {dict(score.totals)}")


if __name__ == "__main__":
    main()
