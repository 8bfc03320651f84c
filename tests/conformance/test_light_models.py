"""The light models that the onnx package carries, with their stored outputs, through onnx's own runner."""

import unittest
from pathlib import Path

import pytest
from onnx.backend.test import BackendTest

from tensorwright import onnx_backend


@pytest.fixture(autouse=True)
def models_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNX_MODELS", str(tmp_path))            # the runner keeps its data there
    monkeypatch.setenv("TENSORWRIGHT_CACHE", str(tmp_path))


MODELS = ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet",
          "vgg19", "zfnet512")
QUICK = {f"test_{name}": {"tune_budget": 0, "timing_cache": False} for name in MODELS}
RUNNER = BackendTest(onnx_backend, __name__, QUICK)


def cases() -> type[unittest.TestCase]:
    return RUNNER.test_cases["OnnxBackendRealModelTest"]


def test_all_of_them_are_here() -> None:
    found = {n for n in dir(cases()) if n.startswith("test_") and n.endswith("_cpu")}
    assert found == {f"test_{name}_cpu" for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_light_model(name: str) -> None:
    case = cases()(f"test_{name}_cpu")
    result = unittest.TestResult()
    case.run(result)
    assert result.testsRun == 1 and not result.skipped
    assert result.wasSuccessful(), "\n".join(text for _, text in (*result.failures, *result.errors))
