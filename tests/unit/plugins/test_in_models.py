"""Plugins in ONNX models: how nodes find theirs, and expressions that are compiled like the model's own nodes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import tensorwright
from tensorwright import InputError, ModelError, PlanError, UnsupportedError, importer, plugins
from tensorwright.plugins import Attribute, Definition, UpTo, ops

QUICK = {"tune_budget": 0.0, "timing_cache": False, "threads": 1}


def model(*nodes: onnx.NodeProto, shape: tuple = ("N", 3), output: int = TensorProto.FLOAT, rank: int = 2,
          constants: dict[str, np.ndarray] | None = None, domains: tuple[str, ...] = ("acme",)) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes), "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", output, [None] * rank)],
        [onnx.numpy_helper.from_array(a, n) for n, a in (constants or {}).items()])
    imports = [helper.make_opsetid("", 17), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def node(kind: str = "swish", inputs: tuple = ("x",), outputs: tuple = ("y",), **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, outputs, **{"domain": "acme", **attributes})


def older(name: str, info: str) -> onnx.NodeProto:
    """The node that older exporters write."""
    made = node("Plugin", domain="", info=info)
    made.attribute.append(helper.make_attribute("name", name))
    return made


def swish(name: str = "acme::swish", **options: Any) -> None:
    @tensorwright.custom_op(name, **options)
    def swish(x, beta: float = 1.0):
        return x / (1 + np.exp(-beta * x))


X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


def expected(beta: float) -> np.ndarray:
    x = X.astype(np.float64)
    return x / (1 + np.exp(-beta * x))


def run(m: onnx.ModelProto, **options: Any) -> Any:
    return tensorwright.build(m, shapes={"N": (0, 2, 8)}, **{**QUICK, **options})(X)


@pytest.mark.parametrize("name, custom", [
    ("acme::swish", node(beta=2.0)),                                          # domain as namespace
    ("swish", node(beta=2.0)),                                                # no namespace
    ("other::swish", node(beta=2.0, plugin_namespace="other", plugin_version="1")),
    ("swish", node(beta=2.0, domain="", plugin_version="1")),                 # unknown operator of the standard domain
    ("acme::swish", older("acme::swish", json.dumps({"beta": 2}))),
    ("swish", older("swish", '[{"name": "beta", "type": "float", "value": 2.0}]')),
    ("swish", older("swish", '{"attributes": {"beta": 2.0, "unset": null}}')),
], ids=lambda v: v if isinstance(v, str) else v.op_type)
def test_nodes_find_their_plugin(name: str, custom: onnx.NodeProto) -> None:
    swish(name)
    np.testing.assert_allclose(run(model(custom)), expected(2.0), rtol=1e-5)


def test_a_plugin_that_is_not_there_is_an_error_that_says_how_to_register_it() -> None:
    with pytest.raises(UnsupportedError, match=r"swish is not in version 1 of domain 'acme'") as wrong:
        importer.load(model(node()))
    assert "@tensorwright.custom_op('acme::swish')" in str(wrong.value)
    with pytest.raises(ModelError, match="custom_op"):
        importer.load(model(node(domain="")))
    with pytest.raises(UnsupportedError, match="no plugin 'lost' is registered"):
        importer.load(model(older("lost", "{}")))
    swish(version="3")
    with pytest.raises(UnsupportedError, match="version 1 of plugin 'swish' is asked for, registered is version 3"):
        importer.load(model(node(plugin_version="1")))
    importer.load(model(node()))                                              # any version will do
    importer.load(model(node(plugin_version=3)))


@pytest.mark.parametrize("info", ["{", "3", '["a"]', "[" * 5000, '[{"name": 1, "value": 2}]'])
def test_unreadable_info_is_a_model_error(info: str) -> None:
    swish("swish")
    with pytest.raises(ModelError, match="info"):
        importer.load(model(older("swish", info)))


def test_wrong_attributes_name_the_node() -> None:
    swish()
    with pytest.raises(InputError) as wrong:
        importer.load(model(node(beta="x", name="here")))
    assert "'beta' must be a number" in str(wrong.value) and "swish 'here'" in str(wrong.value)
    with pytest.raises(InputError, match="has no attribute 'gamma'"):
        importer.load(model(node(gamma=1.0)))
    graph = helper.make_graph([], "inner", [], [])
    with pytest.raises(ModelError, match="GRAPH"):
        importer.load(model(node(beta=graph)))


def test_attributes_of_nodes_become_what_the_plugin_declares() -> None:
    got: dict = {}

    @tensorwright.custom_op("acme::kinds", attributes={"t": Attribute("array"), "u": Attribute("array")})
    def kinds(x, i: int, b: bool, s: str, raw: bytes, ints: tuple[int, ...], fs: list[float], one: float,
              many: list[str], plugin_version: str = "own", **more):
        got.update(locals())
        return x

    array = np.arange(4, dtype=np.float16).reshape(2, 2)
    importer_node = node("kinds", i=3, b=1, s="a", raw=b"\xff", ints=[1, 2], fs=[1, 2], many=["p", "q"],
                         one=onnx.numpy_helper.from_array(np.float32([2.5])), u=[1.0, 2.0],
                         t=onnx.numpy_helper.from_array(array))
    run(model(importer_node), verify=False)
    more = got["more"]
    np.testing.assert_array_equal(more["t"], array)
    assert more["u"].dtype == np.float32 and more["u"].tolist() == [1, 2]
    assert (got["i"], got["b"], got["s"], got["raw"], got["ints"], got["fs"], got["one"], got["many"]) == (
        3, True, "a", b"\xff", (1, 2), (1.0, 2.0), 2.5, ("p", "q"))
    assert got["plugin_version"] == "own"


def test_standard_operators_are_taken_over_only_when_asked() -> None:
    plugins.register(Definition("Neg", lambda x: x + 1))
    m = model(node("Neg", domain=""))
    np.testing.assert_array_equal(run(m), -X)
    network = importer.load(m, plugins_first=True)
    assert any(layer.op.on_host for layer in network.layers)
    plugins.unregister(plugins.find("Neg"))
    plugins.register(Definition("Neg", lambda x: x + 1, overrides=True))
    np.testing.assert_array_equal(run(m), X + 1)


def test_functions_of_the_model_come_before_plugins() -> None:
    swish()
    body = helper.make_function("acme", "swish", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])],
                                [helper.make_opsetid("", 17)])
    m = model(node())
    m.functions.append(body)
    np.testing.assert_array_equal(run(m), -X)


def test_weights_and_optional_inputs_and_results_that_the_data_decide() -> None:
    @tensorwright.custom_op("acme::above", shape=lambda x, w, bias=None: [(UpTo(x.shape[0]), x.shape[1]), ()],
                            dtype=("float32", "int64"))
    def above(x, w, bias=None):
        kept = x[x @ w > (0 if bias is None else bias)]
        return kept, len(kept)

    w = np.float32([1, -1, 0.5])
    chain = [node("above", ("x", "w"), ("kept", "count")), helper.make_node("Neg", ["kept"], ["y"])]
    y = run(model(*chain, constants={"w": w}))
    np.testing.assert_array_equal(y, -X[X.astype(np.float64) @ w > 0])
    twice = [node("above", ("x", "w", ""), ("kept", "")), node("above", ("kept", "w", "b"), ("y",))]
    y = run(model(*twice, constants={"w": w, "b": np.float32(0.5)}))
    np.testing.assert_array_equal(y, X[X.astype(np.float64) @ w > 0.5])


# ---- expressions ----------------------------------------------------------------------------------------------------

def test_an_expression_is_fused_into_the_layer_before_it_and_needs_no_plugin(tmp_path) -> None:
    @tensorwright.custom_op("acme::gate", expand=True)
    def gate(x, scale: float = 1.0):
        return x * ops.Sigmoid(scale * x) + np.maximum(x, 0)

    w = np.random.default_rng(1).standard_normal((3, 5)).astype(np.float32)
    m = model(helper.make_node("MatMul", ["x", "w"], ["t"]), node("gate", ("t",), scale=1.5), constants={"w": w})
    engine = tensorwright.build(m, shapes={"N": (1, 2, 8)}, **QUICK)
    data = json.loads(engine.inspect("json"))
    assert [(r["host"], r["kind"].split(" ")[0]) for r in data["layers"]] == [(False, "MatMul")], data["layers"]
    assert data["plugins"] == [] and data["verification"]["skipped"] == []
    engine.save(tmp_path / "p.plan")
    plugins.unregister(plugins.find("acme::gate"))
    t = X.astype(np.float64) @ w
    np.testing.assert_allclose(tensorwright.load(tmp_path / "p.plan")(X), t / (1 + np.exp(-1.5 * t)) + np.maximum(t, 0),
                               rtol=1e-4, atol=1e-5)


def test_expressions_take_reductions_shapes_options_and_several_outputs() -> None:
    @tensorwright.custom_op("acme::standard", expand=True)
    def standard(x, weight=None, epsilon: float = 1e-5, power: int = 2):
        gap = x - np.mean(x, axis=-1, keepdims=True)
        y = gap / np.sqrt(np.mean(gap ** power, axis=-1, keepdims=True) + epsilon)
        y = y if weight is None else y * weight
        return np.where(y > 0, y, 0.25 * y), np.sum(abs(y)) / (x.shape[-1] * 1.0)

    w = np.float32([1, 2, 3])
    for given in ((), ("w",)):
        both = helper.make_node("Add", ["a", "b"], ["y"])
        m = model(node("standard", ("x", *given), ("a", "b"), epsilon=0.01), both, constants={"w": w})
        x = X.astype(np.float64)
        gap = x - x.mean(-1, keepdims=True)
        y = gap / np.sqrt((gap ** 2).mean(-1, keepdims=True) + np.float32(0.01))
        y = y * w if given else y
        np.testing.assert_allclose(run(m), np.where(y > 0, y, y / 4) + np.abs(y).sum() / 3, rtol=1e-5, atol=1e-5)
        assert not any(layer.op.on_host for layer in importer.load(m).layers)


def test_every_listed_function_means_what_numpy_means() -> None:
    from tensorwright.plugins.graph import REDUCTIONS, UFUNCS
    logical = {np.logical_and, np.logical_or}
    for function in (*UFUNCS, *REDUCTIONS, np.clip, np.square):
        def apply(x, f=function):
            a = np.abs(x) + 0.5
            if f in logical:
                return f(x > 0, a > 1)
            if f is np.logical_not:
                return f(x > 0)
            if f is np.clip:
                return np.clip(x, -0.5, 0.5)
            if f is np.matmul:
                return f(np.square(a), np.float32([[1, 2], [3, 4], [5, 6]]))
            return f(a, axis=1) if f in REDUCTIONS else f(a) if f.nin == 1 else f(a, x)
        plugins.register(Definition("acme::f", expand=lambda x, apply=apply: apply(x).astype("float32")), replace=True)
        network = importer.load(model(node("f"), rank=2))
        from tensorwright.ops.evaluate import evaluate
        got = evaluate(network, {"x": X})["y"]
        np.testing.assert_allclose(got, apply(X.astype(np.float64)), rtol=2e-5, atol=1e-6, err_msg=str(function))


def test_half_precision_numbers_keep_the_tensors_type() -> None:
    plugins.register(Definition("acme::f", expand=lambda x: 2 * (x - 0.5)))
    m = model(helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16), node("f", ("h",)),
              output=TensorProto.FLOAT16)
    y = run(m)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, 2 * (X - 0.5), rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("expand, text", [
    (lambda x: x if x > 0 else -x, "no truth"), (lambda x: np.linalg.norm(x), "norm"),
    (lambda x: ops.Nothing(x), "Nothing"),
    (lambda x: ops.Softmax(x, axes=1), "no attribute 'axes'"), (lambda x: ops.Softmax(x, x), "1 to 1 inputs"),
    (lambda x: (x * 2).shape, "known of the plugin's inputs"), (lambda x: "text", "no tensor"),
    (lambda x: np.arctan2(x, x), "arctan2"), (lambda x: x.missing, "missing"), (lambda x: np.asarray(x), "elements")])
def test_mistakes_in_expressions_say_what_to_do(expand: Any, text: str) -> None:
    plugins.register(Definition("acme::f", expand=expand))
    with pytest.raises(tensorwright.TensorwrightError) as wrong:
        importer.load(model(node("f")))
    assert text in str(wrong.value), wrong.value


def test_expressions_take_no_rules_and_are_no_layers() -> None:
    with pytest.raises(InputError, match="follow from its operators"):
        tensorwright.custom_op("acme::f", expand=True, dtype="float32")(lambda x: x)
    definition = plugins.register(Definition("acme::g", expand=lambda x: x))
    with pytest.raises(InputError, match="expression"):
        plugins.use(definition)
    with pytest.raises(InputError, match="custom_op"):
        ops.Relu(X)


def test_an_expression_of_standard_operators_agrees_with_onnx_runtime() -> None:
    plugins.register(Definition("acme::f", expand=lambda x: ops.Softmax(ops.Gelu(x) @ ops.Transpose(x), axis=0)))
    y = run(model(node("f")))
    plain = [helper.make_node("Erf", ["s"], ["e"]), helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
             helper.make_node("Mul", ["x", "r"], ["s"]), helper.make_node("Add", ["e", "one"], ["o"]),
             helper.make_node("Mul", ["x", "o"], ["p"]), helper.make_node("Mul", ["p", "half"], ["g"]),
             helper.make_node("MatMul", ["g", "t"], ["m"]), helper.make_node("Softmax", ["m"], ["y"], axis=0)]
    m = model(*sorted(plain, key=lambda n: ["Mul", "Erf"].index(n.op_type) if n.output[0] in "se" else 2), domains=(),
              constants={"r": np.float32(0.5 ** 0.5), "one": np.float32(1), "half": np.float32(0.5)})
    theirs = onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": X})
    np.testing.assert_allclose(y, theirs[0], rtol=1e-4, atol=1e-6)


def looped(*body: onnx.NodeProto, **options: Any) -> onnx.ModelProto:
    """x, changed by the body as often as the sum of x says: a loop that only the data decide."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph([*body, helper.make_node("Identity", ["go"], ["go_on"])], "body",
                              [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []),
                               value("s", TensorProto.FLOAT, None)],
                              [value("go_on", TensorProto.BOOL, []), value("s_next", TensorProto.FLOAT, None)])
    return model(helper.make_node("ReduceSum", ["x"], ["t"], keepdims=0),
                 helper.make_node("Cast", ["t"], ["n"], to=TensorProto.INT64),
                 helper.make_node("Loop", ["n", "", "x"], ["y"], body=graph), **options)


def test_plugins_in_the_body_of_a_loop(tmp_path) -> None:
    swish(package="acme-ops")
    plugins.register(Definition("acme::triple", expand=lambda x, k: x * k, attributes={"k": Attribute("float", 3.0)}))
    x = np.float32([[1.5, 1, 0.9]])
    m = looped(node("swish", ("s",), ("p",), beta=2.0), node("triple", ("p",), ("s_next",)))
    engine = tensorwright.build(m, shapes={"N": (1, 1, 2)}, **QUICK)
    expected = x.astype(np.float64)
    for _ in range(3):
        expected = 3 * expected / (1 + np.exp(-2 * expected))
    np.testing.assert_allclose(engine(x), expected, rtol=1e-5)
    engine.save(tmp_path / "p.plan")
    assert [p["name"] for p in json.loads(engine.inspect("json"))["plugins"]] == ["swish", "triple"]
    plugins.unregister(plugins.find("acme::swish"))
    with pytest.raises(PlanError, match=r"'swish'.* not registered"):
        tensorwright.load(tmp_path / "p.plan")
    with pytest.raises(UnsupportedError, match="swish of domain 'acme' is not known"):
        engine(x)
    with pytest.raises(UnsupportedError, match="operator swish of domain 'acme', in a body of Loop") as wrong:
        importer.load(m)
    assert "custom_op" in str(wrong.value)
