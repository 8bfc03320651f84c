"""Static ↔ dynamic: all shapes follow, constants are repaired, the model computes the same at other sizes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import onnx as toolkit
from tensorwright.cli.main import main
from tensorwright.errors import ModelError
from tensorwright.onnx.regroup import regrouped

from . import models
from .test_exports import EXPORTS, feeds
from .test_fold import array, run

node = helper.make_node
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def attention(batch: int, dynamic: bool) -> onnx.ModelProto:
    """As an exporter writes a small ViT for this batch; the weights are the same for every batch."""
    random = np.random.default_rng(7)
    d = ["batch"] if dynamic else [batch]
    b = -1 if dynamic else batch
    weights = {"token": random.standard_normal((1, 1, 8)).astype(np.float32),
               "w": random.standard_normal((8, 8)).astype(np.float32), "one": np.array([1]), "zero": np.array([0]),
               "end": np.array([6]), "heads": np.array([b, 6, 2, 4]), "joined": np.array([b, 6, 8]),
               "flat": np.array([-1 if dynamic else batch * 6, 8])}
    nodes = [node("Concat", ["tokens", "x"], ["c"], axis=1), node("MatMul", ["c", "w"], ["q"]),
             node("Reshape", ["q", "heads"], ["h"], "split"), node("Transpose", ["h"], ["t"], perm=[0, 2, 1, 3]),
             node("Softmax", ["t"], ["s"]), node("Transpose", ["s"], ["u"], perm=[0, 2, 1, 3]),
             node("Reshape", ["u", "joined"], ["j"], "join"), node("Reshape", ["j", "flat"], ["f"], "flatten"),
             node("Relu", ["f"], ["r"]), node("Reshape", ["r", "joined"], ["k"], "again"),
             node("Slice", ["k", "zero", "one", "one"], ["y"])]
    if dynamic:
        nodes[:0] = [node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "zero"], ["n"]),
                     node("Concat", ["n", "one", "one"], ["repeats"], axis=0),
                     node("Expand", ["token", "repeats"], ["tokens"])]
    else:
        weights["repeats"] = np.array([batch, 1, 8])
        nodes[:0] = [node("Expand", ["token", "repeats"], ["tokens"], "class token")]
    return models.model(nodes, {"x": (FLOAT, [*d, 5, 8])}, {"y": (FLOAT, [*d, 1, 8])}, weights)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("prepare", [lambda model: None, lambda model: toolkit.simplify(model, largest=1 << 20)])
def test_attention_of_a_fixed_batch_becomes_dynamic(batch: int, prepare) -> None:
    model = toolkit.load(attention(batch, False))
    prepare(model)
    report = toolkit.set_batch(model, "n")
    assert report.shapes == {"x": ("n", 5, 8), "y": ("n", 1, 8)} and len(report.repaired) >= 4
    for n in (1, 2, 5):
        x = array(n, 5, 8)
        np.testing.assert_allclose(run(model.proto(), {"x": x})[0], run(attention(n, False), {"x": x})[0], atol=1e-6)
    assert model.value("t").shape[0] == "n" and model.value("s").shape[2] == 6


def test_other_numbers() -> None:
    model = toolkit.load(attention(2, False))
    toolkit.set_batch(model, 7)
    x = array(7, 5, 8)
    np.testing.assert_allclose(run(model.proto(), {"x": x})[0], run(attention(7, False), {"x": x})[0], atol=1e-6)
    toolkit.set_batch(model := toolkit.load(attention(1, True)), 3)
    assert list(model.outputs[0].shape) == [3, 1, 8]
    run(model.proto(), {"x": array(3, 5, 8)})


def image_model() -> onnx.ModelProto:
    """Resize by sizes, Reshape that mixes batch and size, Slice to the old end, Flatten; for 1 × 3 × 8 × 6."""
    nodes = [node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
             node("Resize", ["c", "", "", "sizes"], ["r"], "up", mode="nearest"),
             node("Slice", ["r", "zero", "end", "axis"], ["s"], "all"),
             node("Reshape", ["s", "rows"], ["m"], "mixed"), node("ReduceMean", ["s", "hw"], ["p"]),
             node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "g"], ["y"])]
    return models.model(nodes, {"x": (FLOAT, [1, 3, 8, 6])}, {"y": (FLOAT, [1, 5]), "m": (FLOAT, [16, 4, 12])},
                        {"w": array(4, 3, 3, 3), "sizes": np.array([1, 4, 16, 12]), "zero": np.array([0]),
                         "end": np.array([16]), "axis": np.array([2]), "rows": np.array([16, 4, 12]),
                         "hw": np.array([2, 3]), "g": array(4, 5)})


def test_height_and_width_become_dynamic() -> None:
    proto = image_model()
    proto.graph.node[3].CopyFrom(node("Transpose", ["s"], ["m"], perm=[2, 0, 1, 3]))
    proto.graph.output[1].CopyFrom(helper.make_tensor_value_info("m", FLOAT, [16, 1, 4, 12]))
    model = toolkit.load(proto)
    report = toolkit.set_dims(model, {"x": ["n", None, "h", "w"]})
    assert "scales [1.0, 1.0, 2.0, 2.0]" in report.repaired["up"] and report.repaired["all"].endswith("to the end")
    assert report.shapes == {"x": ("n", 3, "h", "w"), "y": ("n", 5), "m": ("2*h", "n", 4, "2*w")}
    for shape in ((1, 3, 8, 6), (2, 3, 5, 7)):
        y, m = run(model.proto(), {"x": array(*shape)})
        assert y.shape == (shape[0], 5) and m.shape == (2 * shape[2], shape[0], 4, 2 * shape[3])


def test_a_model_that_cannot_is_refused_with_the_node() -> None:
    proto = image_model()
    model = toolkit.load(proto)
    with pytest.raises(ModelError, match="mixed"):         # where would the batch go in (16, 4, 12)?
        toolkit.set_dims(model, {"x": ["n", 3, "h", 6]})
    assert list(model.inputs[0].shape) == [1, 3, 8, 6], "and nothing has changed"
    flat = models.model([node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w"], ["y"], "head")],
                        {"x": (FLOAT, [1, 3, 4])}, {"y": (FLOAT, [1, 5])}, {"w": array(12, 5)})
    with pytest.raises(ModelError, match="head: Gemm"):
        toolkit.set_dims(toolkit.load(flat), {"x": ["n", 3, "width"]})
    toolkit.set_dims(model := toolkit.load(flat), {"x": ["n", 3, 4]})
    masked = models.model([node("Add", ["x", "positions"], ["y"], "positions")], {"x": (FLOAT, [1, 9, 4])},
                          {"y": (FLOAT, [1, 9, 4])}, {"positions": array(1, 9, 4)})
    with pytest.raises(ModelError, match="positions: Add"):
        toolkit.set_dims(toolkit.load(masked), {"x": [1, "tokens", 4]})


def test_recurrent_initial_states_are_repeated() -> None:
    nodes = [node("LSTM", ["x", "w", "r", "b", "", "h0", "c0"], ["y"], "lstm", hidden_size=4)]
    proto = models.model(nodes, {"x": (FLOAT, [6, 1, 3])}, {"y": (FLOAT, [6, 1, 1, 4])},
                         {"w": array(1, 16, 3), "r": array(1, 16, 4), "b": array(1, 32), "h0": array(1, 1, 4),
                          "c0": array(1, 1, 4)})
    model = toolkit.load(proto)
    toolkit.set_dims(model, {"x": [6, "batch", 3]})
    x = array(6, 3, 3)
    whole = run(model.proto(), {"x": x})[0]
    for i in range(3):
        np.testing.assert_allclose(whole[:, :, i:i + 1], run(proto, {"x": x[:, i:i + 1]})[0], atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", ["detector", "resnet", "bert"])
def test_exports_fixed_simplified_and_dynamic_again(name: str, batch: int) -> None:
    proto = onnx.load(EXPORTS / f"{name}.onnx")
    model = toolkit.load(proto)
    toolkit.set_dims(model, {i: list(x.shape) for i, x in feeds(name, batch).items()})
    toolkit.simplify(model)
    assert not any(isinstance(d, str) for v in model.outputs for d in v.shape)
    for a, b in zip(run(proto, feeds(name, batch)), run(model.proto(), feeds(name, batch)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    toolkit.set_batch(model, "batch")
    for n in (1, 3):
        for a, b in zip(run(proto, feeds(name, n)), run(model.proto(), feeds(name, n)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_where_a_dimension_goes() -> None:
    from tensorwright.dims import symbol
    n, h = symbol("n"), symbol("h")
    assert regrouped([1, 197, 768], [n, 197, 768], [1, 197, 12, 64]) == [n, 197, 12, 64]
    assert regrouped([64, 49, 96], [64 * n, 49, 96], [1, 8, 8, 49, 96]) == [n, 8, 8, 49, 96]
    assert regrouped([2, 197, 768], [n, 197, 768], [394, 768]) == [197 * n, 768]
    assert regrouped([1, 4, 8, 8], [1, 4, h, 8], [1, 4, 64]) == [1, 4, 8 * h]
    assert regrouped([6, 4], [h, 4], [2, 12]) is None


def test_wrong_requests(tmp_path: Path) -> None:
    model = toolkit.load(attention(1, False))
    for dims, says in (({"z": [1]}, "not an input"), ({"x": [1, 2]}, "3 dimensions"), ({"x": [0, 5, 8]}, "0 is not"),
                       ({"x": ["a b", 5, 8]}, "'a b' is not"), ({"x": ["n", "n", 8]}, "cannot name")):
        with pytest.raises(ModelError, match=says):
            toolkit.set_dims(model, dims)
    onnx.save(attention(1, False), tmp_path / "m.onnx")
    path = str(tmp_path / "m.onnx")
    assert main(["onnx", "dims", path, "--in-place"]) == 2
    assert main(["onnx", "dims", path, "--in-place", "--input", "x=-,5,9"]) == 3
    assert main(["onnx", "dims", path, "--in-place", "--input", "x=n,-,8"]) == 0
    assert main(["onnx", "dims", path, "--in-place", "--batch", "4"]) == 0
    assert onnx.load(path).graph.output[0].type.tensor_type.shape.dim[0].dim_value == 4
