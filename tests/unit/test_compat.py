"""Scripts that say `import tensorrt`: in this process, and from outside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tensorwright import compat
from tensorwright.cli.main import main
from tensorwright.errors import InputError

SCRIPT = """
import importlib.util, subprocess, sys
assert importlib.util.find_spec("tensorrt") is not None
import tensorrt as trt
import tensorrt
from tensorrt import Logger
assert trt.tensorrt is trt and tensorrt.Logger is Logger
assert trt.Builder.__module__.startswith("tensorwright.generations")
print(trt.__version__.split(".")[0], hasattr(trt.ICudaEngine, "num_bindings"), sys.argv[1:])
if "again" not in sys.argv:
    print(subprocess.run([sys.executable, __file__, "again"], capture_output=True, text=True, check=True).stdout)
"""


@pytest.mark.parametrize(("generation", "bindings"), [("8", True), ("10", False)])
def test_shim_runs_scripts_as_they_are(tmp_path: Path, generation: str, bindings: bool) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "tensorwright.cli.main", "shim", "--generation", generation, "--", sys.executable,
               str(tmp_path / "script.py"), "--flag"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{generation} {bindings} ['--flag']" in done.stdout and f"{generation} {bindings} ['again']" in done.stdout


def test_environment_keeps_what_was_there() -> None:
    found = compat.environment("8.6.1", {"PYTHONPATH": os.pathsep.join(["a", str(compat.ALWAYS)]), "HOME": "h"})
    assert found["PYTHONPATH"].split(os.pathsep) == [*compat.folders(), "a"] and found["HOME"] == "h"
    assert compat.view(found[compat.GENERATION]).__version__.startswith("8.")


def test_install_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.delitem(sys.modules, "tensorrt.tensorrt", raising=False)
    module = compat.install("7")
    import tensorrt
    assert tensorrt is module and tensorrt.__version__.startswith("7.")
    assert compat.install("10") is sys.modules["tensorrt"], "another generation of ours may follow"
    for name in ("tensorrt", "tensorrt.tensorrt"):
        monkeypatch.setitem(sys.modules, name, pytest)
    with pytest.raises(InputError, match="imported already"):
        compat.install("8")


RUNTIME = """
import sys
import tensorrt_dispatch as trt
assert hasattr(trt, "Runtime") and hasattr(trt, "ICudaEngine") and hasattr(trt, "IPluginV2")
assert not any(hasattr(trt, n) for n in ("Builder", "INetworkDefinition", "OnnxParser", "IConvolutionLayer", "ITensor"))
import tensorrt, tensorrt_lean
assert tensorrt_lean.Runtime is trt.Runtime is tensorrt.Runtime and hasattr(tensorrt, "Builder")
logger = tensorrt.Logger(tensorrt.Logger.WARNING)
builder = tensorrt.Builder(logger)
network = builder.create_network(1)
network.mark_output(network.add_input("x", tensorrt.float32, (2,)))
plan = builder.build_serialized_network(network, builder.create_builder_config())
with trt.Runtime(trt.Logger()) as runtime:
    assert runtime.deserialize_cuda_engine(plan).num_io_tensors
print(trt.__version__ == tensorrt.__version__)
"""


@pytest.mark.parametrize("generation", ["8", "11"])
def test_the_runtime_half(tmp_path: Path, generation: str) -> None:
    (tmp_path / "script.py").write_text(RUNTIME)
    done = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=False,
                          env=compat.environment(generation))
    assert done.returncode == 0 and "True" in done.stdout, done.stderr


def test_generation_7_has_no_runtime_half(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import tensorrt_lean"], capture_output=True, text=True, check=False,
                          env=compat.environment("7"))
    assert done.returncode == 1 and "has no tensorrt_lean" in done.stderr


@pytest.mark.parametrize("words", [["shim"], ["shim", "--", "no-such-program-here"]])
def test_wrong_command_lines(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2 and "wright shim" in capsys.readouterr().err


def test_unknown_generation() -> None:
    with pytest.raises(InputError, match="no generation '9'"):
        compat.view("9")
    assert main(["shim", "--generation", "4", "--", sys.executable]) == 3
