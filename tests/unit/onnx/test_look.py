"""Looking at models: costs and memory by hand, statistics by NumPy, nodes by the standard."""

import random
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import onnx as toolkit
from tensorwright.errors import InputError, TensorwrightError
from tensorwright.onnx.look.inventory import inventory
from tools.zoo import ZOO

from . import models

F = TensorProto.FLOAT


def convolution(groups: int = 1) -> onnx.ModelProto:
    """x (n, 4, 9, 11) → Conv 3x2, stride 2, padding 1 → y (n, 6, 5, 6)"""
    weights = {"w": np.ones((6, 4 // groups, 3, 2), np.float32)}
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv", strides=[2, 2], pads=[1, 1, 1, 1], group=groups)
    return models.model([node], {"x": (F, ["n", 4, 9, 11])}, {"y": (F, ["n", 6, 5, 6])}, weights)


# cost ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("groups", [1, 2])
def test_cost_of_a_convolution_by_hand(groups: int) -> None:
    found = toolkit.costs(toolkit.load(convolution(groups)), {"x": (3, 4, 9, 11)})
    assert found.flops == 2 * 3 * 6 * 5 * 6 * (4 // groups) * 3 * 2
    assert found.bytes == 4 * (3 * 4 * 9 * 11 + 6 * (4 // groups) * 3 * 2 + 3 * 6 * 5 * 6)
    assert not found.sizes.assumed and str(found.types["y"]) == "float32 (3, 6, 5, 6)"


def test_sizes_nobody_gave_are_assumed_and_said() -> None:
    model = toolkit.load(models.model([helper.make_node("Relu", ["x"], ["y"])], {"x": (F, ["n", None, 4])},
                                      {"y": (F, None)}))
    found = toolkit.costs(model)
    assert found.sizes.assumed == {"n": 1, "x[1]": 64} and found.flops == 1 * 64 * 4
    found = toolkit.costs(model, {"n": 5, "x": (5, 7, 4)})
    assert not found.sizes.assumed and found.flops == 5 * 7 * 4


@pytest.mark.parametrize("shapes", [{"z": (1,)}, {"x": (1, 2)}, {"x": (1, 2, 3)}, {"n": 2, "x": (1, 2, 4)},
                                    {"n": -1}, {"n": (1, 2)}])
def test_sizes_that_contradict_the_model_are_refused(shapes: dict) -> None:
    model = models.model([helper.make_node("Relu", ["x"], ["y"])], {"x": (F, ["n", "m", 4])}, {"y": (F, None)})
    with pytest.raises(InputError):
        toolkit.costs(toolkit.load(model), shapes)


def test_defaults_are_those_of_the_builder() -> None:
    from tensorwright.builder.profiles import DEFAULT_BATCH, DEFAULT_OTHER
    from tensorwright.onnx.look.sizes import BATCH, OTHER
    assert (BATCH, OTHER) == (DEFAULT_BATCH[1], DEFAULT_OTHER[1])


def test_cost_of_a_network_is_that_of_its_convolutions_by_shape_inference() -> None:
    """mobilenet_v2: the convolutions' share, from shapes that onnx infers, and little beside it."""
    proto = ZOO["mobilenet_v2"].model()
    model = toolkit.load(proto)
    found = toolkit.costs(model, {"batch": 2})
    next(i for i in proto.graph.input if i.name == "image").type.tensor_type.shape.dim[0].dim_value = 2
    del proto.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in inferred.graph.value_info}
    weights = {t.name: list(t.dims) for t in proto.graph.initializer}
    for node, cost in zip(proto.graph.node, found.nodes, strict=True):
        if node.op_type == "Conv":
            assert cost.flops == 2 * np.prod(shapes[node.output[0]]) * np.prod(weights[node.input[1]][1:])
    for name, shape in shapes.items():
        assert found.types[name].shape == tuple(shape), name                   # type: ignore[union-attr]
    convolutions = sum(c.flops or 0 for n, c in zip(proto.graph.node, found.nodes, strict=True) if n.op_type == "Conv")
    assert convolutions < found.flops < 1.03 * convolutions


def custom() -> onnx.ModelProto:
    """Relu, an operator nobody knows, Relu; the file says what type the unknown one makes."""
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Magic", ["a"], ["b"], domain="far"),
             helper.make_node("Relu", ["b"], ["c"]), helper.make_node("Magic", ["c"], ["d"], domain="far"),
             helper.make_node("Relu", ["d"], ["y"])]
    proto = models.model(nodes, {"x": (F, ["n", 8])}, {"y": (F, None)})
    proto.opset_import.append(helper.make_opsetid("far", 1))
    proto.graph.value_info.append(helper.make_tensor_value_info("b", F, ["n", 2]))
    return proto


def test_nodes_the_compiler_does_not_know_are_counted_as_unknown() -> None:
    found = toolkit.costs(toolkit.load(custom()), {"n": 3})
    assert [n.flops for n in found.nodes] == [24, None, 6, None, None] and found.unknown == 3
    assert "far" in found.nodes[1].why and found.nodes[1].way == "unknown"
    assert toolkit.memory(toolkit.load(custom()), found.types).unknown == ("d", "y")


def test_folded_nodes_cost_nothing_and_host_steps_are_named() -> None:
    found = toolkit.costs(toolkit.load(models.every_storage()))
    assert found.nodes[0] == found.nodes[5].__class__(0, 0, "constant")
    assert found.nodes[1].way == "host step" and "If" in found.nodes[1].why and found.nodes[1].flops is None


# memory --------------------------------------------------------------------------------------------------------------
def test_memory_over_time_by_hand() -> None:
    """x 10 → a (20 elements) → b, c (10 each) → b + c; 4 bytes each. x lives to step 0, a to 2, b and c to 3."""
    nodes = [helper.make_node("Concat", ["x", "x"], ["a"], axis=0), helper.make_node("Split", ["a"], ["b", "d"], axis=0,
                                                                                     num_outputs=2),
             helper.make_node("MaxPool", ["b"], ["e"], kernel_shape=[1]),
             helper.make_node("Add", ["d", "e"], ["y"])]
    proto = models.model(nodes[:2] + [helper.make_node("Neg", ["b"], ["e"])] + nodes[3:], {"x": (F, [10])},
                         {"y": (F, [10])})
    model = toolkit.load(proto)
    found = toolkit.memory(model, toolkit.costs(model).types)
    assert found.live == (40 + 80, 80 + 40 + 40, 40 + 40 + 40, 40 + 40 + 40)
    assert (found.peak, found.at) == (160, 1) and found.alive == (("a", 80), ("b", 40), ("d", 40))


def test_tensors_that_branches_read_stay_alive() -> None:
    """x → a, read only inside the branches of If, two steps later; c and b are there meanwhile."""
    branches = {f"{n}_branch": helper.make_graph([helper.make_node("Neg", ["a"], [f"{n}_y"])], n, [],
                                                 [helper.make_tensor_value_info(f"{n}_y", F, [10])])
                for n in ("then", "else")}
    nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Abs", ["x"], ["b"]),
             helper.make_node("Abs", ["b"], ["c"]), helper.make_node("If", ["flag"], ["y"], **branches)]
    model = toolkit.load(models.model(nodes, {"x": (F, [10]), "flag": (TensorProto.BOOL, [])},
                                      {"y": (F, [10]), "c": (F, [10])}))
    assert toolkit.memory(model, toolkit.costs(model).types).live == (81, 121, 121, 121)


def test_a_model_without_nodes() -> None:
    model = toolkit.load(models.model([], {"x": (F, [2])}, {"x": (F, [2])}))
    found = toolkit.overview(model)
    assert found.memory is not None and found.memory.live == () and found.memory.at == -1


# weights -------------------------------------------------------------------------------------------------------------
def test_weights_and_where_they_are(tmp_path: Path) -> None:
    onnx.save(models.every_storage(), tmp_path / "m.onnx")
    found = {w.name: w for w in inventory(toolkit.load(tmp_path / "m.onnx"))}
    assert {n: (w.place, w.storage) for n, w in found.items() if n in ("raw", "constant", "typed", "text", "k")} == {
        "raw": ("initializer", "file"), "constant": ("Constant node", "file"), "typed": ("initializer", "fields"),
        "text": ("initializer", "fields"), "k": ("Constant node", "file")}
    assert found["small"].dtype == "int4" and found["small"].shape == (5000,) and not found["typed"].readers
    onnx.save(models.perceptron(), tmp_path / "e.onnx", save_as_external_data=True, size_threshold=0, location="w.bin")
    assert {w.storage for w in inventory(toolkit.load(tmp_path / "e.onnx"))} == {"external w.bin"}


def test_constants_written_as_numbers() -> None:
    nodes = [helper.make_node("Constant", [], ["f"], value_floats=[1.0, 2.5]),
             helper.make_node("Constant", [], ["i"], value_int=7),
             helper.make_node("Constant", [], ["s"], value_string="text"), helper.make_node("Identity", ["f"], ["y"])]
    model = toolkit.load(models.model(nodes, {}, {"y": (F, [2])}))
    assert {w.name: (w.dtype, w.shape) for w in inventory(model)} == {
        "f": ("float32", (2,)), "i": ("int64", ()), "s": ("string", ())}


# statistics ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn,
                                   np.int8, np.uint8, np.int64, np.bool_, ml_dtypes.int4])
def test_statistics_are_numpys(dtype) -> None:
    random = np.random.default_rng(0)
    array = (random.standard_normal((50, 41)) * 3).astype(dtype)
    wide, found = array.astype(np.float64), toolkit.statistics(array, bins=10)
    assert (found.count, found.zeros) == (2050, int((wide == 0).sum())) and not found.sampled
    np.testing.assert_allclose([found.min, found.max, found.mean, found.std],
                               [wide.min(), wide.max(), wide.mean(), wide.std()], rtol=1e-12, atol=1e-12)
    percentiles = found.percentiles or {}
    np.testing.assert_allclose(list(percentiles.values()), np.percentile(wide, list(percentiles)))
    np.testing.assert_array_equal(found.histogram, np.histogram(wide, 10)[0])


def test_statistics_over_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorwright.onnx.look import statistics
    monkeypatch.setattr(statistics, "CHUNK", 7)
    monkeypatch.setattr(statistics, "SAMPLE", 20)
    array = np.arange(100, dtype=np.float32) - 3
    found = toolkit.statistics(array, 5)
    assert (found.mean, found.std) == (float(array.mean()), pytest.approx(float(array.std())))
    assert found.histogram == (20,) * 5 and found.sampled


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_what_is_not_a_plain_number_is_counted(dtype) -> None:
    tiny = float(ml_dtypes.finfo(dtype).smallest_normal)
    array = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, tiny, tiny / 2, -tiny / 4, 1.0]).astype(dtype)
    found = toolkit.statistics(array)
    assert (found.zeros, found.nans, found.infs, found.denormals) == (2, 1, 2, 2)
    assert (found.min, found.max) == (-tiny / 4, 1.0) and sum(found.histogram) == 6


@pytest.mark.parametrize("array", [np.zeros((0, 3), np.float32), np.full(4, np.nan, np.float32),
                                   np.array(["a", "b"], object), np.array([1 + 2j, np.nan], np.complex64)])
def test_statistics_of_nothing(array: np.ndarray) -> None:
    found = toolkit.statistics(array)
    assert found.count == array.size and found.min is None and found.histogram == ()


def test_statistics_of_extremes_do_not_overflow() -> None:
    found = toolkit.statistics(np.array([-1.7e308, 1.7e308, 0.0]), 3)
    assert found.histogram == (1, 1, 1) and found.min == -1.7e308
    assert toolkit.statistics(np.full(5, 2.0), 4).histogram == (0, 0, 5, 0)


# nodes ---------------------------------------------------------------------------------------------------------------
def test_a_node_with_its_neighbours() -> None:
    model = toolkit.load(models.perceptron())
    toolkit.infer(model)
    found = toolkit.describe(model, model.node("first"))
    assert (found.operator, found.since, found.doc_url) == (
        "Gemm", 13, "https://onnx.ai/onnx/operators/onnx__Gemm.html")
    assert {a.name: (a.value, a.given) for a in found.attributes} == {
        "alpha": ("1", False), "beta": ("1", False), "transA": ("0", False), "transB": ("0", False)}
    assert [(e.role, e.name, e.kind, e.others) for e in found.inputs] == [
        ("A", "x", "input", ()), ("B", "w1", "weight", ()), ("C", "b1", "weight", ())]
    assert [(e.role, e.name, e.type, e.kind, e.others) for e in found.outputs] == [
        ("Y", "h", "float32 (batch, 32)", "computed", ("relu",))]
    assert toolkit.describe(model, model.node("second")).outputs[0].kind == "output"


def test_nodes_with_branches_custom_operators_and_exporters_notes() -> None:
    model = toolkit.load(models.every_storage())
    found = toolkit.describe(model, model.node("picked"))
    assert [(e.role, e.name) for e in found.inputs] == [("cond", "flag"), ("captured", "raw")]
    assert any(a.value == "graph yes of 2 nodes" for a in found.attributes)
    node = model.node("y")
    node.metadata_props["pkg.torch.onnx.stack_trace"] = "File model.py, line 3"
    found = toolkit.describe(model, node)
    assert (found.operator, found.since, found.doc_url) == ("local::Twice", None, "")
    assert found.metadata == {"pkg.torch.onnx.stack_trace": "File model.py, line 3"}
    nodes = [helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")]
    model = toolkit.load(models.model(nodes, {"x": (F, [1, 1, 4, 4])}, {"y": (F, None)},
                                      {"s": np.array([1, 1, 2, 2], np.float32)}))
    assert [e.kind for e in toolkit.describe(model, model.node("y")).inputs] == ["input", "absent", "weight"]


# damage --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [models.perceptron, models.every_storage])
def test_damaged_models_are_looked_at_or_refused(make, tmp_path: Path) -> None:
    """Whatever a damaged file says, looking at it ends in an answer or in an error of ours."""
    whole, dice = bytearray(make().SerializeToString()), random.Random(0)
    looked = 0
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(dice.choice([1, 2, 6])):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            model = toolkit.load(bytes(data))
        except TensorwrightError:
            continue
        for look in (lambda m: toolkit.overview(m), lambda m: [toolkit.describe(m, n) for n in m.all_nodes()],
                     lambda m: [toolkit.statistics(toolkit.get_weight(m, w.name)) for w in inventory(m) if w.name],
                     lambda m: toolkit.diff(m, toolkit.load(make())), lambda m: toolkit.fusion(m),
                     lambda m: toolkit.save_page(m, tmp_path / "page.html")):
            try:
                look(model)
                looked += 1
            except TensorwrightError:
                pass
    assert looked > 60
