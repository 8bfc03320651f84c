"""ONNX's cases through the importer and the operators' NumPy meaning, as they are, with constants, and symbolic."""

import pytest

from .cases import Case, cases
from .expectations import expected_failures, missing_package
from .runners import by_reference
from .variants import with_constants, with_symbols

KNOWN = expected_failures("reference")
EVERY = pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)


def check(case: Case, name: str) -> None:
    """The case passes, unless it is written down as failing: then it must fail."""
    if package := missing_package(case):
        pytest.skip(f"needs {package}")
    if name not in KNOWN:
        return by_reference(case)
    with pytest.raises(Exception):              # noqa: B017  any failure will do; passing would be news
        by_reference(case)


@EVERY
def test_case(case: Case) -> None:
    check(case, case.name)


@EVERY
def test_case_with_constant_parameters(case: Case) -> None:
    if (variant := with_constants(case)) is None:
        pytest.skip("no input is a parameter")
    check(variant, f"{case.name}:constants")


@EVERY
def test_case_with_symbolic_shapes(case: Case) -> None:
    if (variant := with_symbols(with_constants(case) or case)) is None:
        pytest.skip("no input is a tensor of known rank")
    check(variant, f"{case.name}:symbols")


def test_expected_failures_name_cases() -> None:
    names = {c.name for c in cases()}
    assert {n.partition(":")[0] for way in ("reference", "engine") for n in expected_failures(way)} <= names
