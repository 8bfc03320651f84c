"""What is known not to pass, and cases whose outcome is random."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np

from .cases import Case

FILE = Path(__file__).parent / "expected_failures.json"
#: Operators whose results are random: shapes and types are compared, values are not.
RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


def expected_failures(way: str) -> dict[str, str]:
    """Case → reason, for "reference" (importer and NumPy meaning) or "engine" (compiled)."""
    return json.loads(FILE.read_text())[way]


def is_random(case: Case) -> bool:
    return any(node.op_type in RANDOM for node in case.model.graph.node)


def missing_package(case: Case) -> str | None:
    """A package the reference implementation of one of the case's operators needs and that is not installed."""
    decodes = any(node.op_type == "ImageDecoder" for node in case.model.graph.node)
    return "PIL" if decodes and importlib.util.find_spec("PIL") is None else None


def same_kind(found: list[Any], expected: list[Any]) -> None:
    """Equal shapes and element types."""
    for y, e in zip(found, expected, strict=True):
        assert (np.shape(y), np.asarray(y).dtype) == (np.shape(e), np.asarray(e).dtype)
