"""ONNX's cases through the standard backend interface: compiled, run, compared with the stored outputs."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import onnx_backend
from tensorwright.errors import InputError, UnsupportedError

from .cases import Case, cases
from .expectations import expected_failures, missing_package
from .runners import by_engine

KNOWN = expected_failures("engine")


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_case(case: Case) -> None:
    """The case passes, unless it is written down as failing: then it must fail."""
    if package := missing_package(case):
        pytest.skip(f"needs {package}")
    if case.name not in KNOWN:
        return by_engine(case)
    with pytest.raises(Exception):              # noqa: B017  any failure will do; passing would be news
        by_engine(case)


def sum_model() -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in "abc"]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "sum", infos[:2], infos[2:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def test_run_model_takes_sequences_and_names() -> None:
    a, b = np.float32([1, 2]), np.float32([3, 4])
    prepared = onnx_backend.prepare(sum_model(), "CPU", tune_budget=0)
    for inputs in ([a, b], {"a": a, "b": b}):
        (c,) = prepared.run(inputs)
        np.testing.assert_array_equal(c, [4, 6])
    with pytest.raises(InputError, match="1 inputs are given, the model takes 2"):
        prepared.run([a])


def test_run_node() -> None:
    (y,) = onnx_backend.run_node(helper.make_node("Relu", ["x"], ["y"]), [np.float32([-1, 2])], tune_budget=0)
    np.testing.assert_array_equal(y, [0, 2])


def test_devices() -> None:
    assert onnx_backend.supports_device("CPU") and not onnx_backend.supports_device("CUDA:0")
    with pytest.raises(UnsupportedError, match="device 'CUDA' is not supported"):
        onnx_backend.prepare(sum_model(), "CUDA")
