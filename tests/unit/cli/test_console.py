"""Progress, numbers for people, and the entry point as a process."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tensorwright.cli.console import Console, left, ms, size
from tensorwright.cli.rivals import Timing, disagreement, interleaved

SRC = Path(__file__).parents[3] / "src"


def test_numbers_for_people() -> None:
    assert [ms(t) for t in (3.21e-6, 0.0123, 1.5)] == ["3.21 µs", "12.3 ms", "1.5 s"]
    assert [size(n) for n in (12, 2.5e6)] == ["12 B", "2.5 MB"] and [left(8), left(600)] == ["8 s", "10 min"]


def test_progress_without_a_terminal_is_a_line_per_phase(capsys: pytest.CaptureFixture[str]) -> None:
    with Console().progress("model") as progress:
        for phase in ("tune", "verify"):
            for k in range(50):
                progress(phase, k / 50, 5.0)
    assert capsys.readouterr().err.splitlines() == ["model: tune, 5 s left", "model: verify, 5 s left"]
    with Console(quiet=True).progress("model") as progress:
        progress("tune", 0.5, None)
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Console().progress("model") as progress:
        progress("tune", 0.5, 3.0)
        time.sleep(0.2)
    shown = capsys.readouterr()
    assert "model" in shown.err and "model" not in shown.out


def test_json_has_no_word_for_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(json_output=True)
    console.result(a=float("inf"), b={"c": [1.5, float("nan")]}, d=(2, np.float64("-inf")))
    console.finish()
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "a": None, "b": {"c": [1.5, None]}, "d": [2, None]}


def test_interleaved_bursts_pair_up() -> None:
    fast, slow = interleaved([lambda: time.sleep(0.001), lambda: time.sleep(0.004)], seconds=0.1, burst=0.01)
    assert len(fast.bursts) == len(slow.bursts) >= 3 and 2 < fast.ratio(slow) < 6
    assert Timing([1.0, 2.0, 9.0]).median == 2.0


def test_an_output_that_the_other_lacks_is_a_disagreement() -> None:
    ones = np.ones(3, np.float32)
    assert disagreement({"y": ones}, {"y": ones, "z": ones}) == 0
    assert disagreement({"y": ones}, {"z": ones}) == float("inf")


def test_the_command_as_a_process_ends_with_its_code() -> None:
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    command = [sys.executable, "-m", "tensorwright.cli.main"]
    done = subprocess.run([*command, "inspect", "missing.plan"], capture_output=True, text=True, env=environment)
    assert done.returncode == 3 and done.stdout == "" and "Traceback" not in done.stderr
    assert subprocess.run([*command, "--version"], capture_output=True, env=environment).returncode == 0


def test_import_is_quick() -> None:
    """Less than 0.3 s and none of the heavy libraries; the smallest of several tries, as the machine may be busy."""
    code = ("import sys, time; t = time.perf_counter(); import tensorwright; print(time.perf_counter() - t); "
            "assert not {'onnx', 'llvmlite', 'onnx_ir', 'rich', 'numpy'} & set(sys.modules)")
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    times = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment,
                                  check=True).stdout) for _ in range(3)]
    assert min(times) < 0.3
