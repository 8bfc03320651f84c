"""Random graphs × edits of types and shapes: the model stays valid and means the same."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tensorwright import onnx as toolkit
from tensorwright.errors import UnsupportedError

from .random_models import feeds, random_models, run

EXACT: dict[str, Callable[[toolkit.Model], object]] = {
    "fold": lambda m: toolkit.fold(m, largest=1 << 20), "simplify": toolkit.simplify,
    "deduplicate": toolkit.deduplicate, "clean_names": lambda m: toolkit.clean_names(m, every=True),
    "set_batch": lambda m: toolkit.set_batch(m, 2), "narrow_integers": toolkit.narrow_integers,
    "fixed, folded, dynamic": lambda m: (toolkit.set_batch(m, 2), toolkit.simplify(m, largest=1 << 20),
                                         toolkit.set_batch(m, "n")),
}
ROUNDED: dict[str, Callable[[toolkit.Model], object]] = {
    "float16": lambda m: toolkit.set_precision(m, "float16"),
    "float16 and back": lambda m: (toolkit.set_precision(m, "float16"), toolkit.set_precision(m, "float32")),
}


def check(proto: onnx.ModelProto, edit: Callable[[toolkit.Model], object], tolerance: float) -> None:
    model = toolkit.load(proto)
    edit(model)
    assert toolkit.problem(model) is None
    data = feeds(proto)
    before, after = run(proto, data), run(model.proto(), data)
    assert list(before) == list(after)
    for name, a in before.items():
        assert a.dtype == after[name].dtype
        np.testing.assert_allclose(after[name], a, rtol=tolerance, atol=tolerance)


@given(random_models(), st.sampled_from(list(EXACT)))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_edits_keep_the_meaning(proto: onnx.ModelProto, name: str) -> None:
    check(proto, EXACT[name], 1e-4)


@given(random_models(most=6), st.sampled_from(list(ROUNDED)))
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_half_precision_is_near(proto: onnx.ModelProto, name: str) -> None:
    check(proto, ROUNDED[name], 5e-2)


@given(random_models(functions=False))
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_newer_opset(proto: onnx.ModelProto) -> None:
    check(proto, lambda m: toolkit.set_opset(m, 21), 1e-5)


def test_functions_and_opset() -> None:
    """Where operators of a function change, the refusal says so, and nothing has changed."""
    from . import models
    proto = models.every_storage()
    model = toolkit.load(proto)
    with pytest.raises(UnsupportedError, match="functions"):
        toolkit.set_opset(model, 13)
    assert model.opset == 21
