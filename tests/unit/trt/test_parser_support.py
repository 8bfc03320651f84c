"""What the ONNX parser says of models that it cannot parse: every node at fault, the groups between them, and models
that come in pieces."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import tensorwright as trt
from tensorwright import custom_op, plugins
from tensorwright.generations import v8, v10, v11

from .tiny import Log, quick

HEAD = '<ir_version: 9, opset_import: ["" : 18, "own" : 1]>\n'


def model(text: str) -> bytes:
    return onnx.parser.parse_model(HEAD + text).SerializeToString()


#: Nodes 1 and 4 are of a domain that nobody knows; what node 1 gives has no declared type.
BROKEN = model("""g (float[2, 3] x) => (float[2, 3] y) {
    a = Relu(x)
    b = own.Strange(a)
    c = Add(b, x)
    d = Abs(x)
    [odd] e = own.Other(d, c)
    f = Neg(e)
    y = Neg(f)
}""")
GOOD = model("g (float[2, 3] x) => (float[2, 3] y) { a = Relu(x) \n y = Neg(a) }")


def parser(module: Any = trt) -> tuple[Any, Log]:
    log = Log()
    explicit = 1 if module is v8 else 0
    return module.OnnxParser(module.Builder(log).create_network(explicit), log), log


def test_every_node_at_fault_is_named() -> None:
    p, log = parser()
    assert not p.parse(BROKEN) and p.num_errors == 2
    first, second = p.get_error(0), p.get_error(1)
    assert (first.node(), first.node_operator(), first.node_name()) == (1, "Strange", "Strange_1")
    assert (second.node(), second.node_operator(), second.node_name()) == (4, "Other", "odd")
    assert first.code() is trt.ErrorCode.UNSUPPORTED_NODE and str(first.code()) == "UNSUPPORTED_NODE"
    assert "In node 4 with name: odd and operator: Other" in str(second) and "domain 'own'" in second.desc()
    assert log.errors().count("UnsupportedError") == 2 and not first.local_function_stack()


def test_groups_lie_between_the_nodes_at_fault() -> None:
    p, _ = parser(v10)
    supported, groups = p.supports_model(BROKEN)
    assert not supported and type(groups) is v10.SubGraphCollection and type(groups[0][0]) is v10.NodeIndices
    assert [(list(nodes), certain) for nodes, certain in groups] == [([0], True), ([2, 3], False), ([5, 6], False)]
    assert p.num_errors == 2
    p, _ = parser(v11)
    assert not p.supports_model_v2(BROKEN) and p.num_subgraphs == 3
    assert p.get_subgraph_nodes(1) == [2, 3] and p.is_subgraph_supported(0) and not p.is_subgraph_supported(1)
    with pytest.raises(IndexError):
        p.get_subgraph_nodes(3)
    assert not hasattr(p, "supports_model") and not hasattr(v8.OnnxParser, "supports_model_v2")


def test_declared_types_make_groups_certain() -> None:
    proto = onnx.ModelProto.FromString(BROKEN)
    for name in ("b", "e"):
        proto.graph.value_info.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (2, 3)))
    _, groups = parser()[0].supports_model(proto.SerializeToString())
    assert [(list(nodes), certain) for nodes, certain in groups] == [([0], True), ([2, 3], True), ([5, 6], True)]
    proto.graph.value_info[0].type.tensor_type.shape.dim[1].dim_value = 4    # then Add cannot take it
    p = parser()[0]
    _, groups = p.supports_model(proto.SerializeToString())
    assert [list(nodes) for nodes, _ in groups] == [[0], [3], [5, 6]] and p.get_error(1).node() == 2


def test_good_and_damaged_models() -> None:
    p, _ = parser()
    supported, groups = p.supports_model(GOOD)
    assert supported and [(list(n), c) for n, c in groups] == [([0, 1], True)] and p.num_errors == 0
    assert not p.supports_model_v2(b"no model") and p.num_subgraphs == 0 and p.get_error(0).node() == -1
    assert p.get_error(0).code() is trt.ErrorCode.MODEL_DESERIALIZE_FAILED
    broken_shape = model("g (float[2, 3] x, float[4] w) => (float[2, 3] y) { a = Neg(x) \n y = Add(a, w) }")
    assert not p.supports_model_v2(broken_shape) and p.get_error(0).node() == 1 and p.get_subgraph_nodes(0) == [0]


def test_plugins_behind_a_node_at_fault_are_known() -> None:
    @custom_op("own::Doubled")
    def doubled(x: Any) -> Any:
        return 2 * x
    try:
        text = "g (float[2] x) => (float[2] y) { a = own.Strange(x) \n y = own.Doubled(a) }"
        p, _ = parser()
        assert not p.parse(model(text)) and p.num_errors == 1 and p.supports_operator("Conv")
        assert p.get_error(0).node_operator() == "Strange" and not p.supports_operator("Strange")
        assert not p.supports_model_v2(model(text)) and p.get_subgraph_nodes(0) == [1]
    finally:
        plugins.unregister(plugins.find("own::Doubled"))


def test_without_a_dla_nothing_runs_on_one() -> None:
    p, _ = parser()
    p.set_flag(trt.OnnxParserFlag.REPORT_CAPABILITY_DLA)
    assert p.set_builder_config(trt.Builder(Log()).create_builder_config())
    assert not p.supports_model_v2(GOOD) and p.num_subgraphs == 0 and p.num_errors == 2


def test_errors_inside_functions_name_the_functions() -> None:
    nested = model("""g (float[2] x) => (float[2] y) { a = own.outer(x) \n y = Neg(a) }
        <domain: "own", opset_import: ["" : 18, "own" : 1]> outer (a) => (b) { [call] b = own.inner(a) }
        <domain: "own", opset_import: ["" : 18, "else" : 1]> inner (a) => (b) { [deep] b = else.Strange(a) }""")
    p, _ = parser()
    assert not p.parse(nested) and p.num_errors == 1
    error = p.get_error(0)
    assert error.local_function_stack() == ["outer", "inner"] and error.local_function_stack_size() == 2
    assert (error.node(), error.node_operator(), error.node_name()) == (0, "Strange", "deep")
    assert "inside outer -> inner" in str(error)


def test_a_model_in_pieces(tmp_path: Path) -> None:
    """Weights that lie in no file are given by address."""
    weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=(3,),
                              data_location=onnx.TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="nowhere.bin")
    text = "g (float[2, 3] x, float[3] w) => (float[2, 3] y) { y = Add(x, w) }"
    proto = onnx.ModelProto.FromString(model(text))
    proto.graph.initializer.append(weight)
    p, log = parser()
    assert not p.parse_model_proto() and "no model is loaded" in log.errors()
    assert p.load_model_proto(proto.SerializeToString(), str(tmp_path / "model.onnx"))
    numbers = np.float32([1, 2, 3])
    assert not p.load_initializer("nope", numbers.ctypes.data, 12) and "no initializer 'nope'" in log.errors()
    assert not p.load_initializer("w", numbers.ctypes.data, 8) and "12 bytes, 8 are given" in p.get_error(0).desc()
    assert p.load_initializer("w", numbers.ctypes.data, 12)
    numbers[:] = 0                                        # they were copied
    assert p.parse_model_proto(), log.errors()
    builder = p._network.builder
    engine = builder.build_engine_with_config(p._network, quick(builder))
    x, y = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    assert engine.create_execution_context().execute_v2([x.ctypes.data, y.ctypes.data])
    np.testing.assert_array_equal(y, [[2, 3, 4]] * 2)


def test_what_older_generations_have() -> None:
    p, _ = parser(v8)
    assert p.parse_with_weight_descriptors(GOOD) and p.get_used_vc_plugin_libraries() == []
    assert v8.get_nv_onnx_parser_version() > 0 and v8.shutdown_protobuf_library() is None
    assert not p.parse_with_weight_descriptors(BROKEN) and p.num_errors == 2
