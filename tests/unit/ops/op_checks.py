"""What the tests of operators share: one-node ONNX models on ONNX Runtime or the onnx package, and the comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from tensorwright.dtypes import DType
from tensorwright.ir import Op, TensorType

Arrays = list[np.ndarray | None]


def floats(rng: np.random.Generator, *shape: int, dtype: Any = np.float32) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


def type_of(x: np.ndarray | None) -> TensorType | None:
    return None if x is None else TensorType(x.shape, DType.of(x))


def node_model(op_type: str, inputs: Arrays, outputs: int = 1, opset: int = 21, out_type: int = 1,
               **attributes: Any) -> onnx.ModelProto:
    """A model of one node; absent inputs are None. out_type matters only to readers that check it."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    infos = [onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
             for n, x in zip(names, inputs, strict=True) if x is not None]
    results = [f"y{i}" for i in range(outputs)]
    node = onnx.helper.make_node(op_type, names, results, **attributes)
    graph = onnx.helper.make_graph([node], op_type, infos, [onnx.ValueInfoProto(name=y) for y in results])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=10)


def feeds_of(inputs: Arrays) -> dict[str, np.ndarray]:
    return {f"x{i}": x for i, x in enumerate(inputs) if x is not None}


def by_runtime(op_type: str, inputs: Arrays, outputs: int = 1, opset: int = 21, **attributes: Any) -> list[np.ndarray]:
    """What ONNX Runtime computes for one node."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = onnx.shape_inference.infer_shapes(node_model(op_type, inputs, outputs, opset, **attributes))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds_of(inputs))


def by_definition(op_type: str, inputs: Arrays, outputs: int = 1, opset: int = 21,
                  **attributes: Any) -> list[np.ndarray]:
    """What the onnx package's own implementation computes for one node."""
    return ReferenceEvaluator(node_model(op_type, inputs, outputs, opset, **attributes)).run(None, feeds_of(inputs))


def agree(op: Op, inputs: Arrays, expected: list[np.ndarray], tolerance: float = 1e-5) -> None:
    """The reference computes `expected`, and shape inference says its types."""
    computed, inferred = op.reference(*inputs), op.infer(*map(type_of, inputs))
    computed = computed if isinstance(computed, tuple) else (computed,)
    inferred = inferred if isinstance(inferred, tuple) else (inferred,)
    for y, t, e in zip(computed, inferred, expected, strict=True):
        assert type_of(y) == t == type_of(e), f"{op}: {type_of(y)}, inferred {t}, expected {type_of(e)}"
        if y.dtype.kind in "fV":
            np.testing.assert_allclose(y.astype(np.float64), e.astype(np.float64), tolerance, tolerance, True, str(op))
        else:
            np.testing.assert_array_equal(y, e, err_msg=str(op))
