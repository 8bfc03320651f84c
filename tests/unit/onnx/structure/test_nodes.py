"""Deleting, inserting, connecting, replacing nodes; outputs; cutting parts out: what happens, and what is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import onnx as toolkit
from tensorwright.errors import ModelError

from .. import models
from ..random_models import run

F = TensorProto.FLOAT
X = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)


def residual() -> toolkit.Model:
    """y = (relu(x) + x)·2, z = float64 of the first half of x; the second half is not read."""
    nodes = [helper.make_node("Relu", ["x"], ["r"], "relu"), helper.make_node("Add", ["r", "x"], ["s"], "sum"),
             helper.make_node("Mul", ["s", "two"], ["y"], "scale"),
             helper.make_node("Split", ["x"], ["a", "b"], "split", axis=1, num_outputs=2),
             helper.make_node("Cast", ["a"], ["z"], "cast", to=TensorProto.DOUBLE)]
    results = {"y": (F, ["n", 4]), "z": (TensorProto.DOUBLE, ["n", 2])}
    return toolkit.load(models.model(nodes, {"x": (F, ["n", 4])}, results, {"two": np.float32(2)}))


def outputs(model: toolkit.Model) -> dict[str, np.ndarray]:
    return run(model.proto(), {"x": X})


# deleting ------------------------------------------------------------------------------------------------------------
def test_the_input_that_is_not_constant_takes_the_place() -> None:
    model = residual()
    toolkit.delete_node(model, "scale")                  # s becomes the output y
    assert np.array_equal(outputs(model)["y"], np.maximum(X, 0) + X)
    assert [v.name for v in model.outputs] == ["y", "z"] and model.node("sum").outputs[0].name == "y"


def test_which_input_is_asked_for() -> None:
    model = residual()
    with pytest.raises(ModelError, match="more than one way") as caught:
        toolkit.delete_node(model, "sum")
    assert caught.value.try_ == "through='r' or through='x'" and "float32 [n, 4]" in str(caught.value)
    with pytest.raises(ModelError, match="does not read 'q'"):
        toolkit.delete_node(model, "sum", through="q")
    toolkit.delete_node(model, "sum", through="x")
    assert np.array_equal(outputs(model)["y"], 2 * X)


def test_a_change_of_type_or_shape_must_be_named() -> None:
    model = residual()
    with pytest.raises(ModelError, match="Cast 'cast' changes what flows through it: its result 'z' is float64"):
        toolkit.delete_node(model, "cast")
    with pytest.raises(ModelError, match=r"'a' is float32 \[n, 2\]"):
        toolkit.delete_node(model, "split")
    toolkit.delete_node(model, "split", through={"a": "x"})
    assert outputs(model)["z"].shape == (2, 4) and list(model.outputs[1].shape)[1] == 4
    with pytest.raises(ModelError, match=r"Inferred elem type differs|invalid"):
        toolkit.delete_node(model, "cast", through="x")


def test_an_output_that_is_an_input_keeps_a_copy() -> None:
    relu = helper.make_node("Relu", ["x"], ["y"], "relu")
    model = toolkit.load(models.model([relu], {"x": (F, [4])}, {"y": (F, [4])}))
    toolkit.delete_node(model, "relu")
    assert [n.op_type for n in model.nodes] == ["Identity"]
    with pytest.raises(ModelError, match="must stay"):
        toolkit.delete_node(model, 0)


def test_nodes_without_inputs_and_strangers_are_refused() -> None:
    model = toolkit.load(models.every_storage())
    with pytest.raises(ModelError, match="no input to put in the place") as caught:
        toolkit.delete_node(model, "constant")
    assert "Add (unnamed, makes 'sum') reads it" in str(caught.value)
    with pytest.raises(ModelError, match="not a node of this model"):
        toolkit.delete_node(model, residual().node("relu"))


def test_tensors_read_inside_branches_follow() -> None:
    proto = models.every_storage()
    proto.graph.node.insert(0, helper.make_node("Relu", ["raw"], ["positive"], "relu"))
    for attribute in proto.graph.node[2].attribute:
        attribute.g.node[1].input[0] = "positive"
    model = toolkit.load(proto)
    assert len(toolkit.consumers(model, "positive")) == 2
    toolkit.delete_node(model, "relu", through="raw")
    assert len(toolkit.consumers(model, "raw")) == 2
    onnx.checker.check_model(model.proto(), full_check=True)


# inserting -----------------------------------------------------------------------------------------------------------
def test_insert() -> None:
    model = residual()
    toolkit.insert_after(model, "x", "Neg", name="n1")   # relu, sum and split read it
    assert {n.name for n in toolkit.consumers(model, "n1")} == {"relu", "sum", "split"}
    toolkit.insert_before(model, "sum", "Abs", input="r", name="n2")
    toolkit.insert_between(model, "n1", "sum", "Sub", inputs=[1.0], at=1, name="n3")
    toolkit.insert_after(model, "y", "Clip", inputs=[None, 3], name="n4")
    y = np.minimum(2 * (np.abs(np.maximum(-X, 0)) + (1 + X)), 3)
    np.testing.assert_allclose(outputs(model)["y"], y, 1e-6)
    assert toolkit.producers(model, "n4") == [model.node("scale")]
    assert [n.name for n in toolkit.upstream(model, "y")][:2] == ["n4", "scale"]
    assert toolkit.downstream(model, "r")[-1].name == "n4"


@pytest.mark.parametrize("call,message,hint", [
    (lambda m: toolkit.insert_after(m, "y", "Sofmax"), "no operator 'Sofmax'", "Softmax"),
    (lambda m: toolkit.insert_after(m, "y", "Softmax", {"axes": 1}), "no attribute 'axes'", "axis"),
    (lambda m: toolkit.insert_after(m, "y", "Softmax", inputs=["x"]), "cannot have 2 operands", None),
    (lambda m: toolkit.insert_after(m, "y", "Clip", at=2), "cannot be operand 2 of 1", None),
    (lambda m: toolkit.insert_after(m, "x", "Add", inputs=["y"]), "circle", None),
    (lambda m: toolkit.insert_before(m, "sum", "Abs"), "2 inputs that are not constant", "input='r'"),
    (lambda m: toolkit.insert_between(m, "relu", "scale", "Abs"), "does not read 'r'", "Add 'sum' reads it"),
    (lambda m: toolkit.insert_after(m, "y", "Cast"), "needs the attribute to", None),
    (lambda m: toolkit.insert_after(m, "y", "MatMul", inputs=[np.ones((3, 3), np.float32)]), "do not fit", None),
    (lambda m: toolkit.add_node(m, "Relu", ["x"], outputs=["y"]), "there is a tensor 'y'", None),
    (lambda m: toolkit.add_node(m, "Relu", ["x"], name="relu"), "there is a node 'relu'", None),
    (lambda m: toolkit.add_node(m, "Relu", ["x"], outputs=2), "has 1 result, not 2", None),
    (lambda m: toolkit.add_node(m, "Gemm", ["x", None]), "cannot have 1 operand", None),
    (lambda m: toolkit.add_node(m, "Relu", [None]), "cannot have 0 operands", None),
    (lambda m: toolkit.add_node(m, "Scatter", ["x", "x", "x"]), "deprecated", None),
    (lambda m: toolkit.add_weight(m, "two", 3.0), "there is a tensor 'two'", "set_weight"),
    (lambda m: toolkit.set_input(m, "relu", "Y", "x"), "no operand 'Y'", "X"),
    (lambda m: toolkit.set_input(m, "relu", 1, "x"), "cannot have 2 operands", None),
    (lambda m: toolkit.set_input(m, "relu", 0, None), "cannot have 0 operands", None),
    (lambda m: toolkit.set_input(m, "relu", 0, "y"), "circle", None),
    (lambda m: toolkit.set_input(m, "relu", 1, 1.0), "cannot have 2 operands", None),
    (lambda m: toolkit.replace_tensor(m, "x", "y"), "circle", None)])
def test_what_cannot_be_is_refused(call, message, hint) -> None:
    model = residual()
    before = model.proto().SerializeToString(deterministic=True)
    with pytest.raises(ModelError) as caught:
        call(model)
    assert message in str(caught.value) and (hint is None or hint in str(caught.value.try_))
    assert model.proto().SerializeToString(deterministic=True) == before


def test_build_by_hand() -> None:
    model = residual()
    toolkit.add_weight(model, "slope", np.float32([0.5]))
    node = toolkit.add_node(model, "PRelu", ["s", "slope"], outputs=["p"])
    toolkit.set_input(model, "scale", "A", "p")
    toolkit.set_input(model, "scale", 1, 3.0)
    s = np.maximum(X, 0) + X
    np.testing.assert_allclose(outputs(model)["y"], 3 * np.where(s > 0, s, s / 2), 1e-6)
    toolkit.replace_tensor(model, "p", "s")
    assert not node.outputs[0].uses() and toolkit.remove_unused(model).weights == ("two", "slope")
    np.testing.assert_allclose(outputs(model)["y"], 3 * s, 1e-6)


def test_custom_operators_pass_types_on_and_import_their_domain() -> None:
    model = residual()
    toolkit.insert_after(model, "r", "Mine", {"level": 3}, domain="my.own")
    assert model.ir.opset_imports["my.own"] == 1
    assert toolkit.load(model.proto()).value("mine").shape == model.value("r").shape


def test_a_constant_has_no_operands() -> None:
    model = toolkit.load(models.every_storage())
    with pytest.raises(ModelError, match="Constant cannot have 1 operand"):
        toolkit.set_input(model, "constant", 0, 1.0)


def test_replace_node() -> None:
    model = residual()
    toolkit.replace_node(model, "scale", 'Add(A, "s")')
    np.testing.assert_allclose(outputs(model)["y"], 2 * (np.maximum(X, 0) + X), 1e-6)
    assert [n.name for n in model.nodes] == ["relu", "sum", "scale", "split", "cast"]
    toolkit.replace_node(model, "split", "a, b = Split(input, **node)")
    toolkit.replace_node(model, "relu", lambda match, build: build.Max(match["X"], build.weight(np.float32(0))))
    np.testing.assert_allclose(outputs(model)["y"], 2 * (np.maximum(X, 0) + X), 1e-6)
    with pytest.raises(ModelError, match="no operand 'q'"):
        toolkit.replace_node(model, "scale", "Add(A, q)")
    with pytest.raises(ModelError, match="was not replaced: because"):
        toolkit.replace_node(model, "split", lambda match, build: "because")


# outputs and parts --------------------------------------------------------------------------------------------------
def test_outputs() -> None:
    model = residual()
    toolkit.add_output(model, "r")
    toolkit.add_output(model, "x", name="copy")
    assert [v.name for v in model.outputs] == ["y", "z", "r", "copy"]
    got = outputs(model)
    assert np.array_equal(got["copy"], X) and np.array_equal(got["r"], np.maximum(X, 0))
    for tensor, name, message in (("r", None, "output already"), ("two", None, "name of its own"),
                                  ("s", "r", "tensor 'r'")):
        with pytest.raises(ModelError, match=message):
            toolkit.add_output(model, tensor, name=name)
    toolkit.reorder_outputs(model, ["copy", "r", "z", "y"])
    toolkit.remove_output(model, "z")
    assert not model.find("Split", "Cast") and [v.name for v in model.outputs] == ["copy", "r", "y"]
    with pytest.raises(ModelError, match="no output 's': Mul 'scale' reads it"):
        toolkit.remove_output(model, "s")
    for name in ("copy", "r"):
        toolkit.remove_output(model, name)
    with pytest.raises(ModelError, match="only output"):
        toolkit.remove_output(model, "y")
    inner = toolkit.load(models.every_storage())
    with pytest.raises(ModelError, match="inside If"):
        toolkit.add_output(inner, "yes_y")


def test_extract() -> None:
    model = residual()
    part = toolkit.extract(model, ["r", "x"], ["y"])
    assert [v.name for v in part.inputs] == ["r", "x"] and [n.name for n in part.nodes] == ["sum", "scale"]
    assert run(part.proto(), {"r": X, "x": X})["y"].tolist() == (4 * X).tolist()
    assert len(model.nodes) == 5 and list(part.inputs[0].shape)[1] == 4
    with pytest.raises(ModelError) as caught:
        toolkit.extract(model, ["r"], ["y"])
    assert caught.value.facts["missing"] == "'x' float32 [n, 4]"
    for inputs, results, message in ((["x", "z"], ["y"], "'z' leads to none"), (["x"], [], "needs an output"),
                                     (["x"], ["q"], "no tensor 'q'"), (["x"], ["y", "y"], "named twice")):
        with pytest.raises(ModelError, match=message):
            toolkit.extract(model, inputs, results)
    weight = toolkit.extract(model, ["s", "two"], ["y"])
    assert [v.name for v in weight.inputs] == ["s", "two"] and not weight.graph.initializers
    assert [n.op_type for n in toolkit.extract(model, ["s"], ["s"]).nodes] == ["Identity"]


def test_unused() -> None:
    model = toolkit.load(models.every_storage())
    model.graph.outputs.pop(0)
    removed = toolkit.remove_unused(model, inputs=True)
    assert removed.functions == ("local::Twice",) and removed.inputs == ("flag",) and "raw" in removed.weights
    assert str(removed) == "removed 4 nodes, 2 weights, 1 function, 1 input" and not toolkit.remove_unused(model)
    model = residual()
    with pytest.raises(ModelError, match="input 'x' is needed"):
        toolkit.remove_inputs(model, ["x"])
    with pytest.raises(ModelError, match="no input 'q'"):
        toolkit.remove_inputs(model, ["q"])


def test_names_that_several_tensors_have_are_ambiguous() -> None:
    proto = models.every_storage()
    for attribute in proto.graph.node[1].attribute:      # both branches call their constant c
        for names in (attribute.g.node[0].output, attribute.g.node[1].input):
            names[:] = ["c" if n.endswith("_c") else n for n in names]
    model = toolkit.load(proto)
    for call in (lambda: toolkit.get_weight(model, "c"), lambda: toolkit.insert_after(model, "c", "Neg"),
                 lambda: toolkit.delete_node(model, "c")):
        with pytest.raises(ModelError, match="2 tensors are called 'c'"):
            call()
    one, two = [v for n in model.find("Constant") for v in n.outputs if v.name == "c"]
    before = toolkit.get_weight(model, one)
    toolkit.set_weight(model, two, before + 5)
    np.testing.assert_array_equal(toolkit.get_weight(model, two), before + 5)
    np.testing.assert_array_equal(toolkit.get_weight(model, one), before)
    with pytest.raises(ModelError, match="no node makes 'flag'"):
        toolkit.delete_node(model, "flag")


def test_unknown_shapes_are_not_taken_for_equal() -> None:
    nodes = [helper.make_node("MaxPool", ["x"], ["p"], "pool", kernel_shape=[2, 2]),
             helper.make_node("Relu", ["p"], ["y"], "relu")]
    model = toolkit.load(models.model(nodes, {"x": (F, ["n", 3, "h", "w"])}, {"y": (F, ["n", 3, None, None])}))
    with pytest.raises(ModelError, match="changes what flows"):
        toolkit.delete_node(model, "pool")
    toolkit.delete_node(model, "relu")
    assert [n.op_type for n in model.nodes] == ["MaxPool"] and model.nodes[0].outputs[0].name == "y"


def test_a_constant_of_the_same_shape_is_not_taken() -> None:
    add = helper.make_node("Add", ["w", "x"], ["y"], "add")
    model = toolkit.load(models.model([add, helper.make_node("Neg", ["y"], ["z"])], {"x": (F, [2])}, {"z": (F, [2])},
                                      {"w": np.ones(2, np.float32)}))
    toolkit.delete_node(model, "add")
    assert model.nodes[0].inputs[0].name == "x"


def test_names_stay_unique_among_many_edits() -> None:
    model = residual()
    with toolkit.editing(model):
        for k in range(20):
            toolkit.insert_after(model, "x", "Neg")
            toolkit.add_weight(model, f"w_{k}", 1.0)
            toolkit.insert_after(model, "r", "Abs")
        toolkit.rename_tensor(model, "w_5", "neg_30")
        for _ in range(20):
            toolkit.insert_after(model, "x", "Neg")
    names = [v.name for n in model.nodes for v in n.outputs] + list(model.graph.initializers)
    assert len(set(names)) == len(names) and len({n.name for n in model.nodes}) == len(model.nodes)
    np.testing.assert_allclose(outputs(model)["y"], 2 * (np.abs(np.maximum(X, 0)) + X), 1e-6)
