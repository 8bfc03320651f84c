"""Control flow that constants decide becomes layers; the rest stays a host step with the same results."""

import json

import numpy as np
import onnx
import pytest

from tensorwright import importer, ir
from tensorwright.ops import Host
from tensorwright.ops.evaluate import evaluate

LOOP = """g (float[2] x{inputs}) => (float[2] y, float[n, 2] all) {{
    {limit}
    go = Constant<value: tensor = bool {{1}}>()
    y, all = Loop(m, go, x) <body = step (int64 i, bool c, float[2] a) => (bool d, float[2] b, float[2] s) {{
        d = Identity(c)
        f = Cast<to = 1>(i)
        b = Add(a, x)
        s = Mul(b, f)
    }}>
}}"""
SCAN = """g (float[2] x, float[2, T] seq) => (float[2] y, float[2, T] all) {
    y, all = Scan(x, seq)
        <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1], scan_input_directions = [1],
         body = step (float[2] a, float[2] e) => (float[2] b, float[2] s) {
            b = Add(a, e)
            s = Neg(b)
         }>
}"""


def load(text: str, **kwargs: object) -> ir.Network:
    return importer.load(onnx.parser.parse_model('<ir_version: 9, opset_import: ["" : 18]>\n' + text), **kwargs)


@pytest.mark.parametrize("constant", [True, False])
def test_loop(constant: bool) -> None:
    text = LOOP.format(inputs="" if constant else ", int64 m",
                       limit="m = Constant<value: tensor = int64 {3}>()" if constant else "")
    network = load(text)
    assert any(isinstance(layer.op, Host) for layer in network.layers) != constant
    x = np.float32([1, 2])
    found = evaluate(network, {"x": x} if constant else {"x": x, "m": np.int64(3)})
    np.testing.assert_array_equal(found["y"], 4 * x)
    np.testing.assert_array_equal(found["all"], [0 * x, 3 * x, 8 * x])


@pytest.mark.parametrize("length", [4, None])
def test_scan(length: int | None) -> None:
    network = load(SCAN, shapes={"seq": (2, length)})
    assert any(isinstance(layer.op, Host) for layer in network.layers) == (length is None)
    x, seq = np.float32([1, 2]), np.arange(8, dtype=np.float32).reshape(2, 4)
    found = evaluate(network, {"x": x, "seq": seq})
    expected = x[:, None] + np.cumsum(seq[:, ::-1], 1)
    np.testing.assert_array_equal(found["y"], expected[:, -1])
    np.testing.assert_array_equal(found["all"], -expected)


def test_long_loops_are_not_unrolled() -> None:
    network = load(LOOP.format(inputs="", limit="m = Constant<value: tensor = int64 {300}>()"))
    assert "more than 256 iterations" in network.metadata["importer/host"]
    assert evaluate(network, {"x": np.float32([1, 2])})["all"].shape == (300, 2)


def test_host_steps_on_constants_are_folded() -> None:
    network = load("""g (float[2] x) => (float[2] y) <float[3] c = {0, 4, 5}> {
        i = NonZero(c) \n s = Squeeze(i) \n f = Cast<to = 1>(s) \n y = Add(x, f) }""")
    assert json.loads(network.metadata["importer/host"]) == {}
    np.testing.assert_array_equal(evaluate(network, {"x": np.float32([0, 0])})["y"], [1, 2])
