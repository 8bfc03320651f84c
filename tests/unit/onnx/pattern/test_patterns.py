"""Patterns find what they say, and replacements compute what they should."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import onnx as toolkit
from tensorwright.errors import ModelError

from .. import models
from ..random_models import run

F = TensorProto.FLOAT
X = np.random.default_rng(0).standard_normal((1, 3, 6, 6)).astype(np.float32)


def convolutions() -> toolkit.Model:
    """x → Conv c1 → Relu → (Conv c2 without bias → x·sigmoid(x)) + shortcut → y; a Clip, a BatchNormalization aside."""
    dice = np.random.default_rng(1)
    weights = {"w1": dice.standard_normal((4, 3, 3, 3)), "b1": dice.standard_normal(4),
               "w2": dice.standard_normal((4, 4, 1, 1)),
               "low": -1, "high": 2}
    weights = {k: np.asarray(v, np.float32) for k, v in weights.items()}
    nodes = [helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
             helper.make_node("Relu", ["c1"], ["r"], "relu"), helper.make_node("Conv", ["r", "w2"], ["c2"], "conv2"),
             helper.make_node("Sigmoid", ["c2"], ["s"], "sigmoid"), helper.make_node("Mul", ["s", "c2"], ["m"], "silu"),
             helper.make_node("Add", ["m", "r"], ["a"], "sum"),
             helper.make_node("Clip", ["a", "low", "high"], ["y"], "clip"),
             helper.make_node("LeakyRelu", ["x"], ["z"], "leaky", alpha=0.25)]
    return toolkit.load(models.model(nodes, {"x": (F, [1, 3, 6, 6])},
                                     {"y": (F, [1, 4, 6, 6]), "z": (F, [1, 3, 6, 6])}, weights))


def found(pattern: str, **more) -> list[list[str]]:
    return [[n.name for n in m.nodes] for m in toolkit.find_pattern(convolutions(), pattern, **more)]


@pytest.mark.parametrize("pattern,names", [
    ("Conv(x, w, b)", [["conv1"]]), ("Conv(x, w)", [["conv2"]]), ("Conv(x, w, ?b)", [["conv1"], ["conv2"]]),
    ("Conv", [["conv1"], ["conv2"]]), ("Conv -> Relu", [["conv1", "relu"]]),
    ("Relu(Conv(x, w, b))", [["conv1", "relu"]]),
    ("h = Conv(x, w, ?b)\ny = Relu|Sigmoid(h)", [["conv1", "relu"], ["conv2", "sigmoid"]]),
    ("Mul(x, Sigmoid(x))", [["sigmoid", "silu"]]), ("Mul(Sigmoid(x), x)", [["sigmoid", "silu"]]), ("Mul(x, x)", []),
    ("Sub(x, Sigmoid(x))", []), ("(Relu(x) | Sigmoid(x))", [["relu"], ["sigmoid"]]),
    ("Add(Mul, _)", [["silu", "sum"]]), ("Add(_, Mul(...))", [["silu", "sum"]]),
    ("Add(x, (Relu(_) | Neg(_)))", [["relu", "sum"]]),
    ("Clip(_, -1, 2)", [["clip"]]), ("Clip(_, -1, 3)", []),
    ("Clip(_, low: scalar, high: const float32 [])", [["clip"]]),
    ("Conv(x: input, w: const, ?_)", [["conv1"]]), ("Conv(x: [1, 4, _, _], _)", [["conv2"]]),
    ("Conv(x: float16, _)", []), ("Conv(_, _, ?_, kernel_shape=_)", []),
    ("Conv(_, _, ?_, group=1, pads=_)", [["conv1"]]),
    ("Conv(_, _, ?_, pads=[1, 1, 1, 1])", [["conv1"]]), ("Conv(_, _, ?_, pads!=_)", [["conv2"]]),
    ("LeakyRelu(x, alpha>0.2)", [["leaky"]]), ("LeakyRelu(x, alpha>=0.3)", []),
    ("LeakyRelu(x, alpha=0.1|0.25)", [["leaky"]]),
    ("*(_, alpha=_)", [["leaky"]]), ("Conv(_, \"w2\")", [["conv2"]]), ("my::Conv(_, _)", []),
    ("r = Relu(x); c = Conv(r, w); y = Add(_, r)", [["relu", "conv2", "sum"]])])
def test_finds(pattern: str, names: list[list[str]]) -> None:
    assert found(pattern) == names


def test_match_says_what_it_found() -> None:
    match, = toolkit.find_pattern(convolutions(), "y = LeakyRelu(x, alpha=a)")
    assert match["a"] == 0.25 and match["x"].name == "x" and match["y"].name == "z" and match.results == (match["y"],)
    first, second = toolkit.find_pattern(convolutions(), "Conv(x, w, ?b)")
    assert second["b"] is None and first.constant("w").shape == (4, 3, 3, 3)
    assert str(second) == "Conv 'conv2': x = r, w = w2, b = absent"
    assert found("Conv(x, w, ?b)", where=lambda m: m.constant("w").shape[2] == 1) == [["conv2"]]


def test_inner_tensors_with_other_readers_block() -> None:
    model = convolutions()
    match, = toolkit.find_pattern(model, "Conv(Relu(x), w)")
    assert match.blocked == "'r', inside the match, is needed: Conv 'conv2', Add 'sum' read it"
    report = toolkit.replace_pattern(model, "Conv(Relu(x), w)", "Conv(x, w)")
    assert not report and "left alone: Relu 'relu' -> Conv 'conv2'" in str(report)
    report = toolkit.replace_pattern(model, "r = Relu(x); Conv(r, w)", "r = Max(x, 0); Conv(r, w)")   # makes r again
    assert len(report) == 1
    same(model)


def same(model: toolkit.Model, tolerance: float = 1e-6) -> None:
    onnx.checker.check_model(model.proto(), full_check=True)
    for name, value in run(convolutions().proto(), {"x": X}).items():
        np.testing.assert_allclose(run(model.proto(), {"x": X})[name], value, tolerance, tolerance)


@pytest.mark.parametrize("pattern,replacement,operators", [
    ("Relu(x)", "Max(x, 0)", {"Max"}), ("Mul(x, Sigmoid(x))", "Div(x, Add(Exp(Neg(x)), 1))", {"Div", "Exp"}),
    ("Clip(x, low, high)", "Min(high, Max(x, low))", {"Min", "Max"}),
    ("LeakyRelu(x, alpha=a)", "y = LeakyRelu(x, alpha=a)", {"LeakyRelu"}),
    ("y = Conv(x, w, ?b)", "y = Conv(x, w, ?b, **y)", {"Conv"}),
    ("y = Conv(x, w, ?b)", "y = Conv(x, w, b, **y)", {"Conv"}),
    ("Add(a, b)", "t = Neg(b); Sub(a, t)", {"Sub"}), ("LeakyRelu(x)", "PRelu(x, 0.25)", {"PRelu"}),
    ("Clip(x, -1, 2)", "Clip(x, -1: float32, 2: float32)", {"Clip"})])
def test_replacements_mean_the_same(pattern: str, replacement: str, operators: set[str]) -> None:
    model = convolutions()
    report = toolkit.replace_pattern(model, pattern, replacement)
    assert report.done and not report.refused and operators <= {n.op_type for n in model.nodes}
    same(model)


def test_constants_that_nothing_else_reads_go_and_names_stay() -> None:
    model = convolutions()
    toolkit.replace_pattern(model, "y = Clip(x, low, high)", "y = Tanh(x)")
    assert not {"low", "high"} & set(model.graph.initializers)
    assert model.node("clip").op_type == "Tanh" and [v.name for v in model.outputs] == ["y", "z"]
    toolkit.replace_pattern(model, "Tanh(x)", "x")
    assert model.node("sum").outputs[0].name == "y" and not model.find("Tanh")


def test_functions_replace_and_decline() -> None:
    model = convolutions()

    def halve(match: toolkit.Match, build: toolkit.Builder) -> object:
        if match["b"] is None:
            return "it has no bias"
        half = build.weight(match.constant("w") / 2)
        y = build.Conv(match["x"], half, **match.nodes[0].attributes)
        two = build.weight(np.float32(2))
        bias = build.weight(match.constant("b").reshape(1, -1, 1, 1))
        return build("Add", build.Mul(y, two), bias, node_name="with bias")
    report = toolkit.replace_pattern(model, "Conv(x, w, ?b)", halve)
    assert len(report.done) == 1 and report.refused[0][1] == "it has no bias"
    assert "w1" not in model.graph.initializers
    same(model, 1e-5)


def test_a_constant_may_be_the_replacement() -> None:
    model = convolutions()
    toolkit.replace_pattern(model, "Sigmoid(x)", "1")
    toolkit.replace_pattern(model, "LeakyRelu(x)", lambda match, build: np.full((1, 3, 6, 6), 7, np.float32))
    got = run(model.proto(), {"x": X})
    assert (got["z"] == 7).all() and not model.find("Sigmoid", "LeakyRelu")
    onnx.checker.check_model(model.proto(), full_check=True)


def test_two_results() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["x"], ["b"])]
    proto = models.model(nodes, {"x": (F, [4])}, {"a": (F, [4]), "b": (F, [4])})
    model = toolkit.load(proto)
    assert len(toolkit.replace_pattern(model, "a = Relu(x); b = Neg(x)", "b = Mul(x, -1); a = Max(x, 0)")) == 1
    x = np.float32([1, -2, 3, -4])
    for name, value in run(proto, {"x": x}).items():
        assert np.array_equal(run(model.proto(), {"x": x})[name], value)
    for pattern, message in (("Relu(x); Neg(y)", "no tensor in common"), ("h = Relu(h)", "'h' from itself"),
                             ("a = Relu(b); b = Neg(a)", "from itself")):
        with pytest.raises(ModelError, match=message):
            toolkit.find_pattern(model, pattern)


def test_branches_and_functions_are_searched() -> None:
    model = toolkit.load(models.every_storage())
    assert len(toolkit.replace_pattern(model, "Add(a, b: const)", "Sub(a, Neg(b))")) == 3
    assert len(toolkit.replace_pattern(model, "Mul(a, k: const)", "Mul(k, a)")) == 1
    flag = {"flag": np.array(True)}
    np.testing.assert_allclose(run(model.proto(), flag)["y"], run(models.every_storage(), flag)["y"], 1e-6)


@pytest.mark.parametrize("pattern,replacement,message", [
    ("Relu(x)", "Max(x, q)", "reads 'q'"), ("Relu(x)", "a = Neg(x); b = Abs(x)", "has 1 result, the replacement 2"),
    ("Relu(x)", "Relu|Neg(x)", "exactly what to build"), ("Relu(x)", "Neg", "exactly what to build"),
    ("Relu(x)", "LeakyRelu(x, alpha=a)", "takes no attribute as 'a'"),
    ("Relu(x)", "LeakyRelu(x, beta=1)", "no attribute"),
    ("Relu(x)", "Relux(x)", "no operator 'Relux'"), ("Relu(x)", "Clip(_)", "_ names nothing"),
    ("Relu(x)", "LeakyRelu(x, alpha>1)", "with ="), ("Relu(x)", "Conv(x)", "cannot have 1 operand"),
    ("Relu(x)", "Neg(x, **x)", "no attribute"), ("y = Relu(x)", "y = Clip(y, 0)", "replaced nodes make"),
    ("x", "Relu(x)", "consists of operators"),
    ("y = Relu(x, **h)", "x", "for replacements"), ("Relu(x)", "ArgMax(x)", "do not fit together")])
def test_wrong_replacements_are_refused(pattern: str, replacement: str, message: str) -> None:
    model = convolutions()
    before = model.proto().SerializeToString(deterministic=True)
    with pytest.raises(ModelError) as caught:
        toolkit.replace_pattern(model, pattern, replacement)
    assert message in str(caught.value)
    assert model.proto().SerializeToString(deterministic=True) == before


def test_nothing_found_says_what_came_closest() -> None:
    report = toolkit.replace_pattern(convolutions(), "Relu(Conv(x, w))", "x")
    assert str(report) == ("replaced 0 matches\nnothing matches; closest: Conv 'conv1' has 3 operands, the pattern 2 "
                           "and no ...")


def test_many_matches_in_a_long_graph() -> None:
    nodes = [helper.make_node("Relu" if k % 2 else "Neg", [f"t{k}"], [f"t{k + 1}"]) for k in range(1000)]
    model = toolkit.load(models.model(nodes, {"t0": (F, [4])}, {"t1000": (F, [4])}))
    assert len(toolkit.replace_pattern(model, "Relu(Neg(x))", "Max(Mul(x, -1), 0)")) == 500
    assert len(model.nodes) == 1000 and not model.find("Relu")


def test_a_weight_that_the_user_may_replace_is_no_constant() -> None:
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    weights = {"w": np.float32([1])}
    fixed = toolkit.load(models.model(nodes, {"x": (F, [1])}, {"y": (F, [1])}, weights))
    default = toolkit.load(models.model(nodes, {"x": (F, [1]), "w": (F, [1])}, {"y": (F, [1])}, weights))
    for pattern in ("Add(x, w: const)", "Add(x, 1)", "Add(x, w: scalar)"):
        assert toolkit.find_pattern(fixed, pattern) and not toolkit.find_pattern(default, pattern)
    match, = toolkit.find_pattern(default, "Add(x, w)", where=lambda m: m["w"].name == "w")
    with pytest.raises(ModelError, match="'w' of the pattern is not constant"):
        match.constant("w")


def test_whole_numbers_are_compared_exactly() -> None:
    node = helper.make_node("Add", ["x", "w"], ["y"])
    model = toolkit.load(models.model([node], {"x": (TensorProto.INT64, [1])}, {"y": (TensorProto.INT64, [1])},
                                      {"w": np.array([10_000_001])}))
    assert toolkit.find_pattern(model, "Add(x, 10000001)") and not toolkit.find_pattern(model, "Add(x, 10000000)")
