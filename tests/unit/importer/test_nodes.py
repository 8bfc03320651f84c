"""Names, origins, ways and errors of imported nodes."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tensorwright import importer, ir
from tensorwright.errors import InputError, ModelError, ShapeError, UnsupportedError
from tensorwright.ir import OpaqueType
from tensorwright.ops import Convolution, Host, Pointwise
from tensorwright.ops.evaluate import evaluate


def load(text: str, opset: int = 18, **kwargs: object) -> ir.Network:
    head = f'<ir_version: 9, opset_import: ["" : {opset}, "own" : 1]>\n'
    return importer.load(onnx.parser.parse_model(head + text), **kwargs)


def test_layers_remember_their_nodes_and_values_keep_their_names() -> None:
    network = load("g (float[1, 2, 4, 4] x, float[3, 2, 1, 1] w) => (float[1, 3, 4, 4] y) {"
                   "[stem] t = Conv(x, w) \n y = Relu(t) }")
    conv, relu = network.layers
    assert isinstance(conv.op, Convolution) and conv.name == "stem" and conv.origin == ("Conv 'stem'",)
    assert conv.outputs == ("t",) and relu.outputs == ("y",) and relu.origin == ("Relu 'Relu_1'",)


def test_identities_leave_no_layer_but_outputs_keep_their_names() -> None:
    network = load("g (float[2] x) => (float[2] y, float[2] z) { y = Identity(x) \n t = Neg(x) \n z = Identity(t) }")
    assert network.outputs == ("y", "z")
    assert [type(layer.op) for layer in network.layers] == [Pointwise, Pointwise]
    found = evaluate(network, {"x": np.float32([1, 2])})
    np.testing.assert_array_equal(found["y"], [1, 2])
    np.testing.assert_array_equal(found["z"], [-1, -2])


def test_constant_output_and_unread_nodes() -> None:
    network = load("g (float[2] x) => (float[2] y) <float[2] c = {1, 2}> { y = Identity(c) \n z = Neg(x) }")
    assert network.layers == () and network.outputs == ("y",)
    np.testing.assert_array_equal(evaluate(network, {"x": np.float32([0, 0])})["y"], [1, 2])


def test_ways_are_recorded() -> None:
    network = load("g (float[2] x) => (int64[1, n] y, float[2] z) { z = Elu(x) \n y = NonZero(x) }")
    ways = json.loads(network.metadata["importer/ways"])
    assert ways["Elu"] == {"native": 1, "expanded": 0, "host": 0}
    assert ways["NonZero"] == {"native": 0, "expanded": 0, "host": 1}
    assert json.loads(network.metadata["importer/host"]) == {"NonZero 'NonZero_1'":
                                                             "the output's size depends on the data"}


def test_readers_of_opaque_values_run_on_the_host() -> None:
    network = load("g (float[4] x) => (float[n] y) { i = NonZero(x) \n t = Transpose(i) \n y0 = GatherND(x, t) \n"
                   "y = Mul(y0, y0) }")
    assert all(isinstance(layer.op, Host) for layer in network.layers)
    assert isinstance(network.types["y"], OpaqueType)
    np.testing.assert_array_equal(evaluate(network, {"x": np.float32([0, 2, 0, 3])})["y"], [4, 9])


def test_model_functions_are_inlined_with_attributes() -> None:
    network = load("""g (float[2] x) => (float[2] y) { y = own.twice<alpha = 0.5>(x) }
        <domain: "own", opset_import: ["" : 18]> twice <alpha> (a) => (b) {
            t = LeakyRelu<alpha: float = @alpha>(a)
            b = Add(t, t)
        }""")
    assert {layer.origin for layer in network.layers} == {("twice 'twice_0'",)}
    np.testing.assert_allclose(evaluate(network, {"x": np.float32([-2, 2])})["y"], [-2, 4])


def test_a_function_that_calls_itself_is_refused() -> None:
    with pytest.raises(ModelError, match="nested more than 48 deep"):
        load("""g (float[2] x) => (float[2] y) { y = own.f(x) }
            <domain: "own", opset_import: ["" : 18, "own" : 1]> f (a) => (b) { b = own.f(a) }""")


def test_functions_that_multiply_are_refused() -> None:
    bodies = "\n".join(f'<domain: "own", opset_import: ["" : 18, "own" : 1]> f{i} (a) => (b) {{ '
                       + f"c = own.f{i + 1}(a) \n b = own.f{i + 1}(c) }}" for i in range(40))
    last = '<domain: "own", opset_import: ["" : 18]> f40 (a) => (b) { b = Neg(a) }'
    with pytest.raises(ModelError, match="more than 50000 nodes"):
        load(f"g (float[2] x) => (float[2] y) {{ y = own.f0(x) }} {bodies} {last}")


def test_errors_say_where() -> None:
    with pytest.raises(ShapeError) as caught:
        load("g (float[1, 4, 8, 8] x, float[8, 3, 3, 3] w) => (float[1, 8, 6, 6] y) { [stem] y = Conv(x, w) }")
    assert "node 0" in caught.value.at[0] and "stem" in caught.value.at[1]
    assert "float32 (8, 3, 3, 3)" in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [
    ("g (float[2] x) => (float[2] y) { y = Relu(z) }", "'z' is never computed"),
    ("g (float[2] x) => (float[2] y) { z = Relu(x) }", "output 'y' is never computed"),
    ("g (float[2] x) => (float[2] x) { x = Relu(x) }", "computed twice"),
    ("g (float[2] x) => (float[2] y) { y = Hurz(x) }", "operator Hurz is not in version 18"),
    ("g (float[2] x) => (float[2] y) { y = Relu() }", "required input 0 is missing"),
    ("g (float[2] x) => (float[2] y) { y, z = Relu(x) }", "has 2 outputs, the operator has 1"),
    ("g (float[2] x) => (float[2] y) { y = Concat(x, x) }", "required attribute 'axis' is missing"),
    ("g (float[2] x) => (float[2] y) { y = Softmax<axis = 1.5>(x) }", "attribute 'axis' has kind FLOAT"),
])
def test_inconsistent_models(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(text)


def test_operators_of_unknown_domains() -> None:
    with pytest.raises(UnsupportedError, match="operator FusedMatMul is not in version 1 of domain 'own'"):
        load("g (float[2] x) => (float[2] y) { y = own.FusedMatMul(x) }")


@pytest.mark.parametrize(("shapes", "message"), [
    ({"z": (1,)}, "'z', which is not an input"), ({"x": (1, 2)}, "has 1 dimensions, shapes gives 2"),
    ({"x": (3,)}, "shapes gives 3, it is 2 in the model"), ({"x": (-4,)}, "-4 is not a dimension")])
def test_contradicting_shapes(shapes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load("g (float[2] x) => (float[2] y) { y = Relu(x) }", shapes=shapes)


def test_old_broadcasting_attributes() -> None:
    node = helper.make_node("Add", ["x", "b"], ["y"], broadcast=1, axis=1)
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [2, 3, 4]), ("b", [3]))]
    graph = helper.make_graph([node], "g", infos, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3, 4])])
    network = importer.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 6)]))
    x, b = np.zeros((2, 3, 4), np.float32), np.float32([1, 2, 3])
    np.testing.assert_array_equal(evaluate(network, {"x": x, "b": b})["y"], x + b[:, None])


def test_batch_normalization_becomes_one_scale_and_shift() -> None:
    network = load("""g (float[N, 2, 5] x) => (float[N, 2, 5] y)
        <float[2] scale = {1, 2}, float[2] bias = {0, 1}, float[2] mean = {3, 4}, float[2] var = {1, 4}>
        { y = BatchNormalization<epsilon = 0.0>(x, scale, bias, mean, var) }""")
    (layer,) = network.layers
    assert str(layer.op) == "Pointwise(expr=(($0 * $1) + $2))"
    assert [network.constants[i].reshape(-1).tolist() for i in layer.inputs[1:]] == [[1, 1], [-3, -3]]


def test_same_padding_of_a_symbolic_image() -> None:
    network = load('g (float[1, 1, H, W] x, float[1, 1, 3, 3] w) => (float[1, 1, A, B] y) {'
                   ' y = Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(x, w) }')
    for size in range(1, 9):
        x, w = np.ones((1, 1, size, size + 1), np.float32), np.ones((1, 1, 3, 3), np.float32)
        assert evaluate(network, {"x": x, "w": w})["y"].shape[2:] == (-(-size // 2), -(-(size + 1) // 2))
