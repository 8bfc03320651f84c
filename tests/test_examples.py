"""Every program in examples/ runs, and checks its own result."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(path: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, str(path), *arguments], capture_output=True, text=True, env=environment,
                          timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(path: Path) -> None:
    assert run(path)


def test_mlp_takes_weights_from_npz(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    np.savez(tmp_path / "mlp.npz", **{"linear.weight": rng.standard_normal((2, 3), np.float32),
                                      "linear.bias": rng.standard_normal(2, np.float32)})
    assert "prob" in run(ROOT / "examples" / "mlp_by_hand.py", str(tmp_path / "mlp.npz"))


def test_examples_say_how_to_run_them() -> None:
    for path in EXAMPLES:
        assert f"python examples/{path.name}" in path.read_text(), path
