"""Folding keeps what a model computes, folds what is constant, and says why it leaves the rest."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensorwright import onnx as toolkit
from tensorwright.cli.main import main
from tensorwright.errors import ModelError

from . import models
from .test_exports import EXPORTS, feeds

node = helper.make_node
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
RANDOM = np.random.default_rng(0)


def array(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape, dtype=np.float32)


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options,
                                        providers=["CPUExecutionProvider"]).run(None, inputs)


def folded(proto: onnx.ModelProto, inputs: dict[str, np.ndarray], **options) -> tuple[toolkit.Model, toolkit.Folded]:
    """The model after folding; it computes what it computed."""
    model = toolkit.load(proto)
    report = toolkit.fold(model, **options)
    assert toolkit.problem(model) is None
    for a, b in zip(run(proto, inputs), run(model.proto(), inputs), strict=True):
        assert a.dtype == b.dtype
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(a, b)
    return model, report


def operators(model: toolkit.Model) -> list[str]:
    return [n.op_type for n in model.nodes]


def test_weights_are_computed_and_the_old_ones_go() -> None:
    nodes = [node("Transpose", ["w"], ["wt"], "t"), node("Mul", ["wt", "two"], ["w2"], "m"),
             node("MatMul", ["x", "w2"], ["y"], "mm")]
    proto = models.model(nodes, {"x": (FLOAT, ["b", 64])}, {"y": (FLOAT, ["b", 32])},
                         {"w": array(32, 64), "two": np.float32(2)})
    model, report = folded(proto, {"x": array(3, 64)})
    assert operators(model) == ["MatMul"] and list(model.graph.initializers) == ["w2"]
    assert report.folded == ["t", "m"] and report and not report.declined


def test_shapes_of_known_dimensions_are_numbers() -> None:
    """The exporter's chain: Shape → Gather → Unsqueeze → Concat → Reshape, with a dynamic batch."""
    nodes = [node("Relu", ["x"], ["r"]), node("Shape", ["r"], ["s"]), node("Gather", ["s", "two"], ["w"]),
             node("Div", ["w", "two"], ["half"]), node("Unsqueeze", ["half", "front"], ["u"]),
             node("Concat", ["all", "u"], ["shape"], axis=0), node("Reshape", ["r", "shape"], ["y"])]
    proto = models.model(nodes, {"x": (FLOAT, ["b", "c", 8])}, {"y": (FLOAT, ["n", 4])},
                         {"two": np.array(2), "front": np.array([0]), "all": np.array([-1])})
    model, _ = folded(proto, {"x": array(3, 5, 8)})
    assert operators(model) == ["Relu", "Reshape"]
    assert model.nodes[1].inputs[1].const_value.numpy().tolist() == [-1, 4]


def test_a_fold_that_makes_the_file_larger_is_declined() -> None:
    nodes = [node("ConstantOfShape", ["size"], ["zeros"], "fill"), node("Expand", ["row", "size"], ["rows"], "rows"),
             node("Transpose", ["w"], ["wt"], "shared"), node("Add", ["size", "size"], ["twice"], "small"),
             node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["x", "wt"], ["b"]), node("Add", ["a", "b"], ["c"]),
             node("Add", ["c", "zeros"], ["d"]), node("Add", ["d", "rows"], ["y"])]
    proto = models.model(nodes, {"x": (FLOAT, [64, 64])}, {"y": (FLOAT, [64, 64]), "twice": (INT64, [2])},
                         {"size": np.array([64, 64]), "row": array(64), "w": array(64, 64)})
    inputs = {"x": array(64, 64)}
    model, report = folded(proto, inputs)
    assert set(report.declined) == {"fill", "rows", "shared"} and report.folded == ["small"]
    assert "16384 bytes" in report.declined["fill"]
    model, report = folded(proto, inputs, largest=1 << 20)
    assert operators(model) == ["Constant", "MatMul", "MatMul", "Add", "Add", "Add"] and not report.declined


def test_random_excluded_and_quantised_nodes_stay() -> None:
    nodes = [node("RandomNormal", [], ["r"], "dice", shape=[2]), node("Neg", ["two"], ["n"], "negative"),
             node("Abs", ["n"], ["m"], "keep_1"), node("DequantizeLinear", ["q", "scale"], ["d"], "dequantize"),
             node("Mul", ["x", "m"], ["p"]), node("Mul", ["p", "d"], ["y"]), node("Shape", ["r"], ["z"])]
    proto = models.model(nodes, {"x": (FLOAT, [2])}, {"y": (FLOAT, [2]), "z": (INT64, [1])},
                         {"two": np.float32(2), "q": np.array([1, 2], np.int8), "scale": np.float32(0.5)})
    _, report = folded(proto, {"x": array(2)}, exclude=["keep_*"])
    assert report.folded == ["negative", "z"]
    assert report.declined == {"dice": "its result differs from run to run", "keep_1": "excluded",
                               "dequantize": "it tells engines what is quantised"}


def branches(names: str = "ab") -> list[onnx.GraphProto]:
    """Two branches with the same names of results, and an initialiser each."""
    return [helper.make_graph([node("Mul", ["r", k], [f"in_{names}"], "inner"),
                               node("Add", [f"in_{names}", k], [f"out_{names}"])], k,
                              [], [helper.make_tensor_value_info(f"out_{names}", FLOAT, None)],
                              [numpy_helper.from_array(np.float32(i + 2), k)]) for i, k in enumerate(names)]


@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("final", [True, False])
def test_a_decided_if_becomes_its_branch(condition: bool, final: bool) -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("Not", ["flag"], ["not"])]
    for i in range(2):
        then, other = branches(("ab", "cd")[i])
        result = f"y{i}" if final else f"p{i}"
        nodes.append(node("If", ["not"], [result], f"if{i}", then_branch=then, else_branch=other))
        if not final:
            nodes.append(node("Neg", [f"p{i}"], [f"y{i}"]))
    proto = models.model(nodes, {"x": (FLOAT, ["n"])}, {f"y{i}": (FLOAT, ["n"]) for i in range(2)},
                         {"flag": np.array(condition)})
    model, report = folded(proto, {"x": array(4)})
    assert report.flattened == ["if0", "if1"] and not model.find("If")
    assert "flag" not in model.graph.initializers


def test_a_branch_that_only_passes_on() -> None:
    passing = [helper.make_graph([], n, [], [helper.make_tensor_value_info("x", FLOAT, None)]) for n in "ab"]
    proto = models.model([node("If", ["flag"], ["y"], then_branch=passing[0], else_branch=passing[1])],
                         {"x": (FLOAT, [2])}, {"y": (FLOAT, [2])}, {"flag": np.array(True)})
    try:
        onnx.checker.check_model(proto, full_check=True)
    except onnx.checker.ValidationError:
        pytest.skip("this onnx does not take outer values for results of branches")
    model = toolkit.load(proto)
    toolkit.fold(model)
    assert operators(model) == ["Identity"]
    np.testing.assert_array_equal(run(model.proto(), {"x": np.ones(2, np.float32)})[0], [1, 1])


def test_constants_inside_branches_stay_inside() -> None:
    then, other = branches()
    then.node.insert(0, node("Neg", ["a"], ["negative"]))
    then.node[1].input[1] = "negative"
    proto = models.model([node("Relu", ["x"], ["r"]), node("If", ["flag"], ["y"], then_branch=then, else_branch=other)],
                         {"x": (FLOAT, [3]), "flag": (BOOL, [])}, {"y": (FLOAT, [3])})
    model, report = folded(proto, {"x": array(3), "flag": np.array(True)})
    assert len(report.folded) == 1 and model.find("If") and not model.find("Neg")


def test_results_of_unknown_size_and_results_of_the_model() -> None:
    nodes = [node("NonZero", ["mask"], ["where"]), node("Neg", ["two"], ["constant_output"]),
             node("Gather", ["x", "where"], ["y"])]
    proto = models.model(nodes, {"x": (FLOAT, [4])}, {"y": (FLOAT, [1, 2]), "constant_output": (FLOAT, [])},
                         {"mask": np.array([0, 1, 1, 0]), "two": np.float32(2)})
    model, _ = folded(proto, {"x": array(4)})
    assert operators(model) == ["Constant", "Gather"] and model.outputs[1].name == "constant_output"


def test_initialisers_that_may_be_fed_are_not_constants() -> None:
    nodes = [node("Neg", ["w"], ["n"]), node("Add", ["x", "n"], ["y"])]
    types = {"x": (FLOAT, [2]), "w": (FLOAT, [2])}
    proto = models.model(nodes, types, {"y": (FLOAT, [2])}, {"w": array(2)})
    model, report = folded(proto, {"x": array(2)})
    assert not report and len(model.nodes) == 2
    proto.ir_version = 3                                   # then every initialiser had to be an input
    model, report = folded(proto, {"x": array(2)})
    assert report.folded == ["n"] and model.ir.ir_version == 4 and [v.name for v in model.graph.inputs] == ["x"]


def test_every_element_type() -> None:
    for dtype in (np.float64, np.float16, np.int8, np.uint8, np.int32, np.int64, np.bool_):
        code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        proto = models.model([node("Concat", ["a", "a"], ["aa"], axis=0), node("Transpose", ["aa"], ["t"]),
                              node("Cast", ["x"], ["c"], to=code), node("Concat", ["c", "t"], ["y"], axis=1)],
                             {"x": (FLOAT, [2, 1])}, {"y": (code, [2, 5])}, {"a": (array(2, 2) > 0).astype(dtype)})
        assert folded(proto, {"x": array(2, 1)})[1].folded


@pytest.mark.parametrize("name", ["detector", "resnet", "bert"])
def test_exports_compute_the_same(name: str) -> None:
    folded(onnx.load(EXPORTS / f"{name}.onnx"), feeds(name, 2))


def test_every_storage_form_survives() -> None:
    folded(models.every_storage(), {"flag": np.array(False)})


def test_what_cannot_be_computed_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [node("Reshape", ["w", "bad"], ["r"], "wrong"), node("Neg", ["two"], ["n"], "fine"),
             node("Add", ["r", "n"], ["s"]), node("Add", ["x", "s"], ["y"])]
    proto = models.model(nodes, {"x": (FLOAT, None)}, {"y": (FLOAT, None)},
                         {"w": array(4), "bad": np.array([3, 3]), "two": np.float32(2)})
    onnx.save(proto, tmp_path / "m.onnx")
    assert main(["onnx", "fold", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "f.onnx"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["folded"] == ["fine"] and "(3, 3)" in said["declined"]["wrong"]
    proto.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array([2, 2]), "bad"))
    onnx.save(proto, tmp_path / "m.onnx")
    capsys.readouterr()
    assert main(["onnx", "fold", str(tmp_path / "m.onnx"), "--in-place", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folded"] == ["wrong", "fine", "s"]
    with pytest.raises(ModelError, match="largest is -1"):
        toolkit.fold(toolkit.load(proto), largest=-1)


HOSTILE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from tensorwright import onnx
model = onnx.load(sys.argv[1])
assert onnx.problem(model) is None, onnx.problem(model)
for largest in (1024, 1 << 62):
    report = onnx.fold(model, largest=largest)
    assert {"fill", "count"} <= set(report.declined), report
    assert {"ConstantOfShape", "Range"} <= {n.op_type for n in model.nodes}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
def test_results_beyond_all_memory_are_left(tmp_path: Path) -> None:
    nodes = [node("ConstantOfShape", ["size"], ["z"], "fill"), node("Range", ["zero", "end", "one"], ["r"], "count"),
             node("ReduceMax", ["z"], ["most"], "top", keepdims=0), node("Add", ["x", "most"], ["y"]),
             node("Gather", ["r", "i"], ["k"])]
    proto = models.model(nodes, {"x": (FLOAT, [2]), "i": (INT64, [1])}, {"y": (FLOAT, [2]), "k": (INT64, [1])},
                         {"size": np.array([1 << 24, 1 << 24]), "zero": np.array(0), "one": np.array(1),
                          "end": np.array(1 << 46)})
    onnx.save(proto, tmp_path / "m.onnx")
    done = subprocess.run([sys.executable, "-c", HOSTILE, str(tmp_path / "m.onnx")], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
