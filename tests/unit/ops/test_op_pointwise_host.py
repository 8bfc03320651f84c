"""Element-wise expressions and ONNX nodes evaluated on the host."""

import numpy as np
import onnx
import pytest
from op_checks import agree, floats

from tensorwright.dtypes import DType
from tensorwright.errors import InputError, ShapeError, TypeMismatch
from tensorwright.ir import OpaqueType, TensorType
from tensorwright.ops import Host, Pointwise, host_node
from tensorwright.ops.expr import Apply, Const, In

F, B = DType.float32, DType.bool
X0, X1 = In(0, F), In(1, F)


def test_pointwise_broadcasts():
    rng = np.random.default_rng(0)
    a, b = floats(rng, 3, 1, 5), floats(rng, 4, 1)
    e = Apply("where", (Apply("lt", (X0, X1), B), Apply("mul", (X0, X1), F), Const(2.5, F)), F)
    agree(Pointwise(e), [a, b], [np.where(a < b, a * b, np.float32(2.5))])
    agree(Pointwise(Const(1, DType.int64)), [a, b], [np.ones((3, 4, 5), np.int64)])


@pytest.mark.parametrize("e", [
    Apply("add", (X0, In(1, DType.int32)), F), Apply("lt", (X0, X1), F), Apply("sqrt", (X0, X1), F),
    Apply("system", (X0,), F), Apply("where", (X0, X0, X1), F), Apply("isnan", (X0,), F)])
def test_malformed_expressions_are_refused(e):
    with pytest.raises(TypeMismatch):
        Pointwise(e).infer(*[TensorType((2,), F)] * 2)


def test_inputs_are_counted_from_zero():
    with pytest.raises(ShapeError, match="reads input -1"):
        Pointwise(In(-1, F)).infer(TensorType((2,), F))


def test_inputs_must_be_what_the_expression_reads():
    with pytest.raises(ShapeError, match="reads input 1, there are 1"):
        Pointwise(Apply("add", (X0, X1), F)).infer(TensorType((2,), F))
    with pytest.raises(TypeMismatch, match="input 0 as float32, it is int8"):
        Pointwise(X0).infer(TensorType((2,), DType.int8))


def test_host_evaluates_a_node_of_data_dependent_shape():
    op = host_node(onnx.helper.make_node("NonZero", ["x"], ["y"]), {"": 21})
    (y,) = op.reference(np.array([[0, 3], [5, 0]], np.float32))
    assert y.tolist() == [[0, 1], [1, 0]] and y.dtype == np.int64
    assert op.infer(TensorType((2, 2), F)) == OpaqueType()
    assert op.node == "NonZero" and hash(op) == hash(Host(op.model, "NonZero"))


def test_host_takes_absent_inputs_and_repeated_ones():
    op = host_node(onnx.helper.make_node("Clip", ["x", "", "x"], ["y"]), {"": 21})
    (y,) = op.reference(np.array(3, np.float32), None, np.array(2, np.float32))
    assert y == 2


def test_host_takes_and_gives_sequences():
    split = host_node(onnx.helper.make_node("SplitToSequence", ["x"], ["s"], axis=0, keepdims=1), {"": 21})
    at = host_node(onnx.helper.make_node("SequenceAt", ["s", "i"], ["y"]), {"": 21})
    (parts,) = split.reference(np.arange(6).reshape(3, 2))
    assert len(parts) == 3
    assert at.reference(parts, np.array(-1))[0].tolist() == [[4, 5]]


def test_host_passes_values_that_subgraphs_capture():
    def branch(name, value):
        node = onnx.helper.make_node(value, ["a", "a"], [name])
        return onnx.helper.make_graph([node], name, [], [onnx.ValueInfoProto(name=name)])
    node = onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch("t", "Add"), else_branch=branch("e", "Mul"))
    op = host_node(node, {"": 21}, captured=["a"])
    assert op.reference(np.array(True), np.array([5.0]))[0].tolist() == [10]
    assert op.reference(np.array(False), np.array([5.0]))[0].tolist() == [25]


def test_what_the_host_refuses_is_an_input_error():
    op = host_node(onnx.helper.make_node("Reshape", ["x", "s"], ["y"]), {"": 21})
    with pytest.raises(InputError, match="Reshape: ValueError"):
        op.reference(np.zeros(3), np.array([2]))
    with pytest.raises(InputError, match="takes 2 inputs, 3 are given"):
        op.reference(np.zeros(3), np.array([3]), np.zeros(1))
