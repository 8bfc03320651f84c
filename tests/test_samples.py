"""The call patterns of TensorRT's published Python samples, as scripts run in several generations."""

import importlib.util
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from tensorwright import compat
from tensorwright.cuda.present import gpu_is_present

pytestmark = pytest.mark.skipif(gpu_is_present(), reason="with a GPU the real packages for CUDA are used")
SAMPLES = Path(__file__).parent / "samples"
DIGITS = str(resources.files("tensorwright") / "data" / "digits.onnx")


def sample(name: str, generation: str, *args: str, code: int = 0) -> str:
    """What a sample prints under the view of a generation; its exit status is checked."""
    found = subprocess.run([sys.executable, str(SAMPLES / name), *args], capture_output=True, text=True, check=False,
                           env=compat.environment(generation, dict(os.environ)), timeout=120)
    assert found.returncode == code, found.stdout[-2000:] + found.stderr[-4000:]
    return found.stdout


@pytest.mark.parametrize("generation", ["8", "10", "11"])
def test_network_api(generation: str) -> None:
    assert "right: 0.95" in sample("network_api.py", generation)


def test_network_api_with_weights_of_a_pytorch_module() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    assert "right: 0.95" in sample("network_api.py", "11", "--torch")


@pytest.mark.parametrize("generation", ["8", "10", "11"])
def test_onnx_model_and_progress_monitor(generation: str) -> None:
    printed = sample("onnx_model.py", generation, DIGITS)
    assert "right: 0.99" in printed and ("phases: passes tune verify" in printed) == (generation != "8")


def test_errors_of_the_parser_are_printed() -> None:
    assert "MODEL_DESERIALIZE_FAILED" in sample("onnx_model.py", "10", DIGITS, "--damaged", code=1)


@pytest.mark.parametrize("generation", ["8", "10", "11"])
def test_dynamic_reshape(generation: str) -> None:
    assert "right: 1.00" in sample("dynamic_reshape.py", generation, DIGITS)


@pytest.mark.parametrize("generation", ["8", "10", "11"])
def test_onnx_custom_plugin(generation: str, tmp_path: Path) -> None:
    assert "largest difference: 0.0" in sample("onnx_custom_plugin.py", generation, str(tmp_path / "engine.plan"))


@pytest.mark.parametrize("generation", ["8", "10", "11"])
def test_refit(generation: str, tmp_path: Path) -> None:
    assert "refitted 2 times" in sample("refit.py", generation, str(tmp_path / "engine.plan"))


@pytest.mark.parametrize("generation", ["10", "11"])
def test_weight_stripping_and_streams(generation: str) -> None:
    assert "refitted: same answers" in sample("weight_stripping.py", generation, DIGITS)


@pytest.mark.parametrize("generation", ["8", "10"])
def test_int8_calibration(generation: str, tmp_path: Path) -> None:
    printed = sample("int8_calibration.py", generation, str(tmp_path / "cache"), DIGITS)
    assert "asked for 4 batches, then for 0" in printed
