"""Simplification: each step finds its case, leaves what it must, and the model computes the same."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import onnx as toolkit
from tensorwright.cli.main import main
from tensorwright.errors import ModelError

from . import models
from .test_exports import EXPORTS, feeds
from .test_fold import array, operators, run

node = helper.make_node
FLOAT, HALF, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64


def changed(proto: onnx.ModelProto, inputs: dict[str, np.ndarray], *steps: Callable) -> toolkit.Model:
    """The model after the steps; it computes what it computed, to the last bit, under the same names."""
    model = toolkit.load(proto)
    for step in steps:
        step(model)
    assert toolkit.problem(model) is None
    after = model.proto()
    assert [o.name for o in after.graph.output] == [o.name for o in proto.graph.output]
    for a, b in zip(run(proto, inputs), run(after, inputs), strict=True):
        np.testing.assert_array_equal(a, b)
    return model


def test_identity_and_dropout() -> None:
    nodes = [node("Identity", ["x"], ["a"]), node("Dropout", ["a"], ["b"]), node("Relu", ["b"], ["c"]),
             node("Identity", ["c"], ["y"]), node("Identity", ["x"], ["z"]), node("Identity", ["c"], ["again"])]
    proto = models.model(nodes, {"x": (FLOAT, ["n"])}, {n: (FLOAT, ["n"]) for n in ("y", "z", "again")})
    model = changed(proto, {"x": array(3)}, toolkit.remove_identity)
    assert operators(model) == ["Relu", "Identity", "Identity"], "an input is no output, two outputs are two tensors"


def test_dropout_that_trains_and_masks_that_are_read_stay() -> None:
    nodes = [node("Dropout", ["x", "ratio", "yes"], ["a"]), node("Dropout", ["x"], ["b", "mask"]),
             node("Add", ["a", "b"], ["y"])]
    proto = models.model(nodes, {"x": (FLOAT, [2])}, {"y": (FLOAT, [2]), "mask": (TensorProto.BOOL, [2])},
                         {"ratio": np.float32(0.5), "yes": np.array(True)})
    model = toolkit.load(proto)
    assert toolkit.remove_identity(model) == []


def test_casts() -> None:
    nodes = [node("Cast", ["x"], ["same"], to=FLOAT), node("Cast", ["same"], ["wide"], to=TensorProto.DOUBLE),
             node("Cast", ["wide"], ["back"], to=FLOAT), node("Cast", ["back"], ["narrow"], to=HALF),
             node("Cast", ["narrow"], ["y"], to=FLOAT)]
    proto = models.model(nodes, {"x": (FLOAT, [5])}, {"y": (FLOAT, [5])})
    toolkit.infer(model := toolkit.load(proto))
    inferred = model.proto()
    model = changed(inferred, {"x": array(5)}, toolkit.remove_casts, toolkit.remove_unused)
    assert operators(model) == ["Cast", "Cast"], "through float16 and back loses digits"


def test_transposes() -> None:
    nodes = [node("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]), node("Transpose", ["a"], ["b"], perm=[0, 3, 1, 2]),
             node("Relu", ["b"], ["c"]), node("Transpose", ["c"], ["d"], perm=[1, 0, 2, 3]),
             node("Transpose", ["d"], ["y"], perm=[0, 1, 3, 2]), node("Neg", ["d"], ["z"])]
    proto = models.model(nodes, {"x": (FLOAT, ["n", 3, 4, 5])}, {"y": (FLOAT, [3, "n", 5, 4]), "z": (FLOAT, None)})
    proto.graph.output[1].CopyFrom(helper.make_tensor_value_info("z", FLOAT, [3, "n", 4, 5]))
    model = changed(proto, {"x": array(2, 3, 4, 5)}, toolkit.merge_transposes, toolkit.remove_unused)
    assert operators(model) == ["Relu", "Transpose", "Transpose", "Neg"]
    assert list(model.node("y").attributes["perm"].as_ints()) == [1, 0, 3, 2]


def test_reshapes_to_the_same_shape_and_pairs() -> None:
    nodes = [node("Reshape", ["x", "same"], ["a"]), node("Flatten", ["a"], ["b"]), node("Reshape", ["b", "two"], ["c"]),
             node("Unsqueeze", ["c", "zero"], ["d"]), node("Squeeze", ["d", "zero"], ["e"]), node("Relu", ["e"], ["f"]),
             node("Expand", ["f", "ones"], ["g"]), node("Tile", ["g", "ones"], ["y"])]
    proto = models.model(nodes, {"x": (FLOAT, ["n", 3, 4])}, {"y": (FLOAT, ["n", 4, 3])},
                         {"same": np.array([0, 3, -1]), "two": np.array([-1, 4, 3]), "zero": np.array([0]),
                          "ones": np.array([1, 1, 1])})
    model = changed(proto, {"x": array(2, 3, 4)}, toolkit.simplify)
    assert operators(model) == ["Reshape", "Relu"]


def test_slices_pads_and_joins_of_one() -> None:
    nodes = [node("Slice", ["x", "zero", "far", "one"], ["a"]), node("Pad", ["a", "none"], ["b"]),
             node("Concat", ["b"], ["c"], axis=0), node("Sum", ["c"], ["d"]),
             node("Split", ["d"], ["e"], num_outputs=1),
             node("Slice", ["e", "far", "low", "one", "back"], ["f"]), node("Pad", ["f", "shift"], ["g"]),
             node("Relu", ["g"], ["y"])]
    proto = models.model(nodes, {"x": (FLOAT, ["n", 3])}, {"y": (FLOAT, ["n", 3])},
                         {"zero": np.array([0]), "far": np.array([2**62]), "one": np.array([1]), "back": np.array([-1]),
                          "low": np.array([-(2**62)]), "none": np.zeros(4, np.int64), "shift": np.array([0, 1, 0, -1])})
    model = changed(proto, {"x": array(2, 3)}, toolkit.remove_slices)
    assert operators(model) == ["Slice", "Pad", "Relu"], "backwards, and a shift: these are not nothing"


def test_duplicates_and_equal_weights() -> None:
    nodes = [node("Mul", ["x", "a"], ["p"]), node("Mul", ["x", "b"], ["q"]), node("Relu", ["p"], ["r"]),
             node("Relu", ["q"], ["s"]), node("Add", ["r", "s"], ["y"]), node("Add", ["r", "s"], ["z"]),
             node("RandomNormal", [], ["d1"], shape=[2]), node("RandomNormal", [], ["d2"], shape=[2]),
             node("Sub", ["d1", "d2"], ["dice"])]
    weights = {"a": array(2), "c": np.float32([1, 2])}
    proto = models.model(nodes, {"x": (FLOAT, ["n", 2])}, {n: (FLOAT, ["n", 2]) for n in "yz"},
                         {**weights, "b": weights["a"].copy()})
    model = changed(proto, {"x": array(3, 2)}, toolkit.deduplicate)
    assert operators(model)[:4] == ["Mul", "Relu", "Add", "Add"] and list(model.graph.initializers) == ["a", "c"]
    assert len(model.find("RandomNormal")) == 2


def test_shapes_but_for_the_batch_become_constants() -> None:
    """Attention's reshape with dynamic batch and sequence, and Resize to twice the size."""
    nodes = [node("Shape", ["x"], ["s"]), node("Gather", ["s", "i0"], ["n"]), node("Gather", ["s", "i1"], ["t"]),
             node("Unsqueeze", ["n", "front"], ["n1"]), node("Unsqueeze", ["t", "front"], ["t1"]),
             node("Concat", ["n1", "t1", "heads"], ["split"], axis=0), node("Reshape", ["x", "split"], ["a"]),
             node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3]), node("Shape", ["b"], ["bs"]),
             node("Mul", ["bs", "twice"], ["sizes"]), node("Resize", ["b", "", "", "sizes"], ["y"], mode="nearest")]
    proto = models.model(nodes, {"x": (FLOAT, ["batch", "tokens", 8])}, {"y": (FLOAT, ["batch", 2, "t2", 8])},
                         {"i0": np.array(0), "i1": np.array(1), "front": np.array([0]), "heads": np.array([2, 4]),
                          "twice": np.array([1, 1, 2, 2])})
    model = changed(proto, {"x": array(3, 5, 8)}, toolkit.simplify)
    assert operators(model) == ["Reshape", "Transpose", "Resize"]
    assert model.nodes[0].inputs[1].const_value.numpy().tolist() == [0, 0, 2, 4]
    assert model.nodes[2].inputs[2].const_value.numpy().tolist() == [1, 1, 2, 2]
    changed(proto, {"x": array(1, 9, 8)}, toolkit.simplify)


@pytest.mark.parametrize("name", ["detector", "resnet", "bert"])
def test_exports(name: str) -> None:
    proto = onnx.load(EXPORTS / f"{name}.onnx")
    model = toolkit.load(proto)
    report = toolkit.simplify(model)
    toolkit.clean_names(model)
    assert report.nodes_after == len(model.all_nodes()) <= report.nodes_before
    for batch in (1, 3):
        inputs = feeds(name, batch)
        for a, b in zip(run(proto, inputs), run(model.proto(), inputs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert toolkit.simplify(model).nodes_before == report.nodes_after, "a second time finds nothing"


def test_clean_names() -> None:
    nodes = [node("Conv", ["x", "onnx::Conv_12", "13"], ["14"]), node("Relu", ["14"], ["features"], "keep"),
             node("Relu", ["features"], ["15"], "keep"), node("Shape", ["15"], ["y"], "/head/Shape")]
    proto = models.model(nodes, {"x": (FLOAT, ["n", 3, 8, 8])}, {"y": (INT64, [4])},
                         {"onnx::Conv_12": array(4, 3, 3, 3), "13": array(4)})
    toolkit.clean_names(model := toolkit.load(proto))
    run(model.proto(), {"x": array(1, 3, 8, 8)})
    assert [n.name for n in model.nodes] == ["conv_0", "keep", "relu_1", "/head/Shape"]
    assert set(model.values()) == {"x", "conv_0.weight", "conv_0.bias", "conv_0.out", "features", "relu_1.out", "y"}
    toolkit.clean_names(model, every=True)
    assert {"x", "y", "relu_0.out"} <= set(model.values())


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = str(EXPORTS / "bert.onnx"), str(tmp_path / "o.onnx")
    assert main(["onnx", "simplify", source, "-o", out, "--json", "--clean-names", "--skip", "fold"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["nodes_before"] >= said["nodes_after"] and "fold" not in said["steps"]
    assert main(["onnx", "deduplicate", source, "-o", out]) == 0
    assert main(["onnx", "clean-names", out, "--in-place"]) == 0
    assert main(["onnx", "simplify", source, "-o", out, "--skip", "everything"]) == 3
    with pytest.raises(ModelError, match="no step 'x'"):
        toolkit.simplify(toolkit.load(source), skip=["x"])
