"""Lint on real PyTorch exports (tools/lint_exports.py wrote them): every rule finds its case, repairs keep the outputs.

FINDS says which rules find something in a file of tests/data/lint, at level info.
"""

import random
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tensorwright import onnx as toolkit
from tensorwright.errors import InputError, TensorwrightError
from tensorwright.onnx.lint import Severity, fix, lint, selected
from tools.zoo import ZOO

from . import models

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data"
FINDS: dict[str, set[str]] = {
    "constant_batch": {"TW101", "TW102", "TW306"}, "constant_branch": {"TW101", "TW307"}, "denormals": {"TW402"},
    "dropout": {"TW303"}, "duplicate_weights": {"TW202", "TW404"}, "dynamic_axes": {"TW103"},
    "expand_dynamo": {"TW106"}, "expand_script": {"TW101", "TW106"}, "float64_dynamo": {"TW201"},
    "float64_script": {"TW201"}, "foldable": {"TW306"}, "generated_names": {"TW309"}, "half_quantised": {"TW503"},
    "high_rank_dynamo": {"TW104"}, "high_rank_script": {"TW101", "TW104"}, "host_step": {"TW601"},
    "high_rank_sum": {"TW104"}, "identity": {"TW302"}, "int64": {"TW202"}, "last_assignment_dynamo": {"TW107"},
    "numbers": {"TW401", "TW402", "TW403"}, "old_opset": {"TW002", "TW003"}, "qdq_between": {"TW501"},
    "qdq_repeated": {"TW502"}, "redundant_cast_dynamo": {"TW202", "TW203"}, "redundant_cast_script": {"TW202", "TW203"},
    "redundant_transpose_dynamo": {"TW301"}, "redundant_transpose_script": {"TW301"},
    "resize_sizes_dynamo": {"TW105"}, "resize_sizes_script": {"TW105"}, "shape_arithmetic_dynamo": set(),
    "shape_arithmetic_script": {"TW101"}, "slice_assignment_dynamo": {"TW101", "TW107", "TW302"},
    "slice_assignment_script": {"TW101", "TW107"}, "slice_assignment_static": {"TW101", "TW107", "TW306"},
    "training_mode": {"TW304", "TW601"}, "training_output": {"TW305"}, "trivial_output": {"TW308"},
    "unnamed_nodes": {"TW310"}, "unreadable_operator": {"TW602"}, "unused": {"TW311"}, "unused_input": {"TW312"},
}
#: What is left after the repairs: what has none, and the interface.
STAYS = {"TW103", "TW304", "TW305", "TW308", "TW309", "TW312", "TW401", "TW403", "TW503", "TW601",
         "TW602"}
LEFT = {"high_rank_sum": {"TW104"}, "slice_assignment_script": {"TW107"}, "int64": {"TW202"},
        "duplicate_weights": {"TW202"}, "redundant_cast_dynamo": {"TW202"}, "redundant_cast_script": {"TW202"}}
#: Exports of known architectures by PyTorch, and of ours: good ones, of which lint must not say a word.
CLEAN = ("mobilenet_v2", "efficientnet_b0", "mobilenet_v3_large", "regnety_400mf", "swin_tiny", "yolov8n", "unet",
         "gpt_small", "convnext_tiny")


def case(name: str) -> onnx.ModelProto:
    return onnx.load(DATA / "lint" / f"{name}.onnx")


def run(model: onnx.ModelProto, batch: int) -> list[np.ndarray]:
    """Outputs by ONNX Runtime for random inputs; unnamed and dynamic dimensions besides the first are 8."""
    dice, feeds = np.random.default_rng(batch), {}
    for info in model.graph.input:
        t = info.type.tensor_type
        shape = [d.dim_value if d.HasField("dim_value") else (batch if axis == 0 else 8)
                 for axis, d in enumerate(t.shape.dim)]
        dtype = helper.tensor_dtype_to_np_dtype(t.elem_type)
        feeds[info.name] = dice.standard_normal(shape).astype(dtype) if dtype.kind == "f" else \
            dice.integers(0, 2, shape).astype(dtype)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {n: a for n, a in feeds.items() if n in {i.name for i in session.get_inputs()}})


def same(a: onnx.ModelProto, b: onnx.ModelProto, batches: tuple[int, ...] = (2, 3)) -> None:
    for batch in batches:
        for x, y in zip(run(a, batch), run(b, batch), strict=True):
            assert x.dtype == y.dtype and x.shape == y.shape
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


def rules_of(model: toolkit.Model, level: str = "info") -> set[str]:
    return {f.rule for f in lint(model, level=level)}


# the rules -----------------------------------------------------------------------------------------------------------
def test_every_file_has_its_findings_noted_and_every_rule_a_file() -> None:
    assert set(FINDS) == {p.stem for p in (DATA / "lint").glob("*.onnx")}
    assert set().union(*FINDS.values()) | {"TW001"} == {r.id for r in selected()}
    assert sum(p.stat().st_size for p in (DATA / "lint").iterdir()) < 400_000


@pytest.mark.parametrize("name", FINDS)
def test_rules_find_what_is_planted_and_nothing_else(name: str) -> None:
    assert rules_of(toolkit.load(case(name))) == FINDS[name]


@pytest.mark.parametrize("name", FINDS)
def test_repairs_keep_the_outputs_and_leave_nothing_to_repair(name: str) -> None:
    before = case(name)
    model = toolkit.load(before)
    repaired = fix(model)
    left = lint(model, level="info")
    assert not [f for f in left if f.fixable]
    assert {f.rule for f in left} == FINDS[name] & STAYS | LEFT.get(name, set())
    assert {f.rule for f in repaired} >= FINDS[name] - STAYS - LEFT.get(name, set()) - {"TW306", "TW003"}
    if not repaired:
        assert model.proto() == toolkit.load(before).proto()
        return
    onnx.checker.check_model(model.proto(), full_check=True)
    static = before.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value")
    if name != "numbers":                                # its NaN is everywhere; the denormals are tested below
        same(before, model.proto(), (2,) if static or name == "constant_batch" else (2, 3))


def test_repaired_batch_is_free() -> None:
    model = toolkit.load(case("constant_batch"))
    with pytest.raises(Exception, match="Reshape"):
        run(case("constant_batch"), 3)
    fix(model)
    first = run(model.proto(), 3)[0]
    assert first.shape == (3, 65, 4) and (first[:, 0] == 1).all()


def test_a_branch_that_is_not_taken_reads_nothing_any_more() -> None:
    value = [helper.make_tensor_value_info("r", TensorProto.FLOAT, ["batch", 4, 8])]
    taken = helper.make_graph([helper.make_node("Relu", ["x"], ["r"], "relu")], "yes", [], value)
    other = helper.make_graph([helper.make_node("Add", ["x", "k"], ["r"], "add")], "no", [], value)
    nodes = [helper.make_node("If", ["flag"], ["y"], "if", then_branch=taken, else_branch=other)]
    model = toolkit.load(models.model(nodes, X, Y, {"flag": np.array(True), "k": np.ones(8, np.float32)}))
    assert [f.rule for f in fix(model)] == ["TW307", "TW311"]
    assert [n.op_type for n in model.nodes] == ["Relu"] and not model.graph.initializers


def test_old_models_are_converted() -> None:
    before = ZOO["squeezenet"].model()                   # opset 9: Dropout, a Softmax of the old meaning
    before.ir_version = 8
    model = toolkit.load(before)
    assert {"TW303", "TW002"} <= {f.rule for f in fix(model)} and model.opset == 13 and not lint(model)
    same(before, model.proto(), (1, 2))


def test_invalid_model() -> None:
    proto = case("identity")
    proto.graph.node[1].input[0] = "nobody"
    found = lint(toolkit.load(proto))
    assert found[0].rule == "TW001" and found[0].severity is Severity.ERROR


@pytest.mark.parametrize("name", CLEAN)
def test_silent_on_good_exports(name: str) -> None:
    assert lint(toolkit.load(ZOO[name].model())) == []


@pytest.mark.parametrize(("name", "rules"), [("bert", set()), ("detector", {"TW101"}), ("resnet", set())])
def test_shared_exports(name: str, rules: set[str]) -> None:
    before = onnx.load(DATA / "exports" / f"{name}.onnx")
    model = toolkit.load(before)
    assert rules_of(model, "warning") == rules
    if fix(model):
        same(before, model.proto())
    assert not [f for f in lint(model, level="info") if f.fixable]


# repairs that must not be made ---------------------------------------------------------------------------------------
def unfixed(nodes: list[onnx.NodeProto], inputs: dict, outputs: dict, weights: dict | None = None, **more) -> list[str]:
    """Rules of the findings without a repair; the repairs of the others keep the outputs."""
    proto = models.model(nodes, inputs, outputs, weights, **more)
    model = toolkit.load(proto)
    found = lint(model, level="info")
    if fix(model):
        same(proto, model.proto())
    return [f.rule for f in found if not f.fixable]


X = {"x": (TensorProto.FLOAT, ["batch", 4, 8])}
V = {"y": (TensorProto.FLOAT, [None])}
Y = {"y": (TensorProto.FLOAT, [None, None, None])}


def test_cast_that_rounds_stays() -> None:
    nodes = [helper.make_node("Cast", ["x"], ["h"], "a", to=10), helper.make_node("Cast", ["h"], ["y"], "b", to=1)]
    assert not lint(toolkit.load(models.model(nodes, X, Y)), level="info")


def test_transposes_between_which_somebody_reads_are_merged_but_kept() -> None:
    nodes = [helper.make_node("Transpose", ["x"], ["t"], "a", perm=[0, 2, 1]),
             helper.make_node("Relu", ["t"], ["r"], "relu"), helper.make_node("Exp", ["r"], ["e"], "exp"),
             helper.make_node("Transpose", ["r"], ["y"], "b", perm=[0, 2, 1]),
             helper.make_node("Transpose", ["t"], ["z"], "c", perm=[2, 0, 1])]
    outputs = {name: Y["y"] for name in "yez"}
    proto = models.model(nodes, X, outputs)
    model = toolkit.load(proto)
    assert [f.node for f in lint(model, ["TW301"])] == ["c"]
    fix(model)
    assert len(model.find("Transpose")) == 3
    same(proto, model.proto())


def test_long_float64_arithmetic_is_reported_only() -> None:
    nodes = [helper.make_node("Cast", ["x"], ["d"], "in", to=11), helper.make_node("Exp", ["d"], ["e"], "exp"),
             helper.make_node("Cast", ["e"], ["y"], "out", to=1)]
    assert unfixed(nodes, X, Y) == ["TW201"]


def test_float64_from_integers_is_reported_only() -> None:
    nodes = [helper.make_node("Cast", ["x"], ["d"], "in", to=11), helper.make_node("Mul", ["d", "k"], ["e"], "mul"),
             helper.make_node("Cast", ["e"], ["y"], "out", to=1)]
    assert unfixed(nodes, {"x": (TensorProto.INT64, ["batch"])}, V, {"k": np.array(0.1)}) == ["TW201", "TW202"]


@pytest.mark.parametrize(("indices", "fixable"), [
    ([[1], [2]], True), ([[-2], [-1]], True), ([[0], [1], [2], [3]], True), ([[1], [3]], False), ([[2], [1]], False),
    ([[1], [1]], False)])
def test_scatter_becomes_concat_only_for_runs(indices: list[list[int]], fixable: bool) -> None:
    node = helper.make_node("ScatterND", ["x", "at", "new"], ["y"], "scatter")
    weights = {"at": np.array(indices), "new": np.random.default_rng(0).standard_normal((len(indices), 8), np.float32)}
    inputs, outputs = {"x": (TensorProto.FLOAT, [4, 8])}, {"y": (TensorProto.FLOAT, [4, 8])}
    assert ("TW107" not in unfixed([node], inputs, outputs, weights)) is fixable


def test_expand_that_sets_the_result_size_stays() -> None:
    nodes = [helper.make_node("Expand", ["x", "shape"], ["e"], "expand"),
             helper.make_node("Add", ["e", "one"], ["y"], "add")]
    weights = {"shape": np.array([3, 1, 4, 8]), "one": np.ones(1, np.float32)}
    proto = models.model(nodes, X, {"y": (TensorProto.FLOAT, [None] * 4)}, weights)
    assert not lint(toolkit.load(proto), level="info")


def test_resize_to_what_is_no_multiple_stays() -> None:
    nodes = [helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], "resize")]
    y = {"y": (TensorProto.FLOAT, [1, 2, 12, 16])}
    proto = models.model(nodes, {"x": (TensorProto.FLOAT, [1, 2, 8, 8])}, y, {"sizes": np.array([1, 2, 12, 16])})
    assert not lint(toolkit.load(proto), level="info")


def test_qdq_before_relu_with_another_scale_stays() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
             helper.make_node("QuantizeLinear", ["c", "s"], ["q"], "q1"),
             helper.make_node("DequantizeLinear", ["q", "s"], ["d"], "d1"),
             helper.make_node("Relu", ["d"], ["r"], "relu"),
             helper.make_node("QuantizeLinear", ["r", "t"], ["p"], "q2"),
             helper.make_node("DequantizeLinear", ["p", "t"], ["y"], "d2")]
    weights = {"w": np.ones((2, 4, 1), np.float32), "s": np.float32(0.1), "t": np.float32(0.2)}
    assert unfixed(nodes, X, Y, weights) == ["TW501"]


def test_masks_of_infinity_are_right_where_they_are_added() -> None:
    mask = np.where(np.tri(8, dtype=bool), 0, -np.inf).astype(np.float32)
    for operator, expected in (("Add", set()), ("Mul", {"TW401"})):
        proto = models.model([helper.make_node(operator, ["x", "mask"], ["y"], "n")],
                             {"x": (TensorProto.FLOAT, [8, 8])}, {"y": (TensorProto.FLOAT, [8, 8])}, {"mask": mask})
        assert rules_of(toolkit.load(proto)) == expected


def test_multi_task_heads_are_no_training_outputs() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["r"], "relu")] + [
        helper.make_node("MatMul", ["r", "w"], [f"out{i}"], f"head{i}") for i in range(2)]
    outputs = {f"out{i}": Y["y"] for i in range(2)}
    assert not lint(toolkit.load(models.model(nodes, X, outputs, {"w": np.ones((8, 3), np.float32)})))


def test_constants_in_subgraphs_are_looked_at() -> None:
    proto = models.every_storage()
    branch = proto.graph.node[1].attribute[0].g
    branch.node[0].attribute[0].t.raw_data = np.full(300, np.nan, np.float32).tobytes()
    assert "TW401" in rules_of(toolkit.load(proto))


def test_weights_are_counted_like_numpy_counts_them() -> None:
    import ml_dtypes

    from tensorwright.onnx.lint.weights import BLOCK, FLOATS, facts
    dice = np.random.default_rng(0)
    for name, dtype in (("FLOAT", np.float32), ("DOUBLE", np.float64), ("FLOAT16", np.float16),
                        ("BFLOAT16", ml_dtypes.bfloat16)):
        for size in (0, 1, BLOCK // np.dtype(dtype).itemsize + 3):
            with np.errstate(over="ignore"):
                array = (dice.standard_normal(size) * 10.0 ** dice.integers(-45, 9, size)).astype(dtype)
            array[dice.random(size) < 0.01] = np.nan
            array[dice.random(size) < 0.01] = -np.inf
            found, wide = facts(array, FLOATS[name]), array.astype(np.float64)
            tiny = float(ml_dtypes.finfo(dtype).smallest_normal)
            with np.errstate(over="ignore"):
                half = np.isfinite(wide) & np.isinf(wide.astype(np.float16))
            finite = np.abs(wide[np.isfinite(wide)])
            assert found.nan == np.isnan(wide).sum() and found.minus_infinity == (wide == -np.inf).sum()
            assert found.plus_infinity == (wide == np.inf).sum()
            assert found.denormal == ((wide != 0) & (np.abs(wide) < tiny)).sum()
            assert found.overflow == (half.sum() if name != "FLOAT16" else 0)
            assert found.largest == (finite.max() if finite.size else 0)


# where it comes from -------------------------------------------------------------------------------------------------
def test_findings_name_the_line_of_the_exporting_code() -> None:
    code = {line.strip() for line in (ROOT / "tools" / "lint_exports.py").read_text().splitlines()}
    for exporter in ("script", "dynamo"):                # the script may have grown since: its line numbers are others
        finding, = lint(toolkit.load(case(f"redundant_transpose_{exporter}")))
        assert finding.source is not None and finding.source.file == "tools/lint_exports.py" and finding.source.line
        if exporter == "dynamo":                         # the older exporter does not keep the code
            assert finding.source.code in code and "permute" in finding.source.code
    finding, = lint(toolkit.load(case("training_output")))
    assert finding.source is not None and finding.source.module == "side.side.2"


def test_no_folder_of_the_exporting_machine_is_in_the_files() -> None:
    for path in (DATA / "lint").glob("*.onnx"):
        assert b'"/' not in path.read_bytes() and b"site-packages" not in path.read_bytes()


# the frame -----------------------------------------------------------------------------------------------------------
def test_lint_does_not_change_the_model() -> None:
    for name in ("slice_assignment_script", "constant_branch"):
        model = toolkit.load(case(name))
        before = model.proto().SerializeToString(deterministic=True)
        lint(model, level="info")
        assert model.proto().SerializeToString(deterministic=True) == before


def test_rules_are_chosen_by_identifier_name_and_group() -> None:
    assert [r.id for r in selected(["TW301", "dropout"])] == ["TW301", "TW303"]
    shapes = {r.id for r in selected() if r.id[2] == "1"}
    assert {r.id for r in selected(["shapes"])} == {r.id for r in selected(["tw1"])} == shapes
    assert len(selected(ignore=["shapes", "TW301"])) == len(selected()) - len(selected(["shapes"])) - 1
    for unknown in ("TW999", "no", "TW"):
        with pytest.raises(InputError, match="no lint rule"):
            selected([unknown])
    with pytest.raises(InputError, match="severity"):
        lint(toolkit.load(case("identity")), level="loud")


def test_only_chosen_rules_repair() -> None:
    model = toolkit.load(case("redundant_cast_script"))
    assert fix(model, ["TW301"]) == [] and {f.rule for f in fix(model, ignore=["TW202"])} == {"TW203"}


def test_a_long_chain_takes_no_quadratic_time() -> None:
    nodes = [helper.make_node("Relu" if i % 2 else "Identity", [f"t{i}"], [f"t{i + 1}"], f"n{i}") for i in range(2000)]
    model = toolkit.load(models.model(nodes, {"t0": (TensorProto.FLOAT, ["n"])}, {"t2000": (TensorProto.FLOAT, ["n"])}))
    assert len(fix(model)) == 1000 and len(model.nodes) == 1000


@pytest.mark.parametrize("name", ["slice_assignment_dynamo", "qdq_between", "constant_branch", "training_mode"])
def test_damaged_files_are_errors_of_ours(name: str) -> None:
    whole, dice = case(name).SerializeToString(), random.Random(0)
    for _ in range(25):
        data = bytearray(whole)
        for _ in range(dice.choice([1, 3, 20])):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            model = toolkit.load(bytes(data))
            lint(model, level="info")
            fix(model)
        except TensorwrightError:
            pass


def test_the_exporters_still_write_these_findings() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from tools import lint_exports
    assert set(lint_exports.CASES) == set(FINDS)
    for name in ("redundant_transpose_dynamo", "shape_arithmetic_script", "float64_script"):
        found = lint(toolkit.load(lint_exports.export(lint_exports.CASES[name])), level="info")
        assert {f.rule for f in found} == FINDS[name]
