"""merge, prepend, append: what the merged model computes is what its parts compute one after the other."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tensorwright import onnx as toolkit
from tensorwright.cli.main import main
from tensorwright.errors import ModelError

from . import models

F, I = TensorProto.FLOAT, TensorProto.INT64
EXPORTS = Path(__file__).parents[2] / "data" / "exports"


def small(nodes: list, inputs: dict, outputs: dict, **more) -> toolkit.Model:
    return toolkit.load(models.model(nodes, inputs, outputs, **more))


def run(model: toolkit.Model, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    proto = model.proto()
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def shape(model: toolkit.Model, name: str) -> list:
    return [d if isinstance(d, int) else d.value for d in model.value(name).shape]


def elementwise(op: str, given: str, made: str, dims: list, **more) -> toolkit.Model:
    return small([helper.make_node(op, [given], [made], op.lower())], {given: (F, dims)}, {made: (F, dims)}, **more)


@pytest.mark.parametrize("batch", [1, 3])
def test_one_after_the_other(batch: int) -> None:
    first, second = toolkit.load(models.perceptron()), elementwise("Neg", "n", "m", ["rows", 4])
    merged = toolkit.merge(first, second)
    x = np.random.default_rng(0).standard_normal((batch, 16), dtype=np.float32)
    assert list(run(merged, {"x": x})) == ["m"]
    np.testing.assert_array_equal(run(merged, {"x": x})["m"], -run(first, {"x": x})["y"])
    assert shape(merged, "m") == ["batch", 4], "the symbols of both are one, named as in the first"
    assert [o.name for o in first.outputs] == ["y"] and [i.name for i in second.inputs] == ["n"], "both are untouched"


def test_the_same_model_twice() -> None:
    """All names clash; the second one's get a prefix, its weights stay its own."""
    first = elementwise("Neg", "x", "y", ["n"])
    second = small([helper.make_node("Add", ["x", "w"], ["y"], "neg")], {"x": (F, ["n"])}, {"y": (F, ["n"])},
                   weights={"w": np.float32([2])})
    third = toolkit.merge(toolkit.merge(first, second), second)
    assert run(third, {"x": np.float32([1])})[third.outputs[0].name] == 3
    assert len({n.name for n in third.nodes}) == 3


def test_prefix_names_everything_of_the_second() -> None:
    merged = toolkit.merge(toolkit.load(models.perceptron()), toolkit.load(models.perceptron(1)), {}, prefix="b_")
    assert [v.name for v in (*merged.inputs, *merged.outputs)] == ["x", "b_x", "y", "b_y"]
    assert {n.name for n in merged.nodes} == {"first", "relu", "second", "b_first", "b_relu", "b_second"}
    assert shape(merged, "b_x") == ["batch_2", 16], "unconnected symbols of one name are two"
    x, other = np.ones((2, 16), np.float32), np.ones((3, 16), np.float32)
    results = run(merged, {"x": x, "b_x": other})
    np.testing.assert_array_equal(results["b_y"], run(toolkit.load(models.perceptron(1)), {"x": other})["y"])
    with pytest.raises(ModelError, match="both models have"):
        toolkit.merge(elementwise("Neg", "b_x", "y", [1]), elementwise("Neg", "x", "z", [1]), {}, prefix="b_")


def test_some_outputs_some_inputs_shared_inputs_kept_outputs() -> None:
    first = small([helper.make_node("Neg", ["a"], ["p"]), helper.make_node("Abs", ["a"], ["q"])], {"a": (F, ["n"])},
                  {"p": (F, ["n"]), "q": (F, ["n"])})
    second = small([helper.make_node("Sub", ["u", "v"], ["s"]), helper.make_node("Mul", ["s", "w"], ["t"])],
                   {"u": (F, ["m"]), "v": (F, ["m"]), "w": (F, ["m"])}, {"t": (F, ["m"])})
    merged = toolkit.merge(first, second, {"p": ["u"], "a": "v"}, keep=["p"])
    assert [i.name for i in merged.inputs] == ["a", "w"] and [o.name for o in merged.outputs] == ["p", "q", "t"]
    a, w = np.float32([1, -2]), np.float32([3, 4])
    results = run(merged, {"a": a, "w": w})
    np.testing.assert_array_equal(results["t"], (-a - a) * w)
    np.testing.assert_array_equal(results["p"], -a)
    both = toolkit.merge(first, second, {"p": ["u", "w"], "q": "v"})
    np.testing.assert_array_equal(run(both, {"a": a})["t"], (-a - abs(a)) * -a)


def test_equal_names_are_connected_when_all_of_one_side_are() -> None:
    first = small([helper.make_node("Neg", ["a"], ["p"]), helper.make_node("Abs", ["a"], ["q"])], {"a": (F, [2])},
                  {"p": (F, [2]), "q": (F, [2])})
    second = elementwise("Exp", "q", "z", [2])
    assert [o.name for o in toolkit.merge(first, second).outputs] == ["p", "z"]
    with pytest.raises(ModelError, match="not clear") as error:
        toolkit.merge(first, elementwise("Exp", "other", "z", [2]))
    assert "p float32 (2), q float32 (2)" in str(error.value) and "other float32 (2)" in str(error.value)


@pytest.mark.parametrize(("made", "taken", "says"), [
    ((F, ["n", 3, 8, 8]), (F, ["n", 8, 8, 3]), "Transpose"),
    ((F, ["n", 4]), (F, ["n", 5]), "axis 1 is 4 in one and 5"),
    ((F, ["n", 4]), (F, [4]), "2 axes meet 1"),
    ((F, ["n", 4]), (I, ["n", 4]), "element types differ"),
    ((F, [4, 5]), (F, ["m", "m"]), "axis 1 is 5 in one and 4"),
])
def test_what_does_not_fit_is_refused_with_both_shapes(made: tuple, taken: tuple, says: str) -> None:
    first = small([helper.make_node("Identity", ["a"], ["b"])], {"a": made}, {"b": made})
    second = small([helper.make_node("Identity", ["c"], ["d"])], {"c": taken}, {"d": taken})
    with pytest.raises(ModelError) as error:
        toolkit.merge(first, second)
    dims = [", ".join(map(str, t[1])) for t in (made, taken)]
    assert says in str(error.value) and all(f"({d})" in str(error.value) for d in dims)


@pytest.mark.parametrize("connect", [{"nope": "n"}, {"y": "nope"}, {"y": "n", "x": "n"}])
def test_wrong_connections(connect: dict) -> None:
    with pytest.raises(ModelError):
        toolkit.merge(toolkit.load(models.perceptron()), elementwise("Neg", "n", "m", ["rows", 4]), connect)
    with pytest.raises(ModelError, match="no such output"):
        toolkit.merge(toolkit.load(models.perceptron()), elementwise("Neg", "n", "m", ["rows", 4]), keep=["z"])


def test_a_size_on_one_side_binds_the_symbol_of_the_other() -> None:
    merged = toolkit.merge(toolkit.load(models.perceptron()), elementwise("Neg", "n", "m", [2, 4]))
    assert shape(merged, "x") == [2, 16] and shape(merged, "h") == [2, 32]
    wide = toolkit.merge(elementwise("Neg", "a", "b", [2, 16]), toolkit.load(models.perceptron()))
    assert shape(wide, "y") == [2, 4]


def test_a_result_inside_a_branch_is_reached() -> None:
    """The second model's If reads the connected input from inside its branches, and its names clash there too."""
    def branch(name: str, op: str):
        return helper.make_graph([helper.make_node(op, ["c"], ["y"])], name, [],
                                 [helper.make_tensor_value_info("y", F, [2])])
    second = small([helper.make_node("If", ["flag"], ["z"], then_branch=branch("t", "Neg"),
                                     else_branch=branch("e", "Abs"))],
                   {"flag": (TensorProto.BOOL, []), "c": (F, [2])}, {"z": (F, [2])})
    merged = toolkit.merge(elementwise("Exp", "x", "y", [2]), second, {"y": "c"})
    x = np.float32([0, 1])
    for flag in (True, False):
        np.testing.assert_allclose(run(merged, {"x": x, "flag": np.array(flag)})["z"], np.exp(x) * (1 - 2 * flag), 1e-6)


def test_functions_of_both_survive() -> None:
    def calling(constant: float) -> toolkit.Model:
        body = [helper.make_node("Constant", [], ["k"], value_float=constant),
                helper.make_node("Mul", ["a", "k"], ["b"])]
        made = models.model([helper.make_node("Scale", ["x"], ["y"], domain="local")], {"x": (F, [1])}, {"y": (F, [1])},
                            functions=[helper.make_function("local", "Scale", ["a"], ["b"], body,
                                                            [helper.make_opsetid("", 18)])])
        made.opset_import.append(helper.make_opsetid("local", 1))
        return toolkit.load(made)
    merged = toolkit.merge(calling(3.0), calling(5.0))
    assert list(run(merged, {"x": np.float32([2])}).values()) == [[30]]
    assert len(merged.ir.functions) == 2 and len(toolkit.merge(calling(3.0), calling(3.0)).ir.functions) == 1


def test_weights_stay_where_they_are_and_metadata_of_both_is_kept(tmp_path: Path) -> None:
    protos = [models.perceptron(0), models.model([helper.make_node("MatMul", ["y", "w"], ["z"])], {"y": (F, ["n", 4])},
                                                 {"z": (F, ["n", 300])}, {"w": np.ones((4, 300), np.float32)})]
    for number, proto in enumerate(protos):
        proto.metadata_props.add(key="who", value=str(number))
        proto.metadata_props.add(key=f"only{number}", value="here")
        onnx.save(proto, tmp_path / f"{number}.onnx", save_as_external_data=bool(number), location="1.data")
    merged = toolkit.merge(toolkit.load(tmp_path / "0.onnx"), toolkit.load(tmp_path / "1.onnx"))
    assert dict(merged.ir.metadata_props) == {"who": "0", "only0": "here", "only1": "here"}
    out = toolkit.save(merged, tmp_path / "out.onnx")
    session = onnxruntime.InferenceSession(str(out))
    x = np.ones((2, 16), np.float32)
    sums = run(toolkit.load(protos[0]), {"x": x})["y"].sum(1)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], sums[:, None] * np.ones(300), rtol=1e-5)


def test_an_output_that_is_an_input() -> None:
    second = small([helper.make_node("Neg", ["c"], ["d"])], {"c": (F, [2])}, {"d": (F, [2]), "c": (F, [2])})
    merged = toolkit.merge(elementwise("Exp", "x", "y", [2]), second)
    x = np.float32([0, 1])
    results = run(merged, {"x": x})
    np.testing.assert_allclose(results["c"], np.exp(x), 1e-6)
    np.testing.assert_allclose(results["d"], -np.exp(x), 1e-6)


def test_prepend_and_append_change_the_model_in_place() -> None:
    model = toolkit.load(models.perceptron())
    toolkit.prepend(model, elementwise("Neg", "x", "h", ["b", 16]))     # "h" is a tensor of the model
    toolkit.append(model, elementwise("Exp", "y", "e", ["b", 4]))
    x = np.random.default_rng(0).standard_normal((2, 16), dtype=np.float32)
    results = run(model, {"x": x})
    assert list(results) == ["e"]
    np.testing.assert_allclose(results["e"], np.exp(run(toolkit.load(models.perceptron()), {"x": -x})["y"]), rtol=1e-6)
    before = model.proto().SerializeToString(deterministic=True)
    with pytest.raises(ModelError):
        toolkit.append(model, elementwise("Exp", "y", "e", ["b", 5]))
    assert model.proto().SerializeToString(deterministic=True) == before


def test_real_exports_side_by_side() -> None:
    first, second = (toolkit.load(EXPORTS / f"{n}.onnx") for n in ("detector", "resnet"))
    merged = toolkit.merge(first, second, {"images": "image"})
    images = np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32)
    results = run(merged, {"images": images})
    np.testing.assert_allclose(results["output0"], run(first, {"images": images})["output0"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(results["logits"], run(second, {"image": images})["logits"], rtol=1e-4, atol=1e-4)


def test_operator_sets_come_to_one_version() -> None:
    old = small([helper.make_node("Squeeze", ["x"], ["y"], axes=[0])], {"x": (F, [1, "n"])}, {"y": (F, ["n"])},
                opset=11)
    new = elementwise("Exp", "a", "b", ["n"], opset=20)
    for first, second in ((old, new), (new, small([helper.make_node("Unsqueeze", ["y"], ["z"], axes=[0])],
                                                 {"y": (F, ["n"])}, {"z": (F, [1, "n"])}, opset=12))):
        merged = toolkit.merge(first, second)
        assert merged.opset == 20
        x = np.float32([[0, 1, 2]])[(0 if first is new else slice(None))]
        (result,) = run(merged, {merged.inputs[0].name: x}).values()
        np.testing.assert_allclose(result.ravel(), np.exp([0, 1, 2]), 1e-6)


@pytest.mark.parametrize("other", [2, 1])
def test_other_domains_in_two_versions(other: int) -> None:
    """Nothing is known of a custom domain's versions; equal ones merge."""
    def custom(version: int) -> toolkit.Model:
        made = models.model([helper.make_node("Custom", ["x"], ["y"], domain="mine")], {"x": (F, [1])}, {"y": (F, [1])})
        made.opset_import.append(helper.make_opsetid("mine", version))
        return toolkit.load(made)
    if other == 1:
        assert toolkit.merge(custom(1), custom(1)).ir.opset_imports["mine"] == 1
    else:
        with pytest.raises(ModelError, match="Custom may differ"):
            toolkit.merge(custom(1), custom(2))


NAMES = st.sampled_from(["x", "y", "z", "n", "neg", "m/x", "m_2/x"])
DIMENSIONS = st.sampled_from([2, 3, "x", "n", "k"])
STEPS = st.lists(st.tuples(st.sampled_from(["Neg", "Abs", "Exp", "Sigmoid"]), NAMES), min_size=1, max_size=4,
                 unique_by=lambda step: step[1])


@st.composite
def chains(draw: st.DrawFn) -> onnx.ModelProto:
    """Elementwise operators behind each other, with names that are likely to clash."""
    steps, shape = draw(STEPS), draw(st.lists(DIMENSIONS, min_size=1, max_size=3))
    name = draw(NAMES.filter(lambda n: n not in [made for _, made in steps]))
    nodes, last = [], name
    for op, made in steps:
        nodes.append(helper.make_node(op, [last], [made], made))
        last = made
    return models.model(nodes, {name: (F, shape)}, {last: (F, shape)})


@settings(max_examples=40, deadline=None)
@given(chains(), chains(), st.sampled_from([None, "p_"]))
def test_any_two_chains_compute_one_after_the_other_or_are_refused(one: onnx.ModelProto, two: onnx.ModelProto,
                                                                   prefix: str | None) -> None:
    first, second = toolkit.load(one), toolkit.load(two)
    shapes = [[d if isinstance(d, int) else d.value for d in m.inputs[0].shape] for m in (first, second)]
    try:
        merged = toolkit.merge(first, second, prefix=prefix)
    except ModelError:
        numbers = [a for a, b in zip(*shapes, strict=False) if isinstance(a, int) and isinstance(b, int) and a != b]
        bound = len({*shapes[0]}) < len(shapes[0]) or len({*shapes[1]}) < len(shapes[1])    # one symbol twice
        assert len(shapes[0]) != len(shapes[1]) or numbers or bound
        return
    now = [d if isinstance(d, int) else 2 for d in merged.inputs[0].shape]
    x = np.random.default_rng(0).standard_normal(now).astype(np.float32) / 4
    middle = run(first, {first.inputs[0].name: x})[first.outputs[0].name]
    expected = run(second, {second.inputs[0].name: middle})[second.outputs[0].name]
    np.testing.assert_allclose(run(merged, {merged.inputs[0].name: x})[merged.outputs[0].name], expected, rtol=1e-5)


def test_a_damaged_model_is_refused() -> None:
    """A branch whose result is nothing that it makes: onnx's checker refuses it, and so do edits and merges."""
    def branch(name: str, nodes: list, result: str):
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(result, F, [2])])
    damaged = small([helper.make_node("If", ["flag"], ["z"], then_branch=branch("t", [], "c"),
                                      else_branch=branch("e", [helper.make_node("Neg", ["c"], ["r"])], "r"))],
                    {"flag": (TensorProto.BOOL, []), "c": (F, [2])}, {"z": (F, [2])})
    for call in (lambda: toolkit.merge(elementwise("Exp", "x", "y", [2]), damaged, {"y": "c"}),
                 lambda: toolkit.append(damaged, elementwise("Exp", "z", "y", [2]))):
        with pytest.raises(ModelError, match=r"not valid|damaged"):
            call()


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(models.perceptron(), tmp_path / "a.onnx")
    onnx.save(elementwise("Neg", "n", "m", ["rows", 4]).proto(), tmp_path / "b.onnx")
    a, b, c = (str(tmp_path / f"{n}.onnx") for n in "abc")
    assert main(["onnx", "merge", a, b, "-o", c, "--connect", "y=n", "--keep", "y", "--json"]) == 0
    assert '"m": "float32 (batch, 4)"' in capsys.readouterr().out
    assert [o.name for o in toolkit.load(c).outputs] == ["y", "m"]
    assert main(["onnx", "append", a, "--model", b, "-o", c]) == 0
    assert main(["onnx", "prepend", b, "--model", a, "-o", c]) == 0
    assert [i.name for i in toolkit.load(c).inputs] == ["x"]
    assert main(["onnx", "merge", a, b, "-o", c, "--side-by-side", "--prefix", "b_"]) == 0
    assert main(["onnx", "merge", a, b, "-o", c, "--connect", "y"]) == 2
    assert main(["onnx", "merge", b, a, "-o", str(tmp_path / "d.onnx")]) == 3
    assert not (tmp_path / "d.onnx").exists() and "(rows, 4)" in capsys.readouterr().err
