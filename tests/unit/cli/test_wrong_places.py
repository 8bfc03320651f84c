"""Files and folders that are not there, runtimes that are not installed: told before the work, not after it."""

import logging
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from tensorwright.builder.cache import TimingCache
from tensorwright.cli.console import BAD_INPUT, CANNOT, USAGE
from tensorwright.cli.main import main
from tensorwright.device import cpu
from tensorwright.errors import PlanError
from tensorwright.plan import container

DATA = resources.files("tensorwright") / "data"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "digits.onnx"
    path.write_bytes((DATA / "digits.onnx").read_bytes())
    return path


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> str:
    """Standard error of a command that ends with `code` before it has built anything."""
    capsys.readouterr()
    assert main([str(a) for a in arguments]) == code
    out, err = capsys.readouterr()
    assert out == "" and "passes" not in err and "Traceback" not in err
    return err


def test_the_place_of_a_plan_is_checked_before_the_build(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = refused(capsys, BAD_INPUT, "build", model, "-o", model.parent / "nowhere" / "x.plan")
    assert "is not there" in err and "  at " in err and "  try " in err
    assert "is not a folder" in refused(capsys, BAD_INPUT, "build", model, "-o", model / "x.plan")
    assert "is a folder" in refused(capsys, USAGE, "build", model, "-o", model.parent)


@pytest.mark.parametrize("tolerance", ["nan", "-1", "tight"])
def test_tolerances_that_are_none(model: Path, capsys: pytest.CaptureFixture[str], tolerance: str) -> None:
    assert "--tolerance" in refused(capsys, USAGE, "build", model, "--tolerance", tolerance)


def test_arrays_and_folders_of_run(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = model.with_suffix(".plan")
    assert main(["build", str(model), "--tune-budget", "0", "--no-verify", "--quiet", "--shapes", "batch=2"]) == 0
    err = refused(capsys, BAD_INPUT, "run", plan, "--input", f"image={model.parent}/missing.npy")
    assert err.startswith("InputError: cannot read the array") and "missing.npy" in err and "  try " in err
    np.save(model.parent / "image.npy", np.zeros((2, 1, 8, 8), np.float32))
    err = refused(capsys, BAD_INPUT, "run", plan, "--input", f"picture={model.parent}/image.npy")
    assert "no input 'picture'" in err and "image" in err
    err = refused(capsys, BAD_INPUT, "run", plan, "--random", "-o", model)
    assert err.startswith("InputError: cannot make the folder") and "  try " in err


def test_runtimes_are_looked_for_before_the_build(model: Path, capsys: pytest.CaptureFixture[str],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing is known" in refused(capsys, BAD_INPUT, "bench", model, "--vs", "fastest")
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert "pip install openvino" in refused(capsys, CANNOT, "bench", model, "--vs", "openvino")


def test_timings_that_cannot_be_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = TimingCache(tmp_path, cpu.describe(), 1)             # a folder, where a file should be
    cache.learned = {"problem": {"tactic": 1.0}}
    with caplog.at_level(logging.WARNING, "tensorwright"):
        cache.save()
    assert "timings are not kept" in caplog.text and list(tmp_path.iterdir()) == []


def test_a_model_that_is_the_current_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'.' is not a file" in refused(capsys, BAD_INPUT, "build", ".", "-o", "unused.plan")


def test_plans_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = refused(capsys, BAD_INPUT, "inspect", tmp_path / "missing.plan")
    assert "cannot read the file" in err and "  at " in err and "  try  check the path" in err


def test_plans_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot write beside") as caught:
        container.write(tmp_path / "nowhere" / "x.plan", [])
    assert caught.value.at and caught.value.try_
