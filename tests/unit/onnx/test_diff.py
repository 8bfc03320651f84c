"""Comparing models: what is the same stays the same under other names, and every planted change is found, alone."""

import copy
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensorwright import onnx as toolkit
from tensorwright.onnx.look.difference import distance

from . import models

EXPORTS = Path(__file__).parents[2] / "data" / "exports"
F = TensorProto.FLOAT


def compare(a: onnx.ModelProto, b: onnx.ModelProto, **options: float) -> toolkit.Diff:
    return toolkit.diff(toolkit.load(a), toolkit.load(b), **options)


def kinds(a: onnx.ModelProto, b: onnx.ModelProto) -> list[tuple[str, str]]:
    return [(c.kind, c.where) for c in compare(a, b).changes]


def renamed(proto: onnx.ModelProto, prefix: str = "other_") -> onnx.ModelProto:
    """The same model, every node and inner tensor under another name, nodes numbered in another way."""
    proto = copy.deepcopy(proto)
    graph = proto.graph
    kept = {i.name for i in (*graph.input, *graph.output)} - {t.name for t in graph.initializer}
    new = lambda name: name if name in kept or not name else f"{prefix}{hash(name) % 10**12}"  # noqa: E731
    for k, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{k + 7}"
        node.input[:] = [new(x) for x in node.input]
        node.output[:] = [new(x) for x in node.output]
    for tensor in graph.initializer:
        tensor.name = new(tensor.name)
    for value in (*graph.value_info, *graph.input):
        value.name = new(value.name)
    return proto


@pytest.mark.parametrize("name", ["detector", "resnet", "bert"])
def test_a_renamed_model_is_the_same(name: str) -> None:
    proto = onnx.load(EXPORTS / f"{name}.onnx")
    assert compare(proto, proto).same
    found = compare(proto, renamed(proto))
    assert found.same and found.matched == sum(n.op_type != "Constant" for n in proto.graph.node)
    assert any(n.kind == "name" for n in found.notes)


@pytest.mark.parametrize("make", [models.perceptron, models.every_storage])
def test_a_model_equals_itself(make: Callable[[], onnx.ModelProto]) -> None:
    found = compare(make(), make())
    assert found.same and not found.notes


def change(proto: onnx.ModelProto, what: str) -> onnx.ModelProto:
    proto, graph = copy.deepcopy(proto), proto.graph
    graph = proto.graph
    if what == "attribute":
        graph.node[2].attribute.append(helper.make_attribute("alpha", 2.0))
    elif what == "operator":
        graph.node[1].op_type = "Sigmoid"
    elif what == "weight":
        w = numpy_helper.to_array(graph.initializer[0]).copy()
        w[0, 0] += 1
        graph.initializer[0].CopyFrom(numpy_helper.from_array(w, "w1"))
    elif what == "opset":
        proto.opset_import[0].version = 17
    elif what == "input":
        graph.input[0].name = graph.node[0].input[0] = "image"
    elif what == "shape":
        graph.input[0].type.tensor_type.shape.dim[0].dim_param = "rows"
    elif what == "edge":
        graph.node[0].input[2] = ""
    elif what == "added":
        graph.node.insert(2, helper.make_node("Abs", ["r"], ["r2"], "abs"))
        graph.node[3].input[0] = "r2"
    elif what == "removed":
        del graph.node[1]
        graph.node[1].input[0] = "h"
    elif what == "output":
        graph.output.append(helper.make_tensor_value_info("h", F, ["batch", 32]))
    return proto


@pytest.mark.parametrize("what, expected", [
    ("attribute", [("attribute", "Gemm 'second', alpha")]), ("operator", [("operator", "Relu 'relu'")]),
    ("weight", [("weight", "w1")]), ("opset", [("opset", "ai.onnx")]), ("input", [("input", "x")]),
    ("shape", [("type", "input x")]), ("edge", [("edge", "Gemm 'first', input 2")]),
    ("added", [("node added", "Abs 'abs'"), ("edge", "Gemm 'second', input 0")]),
    ("removed", [("node removed", "Relu 'relu'"), ("edge", "Gemm 'second', input 0")]), ("output", [("output", "h")])])
def test_every_change_is_found_alone(what: str, expected: list[tuple[str, str]]) -> None:
    proto = models.perceptron()
    assert sorted(kinds(proto, change(proto, what))) == sorted(expected)
    if what not in ("operator", "input"):
        assert len(kinds(proto, renamed(change(proto, what)))) == len(expected), "under other names too"


def test_nodes_inserted_and_deleted_in_a_renumbered_network_are_the_only_ones() -> None:
    """As exporters number nodes: one more at the beginning gives all that follow other names, of other nodes even."""
    proto = onnx.load(EXPORTS / "resnet.onnx")
    other = copy.deepcopy(proto)
    at = next(k for k, n in enumerate(other.graph.node) if n.op_type == "MaxPool")
    other.graph.node.insert(at, helper.make_node("Abs", [other.graph.node[at].input[0]], ["absolute"]))
    other.graph.node[at + 1].input[0] = "absolute"
    for k, node in enumerate(other.graph.node):
        node.name = f"n{k}"
    for k, node in enumerate(proto.graph.node):
        node.name = f"n{k}"
    found = compare(proto, other)
    assert [(c.kind, c.where) for c in found.changes] == [
        ("node added", f"Abs 'n{at}'"), ("edge", f"MaxPool 'n{at}', input 0")]


def test_a_default_written_out_is_no_difference() -> None:
    proto = models.perceptron()
    other = copy.deepcopy(proto)
    other.graph.node[0].attribute.append(helper.make_attribute("alpha", 1.0))
    assert compare(proto, other).same and compare(other, proto).same


def test_storage_and_metadata_are_noted(tmp_path: Path) -> None:
    """Constant node instead of initialiser, external instead of inside: no difference."""
    proto = models.perceptron()
    other = copy.deepcopy(proto)
    moved = other.graph.initializer[1]
    other.graph.node.insert(0, helper.make_node("Constant", [], ["b1"], value=moved))
    del other.graph.initializer[1]
    other.producer_name = "somebody"
    onnx.save(other, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=100)
    found = toolkit.diff(toolkit.load(proto), toolkit.load(tmp_path / "m.onnx"))
    assert found.same and {n.where for n in found.notes if n.kind == "storage"} >= {"w1", "b1"}
    assert ("producer", "somebody") in [(n.where, n.b) for n in found.notes]


def test_inside_branches_and_functions() -> None:
    proto = models.every_storage()
    other = copy.deepcopy(proto)
    branch = next(n for n in other.graph.node if n.op_type == "If").attribute[0].g
    branch.node[1].op_type = "Sub"
    other.functions[0].node[1].op_type = "Div"
    assert kinds(proto, other) == [
        ("operator", "If 'picked', else_branch: Add 'no_y'"), ("operator", "function Twice, Mul 'b'")]
    del other.functions[0].node[:]
    del other.functions[:]
    assert ("function", "local::Twice") in kinds(proto, other)


def test_a_model_that_is_not_valid() -> None:
    proto = models.perceptron()
    proto.graph.node[1].input[0] = "nowhere"
    found = compare(models.perceptron(), proto)
    assert [(c.kind, c.where, c.b) for c in found.changes] == [("edge", "Relu 'relu', input 0", "input nowhere")]


def test_tolerance() -> None:
    proto = models.perceptron()
    other = copy.deepcopy(proto)
    w = numpy_helper.to_array(proto.graph.initializer[0]) * np.float32(1 + 1e-6)
    other.graph.initializer[0].CopyFrom(numpy_helper.from_array(w, "w1"))
    assert not compare(proto, other).same and compare(proto, other, tolerance=1e-5).same


# distance of tensors -------------------------------------------------------------------------------------------------
def tensor(values: object, dtype: object = np.float32) -> onnx_ir.TensorProtocol:
    return onnx_ir.tensor(np.asarray(values, dtype))


@pytest.mark.parametrize("a, b, expected", [
    (tensor([1, 2, 4]), tensor([1, 2, 4]), (0, 0, 0)), (tensor([1, 2, 4]), tensor([1, 3, 4]), (1, 1, 0.25)),
    (tensor([np.nan, 1]), tensor([np.nan, 1]), (0, 0, 0)), (tensor([np.nan, 1]), tensor([2, 1]), (1, np.inf, np.inf)),
    (tensor([np.inf, 1]), tensor([np.inf, 1.5]), (1, 0.5, 0.5)), (tensor([0.0]), tensor([-0.0]), (0, 0, 0)),
    (tensor([0.0]), tensor([1.0]), (1, 1, np.inf)), (tensor([], np.float32), tensor([], np.float32), (0, 0, 0)),
    (tensor([2**62, 1], np.int64), tensor([2**62 + 1, 1], np.int64), (1, 1, 2.0**-62)),
    (tensor([1, 2], np.float16), tensor([1, 2], np.float32), (0, 0, 0)),
    (tensor([1, 2], ml_dtypes.bfloat16), tensor([1, 2.5], np.float32), (1, 0.5, 0.25)),
    (tensor([True, False], bool), tensor([True, True], bool), (1, 1, 1))])
def test_distance(a: onnx_ir.TensorProtocol, b: onnx_ir.TensorProtocol, expected: tuple[float, ...]) -> None:
    found = distance(a, b)
    assert (found.elements, found.largest, found.relative) == pytest.approx(expected)
