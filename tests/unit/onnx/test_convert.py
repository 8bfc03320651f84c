"""wright convert: stand-ins for the converters, run as their documentation says; and what happens without them."""

from importlib import import_module
from pathlib import Path

import onnx
import pytest

from tensorwright import onnx as toolkit
from tensorwright.cli.main import main
from tensorwright.errors import InputError, ModelError, UnsupportedError

from . import models

#: A converter that takes the documented options, notes them beside the input, and writes the model it finds there.
STAND_IN = """
import argparse, pathlib, shutil
parser = argparse.ArgumentParser()
for option in {options}:
    parser.add_argument("--" + option)
given = vars(parser.parse_args())
source = pathlib.Path(next(v for k, v in given.items() if v and k in ("saved_model", "keras", "tflite", "prototxt")))
folder = source if source.is_dir() else source.parent
(folder / "given.txt").write_text(repr(sorted((k, v) for k, v in given.items() if v)))
if (folder / "fail").exists():
    raise SystemExit("Unsupported operator: Frobnicate")
shutil.copy(folder / "made.onnx", given.get("output") or given.get("onnx"))
"""


@pytest.fixture
def converters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for package, options in (("tf2onnx", ["saved-model", "keras", "tflite", "output", "opset"]),
                             ("caffe2onnx", ["prototxt", "caffemodel", "onnx"]), ("tensorflow", [])):
        folder = tmp_path / "packages" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "convert.py").write_text(STAND_IN.format(options=options))
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    work = tmp_path / "work"
    work.mkdir()
    onnx.save(models.perceptron(), work / "made.onnx")
    return work


@pytest.mark.parametrize(("name", "option", "trust"), [("net.tflite", "tflite", False), ("net.h5", "keras", True),
                                                       ("net.keras", "keras", True)])
def test_tensorflow_files(converters: Path, name: str, option: str, trust: bool) -> None:
    (converters / name).touch()
    model = toolkit.convert(converters / name, trust=trust, opset=15)
    assert len(model.nodes) == 3 and model.label == name and toolkit.problem(model) is None
    given = dict(eval((converters / "given.txt").read_text()))
    assert given.pop("output").endswith(".onnx") and given == {option: str(converters / name), "opset": "15"}


def test_saved_model_by_the_command_line(converters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (converters / "saved_model.pb").touch()
    out = converters.parent / "out.onnx"
    assert main(["convert", str(converters), "-o", str(out)]) == 0
    assert "output y  float32 (batch, 4)" in capsys.readouterr().out and toolkit.problem(toolkit.load(out)) is None
    given = dict(eval((converters / "given.txt").read_text()))
    assert given["saved_model"] == str(converters) and given["opset"] == "18"


@pytest.mark.parametrize("name", ["net.prototxt", "net.caffemodel"])
def test_caffe(converters: Path, name: str) -> None:
    (converters / "net.prototxt").touch()
    with pytest.raises(InputError, match="caffemodel"):
        toolkit.convert(converters / "net.prototxt")
    (converters / "net.caffemodel").touch()
    assert len(toolkit.convert(converters / name).nodes) == 3
    given = dict(eval((converters / "given.txt").read_text()))
    assert all(given[kind] == str(converters / f"net.{kind}") for kind in ("prototxt", "caffemodel"))


def test_a_converter_that_fails_or_writes_nonsense(converters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (converters / "net.tflite").touch()
    bad = models.perceptron()
    bad.graph.node[0].op_type = "Frobnicate"
    onnx.save(bad, converters / "made.onnx")
    with pytest.raises(ModelError, match="not valid"):
        toolkit.convert(converters / "net.tflite")
    (converters / "made.onnx").write_bytes(b"nonsense")
    with pytest.raises(ModelError):
        toolkit.convert(converters / "net.tflite")
    (converters / "fail").touch()
    out = converters / "out.onnx"
    assert main(["convert", str(converters / "net.tflite"), "-o", str(out)]) == 4
    assert "Frobnicate" in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize(("name", "packages"), [("net.tflite", "tf2onnx tensorflow"), ("net.prototxt", "caffe2onnx")])
def test_without_the_converter(name: str, packages: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("tensorwright.onnx.convert"), "find_spec", lambda name: None)
    (tmp_path / name).touch()
    (tmp_path / "net.caffemodel").touch()
    with pytest.raises(UnsupportedError, match="not installed") as error:
        toolkit.convert(tmp_path / name)
    assert error.value.try_ == f"pip install {packages}"


@pytest.mark.parametrize(("name", "says"), [
    ("net.h5", "Python code"), ("net.keras", "Python code"), ("net.pt2", "unpickles"),
    ("net.pth", "tensorwright.torch"),
    ("net.pb", "--graphdef"), ("net.onnx", "already"), ("net.xyz", "SavedModel"), ("folder", "saved_model.pb")])
def test_what_is_refused(name: str, says: str, tmp_path: Path) -> None:
    if "." in name:
        (tmp_path / name).touch()
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(UnsupportedError) as error:
        toolkit.convert(tmp_path / name)
    assert says in str(error.value)


def test_what_is_not_there_and_options_that_do_not_fit(converters: Path) -> None:
    (converters / "net.tflite").touch()
    (converters / "net.prototxt").touch()
    (converters / "net.caffemodel").touch()
    for name, more in (("none.tflite", {}), ("net.tflite", {"weights": "x"}), ("net.prototxt", {"opset": 13}),
                       ("net.prototxt", {"weights": converters / "none.caffemodel"})):
        with pytest.raises(InputError):
            toolkit.convert(converters / name, **more)


def test_an_exported_program_that_is_trusted(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    program = torch.export.export(torch.nn.Linear(3, 2), (torch.ones(2, 3),))
    torch.export.save(program, tmp_path / "net.pt2")
    model = toolkit.convert(tmp_path / "net.pt2", trust=True)
    assert [n.op_type for n in model.nodes] == ["Gemm"] and model.opset == 18
