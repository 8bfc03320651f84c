"""Shape arithmetic that exporters write stays symbolic: no host step, no data-dependent shape."""

import json

import numpy as np
import onnx
import pytest

from tensorwright import importer, ir
from tensorwright.dims import symbol
from tensorwright.ops import Reshape, ShapeVector
from tensorwright.ops.evaluate import evaluate

N, S = symbol("N"), symbol("S")


def load(text: str, **kwargs: object) -> ir.Network:
    """A network from ONNX's text format; no node may be a host step."""
    network = importer.load(onnx.parser.parse_model('<ir_version: 9, opset_import: ["" : 18]>\n' + text), **kwargs)
    assert json.loads(network.metadata["importer/host"]) == {}
    return network


def test_reshape_to_dimensions_of_the_input() -> None:
    network = load("""g (float[N, S, 8] x) => (float[A, B, C, D] y) {
        shape = Shape(x)
        zero = Constant<value_ints: ints = [0]>()
        one = Constant<value_ints: ints = [1]>()
        n = Gather<axis = 0>(shape, zero)
        s = Gather<axis = 0>(shape, one)
        heads = Constant<value_ints: ints = [2]>()
        rest = Constant<value_ints: ints = [-1]>()
        wanted = Concat<axis = 0>(n, s, heads, rest)
        y = Reshape(x, wanted)
    }""")
    (layer,) = network.layers
    assert layer.op == Reshape((N, S, 2, 4))
    assert layer.origin == ("Reshape 'Reshape_8'",)


def test_arithmetic_on_dimensions() -> None:
    network = load("""g (float[N, S] x) => (float[A] y) {
        shape = Shape(x)
        n, s = Split<axis = 0, num_outputs = 2>(shape)
        two = Constant<value_ints: ints = [2]>()
        a = Mul(n, s)
        b = Div(a, s)
        c = Sub(a, b)
        d = Add(c, b)
        e = Max(d, two)
        f = Mul(e, two)
        g = Div(f, two)
        y = Reshape(x, g)
    }""")
    assert network.tensor("y").shape == (N * S,) or str(network.tensor("y").shape[0]) == "max(N*S, 2)"


def test_expand_with_where_and_equal() -> None:
    """torch.expand writes −1 as Where(Equal(shape, −1), ones, shape)."""
    network = load("""g (float[1, S] x, float[N, S] like) => (float[A, B] y) {
        shape = Shape(like)
        rank = Constant<value_ints: ints = [2]>()
        ones = ConstantOfShape<value: tensor = int64[1] {1}>(rank)
        minus = Constant<value_ints: ints = [-1]>()
        same = Mul(ones, minus)
        open = Equal(shape, same)
        wanted = Where(open, ones, shape)
        y = Expand(x, wanted)
    }""")
    assert network.tensor("y").shape == (N, S)


def test_sizes_through_floating_point() -> None:
    network = load("""g (float[N, 3, S, S] x) => (float[A, B, C, D] y) {
        shape = Shape<start = 2>(x)
        wide = Cast<to = 1>(shape)
        two = Constant<value_floats: floats = [2.0, 2.0]>()
        more = Mul(wide, two)
        whole = Floor(more)
        size = Cast<to = 7>(whole)
        head = Shape<end = 2>(x)
        sizes = Concat<axis = 0>(head, size)
        y = Resize<mode = "nearest">(x, , , sizes)
    }""")
    assert network.tensor("y").shape == (N, 3, 2 * S, 2 * S)


@pytest.mark.parametrize(("start", "end", "expected"), [
    (0, 5, "min(S, 5)"), (1, 2**62, "S - 1"), (-1, 2**62, "1"), (-3, 2**62, "min(S, 3)"), (0, -1, "S - 1"),
    (2, -1, "max(S - 3, 0)"), (0, 1, "1")])
def test_slice_of_a_symbolic_axis(start: int, end: int, expected: str) -> None:
    network = load(f"""g (float[N, S] x) => (float[A, B] y) {{
        starts = Constant<value_ints: ints = [{start}]>()
        ends = Constant<value_ints: ints = [{end}]>()
        axes = Constant<value_ints: ints = [1]>()
        y = Slice(x, starts, ends, axes)
    }}""")
    assert str(network.tensor("y").shape[1]) == expected
    for size in range(1, 8):
        x = np.arange(2 * size, dtype=np.float32).reshape(2, size)
        np.testing.assert_array_equal(evaluate(network, {"x": x})["y"], x[:, start:min(end, 100)])


def test_a_shape_needed_as_a_tensor() -> None:
    network = load("""g (float[N, S] x) => (float[N, S] y) {
        shape = Shape(x)
        last = Constant<value_ints: ints = [1]>()
        s = Gather<axis = 0>(shape, last)
        wide = Cast<to = 1>(s)
        y = Div(x, wide)
    }""")
    assert isinstance(network.layers[0].op, ShapeVector) and network.layers[0].op.dims == (S,)
    x = np.ones((2, 5), np.float32)
    np.testing.assert_allclose(evaluate(network, {"x": x})["y"], x / 5)


def test_range_and_comparison_make_a_causal_mask() -> None:
    network = load("""g (float[N, S] x) => (bool[A, B] y) {
        shape = Shape(x)
        one = Constant<value_int: int = 1>()
        zero = Constant<value_int: int = 0>()
        s = Gather<axis = 0>(shape, one)
        r = Range(zero, s, one)
        axes = Constant<value_ints: ints = [1]>()
        column = Unsqueeze(r, axes)
        y = LessOrEqual(r, column)
    }""")
    assert network.tensor("y").shape == (S, S)
    found = evaluate(network, {"x": np.zeros((1, 4), np.float32)})["y"]
    np.testing.assert_array_equal(found, np.tri(4, dtype=bool))


def test_condition_on_a_shape_is_decided() -> None:
    network = load("""g (float[N, 4] x) => (float[A, B] y) {
        shape = Shape<start = 1>(x)
        four = Constant<value_ints: ints = [4]>()
        same = Equal(shape, four)
        axes = Constant<value_ints: ints = [0]>()
        test = Squeeze(same, axes)
        y = If(test) <then_branch = yes () => (float[A, B] a) { a = Relu(x) },
                      else_branch = no () => (float[A, B] b) { b = Neg(x) }>
    }""")
    assert [str(layer.op) for layer in network.layers] == ["Pointwise(expr=max($0, 0))"]


def test_user_shapes_fix_symbols_everywhere() -> None:
    text = "g (float[N, S] x, float[S] b) => (float[N, S] y) { y = Add(x, b) }"
    assert load(text, shapes={"x": (None, 7)}).tensor("y").shape == (N, 7)
    assert load(text, shapes={"x": ("batch", 7)}).tensor("y").shape == (symbol("batch"), 7)
    assert load(text, shapes={"b": (7,)}).tensor("x").shape == (N, 7)


def test_unnamed_dimensions_get_symbols_of_their_own() -> None:
    network = load("g (float[?, 3] x, float[?, 3] b) => (float[A, B] y) { y = Concat<axis = 0>(x, b) }")
    assert str(network.tensor("y").shape[0]) == "b_d0 + x_d0"


def test_position_table_cut_to_the_sequence() -> None:
    """max(S, min(S, 512)) is S: the sum has the sequence's length."""
    network = load("""g (float[N, S, 4] x, float[512, 4] table) => (float[N, S, 4] y) {
        shape = Shape<start = 1, end = 2>(x)
        zero = Constant<value_ints: ints = [0]>()
        cut = Slice(table, zero, shape, zero)
        y = Add(x, cut)
    }""")
    assert network.tensor("y").shape == (N, S, 4)
    assert str(network.types["cut"].shape[0]) == "min(S, 512)"
