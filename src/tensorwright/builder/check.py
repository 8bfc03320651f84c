"""Running a plan's program against the reference at every size of its profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..errors import TensorwrightError
from ..ir import Network, TensorType
from ..ir.value_inputs import companions, completed
from ..ops import unasserted
from ..plan.records import Plan, Profile
from ..runtime import Engine
from .options import BuildOptions
from .verify import (
    Finding,
    Report,
    compare,
    expected_outputs,
    random_feeds,
    rounded_integers,
    sizes_to_check,
    unrepeatable,
)


def check_program(
    network: Network,
    plan: Plan,
    profile: Profile,
    options: BuildOptions,
    tolerance: float,
    report: Report,
    say: Callable[[str, float, float | None], None],
) -> list[Finding]:
    """Adds findings to the report; returns those that fail."""
    if any(not isinstance(network.types[name], TensorType) for name in network.inputs):
        report.skipped.append("inputs that are not tensors of known shape")
        return []
    engine = Engine(plan, threads=options.threads)
    failures: list[Finding] = []
    sizes = sizes_to_check(profile)
    for k, env in enumerate(sizes):
        say("verify", k / len(sizes), None)
        feeds = random_feeds(network, env, options.seed + k)
        failures += compare_once(network, engine, feeds, tolerance, report)
    if options.feeds:
        feeds = completed({n: np.asarray(a) for n, a in options.feeds.items()}, companions(network.inputs))
        failures += compare_once(network, engine, feeds, tolerance, report)
    say("verify", 1.0, 0.0)
    return failures


def compare_once(
    network: Network, engine: Engine, feeds: Mapping[str, np.ndarray], tolerance: float, report: Report
) -> list[Finding]:
    shapes = {name: a.shape for name, a in feeds.items()}
    try:
        with unasserted():                               # random numbers are not what the model asks for
            expected = expected_outputs(network, feeds)
    except (ValueError, IndexError, ArithmeticError, TensorwrightError) as error:  # random data the model refuses
        report.skipped.append(f"{shapes}: the reference refuses random inputs ({type(error).__name__}: {error})")
        return []
    with unasserted():
        got, rounded = engine.run(feeds), rounded_integers(network)
    failed = []
    reasons = unrepeatable(network)
    for name in network.outputs:
        if name in reasons:
            note = f"output {name!r} {reasons[name]}"
            report.skipped += [note] if note not in report.skipped else []
            continue
        distance, note = _compare(got[name], expected[name], name in rounded)
        finding = Finding(name, shapes, distance, tolerance, note)
        report.findings.append(finding)
        if not finding.ok:
            failed.append(finding)
    return failed


def _compare(got: object, expected: object, rounded: bool) -> tuple[float, str]:
    """Arrays by value; sequences element by element; None equals None."""
    if expected is None or got is None:
        return (0.0, "") if got is expected else (float("inf"), "one of them is absent")
    if isinstance(expected, list):
        if not isinstance(got, list) or len(got) != len(expected):
            return float("inf"), "sequences of different length"
        return max((_compare(a, b, rounded) for a, b in zip(got, expected, strict=True)), default=(0.0, ""))
    a, b = np.asarray(got), np.asarray(expected)
    if b.dtype.kind in "OUS":
        return (0.0, "") if a.shape == b.shape and bool(np.all(a == b)) else (float("inf"), "strings differ")
    return compare(a, b, rounded)
