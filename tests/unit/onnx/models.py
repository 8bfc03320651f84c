"""Small models for the toolkit's tests."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(nodes: list[onnx.NodeProto], inputs: dict[str, tuple], outputs: dict[str, tuple],
          weights: dict[str, np.ndarray] | None = None, opset: int = 18, **more) -> onnx.ModelProto:
    """inputs, outputs: name → (element type, shape)."""
    graph = helper.make_graph(nodes, "test", [helper.make_tensor_value_info(n, *t) for n, t in inputs.items()],
                              [helper.make_tensor_value_info(n, *t) for n, t in outputs.items()],
                              [numpy_helper.from_array(a, n) for n, a in (weights or {}).items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10, **more)


def perceptron(seed: int = 0) -> onnx.ModelProto:
    """x (batch, 16) → Gemm → Relu → Gemm → y (batch, 4); w1 takes 2 KiB, the rest is small."""
    random = np.random.default_rng(seed)
    weights = {"w1": random.standard_normal((16, 32), dtype=np.float32), "b1": np.zeros(32, np.float32),
               "w2": random.standard_normal((32, 4), dtype=np.float32), "b2": np.ones(4, np.float32)}
    nodes = [helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "first"),
             helper.make_node("Relu", ["h"], ["r"], "relu"),
             helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], "second")]
    return model(nodes, {"x": (TensorProto.FLOAT, ["batch", 16])}, {"y": (TensorProto.FLOAT, ["batch", 4])}, weights)


def every_storage() -> onnx.ModelProto:
    """Weights as raw data, typed fields, strings, 4-bit, in a Constant node, in a branch of If, in a function."""
    random = np.random.default_rng(1)
    big = random.standard_normal((300,), dtype=np.float32)
    branch = [helper.make_graph([helper.make_node("Constant", [], [f"{n}_c"], value=numpy_helper.from_array(big * s)),
                                 helper.make_node("Add", ["raw", f"{n}_c"], [f"{n}_y"])], n, [],
                                [helper.make_tensor_value_info(f"{n}_y", TensorProto.FLOAT, [300])])
              for n, s in (("yes", 1), ("no", -1))]
    nodes = [helper.make_node("Constant", [], ["constant"], value=numpy_helper.from_array(big + 1)),
             helper.make_node("If", ["flag"], ["picked"], then_branch=branch[0], else_branch=branch[1]),
             helper.make_node("Add", ["picked", "constant"], ["sum"]),
             helper.make_node("Twice", ["sum"], ["y"], domain="local"),
             helper.make_node("DequantizeLinear", ["small", "scale"], ["z"]),
             helper.make_node("Identity", ["text"], ["t"])]
    twice = helper.make_function("local", "Twice", ["a"], ["b"],
                                 [helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(big * 0 + 2)),
                                  helper.make_node("Mul", ["a", "k"], ["b"])], [helper.make_opsetid("", 21)])
    made = model(nodes, {"flag": (TensorProto.BOOL, [])},
                 {"y": (TensorProto.FLOAT, [300]), "z": (TensorProto.FLOAT, [5000]), "t": (TensorProto.STRING, [2])},
                 {"raw": big, "scale": np.float32(0.5)}, 21, functions=[twice], doc_string="kept")
    made.opset_import.append(helper.make_opsetid("local", 1))
    made.graph.initializer.extend([
        helper.make_tensor("small", TensorProto.INT4, [5000], [i % 15 - 7 for i in range(5000)]),
        helper.make_tensor("text", TensorProto.STRING, [2], ["a", "b"]),
        helper.make_tensor("typed", TensorProto.FLOAT, [400], [float(i) for i in range(400)])])
    made.graph.metadata_props.add(key="source", value="kept too")
    return made
