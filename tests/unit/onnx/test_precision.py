"""Other element types: in the middle of the model, at its boundary, and what cannot change stays and is said."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensorwright import onnx as toolkit
from tensorwright.cli.main import main
from tensorwright.errors import ModelError, UnsupportedError

from . import models
from .test_exports import EXPORTS, feeds
from .test_fold import array, operators, run

node = helper.make_node
FLOAT, HALF, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT64


def network(opset: int = 18) -> onnx.ModelProto:
    """A Resize, whose scales are always float32, a Reshape between others, and an integer result."""
    nodes = [node("Conv", ["x", "w"], ["c"], "conv"),
             node("Resize", ["c", "", "scales"], ["r"], "resize", mode="nearest"),
             node("Relu", ["r"], ["a"], "relu"), node("Reshape", ["a", "shape"], ["f"], "flat"),
             node("Softmax", ["f"], ["y"], "softmax"), node("ArgMax", ["f"], ["k"], "best", axis=1)]
    return models.model(nodes, {"x": (FLOAT, ["n", 2, 4, 4])}, {"y": (FLOAT, ["n", 192]), "k": (INT64, ["n", 1])},
                        {"w": array(3, 2, 1, 1), "scales": np.float32([1, 1, 2, 2]), "shape": np.array([-1, 192])},
                        opset)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_to_half_and_back(dtype: str) -> None:
    proto, x = network(22 if dtype == "bfloat16" else 18), {"x": array(2, 2, 4, 4)}
    model = toolkit.load(proto)
    report = toolkit.set_precision(model, dtype)
    assert toolkit.problem(model) is None
    assert [v.dtype.name for v in (*model.inputs, *model.outputs)] == ["FLOAT", "FLOAT", "INT64"]
    assert report.casts == 2 and not report.kept and operators(model).count("Cast") == 2
    assert model.value("w").dtype.name == dtype.upper() and model.value("scales").dtype.name == "FLOAT"
    if dtype == "float16":                               # ONNX Runtime has no bfloat16 on the CPU
        np.testing.assert_allclose(run(model.proto(), x)[0], run(proto, x)[0], atol=2e-3)
    back = toolkit.set_precision(model, "float32")
    toolkit.simplify(model)
    assert back.converted == 6 + 2 and "Cast" not in operators(model)
    np.testing.assert_allclose(run(model.proto(), x)[0], run(proto, x)[0], atol=5e-2 if dtype == "bfloat16" else 2e-3)


def test_kept_nodes_and_few_casts() -> None:
    model = toolkit.load(network())
    report = toolkit.set_precision(model, keep=["resize", "soft*", "ArgMax"])
    assert report.kept["resize"] == "kept by request" and set(report.kept) >= {"resize", "softmax", "best"}
    assert operators(model) == ["Cast", "Conv", "Cast", "Resize", "Cast", "Relu", "Reshape", "Cast", "Softmax",
                                "ArgMax"]
    proto, x = network(), {"x": array(1, 2, 4, 4)}
    model = toolkit.load(proto)
    report = toolkit.set_precision(model, keep=["relu", "softmax", "best"])
    assert report.kept["flat"].startswith("only moves"), "a Reshape between float32 nodes is not worth two Casts"
    np.testing.assert_allclose(run(model.proto(), x)[0], run(proto, x)[0], atol=2e-3)


def test_operators_without_the_type_stay() -> None:
    nodes = [node("Relu", ["b"], ["boxes"]), node("Sigmoid", ["s"], ["scores"]),
             node("NonMaxSuppression", ["boxes", "scores", "most"], ["y"], "nms"),
             node("Gelu", ["b"], ["z"], "custom", domain="local")]
    gelu = helper.make_function("local", "Gelu", ["a"], ["o"], [node("Tanh", ["a"], ["o"])],
                                [helper.make_opsetid("", 18)])
    proto = models.model(nodes, {"b": (FLOAT, [1, 4, 4]), "s": (FLOAT, [1, 1, 4])},
                         {"y": (INT64, [None, 3]), "z": (FLOAT, [1, 4, 4])}, {"most": np.array([3])}, functions=[gelu])
    proto.opset_import.append(helper.make_opsetid("local", 1))
    model = toolkit.load(proto)
    report = toolkit.set_precision(model)
    assert report.kept == {"nms": "NonMaxSuppression has no float16 form", "custom": "an operator of a custom domain"}
    inputs = {"b": array(1, 4, 4), "s": array(1, 1, 4)}
    for a, b in zip(run(proto, inputs), run(model.proto(), inputs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_weights_beyond_the_range() -> None:
    weights = {"mask": np.float32([-3e38, 1e-9, -np.inf, 1])}
    proto = models.model([node("Add", ["x", "mask"], ["y"], "add")], {"x": (FLOAT, [4])}, {"y": (FLOAT, [4])}, weights)
    report = toolkit.set_precision(model := toolkit.load(proto))
    assert report.overflow == {"mask": 1} and report.underflow == {"mask": 1}
    assert model.value("mask").const_value.numpy().tolist() == [-65504, 0, -np.inf, 1]
    report = toolkit.set_precision(model := toolkit.load(proto), overflow="keep")
    assert operators(model) == ["Add"] and "beyond the range" in report.kept["add"]
    with pytest.raises(ModelError, match="1 elements of 'mask'"):
        toolkit.set_precision(toolkit.load(proto), overflow="refuse")
    with pytest.raises(ModelError, match="not a floating"):
        toolkit.set_precision(toolkit.load(proto), "int8")


def test_bodies_are_converted_inside() -> None:
    branches = [helper.make_graph([node("Mul", ["r", k], [f"m{k}"]), node("Tanh", [f"m{k}"], [f"t{k}"])], k, [],
                                  [helper.make_tensor_value_info(f"t{k}", FLOAT, ["n"])],
                                  [numpy_helper.from_array(np.float32(i + 2), k)]) for i, k in enumerate("ab")]
    proto = models.model([node("Relu", ["x"], ["r"]), node("If", ["flag"], ["p"], "if", then_branch=branches[0],
                                                           else_branch=branches[1]), node("Neg", ["p"], ["y"])],
                         {"x": (FLOAT, ["n"]), "flag": (TensorProto.BOOL, [])}, {"y": (FLOAT, ["n"])})
    model = toolkit.load(proto)
    toolkit.set_precision(model)
    assert toolkit.problem(model) is None and model.value("ma").dtype.name == "FLOAT16"
    for flag in (True, False):
        inputs = {"x": array(4), "flag": np.array(flag)}
        np.testing.assert_allclose(run(model.proto(), inputs)[0], run(proto, inputs)[0], atol=1e-2)


def test_doubles_and_boundary() -> None:
    nodes = [node("Mul", ["x", "two"], ["a"]), node("Cast", ["a"], ["b"], to=FLOAT),
             node("Cast", ["b"], ["c"], to=DOUBLE),
             node("Add", ["c", "a"], ["y"])]
    proto = models.model(nodes, {"x": (DOUBLE, [3])}, {"y": (DOUBLE, [3])}, {"two": np.float64(2)})
    x = {"x": np.float64([1, 2, 3])}
    report = toolkit.remove_doubles(model := toolkit.load(proto))
    assert report.casts == 2
    np.testing.assert_allclose(run(model.proto(), x)[0], run(proto, x)[0])
    toolkit.remove_doubles(model := toolkit.load(proto), boundary=True)
    assert not any(v.dtype.name == "DOUBLE" for v in model.values().values())
    np.testing.assert_allclose(run(model.proto(), {"x": np.float32([1, 2, 3])})[0], run(proto, x)[0])


@pytest.mark.parametrize("name", ["detector", "resnet", "bert"])
def test_exports_in_half(name: str) -> None:
    proto = onnx.load(EXPORTS / f"{name}.onnx")
    model = toolkit.load(proto)
    report = toolkit.set_precision(model, keep=["LayerNormalization", "Softmax"])
    assert report.converted > 10
    for a, b in zip(run(proto, feeds(name, 2)), run(model.proto(), feeds(name, 2)), strict=True):
        assert np.abs(a - b).max() < 0.02 * max(1, np.abs(a).max())


def test_int64_weights() -> None:
    nodes = [node("Gather", ["x", "rows"], ["a"]), node("Slice", ["a", "from", "to", "axes"], ["b"]),
             node("Reshape", ["b", "shape"], ["c"]), node("Add", ["n", "offset"], ["m"]),
             node("Gather", ["c", "far"], ["y"])]
    weights = {"rows": np.array([2, 0]), "from": np.array([0]), "to": np.array([2**63 - 1]), "axes": np.array([1]),
               "shape": np.array([-1]), "offset": np.array([1]), "far": np.array([0])}
    proto = models.model(nodes, {"x": (FLOAT, [3, 4]), "n": (INT64, [1])}, {"y": (FLOAT, [1]), "m": (INT64, [1])},
                         weights)
    model = toolkit.load(proto)
    assert set(toolkit.narrow_integers(model)) == {"rows", "from", "to", "axes", "far"}
    inputs = {"x": array(3, 4), "n": np.array([5])}
    for a, b in zip(run(proto, inputs), run(model.proto(), inputs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_input_and_output_types() -> None:
    proto = models.model([node("Relu", ["x"], ["y"]), node("ArgMax", ["y"], ["k"], axis=1)],
                         {"x": (FLOAT, ["n", 3, 2, 2])}, {"y": (FLOAT, ["n", 3, 2, 2]), "k": (INT64, ["n", 1, 2, 2])})
    model = toolkit.load(proto)
    toolkit.set_type(model, "x", "uint8", scale=1 / 255, offset=-0.5)
    toolkit.set_type(model, "k", "int32")
    toolkit.set_layout(model, "x", "NHWC")
    toolkit.set_layout(model, "y", "NHWC")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 2, 2, 3)).astype(np.uint8)
    y, k = run(model.proto(), {"x": pixels})
    before, best = run(proto, {"x": (pixels.astype(np.float32) / 255 - 0.5).transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(y, before.transpose(0, 2, 3, 1), atol=1e-6)
    np.testing.assert_array_equal(k, best)
    assert k.dtype == np.int32 and [str(d) for d in model.inputs[0].shape] == ["n", "2", "2", "3"]
    for arguments, says in ((("z", "int8"), "neither"), (("x", "int7"), "no element type")):
        with pytest.raises(ModelError, match=says):
            toolkit.set_type(model, *arguments)
    with pytest.raises(ModelError, match="is an output"):
        toolkit.set_type(model, "k", "float32", scale=2)
    with pytest.raises(ModelError, match="not an order"):
        toolkit.set_layout(model, "y", "NHWW")


@pytest.mark.parametrize("name", ["resnet", "bert"])
@pytest.mark.parametrize("opset", [16, 17, 21])
def test_opsets(name: str, opset: int) -> None:
    proto = onnx.load(EXPORTS / f"{name}.onnx")
    model = toolkit.load(proto)
    if name == "bert" and opset == 16:
        with pytest.raises(UnsupportedError, match="LayerNormalization"):
            toolkit.set_opset(model, opset)
        assert model.opset == 18
        return
    toolkit.set_opset(model, opset)
    assert model.opset == opset and toolkit.problem(model) is None
    assert model.ir.metadata_props == toolkit.load(proto).ir.metadata_props
    for a, b in zip(run(proto, feeds(name, 2)), run(model.proto(), feeds(name, 2)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_ir_version() -> None:
    model = toolkit.load(models.perceptron())
    toolkit.set_ir_version(model, 8)
    assert model.proto().ir_version == 8 and toolkit.problem(model) is None
    for version in (2, 7, 99):
        with pytest.raises(ModelError):
            toolkit.set_ir_version(model, version)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = str(EXPORTS / "resnet.onnx"), str(tmp_path / "o.onnx")
    assert main(["onnx", "precision", source, "-o", out, "--to", "float16", "--no-int64", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["casts"] == 2
    assert main(["onnx", "precision", source, "-o", out]) == 2
    assert main(["onnx", "boundary", source, "-o", out, "--type", "image=uint8", "--scale", "image=0.004",
                 "--layout", "image=NHWC"]) == 0
    run(onnx.load(out), {"image": np.zeros((1, 64, 64, 3), np.uint8)})
    assert main(["onnx", "boundary", source, "-o", out, "--scale", "image=x"]) == 2
    assert main(["onnx", "opset", source, "-o", out, "--to", "17", "--ir", "8"]) == 0
    assert main(["onnx", "opset", source, "-o", out, "--to", "5"]) == 3
    assert main(["onnx", "external", source, "-o", out, "--shard", "100KB"]) == 0
    shards = sorted(tmp_path.glob("o.onnx-*-of-*.data"))
    assert len(shards) >= 2 and all(p.stat().st_size <= 100_000 + 4096 for p in shards)
    one = str(tmp_path / "one.onnx")
    assert main(["onnx", "external", out, "-o", one, "--embed"]) == 0
    for a, b in zip(run(onnx.load(source), feeds("resnet", 1)), run(onnx.load(one), feeds("resnet", 1)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert main(["onnx", "external", source, "-o", out, "--shard", "many"]) == 2


def test_models_from_before_ir_version_4() -> None:
    proto = models.model([node("MatMul", ["x", "w"], ["y"])], {"x": (FLOAT, [1, 4]), "w": (FLOAT, [4, 4])},
                         {"y": (FLOAT, [1, 4])}, {"w": array(4, 4)}, 8)
    proto.ir_version = 3
    x = array(1, 4)
    for edit in (toolkit.set_precision, lambda m: toolkit.set_type(m, "x", "uint8", scale=1.0),
                 lambda m: toolkit.set_batch(m, "n")):
        edit(model := toolkit.load(proto))
        assert toolkit.problem(model) is None and [v.name for v in model.graph.inputs] == ["x"]
        if model.inputs[0].dtype.name == "FLOAT":
            np.testing.assert_allclose(run(model.proto(), {"x": x})[0], run(proto, {"x": x})[0], atol=1e-2)
