"""Is the engine right? Its outputs against the reference, on random inputs, at several shapes of each profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..dims import evaluate
from ..dtypes import DType
from ..ir import Network, Op, TensorType, ValueType
from ..ir.value_inputs import companions
from ..ops import Concat, Gather, Pointwise, Reshape, Slice, Transpose
from ..ops.control import layers_inside
from ..ops.evaluate import evaluate as reference
from ..plan.records import Profile
from ..plugins import Plugin

#: Largest |engine - reference| / max|reference| per output, by the least precise type in the network.
TOLERANCE = {DType.float64: 1e-9, DType.float32: 1e-4, DType.float16: 1e-2, DType.bfloat16: 5e-2}
#: Share of integer elements that may differ, where integers come from rounding or comparing floats.
INTEGER_SHARE = 1e-3
#: Why random numbers are not compared.
RANDOM = "differs from run to run: it is not compared"


@dataclass
class Finding:
    """One output at some shapes. error is relative to the output's largest magnitude; inf when NaN or shapes differ."""

    output: str
    shapes: Mapping[str, tuple[int, ...]]
    error: float
    tolerance: float
    note: str = ""

    @property
    def ok(self) -> bool:
        return self.error <= self.tolerance


@dataclass
class Report:
    """All findings; `worst` decides. first_divergence names the layer, when it was looked for."""

    findings: list[Finding] = field(default_factory=list)
    first_divergence: str = ""
    skipped: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(f.ok for f in self.findings)

    @property
    def worst(self) -> Finding | None:
        return max(self.findings, key=lambda f: f.error / f.tolerance, default=None)

    def to_json(self) -> dict:
        worst = self.worst
        return {
            "ok": self.ok if self.findings else None,           # None: nothing could be compared
            "checks": len(self.findings),
            "shapes": sorted({str(dict(f.shapes)) for f in self.findings}),
            "largest error": None if worst is None else worst.error,
            "tolerance": None if worst is None else worst.tolerance,
            "output": None if worst is None else worst.output,
            "skipped": self.skipped,
            "first divergence": self.first_divergence,
        }


def tolerance_of(network: Network, given: float | None = None) -> float:
    if given is not None:
        return given
    found = {t.dtype for t in network.types.values() if isinstance(t, TensorType)}
    for dtype in (DType.bfloat16, DType.float16, DType.float32, DType.float64):
        if dtype in found:
            return TOLERANCE[dtype]
    return 1e-6


def sizes_to_check(profile: Profile) -> list[dict[str, int]]:
    """Symbol values at which a profile is verified: minimum, optimum, maximum."""
    result: list[dict[str, int]] = []
    for env in (profile.minimum(), profile.optimum(), profile.maximum()):
        if env not in result:
            result.append(env)
    return result


def random_feeds(network: Network, env: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """Random inputs: normal floats; integers that are indices stay inside what they index, others are 0 or 1."""
    rng = np.random.default_rng(seed)
    limits = index_limits(network, env)
    feeds: dict[str, np.ndarray] = {}
    for name in network.inputs:
        t = network.tensor(name)
        shape = tuple(evaluate(d, env) for d in t.shape)
        if t.dtype.is_float:
            feeds[name] = rng.standard_normal(shape).astype(t.dtype.numpy)
        else:
            feeds[name] = rng.integers(0, max(1, limits.get(name, 2)), shape).astype(t.dtype.numpy)
    for name, (source, index) in companions(network.inputs).items():
        feeds[source].reshape(-1)[index] = feeds[name].shape[0]          # the values are those of their symbols
    return feeds


def index_limits(network: Network, env: Mapping[str, int]) -> dict[str, int]:
    """Input name → smallest extent of the axes it indexes, for inputs that reach a Gather's indices."""
    limits: dict[str, int] = {}
    source = {name: name for name in network.inputs}
    for layer in network.layers:
        op = layer.op
        if isinstance(op, Gather):
            data, indices = (network.types[v] if v else None for v in layer.inputs)
            name = source.get(layer.inputs[1] or "")
            if name is None or not isinstance(data, TensorType) or indices is None:
                continue
            extent = evaluate(data.shape[op.axis], env)
            limits[name] = min(extent, limits.get(name, extent))
        if isinstance(op, (Reshape, Transpose, Slice, Concat, Pointwise)):
            origins = {source[v] for v in layer.inputs if v in source}
            t = network.types[layer.outputs[0]]
            if len(origins) == 1 and isinstance(t, TensorType) and t.dtype.is_int:
                source[layer.outputs[0]] = origins.pop()
    return limits


def rounded_integers(network: Network) -> set[str]:
    """Values that are not floats but come from floats: by rounding, comparing, sorting, counting. They may differ where
    two floats are almost equal; all other integers are exact."""
    found: set[str] = set()
    for layer in network.layers:
        types = [network.types[v] for v in layer.inputs if v]
        if any(v in found for v in layer.inputs) or any(not _is_integer(t) for t in types):
            found |= {v for v in layer.outputs if v and _is_integer(network.types[v])}
    return found


def unrepeatable(network: Network) -> dict[str, str]:
    """{value: why} of those that cannot be compared: random numbers, results of plugins that are not known to be
    functions of their inputs, and all that is computed from them."""
    found: dict[str, str] = {}
    for layer in network.layers:
        reasons = {found[v] for v in layer.inputs if v in found}
        reasons |= {_why(op) for op in _causes(layer.op)}
        if reasons:
            found |= {v: RANDOM if RANDOM in reasons else min(reasons) for v in layer.outputs if v}
    return found


def _causes(op: Op) -> list[Op]:
    """The operators that make this one's results differ, or may: itself, or those in its bodies."""
    if op.repeatable:
        return []
    return [inner.op for inner in layers_inside(op) if not inner.op.repeatable] or [op]


def _why(op: Op) -> str:
    if isinstance(op, Plugin):
        return f"is computed by plugin {op.title}, and there is nothing to compare it with"
    return RANDOM


def _is_integer(t: ValueType) -> bool:
    return isinstance(t, TensorType) and not t.dtype.is_float


def compare(got: np.ndarray, expected: np.ndarray, rounded: bool = True) -> tuple[float, str]:
    """(relative error, note). Floats: largest difference over largest magnitude. Others: share that differs.

    rounded: integers come from floats, and a few may differ
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        return float("inf"), f"shape {got.shape} instead of {expected.shape}"
    if got.dtype != expected.dtype:
        return float("inf"), f"type {got.dtype} instead of {expected.dtype}"
    if expected.dtype.kind not in "fcV" and expected.dtype.name not in ("bfloat16",):
        share = float(np.mean(got != expected)) if expected.size else 0.0
        allowed = INTEGER_SHARE if rounded else 0.0
        return (0.0 if share <= allowed else float("inf")), f"{share:.2%} of integers differ" if share else ""
    a, b = got.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(b)
    if not (np.array_equal(finite, np.isfinite(a)) and np.array_equal(a[~finite], b[~finite], equal_nan=True)):
        return float("inf"), "NaN or infinity where the other has none"
    if not finite.any():
        return 0.0, ""
    scale = float(np.abs(b[finite]).max())
    return float(np.abs(a[finite] - b[finite]).max()) / (scale or 1.0), ""


def expected_outputs(network: Network, feeds: Mapping[str, np.ndarray], keep: bool = False) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):
        return reference(network, dict(feeds), keep=keep)
