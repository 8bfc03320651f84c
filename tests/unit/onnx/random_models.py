"""Random small models for property tests, and how to run them.

    @given(random_models())
    def test_edit(proto): ...

They have what makes edits go wrong: tensors with several readers, optional operands left out, results nobody reads,
branches and loop bodies that read tensors from outside, local functions, Constant nodes in all their forms,
initialisers that are graph inputs too, unnamed nodes, names shared by sibling branches, and value infos or none.
All tensors are float32 of rank three with the batch first, except the condition and what stands in constants.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
OPSET = 18
UNARY = {"Relu": {}, "Sigmoid": {}, "Tanh": {}, "Neg": {}, "Abs": {}, "Identity": {}, "LeakyRelu": {"alpha": 0.3},
         "Elu": {"alpha": 0.5}, "Softmax": {"axis": -1}, "Cast": {"to": FLOAT}}


@st.composite
def random_models(draw: st.DrawFn, most: int = 12, *, subgraphs: bool = True, functions: bool = True,
                  ) -> onnx.ModelProto:
    """A valid model of up to `most` nodes in its main graph."""
    dice = draw(st.randoms(use_true_random=False))
    return make(dice, draw(st.integers(1, most)), subgraphs, functions)


@dataclass
class Scope:
    """A graph that grows. tensors: name → (rows, columns); the shape is (batch, rows, columns)."""

    tensors: dict[str, tuple[int, int]]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    prefix: str = ""


@dataclass
class Maker:
    dice: random.Random
    subgraphs: bool
    functions: bool
    count: int = 0

    def name(self, scope: Scope, kind: str = "t") -> str:
        self.count += 1
        return f"{scope.prefix}{kind}{self.count}"

    def node(self, scope: Scope, op: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "",
             **attributes: object) -> None:
        label = "" if self.dice.random() < 0.3 else f"{scope.prefix}n_{outputs[0]}"
        scope.nodes.append(helper.make_node(op, inputs, outputs, label, domain=domain or None, **attributes))

    def values(self, *shape: int) -> np.ndarray:
        return np.array([self.dice.randrange(-8, 9) / 4 for _ in range(int(np.prod(shape)))], np.float32).reshape(shape)

    def constant(self, scope: Scope, values: np.ndarray) -> str:
        """A weight or a Constant node that holds the values."""
        name = self.name(scope, "c")
        if self.dice.random() < 0.5:
            scope.weights[name] = values
            return name
        if values.ndim == 0 and self.dice.random() < 0.5:
            self.node(scope, "Constant", [], [name], value_float=float(values))
        elif values.ndim == 1 and self.dice.random() < 0.5:
            self.node(scope, "Constant", [], [name], value_floats=[float(v) for v in values])
        else:
            self.node(scope, "Constant", [], [name], value=numpy_helper.from_array(values))
        return name

    def step(self, scope: Scope, depth: int) -> None:
        """One more node, or a few that belong together."""
        x = self.dice.choice(list(scope.tensors))
        rows, columns = scope.tensors[x]
        y, shape = self.name(scope), (rows, columns)
        kinds = ["unary", "unary", "binary", "binary", "weight", "clip", "transpose", "matmul", "concat", "split"]
        kinds += ["drop"] + ["if", "loop"] * (self.subgraphs and depth < 2) + ["call"] * (self.functions and depth == 0)
        kind = self.dice.choice(kinds)
        if kind == "unary":
            op = self.dice.choice(list(UNARY))
            self.node(scope, op, [x], [y], **UNARY[op])
        elif kind == "binary":
            other = self.dice.choice([n for n, s in scope.tensors.items() if s == shape])
            self.node(scope, self.dice.choice(["Add", "Sub", "Mul", "Max"]), [x, other], [y])
        elif kind == "weight":
            values = self.values(*self.dice.choice([(), (1,), (columns,), (rows, 1), (rows, columns)]))
            operands = [x, self.constant(scope, values)]
            self.node(scope, self.dice.choice(["Add", "Sub", "Mul"]), operands[:: self.dice.choice([1, -1])], [y])
        elif kind == "clip":
            low, high = (self.constant(scope, np.float32(v)) if self.dice.random() < 0.5 else "" for v in (-1, 1))
            self.node(scope, "Clip", [x, low, high] if high else [x, low] if low else [x], [y])
        elif kind == "transpose":
            self.node(scope, "Transpose", [x], [y], perm=[0, 2, 1])
            shape = (columns, rows)
        elif kind == "matmul":
            shape = (rows, self.dice.choice([2, 3]))
            self.node(scope, "MatMul", [x, self.constant(scope, self.values(columns, shape[1]) / 4)], [y])
        elif kind == "concat":
            other = self.dice.choice([n for n, s in scope.tensors.items() if s == shape])
            self.node(scope, "Concat", [x, other], [y], axis=1)
            shape = (2 * rows, columns)
        elif kind == "split" and rows % 2 == 0:
            self.node(scope, "Split", [x], [y, second := self.name(scope)], axis=1, num_outputs=2)
            shape = (rows // 2, columns)
            if self.dice.random() < 0.6:
                scope.tensors[second] = shape
        elif kind == "if":
            branches = [self.graph(scope, depth, f"{y}_branch", shape, []) for _ in range(2)]
            self.node(scope, "If", ["flag"], [y], then_branch=branches[0], else_branch=branches[1])
        elif kind == "loop":
            body = self.graph(scope, depth, f"{y}_body", shape, ["step", "go", "state"])
            scope.weights[trips := self.name(scope, "trips")] = np.array(2, np.int64)
            self.node(scope, "Loop", [trips, "", x], [y], body=body)
        elif kind == "call":
            self.node(scope, "Half", [x], [y], domain="local")
        else:
            self.node(scope, "Dropout", [x], [y, self.name(scope, "mask")] if self.dice.random() < 0.5 else [y])
        scope.tensors[y] = shape

    def graph(self, outer: Scope, depth: int, label: str, shape: tuple[int, int], arguments: list[str],
              ) -> onnx.GraphProto:
        """A branch, or (with arguments) the body of a Loop; sibling branches use the same names for their tensors."""
        scope = Scope(dict(outer.tensors), prefix=f"{label}.")
        inputs = []
        if arguments:
            names = [f"{label}.{a}" for a in arguments]
            inputs = [helper.make_tensor_value_info(names[0], TensorProto.INT64, []),
                      helper.make_tensor_value_info(names[1], TensorProto.BOOL, []),
                      helper.make_tensor_value_info(names[2], FLOAT, ["batch", *shape])]
            scope.tensors[names[2]] = shape
        before = self.count
        for _ in range(self.dice.randrange(3)):
            self.step(scope, depth + 1)
        result = f"{label}.result"
        source = self.dice.choice([n for n, s in scope.tensors.items() if s == shape])
        self.node(scope, "Tanh", [source], [result])
        outputs = [helper.make_tensor_value_info(result, FLOAT, ["batch", *shape])]
        if arguments:
            self.node(scope, "Identity", [f"{label}.go"], [f"{label}.again"])
            outputs.insert(0, helper.make_tensor_value_info(f"{label}.again", TensorProto.BOOL, []))
        else:
            self.count = before                          # the other branch takes the same names
        weights = [numpy_helper.from_array(v, n) for n, v in scope.weights.items()]
        return helper.make_graph(scope.nodes, label, inputs, outputs, weights)


def make(dice: random.Random, size: int, subgraphs: bool = True, functions: bool = True) -> onnx.ModelProto:
    maker = Maker(dice, subgraphs, functions)
    scope = Scope({"x": (2, 3), "x2": (2, 3)})
    for _ in range(size):
        maker.step(scope, 0)
    made = [n for n in scope.tensors if n not in ("x", "x2")]
    results = dict.fromkeys([made[-1], *dice.sample(made, min(len(made), dice.randrange(3)))])
    inputs = [helper.make_tensor_value_info(n, FLOAT, ["batch", 2, 3]) for n in ("x", "x2")]
    if any("flag" in n.input for n in every_node(scope.nodes)):
        inputs.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    if scope.weights and dice.random() < 0.3:
        default = dice.choice(list(scope.weights))       # an initialiser that the user may replace
        held = scope.weights[default]
        inputs.append(helper.make_tensor_value_info(default, helper.np_dtype_to_tensor_dtype(held.dtype), held.shape))
    if dice.random() < 0.3:
        scope.weights["nobody_reads_it"] = maker.values(2)
    graph = helper.make_graph(scope.nodes, "random", inputs,
                              [helper.make_tensor_value_info(n, FLOAT, ["batch", *scope.tensors[n]]) for n in results],
                              [numpy_helper.from_array(np.asarray(v), n) for n, v in scope.weights.items()])
    half = helper.make_function("local", "Half", ["a"], ["b"], [
        helper.make_node("Constant", [], ["k"], value_float=0.5), helper.make_node("Mul", ["a", "k"], ["b"])],
        [helper.make_opsetid("", OPSET)])
    called = any(n.op_type == "Half" for n in scope.nodes)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9,
                              functions=[half] if called else [])
    if called:
        proto.opset_import.append(helper.make_opsetid("local", 1))
    elif dice.random() < 0.5:
        proto = onnx.shape_inference.infer_shapes(proto)
    onnx.checker.check_model(proto, full_check=not called)
    return proto


def every_node(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes, and those in their branches and bodies."""
    found = list(nodes)
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found += every_node(attribute.g.node)
    return found


def feeds(proto: onnx.ModelProto, batch: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """Data for every input that has no default; sizes that are not fixed are `batch`."""
    dice = np.random.default_rng(seed)
    held = {t.name for t in proto.graph.initializer}
    found: dict[str, np.ndarray] = {}
    for info in proto.graph.input:
        if info.name in held:
            continue
        kind = info.type.tensor_type
        shape = [d.dim_value if d.HasField("dim_value") else batch for d in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        found[info.name] = np.array(seed % 2 == 0) if kind.elem_type == TensorProto.BOOL else \
            dice.standard_normal(shape).astype(dtype)
    return found


def run(proto: onnx.ModelProto, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name, from ONNX Runtime without its optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, data), strict=True))
