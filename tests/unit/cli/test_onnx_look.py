"""wright onnx show, node, tensor, view, diff: what they print, their JSON, their exit codes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tensorwright.cli.console import BAD_INPUT, FAILED, OK, USAGE
from tensorwright.cli.main import main
from tests.unit.onnx import models


@pytest.fixture
def path(tmp_path: Path) -> Path:
    onnx.save(models.perceptron(), tmp_path / "p.onnx")
    return tmp_path / "p.onnx"


def wright(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = OK) -> str:
    capsys.readouterr()
    assert main(["onnx", *map(str, arguments), "--quiet"]) == code, capsys.readouterr()
    return capsys.readouterr().out


def answer(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = OK) -> Any:
    return json.loads(wright(capsys, *arguments, "--json", code=code))


SHOWN = """\
p.onnx: 3 nodes, 676 parameters, opset ai.onnx 18
  made by an unnamed producer, IR version 10
  input   x: float32 (batch, 16)
  output  y: float32 (batch, 4)
operators
  Gemm 2, Relu 1
weights
  type     tensors  elements   bytes
  float32        4       676  2.7 kB
  initializer, file: 4 tensors, 2.7 kB
cost at x 1x16
  assumed: batch = 1; --shapes gives other sizes
  1.348 kFLOP, 3.3 kB read and written if nothing is cached
memory over time: at most 256 B of intermediate tensors, at step 1 of 3
  |▆█▅|
     128 B  h
     128 B  r
nodes
     operator  name    makes            FLOPs  share    bytes  params
  0  Gemm      first   float32 (1, 32)  1,056  78.3%  2.37 kB     544
  2  Gemm      second  float32 (1, 4)     260  19.3%    672 B     132
weights, one by one
  weight  type     shape    bytes  stored as          read by
  w1      float32  16x32  2.05 kB  initializer, file  first
  b1      float32  32       128 B  initializer, file  first
"""


def test_show(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    assert wright(capsys, "show", path, "--nodes", "--weights", "--sort", "flops", "--limit", 2) == SHOWN
    found = answer(capsys, "show", path, "--shapes", "batch=2:4:8", "--nodes", "--weights", "--sort", "bytes")
    assert found["cost"]["shapes"] == {"x": [4, 16]} and found["cost"]["assumed"] == {}
    assert found["operators"] == {"Gemm": 2, "Relu": 1} and found["memory"]["live"] == [768, 1024, 576]
    assert [n["name"] for n in found["nodes"]] == ["first", "second", "relu"]
    assert [w["name"] for w in found["weights"]] == ["w1", "w2", "b1", "b2"]
    assert found["parameters"] == sum(w["params"] for w in found["weights"]) == 676


@pytest.mark.parametrize("arguments", [["--sort", "bytes"], ["--limit", "3"], ["--weights", "--sort", "flops"],
                                       ["--shapes", "batch"], ["--shapes", "batch=1", "--shapes", "batch=2"]])
def test_show_wrongly(capsys: pytest.CaptureFixture[str], path: Path, arguments: list[str]) -> None:
    wright(capsys, "show", path, *arguments, code=USAGE)


def test_show_what_cannot_be_read(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    proto = models.perceptron()
    proto.opset_import[0].version = 999
    onnx.save(proto, path)
    assert "cost: not known, the compiler cannot read the model: the model uses operator set 999" in wright(
        capsys, "show", path, "--nodes")
    wright(capsys, "show", path.parent / "other.onnx", code=BAD_INPUT)
    wright(capsys, "show", path, "--shapes", "z=1", code=BAD_INPUT)


NODE = """\
Relu 'relu', defined by version 14
  Relu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the rectified linear function, \
y = max(0, x), is applied to the tensor elementwise.
  https://onnx.ai/onnx/operators/onnx__Relu.html
inputs
     tensor  type                          made by
  X  h       float32 (batch, 32)  computed  first
outputs
     tensor  type                           read by
  Y  r       float32 (batch, 32)  computed  second
"""


def test_node(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    assert wright(capsys, "node", path, "relu").split() == NODE.split()
    assert answer(capsys, "node", path, "h")["attributes"][0] == {"name": "alpha", "value": "1", "given": False}
    assert "'relu'" in answer(capsys, "node", path, "rely", code=BAD_INPUT)["error"]["try"]


TENSOR = """\
b2: float32 (4,), 16 B, file
  elements  4: 0 zero, 0 NaN, 0 infinite, 0 denormal
  range     1 to 1, mean 1, standard deviation 0
  percent   1: 1, 5: 1, 25: 1, 50: 1, 75: 1, 95: 1, 99: 1
            1                                            0
            1  ████████████████████████████████████████  4
  first     1.0, 1.0
"""


def test_tensor(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    assert wright(capsys, "tensor", path, "b2", "--bins", 2, "--values", 2) == TENSOR
    target = path.parent / "w.npy"
    found = answer(capsys, "tensor", path, "w1", "--save", target)
    w1 = onnx.numpy_helper.to_array(models.perceptron().graph.initializer[0])
    np.testing.assert_array_equal(np.load(target), w1)
    assert found["mean"] == pytest.approx(float(w1.astype(float).mean())) and found["shape"] == [16, 32]
    wright(capsys, "tensor", path, "h", code=BAD_INPUT)
    wright(capsys, "tensor", path, "w1", "--save", path.parent / "no" / "w.npy", code=BAD_INPUT)


@pytest.mark.parametrize("name, expected", [("small", np.arange(5000) % 15 - 7), ("text", np.array(["a", "b"]))])
def test_types_that_numpy_lacks_are_saved(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str,
                                          expected: np.ndarray) -> None:
    onnx.save(models.every_storage(), tmp_path / "m.onnx")
    answer(capsys, "tensor", tmp_path / "m.onnx", name, "--save", tmp_path / "x.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy", allow_pickle=False), expected)


def test_a_constant_by_the_name_of_its_node(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    nodes = [onnx.helper.make_node("Constant", [], ["c"], "the_node", value_floats=[1.0, 2.0]),
             onnx.helper.make_node("Neg", ["c"], ["y"])]
    onnx.save(models.model(nodes, {}, {"y": (onnx.TensorProto.FLOAT, [2])}), tmp_path / "m.onnx")
    assert answer(capsys, "tensor", tmp_path / "m.onnx", "the_node")["values"] == [1.0, 2.0]


DIFFERENT = """\
p.onnx and q.onnx: 3 nodes matched, 2 differences
  attribute    Gemm 'second', alpha: 1 → 2
  weight       b2: float32 (4,), 4 elements differ, by at most 1 (1 of the largest value)
  no difference: metadata 1; --notes lists them
"""


def test_diff(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    other = path.parent / "q.onnx"
    proto = models.perceptron()
    proto.graph.node[2].attribute.append(onnx.helper.make_attribute("alpha", 2.0))
    proto.graph.initializer[3].CopyFrom(onnx.numpy_helper.from_array(np.full(4, 2, np.float32), "b2"))
    proto.producer_name = "somebody"
    onnx.save(proto, other)
    assert wright(capsys, "diff", path, other, code=FAILED) == DIFFERENT
    found = answer(capsys, "diff", path, other, code=FAILED)
    assert not found["same"] and [c["kind"] for c in found["changes"]] == ["attribute", "weight"]
    assert wright(capsys, "diff", path, path) == "p.onnx and p.onnx: 3 nodes matched, the models are the same\n"
    assert "metadata     producer:" in wright(capsys, "diff", path, other, "--notes", code=FAILED)


def test_view_to_a_file(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    page = path.parent / "page.html"
    assert answer(capsys, "view", path, "--output", page)["bytes"] == page.stat().st_size > 20_000
    wright(capsys, "view", path, "--output", page, "--no-open", code=USAGE)
    wright(capsys, "view", path, "--port", "70000", code=USAGE)
