"""Refit of operators that keep their weights in ways of their own: packed gates, tables, slopes, halves, 8 bits."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import tensorwright as trt

from .test_build_and_run import Log, execute
from .test_refit_onnx import FLAG, changed, engine_of, plan_of

rng = np.random.default_rng(1)
FLOAT, HALF, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64


def R(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def model(nodes: list[Any], x: list[int], y: list[int], weights: dict[str, np.ndarray], dtype: int = FLOAT,
          given: int | None = None) -> bytes:
    """nodes: (operator, inputs, outputs, attributes)"""
    value = helper.make_tensor_value_info
    graph = helper.make_graph([helper.make_node(op, i, o, **a) for op, i, o, a in nodes], "g",
                              [value("x", dtype if given is None else given, x)], [value("y", dtype, y)],
                              [numpy_helper.from_array(a, n) for n, a in weights.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


CASES = {
    "LSTM": (model([("LSTM", ["x", "W", "R", "B"], ["y"], {"hidden_size": 5})], [4, 2, 3], [4, 1, 2, 5],
                   {"W": R(1, 20, 3), "R": R(1, 20, 5), "B": R(1, 40)}), {"W", "R", "B"}),
    "table": (model([("Gather", ["t", "x"], ["e"], {}), ("LayerNormalization", ["e", "g", "b"], ["y"], {})],
                    [2, 3], [2, 3, 8], {"t": R(10, 8), "g": R(8), "b": R(8)}, given=INT64), {"t", "g", "b"}),
    "slopes": (model([("ConvTranspose", ["x", "w", "b"], ["c"], {"strides": [2, 2]}), ("PRelu", ["c", "s"], ["y"], {})],
                     [1, 3, 5, 5], [1, 4, 10, 10], {"w": R(3, 4, 2, 2), "b": R(4), "s": R(4, 1, 1)}), {"w", "b", "s"}),
    "before": (model([("Mul", ["x", "k"], ["m"], {}), ("Add", ["m", "t"], ["a"], {}), ("Conv", ["a", "w"], ["y"], {})],
                     [1, 3, 5, 5], [1, 4, 3, 3], {"k": R(3, 1, 1), "t": R(3, 1, 1), "w": R(4, 3, 3, 3)}),
               {"k", "t", "w"}),
    "halves": (model([("MatMul", ["x", "w"], ["m"], {}), ("Add", ["m", "b"], ["y"], {})], [2, 8], [2, 4],
                     {"w": R(8, 4).astype(np.float16), "b": R(4).astype(np.float16)}, HALF), {"w", "b"}),
    "8 bits": (model([("DequantizeLinear", ["wq", "s", "z"], ["w"], {"axis": 0}), ("Conv", ["x", "w"], ["y"], {})],
                     [1, 3, 5, 5], [1, 4, 3, 3], {"wq": rng.integers(-9, 9, (4, 3, 3, 3)).astype(np.int8),
                                                  "s": np.abs(R(4)), "z": np.zeros(4, np.int8)}), {"wq", "s"}),
    "mask": (model([("Add", ["x", "mask"], ["a"], {}), ("Softmax", ["a"], ["y"], {"axis": -1})], [2, 4, 4], [2, 4, 4],
                   {"mask": np.where(np.tri(4) > 0, 0, -1e9).astype(np.float32)}), {"mask"})}


@pytest.mark.parametrize("case", CASES)
def test_as_a_fresh_build(case: str) -> None:
    """Bit for bit, against an engine for refit and an ordinary one, both built from the other model."""
    given, names = CASES[case]
    log, other = Log(), flipped(given)
    engine = engine_of(plan_of(given, log, FLAG.REFIT), log)
    refitter = trt.Refitter(engine, log)
    assert set(refitter.get_all_weights()) == names
    dtype = trt.nptype(engine.get_tensor_dtype("x"))
    x = rng.integers(0, 9, tuple(engine.get_tensor_shape("x"))).astype(dtype)
    before = execute(engine, x=x)["y"]
    assert trt.OnnxParserRefitter(refitter, log).refit_from_bytes(other) and refitter.refit_cuda_engine(), log.errors()
    y = execute(engine, x=x)["y"]
    for flags in ((FLAG.REFIT,), ()):
        np.testing.assert_array_equal(y, execute(engine_of(plan_of(other, log, *flags), log), x=x)["y"])
    assert not np.array_equal(y, before)


def flipped(given: bytes) -> bytes:
    """The model with other weights of every type."""
    proto = onnx.load_model_from_string(changed(given, lambda a: np.flip(a) * 0.5))
    for t in proto.graph.initializer:
        array = numpy_helper.to_array(t)
        if array.dtype in (np.float16, np.int8):
            t.CopyFrom(numpy_helper.from_array(np.flip(array).copy(), t.name))
    return bytes(proto.SerializeToString())
