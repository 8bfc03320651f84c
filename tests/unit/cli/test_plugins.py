"""Commands with plugins: from a Python file, in trtexec's spelling too, and without the plugin that they need."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tensorwright import plugins
from tensorwright.cli.main import main
from tests.unit.plugins.conftest import own_registry
from tests.unit.plugins.test_in_models import model, node

assert own_registry
FAST = ["--tune-budget", "0", "--no-timing-cache", "--threads", "1", "--quiet"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(model(node("shifted", by=2.0)), "model.onnx")
    Path("acme.py").write_text("import tensorwright\n"
                               "@tensorwright.custom_op('acme::shifted', package='acme-ops', replace=True)\n"
                               "def shifted(x, by: float):\n    return x + by\n")
    return tmp_path


def test_commands_load_plugins_from_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "model.onnx", "-o", "p.plan", "--shapes", "N=1:2:4", *FAST]) == 4
    assert "@tensorwright.custom_op('acme::shifted')" in capsys.readouterr().err
    assert main(["build", "model.onnx", "-o", "p.plan", "--shapes", "N=1:2:4", "--plugins", "acme.py", *FAST]) == 0
    assert "own reference" in capsys.readouterr().out
    plugins.unregister(plugins.find("acme::shifted"))                       # type: ignore[arg-type]
    assert main(["inspect", "p.plan"]) == 0
    assert "plugin   acme::shifted, version 1, from the package acme-ops" in capsys.readouterr().out
    assert main(["run", "p.plan", "--random", "--quiet"]) == 3
    assert "pip install acme-ops" in capsys.readouterr().err
    assert main(["run", "p.plan", "--plugins", "acme.py", "--random", "--quiet"]) == 0


def test_exec_takes_python_files_for_plugin_libraries(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = ["--shapes=x:2x3", "--duration=0", "--warmUp=0", "--iterations=1"]
    assert main(["exec", "--onnx=model.onnx", "--saveEngine=p.plan", "--staticPlugins=acme.py", *run]) == 0
    assert "Plugins loaded from acme.py" in capfd.readouterr().out
    assert main(["exec", "--loadEngine=p.plan", "--plugins=acme.py", *run]) == 0
    assert main(["exec", "--onnx=model.onnx", "--dynamicPlugins=libacme.so", *run]) == 1
    heard = capfd.readouterr()
    assert "compiled libraries for TensorRT cannot run here" in heard.out + heard.err


def test_exec_lets_plugins_override_standard_operators(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    onnx.save(model(node("Neg", domain="")), "neg.onnx")
    Path("neg.py").write_text("import tensorwright\n@tensorwright.custom_op('Neg')\ndef neg(x):\n    return x\n")
    asked = ["--onnx=neg.onnx", "--shapes=x:2x3", "--skipInference", "--saveEngine=n.plan", "--plugins=neg.py"]
    for override, shown in ([], False), (["--enablePluginOverride"], True):
        assert main(["exec", *asked, *override]) == 0
        plugins.unregister(plugins.find("Neg"))                             # type: ignore[arg-type]
        capfd.readouterr()
        assert main(["inspect", "n.plan"]) == 0
        assert ("plugin   Neg" in capfd.readouterr().out) is shown


@pytest.mark.parametrize("text, why", [
    ("import no_such_module", "ModuleNotFoundError"), ("1 / 0", "ZeroDivisionError"), ("(", "SyntaxError"),
    ("import tensorwright as t; t.plugins.register(t.plugins.Definition('a b', abs))", "cannot be the name")])
def test_files_that_fail_say_why(folder: Path, text: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.py").write_text(text)
    assert main(["inspect", "model.onnx", "--plugins", "bad.py"]) == 3
    heard = capsys.readouterr().err
    assert why in heard and "bad.py" in heard
    assert main(["inspect", "model.onnx", "--plugins", "missing.py"]) == 3
    assert main(["inspect", "model.onnx", "--plugins", "no_such_module"]) == 3
