"""Each editing command of `wright onnx`: what it does, its JSON, what it refuses."""

import json
import shlex
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tensorwright.cli import onnx as commands
from tensorwright.cli.console import BAD_INPUT, FAILED, OK, USAGE
from tensorwright.cli.main import main, parser
from tests.unit.onnx import models
from tests.unit.onnx.random_models import run

X = {"x": np.random.default_rng(0).standard_normal((3, 16)).astype(np.float32)}


@pytest.fixture()
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    onnx.save(models.perceptron(), tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wright(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = OK) -> Any:
    """The JSON of an onnx command that ends with this code; the model it wrote is o.onnx."""
    capsys.readouterr()
    assert main(["onnx", *arguments, "--json", "--quiet"]) == code, capsys.readouterr()
    out = capsys.readouterr().out
    return json.loads(out) if out else None


def changed() -> onnx.ModelProto:
    model = onnx.load("o.onnx")
    onnx.checker.check_model(model, full_check=True)
    return model


def test_weights(folder: Path, capsys) -> None:
    listed = wright(capsys, "get-weight", "m.onnx")["weights"]
    assert listed["w1"] == {"type": "float32", "shape": [16, 32]} and len(listed) == 4
    assert wright(capsys, "get-weight", "m.onnx", "w1", "-o", "w.npy")["shape"] == [16, 32]
    np.save("w.npy", np.load("w.npy") * 2)
    wright(capsys, "set-weight", "m.onnx", "w1", "w.npy", "-o", "o.onnx")
    np.testing.assert_array_equal(numpy_helper.to_array(changed().graph.initializer[0]), np.load("w.npy"))
    np.save("d.npy", np.load("w.npy").astype(np.float64))
    error = wright(capsys, "set-weight", "m.onnx", "w1", "d.npy", "-o", "no.onnx", code=BAD_INPUT)["error"]
    assert "float64" in error["what"] and "same" in error["try"] and not Path("no.onnx").exists()
    assert wright(capsys, "set-weight", "m.onnx", "w1", "d.npy", "--dtype", "same", "-o", "o.onnx")["type"] == "float32"
    wright(capsys, "set-weight", "m.onnx", "extra", "[1, 2]", "--dtype", "int32", "--new", "--in-place")
    assert wright(capsys, "get-weight", "m.onnx", "extra")["type"] == "int32"
    wright(capsys, "set-weight", "m.onnx", "w1", "missing.npy", "--in-place", code=USAGE)


def test_bfloat16_goes_through_a_file(folder: Path, capsys) -> None:
    proto = models.model([onnx.helper.make_node("Add", ["x", "w"], ["y"])], {"x": (16, [3])}, {"y": (16, [3])},
                         {"w": np.array([1, 2, 3], ml_dtypes.bfloat16)})
    onnx.save(proto, "m.onnx")
    wright(capsys, "get-weight", "m.onnx", "w", "-o", "w.npy")
    wright(capsys, "set-weight", "m.onnx", "w", "w.npy", "-o", "o.onnx")
    assert numpy_helper.to_array(changed().graph.initializer[0]).astype(float).tolist() == [1, 2, 3]
    assert wright(capsys, "get-weight", "m.onnx", "w", "--as", "float32", "-o", "f.npy")["type"] == "float32"
    assert np.load("f.npy").tolist() == [1, 2, 3]


def test_attributes(folder: Path, capsys) -> None:
    assert wright(capsys, "get-attributes", "m.onnx", "first")["defaults"]["alpha"] == "1.0"
    wright(capsys, "set-attribute", "m.onnx", "first", "alpha=2", "transA=0", "-o", "o.onnx")
    wright(capsys, "set-attribute", "o.onnx", "first", "--delete", "transA", "--in-place")
    assert [a.name for a in changed().graph.node[0].attribute] == ["alpha"]
    error = wright(capsys, "set-attribute", "m.onnx", "first", "gamma=2", "-o", "no.onnx", code=BAD_INPUT)["error"]
    assert "alpha" in error["try"]
    wright(capsys, "set-attribute", "m.onnx", "first", "-o", "no.onnx", code=USAGE)


def test_rename(folder: Path, capsys) -> None:
    assert wright(capsys, "rename", "m.onnx", "x", "image", "y", "scores", "-o", "o.onnx")["renamed"]["x"] == "image"
    assert [changed().graph.input[0].name, changed().graph.output[0].name] == ["image", "scores"]
    wright(capsys, "rename", "m.onnx", "--regex", r"^([wb])(\d)", r"\1.\2", "-o", "o.onnx")
    assert [t.name for t in changed().graph.initializer] == ["w.1", "b.1", "w.2", "b.2"]
    wright(capsys, "rename", "m.onnx", "--nodes", "relu", "act", "-o", "o.onnx")
    assert changed().graph.node[1].name == "act"
    wright(capsys, "rename", "m.onnx", "x", "-o", "no.onnx", code=USAGE)
    wright(capsys, "rename", "m.onnx", "x", "y", "-o", "no.onnx", code=BAD_INPUT)


def test_nodes(folder: Path, capsys) -> None:
    wright(capsys, "delete-node", "m.onnx", "relu", "-o", "o.onnx")
    assert [n.op_type for n in changed().graph.node] == ["Gemm", "Gemm"]
    wright(capsys, "delete-node", "m.onnx", "second", "-o", "no.onnx", code=BAD_INPUT)
    wright(capsys, "delete-node", "m.onnx", "second", "--through", "r", "-o", "o.onnx")
    assert run(changed(), X)["y"].shape == (3, 32)
    wright(capsys, "insert-node", "m.onnx", "Softmax", "--after", "y", "--set", "axis=-1", "-o", "o.onnx")
    np.testing.assert_allclose(run(changed(), X)["y"].sum(1), 1, 1e-5)
    wright(capsys, "insert-node", "o.onnx", "Mul", "--before", "first", "--input", "0", "--name", "zero", "--in-place")
    np.testing.assert_allclose(run(changed(), X)["y"].std(0), 0, atol=1e-6)
    wright(capsys, "insert-node", "m.onnx", "Clip", "--between", "first", "relu", "--input", "none", "--input", "0.5",
           "-o", "o.onnx")
    assert changed().graph.node[1].input[1] == ""
    made = wright(capsys, "add-node", "m.onnx", "ArgMax", "--input", "y", "--result", "best", "--set", "axis=1",
                  "--promote",
                  "-o", "o.onnx")
    assert made["results"] == ["best"] and run(changed(), X)["best"].shape == (3, 1)
    wright(capsys, "set-input", "m.onnx", "second", "C", "[0, 0, 0, 0]", "-o", "o.onnx")
    wright(capsys, "set-input", "o.onnx", "*", "r", "h", "--in-place")
    wright(capsys, "remove-unused", "o.onnx", "--in-place")
    assert [n.op_type for n in changed().graph.node] == ["Gemm", "Gemm"]
    wright(capsys, "insert-node", "m.onnx", "Softmax", "-o", "no.onnx", code=USAGE)


def test_patterns(folder: Path, capsys) -> None:
    found = wright(capsys, "find-pattern", "m.onnx", "Gemm(x, w, b, alpha=a) -> Relu")["matches"]
    assert found[0]["nodes"] == ["first",
                                 "relu"] and found[0]["tensors"]["w"] == "w1" and found[0]["attributes"]["a"] == "1.0"
    assert wright(capsys, "find-pattern", "m.onnx", "Conv", code=FAILED)["matches"] == []
    wright(capsys, "find-pattern", "m.onnx", "Conv(", code=BAD_INPUT)
    report = wright(capsys, "replace-pattern", "m.onnx", "Gemm(x, w, b)", "Add(MatMul(x, w), b)", "-o", "o.onnx")
    assert len(report["replaced"]) == 2
    np.testing.assert_allclose(run(changed(), X)["y"], run(models.perceptron(), X)["y"], 1e-5, 1e-5)
    wright(capsys, "replace-pattern", "m.onnx", "--node", "relu", "Max(X, 0)", "-o", "o.onnx")
    assert changed().graph.node[1].op_type == "Max"
    error = wright(capsys, "replace-pattern", "m.onnx", "Conv", "x", "-o", "no.onnx", code=BAD_INPUT)["error"]
    assert "reads 'x'" in error["what"]
    error = wright(capsys, "replace-pattern", "m.onnx", "Conv(x, w)", "x", "-o", "no.onnx", code=BAD_INPUT)["error"]
    assert "nothing matches" in error["what"] and not Path("no.onnx").exists()


def test_outputs_and_parts(folder: Path, capsys) -> None:
    assert wright(capsys, "add-output", "m.onnx", "h", "copy=x", "-o", "o.onnx")["outputs"] == ["y", "h", "copy"]
    assert wright(capsys, "remove-output", "o.onnx", "y", "--order", "copy,h", "--in-place")["outputs"] == ["copy", "h"]
    assert [n.op_type for n in changed().graph.node] == ["Gemm", "Identity"]
    part = wright(capsys, "extract", "m.onnx", "--inputs", "h", "--outputs", "y", "-o", "o.onnx")
    assert part["nodes"] == 2 and part["inputs"] == ["h"] and run(changed(), {"h": np.zeros((1, 32), np.float32)})
    wright(capsys, "extract", "m.onnx", "--outputs", "r", "-o", "o.onnx")
    error = wright(capsys, "extract", "m.onnx", "--inputs", "r", "--outputs", "h", "-o",
                   "no.onnx", code=BAD_INPUT)["error"]
    assert "'x'" in error["facts"]["missing"]
    wright(capsys, "remove-unused", "m.onnx", "--inputs", "x", "-o", "no.onnx", code=BAD_INPUT)
    assert wright(capsys, "remove-unused", "m.onnx", "-o", "o.onnx")["nodes"] == []


@pytest.mark.parametrize("module", commands.COMMANDS, ids=lambda m: m.__name__.rpartition(".")[2])
def test_examples_of_help_can_be_parsed(module) -> None:
    examples = [line.strip() for line in module.EPILOG.splitlines() if line.startswith("  wright ")]
    assert examples
    for line in examples:
        words = shlex.split(line, comments=True)
        options = parser().parse_args(words[1 : words.index("|") if "|" in words else None])
        assert options.run is module.run and options.command.startswith("onnx ")
