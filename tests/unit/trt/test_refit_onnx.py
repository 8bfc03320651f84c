"""Engines parsed from ONNX: named weights, other weights from a file, plans without weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

import tensorwright as trt
from tests.unit.builder.test_refit import MODELS

from .test_build_and_run import Log, execute, quick

FLAG = trt.BuilderFlag


@pytest.fixture
def log() -> Log:
    return Log()


def parsed(model: bytes, log: Log, builder: Any) -> Any:
    network = builder.create_network()
    assert trt.OnnxParser(network, log).parse(model), log.errors()
    return network


def plan_of(model: bytes, log: Log, *flags: Any) -> bytes:
    builder = trt.Builder(log)
    config = quick(builder)
    for flag in flags:
        config.set_flag(flag)
    network = parsed(model, log, builder)
    if network.get_input(0).shape[0] < 0:
        profile = builder.create_optimization_profile()
        profile.set_shape("x", (1, 16), (4, 16), (8, 16))
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan, log.errors()
    return bytes(plan)


def engine_of(plan: bytes, log: Log) -> Any:
    engine = trt.Runtime(log).deserialize_cuda_engine(plan)
    assert engine, log.errors()
    return engine


def changed(model: bytes, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """The model with other floating-point initializers of one axis or more."""
    proto = onnx.load_model_from_string(model)
    for t in proto.graph.initializer:
        array = numpy_helper.to_array(t)
        if array.dtype == np.float32 and array.ndim:
            t.CopyFrom(numpy_helper.from_array(change(array).astype(np.float32), t.name))
    return bytes(proto.SerializeToString())


def names(model: bytes) -> set[str]:
    graph = onnx.load_model_from_string(model).graph
    return {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and t.dims}


def feed(model: bytes) -> np.ndarray:
    dims = onnx.load_model_from_string(model).graph.input[0].type.tensor_type.shape.dim
    rng = np.random.default_rng(1)
    return rng.standard_normal([d.dim_value or 3 for d in dims]).astype(np.float32)


@pytest.fixture(scope="module", params=MODELS)
def model(request: Any) -> bytes:
    return MODELS[request.param]()


OTHER = {"other": lambda a: np.flip(a) * 0.5 + 0.25, "ones": np.ones_like}


@pytest.mark.parametrize("kind", OTHER)
def test_refit_from_a_model(kind: str, model: bytes, log: Log, tmp_path: Path) -> None:
    """Against ONNX's own evaluator, and bit for bit against an engine built from the other model."""
    other, x = changed(model, OTHER[kind]), feed(model)
    engine = engine_of(plan_of(model, log, FLAG.REFIT), log)
    refitter = trt.Refitter(engine, log)
    assert set(refitter.get_all_weights()) == names(model)
    (tmp_path / "other.onnx").write_bytes(other)
    parser = trt.OnnxParserRefitter(refitter, log)
    assert parser.refit_from_file(str(tmp_path / "other.onnx")) and parser.num_errors == 0
    assert refitter.get_missing_weights() == [] and refitter.refit_cuda_engine(), log.errors()
    y = execute(engine, x=x)["y"]
    np.testing.assert_array_equal(y, execute(engine_of(plan_of(other, log, FLAG.REFIT), log), x=x)["y"])
    expected = ReferenceEvaluator(onnx.load_model_from_string(other)).run(None, {"x": x})[0]
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)


def test_parsing_for_refit_changes_nothing_else(model: bytes, log: Log) -> None:
    """Layers that scripts see, and what engines compute, do not depend on what a refit would need."""
    from tensorwright import importer
    network = parsed(model, log, trt.Builder(log))
    assert network.num_layers == len(importer.load(model).layers)
    x = feed(model)
    plain, refit = (execute(engine_of(plan_of(model, log, *flags), log), x=x)["y"] for flags in ((), (FLAG.REFIT,)))
    np.testing.assert_allclose(plain, refit, rtol=1e-4, atol=1e-5)


def test_stripped_plans(model: bytes, log: Log) -> None:
    whole, bare = plan_of(model, log, FLAG.REFIT), plan_of(model, log, FLAG.STRIP_PLAN, FLAG.REFIT)
    weights = sum(numpy_helper.to_array(t).nbytes for t in onnx.load_model_from_string(model).graph.initializer)
    assert len(bare) < len(whole) - weights
    engine = engine_of(bare, log)
    context, x = engine.create_execution_context(), feed(model)
    assert engine.refittable and context.set_input_shape("x", x.shape)
    y = np.full(tuple(context.get_tensor_shape("y")), np.nan, np.float32)
    assert not context.execute_v2([x.ctypes.data, y.ctypes.data]) and np.isnan(y).all()
    assert "written without weights" in log.errors()
    refitter = trt.Refitter(engine, log)
    assert set(refitter.get_missing_weights()) == names(model) and not refitter.refit_cuda_engine()
    assert "weights are missing" in log.errors()
    assert trt.OnnxParserRefitter(refitter, log).refit_from_bytes(model)
    assert refitter.get_missing_weights() == [] and refitter.refit_cuda_engine(), log.errors()
    assert context.execute_v2([x.ctypes.data, y.ctypes.data]), log.errors()
    np.testing.assert_array_equal(y, execute(engine_of(whole, log), x=x)["y"])


def test_stripped_alone_takes_its_own_weights_only(model: bytes, log: Log) -> None:
    engine = engine_of(plan_of(model, log, FLAG.STRIP_PLAN), log)
    refitter = trt.Refitter(engine, log)
    parser = trt.OnnxParserRefitter(refitter, log)
    assert parser.refit_from_bytes(changed(model, OTHER["ones"])) and not refitter.refit_cuda_engine()
    assert "not those the engine was built with" in log.errors()
    assert parser.refit_from_bytes(model) and refitter.refit_cuda_engine(), log.errors()
    x = feed(model)
    np.testing.assert_array_equal(execute(engine, x=x)["y"], execute(engine_of(plan_of(model, log), log), x=x)["y"])


def test_models_that_do_not_fit(log: Log) -> None:
    model = MODELS["mlp"]()
    refitter = trt.Refitter(engine_of(plan_of(model, log, FLAG.REFIT), log), log)
    parser = trt.OnnxParserRefitter(refitter, log)
    proto = onnx.load_model_from_string(model)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((3, 3), np.float32), "w1"))
    assert not parser.refit_from_bytes(proto.SerializeToString()) and parser.num_errors == 1
    assert "'w1'" in str(parser.get_error(0)) and "384 of DataType.FLOAT" in str(parser.get_error(0))
    assert not parser.refit_from_bytes(b"no model") and parser.num_errors == 1
    assert not parser.refit_from_bytes(MODELS["attention"]()) and "none of the engine's weights" in log.errors()
    parser.clear_errors()
    assert parser.num_errors == 0
    assert not parser.refit_from_file("/nowhere/x.onnx")


def test_models_in_pieces(log: Log) -> None:
    model = MODELS["mlp"]()
    other, x = changed(model, OTHER["other"]), feed(model)
    engine = engine_of(plan_of(model, log, FLAG.REFIT), log)
    refitter = trt.Refitter(engine, log)
    parser = trt.OnnxParserRefitter(refitter, log)
    assert not parser.refit_model_proto()
    assert parser.load_model_proto(model)
    for t in onnx.load_model_from_string(other).graph.initializer:
        array = np.ascontiguousarray(numpy_helper.to_array(t))
        assert parser.load_initializer(t.name, array.ctypes.data, array.nbytes)
    assert parser.refit_model_proto() and refitter.refit_cuda_engine(), log.errors()
    np.testing.assert_array_equal(execute(engine, x=x)["y"],
                                  execute(engine_of(plan_of(other, log, FLAG.REFIT), log), x=x)["y"])


def test_what_decides_shapes_is_no_weight(log: Log) -> None:
    """Scales of a resize, also those computed from constants; a scalar in the expression."""
    make = onnx.helper.make_node
    nodes = [make("Mul", ["half", "two"], ["s"]), make("Concat", ["ones", "s"], ["scales"], axis=0),
             make("Conv", ["x", "w"], ["c"]), make("Resize", ["c", "", "scales"], ["r"], mode="nearest"),
             make("Mul", ["r", "k"], ["m"]), make("Mul", ["m", "factor"], ["y"])]
    values = {"half": np.full(2, 1.5, np.float32), "two": np.full(2, 2, np.float32), "ones": np.ones(2, np.float32),
              "w": np.ones((4, 3, 1, 1), np.float32), "k": np.ones((4, 1, 1), np.float32),
              "factor": np.float32(3)}
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(nodes, "g", [info("x", 1, [1, 3, 4, 4])], [info("y", 1, [1, 4, 12, 12])],
                                   [numpy_helper.from_array(a, n) for n, a in values.items()])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    refitter = trt.Refitter(engine_of(plan_of(model.SerializeToString(), log, FLAG.REFIT), log), log)
    assert set(refitter.get_all_weights()) == {"w", "k"}
    roles = dict(zip(*refitter.get_all(), strict=True))
    assert roles == {"Conv_2": trt.WeightsRole.KERNEL, "k": trt.WeightsRole.CONSTANT}


def test_refit_map_names_what_a_refitter_takes(model: bytes, log: Log) -> None:
    builder = trt.Builder(log)
    network = builder.create_network()
    parser = trt.OnnxParser(network, log)
    assert parser.get_refit_map() == ([], [], [])
    assert parser.parse(model)
    weights, layers, roles = parser.get_refit_map()
    assert set(weights) == names(model)
    engine = engine_of(plan_of(model, log, FLAG.REFIT), log)
    refitter, x = trt.Refitter(engine, log), feed(model)
    other = {t.name: numpy_helper.to_array(t) for t in
             onnx.load_model_from_string(changed(model, OTHER["other"])).graph.initializer}
    for name, layer, role in zip(weights, layers, roles, strict=True):
        assert refitter.set_weights(layer, role, np.ascontiguousarray(other[name])), log.errors()
    assert refitter.refit_cuda_engine(), log.errors()
    expected = engine_of(plan_of(changed(model, OTHER["other"]), log, FLAG.REFIT), log)
    np.testing.assert_array_equal(execute(engine, x=x)["y"], execute(expected, x=x)["y"])
