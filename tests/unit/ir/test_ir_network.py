"""The network editor and the frozen network it makes."""

import numpy as np
import pytest

from tensorwright.dims import symbol
from tensorwright.dtypes import DType
from tensorwright.errors import ShapeError
from tensorwright.ir import NetworkEditor, OpaqueType, TensorType
from tensorwright.ops import Concat, MatMul, Reshape, Softmax, TopK

F, N = DType.float32, symbol("N")


def editor():
    e = NetworkEditor("demo")
    e.input("x", TensorType((N, 4), F))
    e.constant(np.ones((4, 3), np.float32), "w")
    return e


def test_layers_are_typed_named_and_ordered():
    e = editor()
    y = e.add(MatMul(), "x", "w", name="fc", origin=("node7",))
    z = e.add(Softmax(1), y)
    e.outputs = [z]
    network = e.finish()
    assert network.tensor(z) == TensorType((N, 3), F)
    assert [layer.name for layer in network.layers] == ["fc", "softmax"]
    assert network.producers()[y].origin == ("node7",) and network.symbols() == ("N",)
    assert [layer.name for layer in network.readers()[y]] == ["softmax"]
    assert str(network).splitlines()[0] == "network demo" and "MatMul() [x, w]  # fc" in str(network)


def test_names_are_made_unique():
    e = editor()
    first, second = (e.add(Softmax(1), "x", name="s") for _ in range(2))
    assert first != second and [layer.name for layer in e.layers] == ["s", "s.1"]
    assert e.constant(np.zeros(1), "w") == "w.1"
    assert len(e.add(TopK(2, 1), "x")) == 2


def test_a_layer_that_reads_a_value_twice_is_listed_twice():
    e = editor()
    e.add(Concat(0), "x", "x")
    e.outputs = ["concat.out"]
    assert len(e.finish().readers()["x"]) == 2


def test_errors_of_inference_name_layer_and_operands():
    e = editor()
    with pytest.raises(ShapeError) as caught:
        e.add(MatMul(), "w", "w", name="fc")
    assert caught.value.at == ["fc"]
    assert caught.value.facts["w"] == "float32 (4, 3), constant"
    assert str(caught.value).startswith("ShapeError: inner dimensions 3 and 4 differ\n  at   fc")


def test_types_can_be_given_for_what_inference_cannot_know():
    e = editor()
    y = e.add(Reshape((N, 4)), "x", types=(OpaqueType("float32 (?, 4)", F),))
    e.outputs = [y]
    network = e.finish()
    with pytest.raises(ShapeError, match="not known before it is computed"):
        network.tensor(y)


def test_contradictions_are_found():
    e = editor()
    with pytest.raises(ShapeError, match="two values are named 'x'"):
        e.input("x", TensorType((1,), F))
    with pytest.raises(ShapeError, match="two values are named 'w'"):
        e.add(Softmax(1), "x", outputs=["w"])
    e.outputs = ["nothing"]
    with pytest.raises(ShapeError, match="'nothing' is never written"):
        e.finish()


def test_layers_out_of_order_are_found():
    e = editor()
    y = e.add(Softmax(1), "x")
    e.outputs = [e.add(Softmax(1), y)]
    network = e.finish()
    with pytest.raises(ShapeError, match="before it is written"):
        network.with_changes(layers=network.layers[::-1]).check()
    with pytest.raises(ShapeError, match="written twice"):
        network.with_changes(layers=network.layers[:1] * 2).check()


def test_an_editor_continues_a_finished_network():
    e = editor()
    e.outputs = [e.add(Softmax(1), "x", name="s")]
    network = e.finish()
    again = NetworkEditor.of(network)
    again.outputs = [again.add(Softmax(0), network.outputs[0], name="s")]
    assert [layer.name for layer in again.finish().layers] == ["s", "s.1"]
    assert len(network.layers) == 1


def test_operators_bind_their_symbols():
    op = Reshape((N, 2 * N + 1))
    assert op.symbols() == {"N"} and op.bind({"N": 3}) == Reshape((3, 7))
    assert op.bind({"M": 3}) == op and Softmax(1).bind({"N": 3}) == Softmax(1)
    assert str(op) == "Reshape(shape=(N, 2*N + 1))" and str(Softmax(1)) == "Softmax(axis=1)"
