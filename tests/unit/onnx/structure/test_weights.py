"""Weights of every element type, in every form, are read and changed; what does not fit is refused."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensorwright import onnx as toolkit
from tensorwright.errors import ModelError

from .. import models
from ..random_models import run


def constant(**held: object) -> onnx.ModelProto:
    """One Constant node, and Identity of it."""
    node = helper.make_node("Constant", [], ["c"], "holds", **held)
    info = helper.make_node("Identity", ["c"], ["y"])
    graph = helper.make_graph([node, info], "g", [], [helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def sparse(dims: list[int], indices: list[object]) -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(numpy_helper.from_array(np.array([5, 6], np.float32), "w"),
                                     numpy_helper.from_array(np.array(indices, np.int64)), dims)


DTYPES = ["float32", "float64", "float16", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
          "uint64", "complex64", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
          ml_dtypes.float8_e4m3fnuz, ml_dtypes.int4, ml_dtypes.uint4]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("node", [False, True], ids=["initialiser", "Constant"])
def test_every_element_type(tmp_path, dtype, node: bool) -> None:
    values = np.array([[0, 1, 0], [1, 1, 0]]).astype(dtype)
    held = numpy_helper.from_array(values, "c")
    proto = constant(value=held)
    if not node:
        del proto.graph.node[0]
        proto.graph.initializer.append(held)
    model = toolkit.load(proto)
    read = toolkit.get_weight(model, "c")
    assert read.dtype == values.dtype and np.array_equal(read, values)
    toolkit.set_weight(model, "c", ~values if dtype == "bool" else values[::-1])
    path = toolkit.save(model, tmp_path / "m.onnx")
    written = toolkit.get_weight(toolkit.load(path), "c")
    assert np.array_equal(written, ~values if dtype == "bool" else values[::-1])
    tensor = onnx.load(path).graph.node[0].attribute[0].t if node else onnx.load(path).graph.initializer[0]
    assert np.array_equal(numpy_helper.to_array(tensor).astype(np.complex64), written.astype(np.complex64))


@pytest.mark.parametrize("held,same,other", [
    ({"value_float": 2.5}, 3.5, [1.0, 2.0]), ({"value_floats": [1.0, 2.0]}, [5.0], 1.5),
    ({"value_int": 7}, -1, [[1]]), ({"value_ints": [1, 2]}, [3, 4, 5], 1), ({"value_string": "a"}, "b", ["x", "y"]),
    ({"value_strings": ["a", "ü"]}, ["z"], "w")])
def test_bare_values_keep_their_form_while_it_fits(held, same, other) -> None:
    model = toolkit.load(constant(**held))
    before = toolkit.get_weight(model, "c")
    assert np.array_equal(before, np.array(next(iter(held.values()))))
    toolkit.set_weight(model, "holds", same)             # by the node's name
    assert np.array_equal(toolkit.get_weight(model, "c"), np.array(same))
    assert list(model.node("holds").attributes) == list(held)
    toolkit.set_weight(model, "c", other)
    assert np.array_equal(toolkit.get_weight(model, "c"), np.array(other))
    assert list(model.outputs[0].shape) == list(np.shape(other))
    assert np.array_equal(toolkit.get_weight(toolkit.load(model.proto()), "c"), np.array(other))


@pytest.mark.parametrize("indices", [[1, 4], [[0, 1], [1, 1]]])
def test_sparse_weights_are_written_out(indices) -> None:
    expected = np.array([[0, 5, 0], [0, 6, 0]], np.float32)
    proto = constant(sparse_value=sparse([2, 3], indices))
    assert np.array_equal(toolkit.get_weight(toolkit.load(proto), "c"), expected)
    proto.graph.sparse_initializer.append(sparse([2, 3], indices))
    proto.graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(1, [2, 3]))
    proto.graph.node[1].op_type = "Add"
    proto.graph.node[1].input.append("w")
    model = toolkit.load(proto)
    toolkit.set_weight(model, "w", expected + 1)
    assert np.array_equal(run(model.proto(), {})["y"], 2 * expected + 1) and proto.graph.sparse_initializer


@pytest.mark.parametrize("dims,indices", [([2, 3], [1, 6]), ([2, 3], [[0, 1], [2, 0]]), ([1 << 20, 1 << 20], [1, 2]),
                                          ([-2, 3], [1, 2])])
def test_damaged_sparse_weights_are_refused(dims, indices) -> None:
    with pytest.raises(ModelError, match="sparse"):
        toolkit.load(constant(sparse_value=sparse(dims, indices)))


def test_external_weights_are_read_and_changed(tmp_path) -> None:
    onnx.save(models.perceptron(), tmp_path / "in.onnx", save_as_external_data=True, size_threshold=0, location="w.bin")
    model = toolkit.load(tmp_path / "in.onnx")
    old = toolkit.get_weight(model, "w1")
    toolkit.set_weight(model, "w1", old * 2)
    toolkit.save(model, tmp_path / "out.onnx")
    assert np.array_equal(toolkit.get_weight(toolkit.load(tmp_path / "out.onnx"), "w1"), old * 2)
    assert np.array_equal(toolkit.get_weight(toolkit.load(tmp_path / "in.onnx"), "w1"), old)


def test_another_shape_where_it_fits_refreshes_what_follows() -> None:
    model = toolkit.load(models.perceptron())
    with toolkit.editing(model):                         # neither alone leaves a valid model
        toolkit.set_weight(model, "w2", np.ones((32, 7), np.float32))
        toolkit.set_weight(model, "b2", np.ones(7, np.float32))
    assert list(model.outputs[0].shape)[1] == 7
    assert run(model.proto(), {"x": np.zeros((2, 16), np.float32)})["y"].shape == (2, 7)


@pytest.mark.parametrize("values,dtype,message", [
    (np.zeros((16, 33), np.float32), None, r"cannot become float32 \[16, 33\] in place of float32 \[16, 32\]"),
    (np.zeros((16, 32)), None, "float64"), (["a"], None, "string cannot become float32"),
    (np.full((16, 32), 1e6, np.float32), "float16", "512 of 512 values do not fit into float16"),
    (np.full((16, 32), 0.5, np.float32), "int64", "do not fit into int64"),
    (np.full((16, 32), np.datetime64("2020", "D")), None, "no element type"), ([[1], [1, 2]], None, "not an array"),
    (np.zeros((16, 32)), "float31", "no element type")])
def test_what_does_not_fit_is_refused(values, dtype, message) -> None:
    model = toolkit.load(models.perceptron())
    before = toolkit.get_weight(model, "w1").copy()
    with pytest.raises(ModelError, match=message):
        toolkit.set_weight(model, "w1", values, dtype=dtype)
    assert np.array_equal(toolkit.get_weight(model, "w1"), before)


@pytest.mark.parametrize("given,dtype,fits", [
    (np.array([2**53 + 1]), "float64", True), (np.array([-1]), "uint64", False), (np.array([300]), "int8", False),
    (np.array([2**63], np.uint64), "int64", False), (np.array([np.nan]), "int32", False), (np.array([7]), "int4", True),
    (np.array([8]), "int4", False), (np.array([np.inf], np.float32), "float16", True), (np.array([2]), "bool", False)])
def test_conversions_refuse_to_change_integers(given, dtype, fits) -> None:
    from tensorwright.onnx.structure.tensors import cast
    if fits:
        cast(given, dtype, "it")
    else:
        with pytest.raises(ModelError, match="do not fit"):
            cast(given, dtype, "it")


def test_what_is_not_a_weight_is_explained() -> None:
    model = toolkit.load(models.perceptron())
    with pytest.raises(ModelError, match="Gemm 'first' computes it") as caught:
        toolkit.get_weight(model, "h")
    assert caught.value.try_ == "its weights: 'w1', 'b1'"
    with pytest.raises(ModelError, match="the user feeds it"):
        toolkit.get_weight(model, "x")
    with pytest.raises(ModelError, match="no tensor 'w3'") as caught:
        toolkit.get_weight(model, "w3")
    assert "'w2'" in str(caught.value.try_)
    assert set(toolkit.weights(toolkit.load(models.every_storage()))) == {
        "raw", "scale", "small", "text", "typed", "constant", "yes_c", "no_c", "k"}
