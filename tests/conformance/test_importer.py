"""ONNX's cases through the importer and the operators' NumPy meaning, as they are, with constants, and symbolic."""

import pytest

from .cases import Case, cases
from .expectations import expected_failures, missing_package
from .runners import by_reference
from .variants import with_constants, with_symbols

KNOWN = expected_failures("reference")
CONSTANT = {c.name: v for c in cases() if (v := with_constants(c)) is not None}
SYMBOLIC = {c.name: v for c in cases() if (v := with_symbols(CONSTANT.get(c.name, c))) is not None}


def check(case: Case, name: str) -> None:
    """The case passes, unless it is written down as failing: then it must fail."""
    if package := missing_package(case):
        pytest.skip(f"needs {package}")
    if name not in KNOWN:
        return by_reference(case)
    with pytest.raises(Exception):              # noqa: B017  any failure will do; passing would be news
        by_reference(case)


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_case(case: Case) -> None:
    check(case, case.name)


@pytest.mark.parametrize("name", CONSTANT)
def test_case_with_constant_parameters(name: str) -> None:
    check(CONSTANT[name], f"{name}:constants")


@pytest.mark.parametrize("name", SYMBOLIC)
def test_case_with_symbolic_shapes(name: str) -> None:
    check(SYMBOLIC[name], f"{name}:symbols")


def test_variants_are_not_few() -> None:
    assert len(CONSTANT) > 400 and len(SYMBOLIC) > 1800


def test_expected_failures_name_cases() -> None:
    names = {c.name for c in cases()}
    assert {n.partition(":")[0] for way in ("reference", "engine") for n in expected_failures(way)} <= names
