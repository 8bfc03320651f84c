"""What is known of a model's tensors without running it: element types, symbolic shapes, the content of constants.

Every node is read by the importer, which knows ONNX's operators; instead of layers it gets types and, where the
operands are known, contents. A dynamic dimension is a symbol, and dimensions computed from it are expressions of it:
"height // 2". What the importer cannot read (custom operators) has the type the model declares.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dims import parse, symbols
from ..dtypes import DType
from ..errors import ModelError
from ..importer import families
from ..importer.graph import MOST_NODES, RANDOM, Frame, GraphImporter
from ..importer.host import dtype_of
from ..importer.inputs import Shapes, input_types
from ..importer.layers import LayerWriter
from ..importer.source import ModelSource
from ..importer.values import SMALL, Decline, Value
from ..ir import Layer, Op, OpaqueType, TensorType, ValueType
from .model import Model, subgraphs
from .rewire import inside
from .storage import reason

if TYPE_CHECKING:
    import onnx_ir

assert families.COUNT
#: What is called around the reading of a node: the node, and the values it sees by name.
Step = Callable[["onnx_ir.Node", "MutableMapping[str, Value]"], None]
#: The name of values that no network has.
UNWRITTEN = "·"
STANDARD = ("", "ai.onnx")
CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})


class Sketch(LayerWriter):
    """Takes layers and keeps their types only; layers of constants are computed."""

    def _append(self, op: Op, inputs: Sequence[Value | None], name: str, origin: str) -> tuple[Value, ...]:
        inferred = op.infer(*[None if v is None else v.tensor for v in inputs])
        return tuple(Value(t, UNWRITTEN) for t in (inferred if isinstance(inferred, tuple) else (inferred,)))

    def add_host(self, op: Op, inputs: Sequence[Value | None], types: Sequence[ValueType], name: str, origin: str
                 ) -> tuple[Value, ...]:
        self.editor.layers.append(Layer(op, (), (), name))         # the importer looks there for host steps
        return tuple(Value(t, UNWRITTEN) for t in types)


class Meaning:
    """What is known of each tensor. `walk` follows the nodes in order, `read` takes one; `of` tells.

    shapes   input name → dimensions, as the importer takes them: to look at the model with other input shapes
    """

    def __init__(self, model: Model, shapes: Shapes | None = None) -> None:
        import onnx
        import onnx_ir

        self.model = model
        proto = onnx.ModelProto(ir_version=model.ir.ir_version or 10)
        proto.functions.extend(onnx_ir.to_proto(f) for f in model.ir.functions.values())
        self.importer = GraphImporter(ModelSource(proto, model.label))
        self.sketch = Sketch(self.importer.editor, self.importer.source)
        self.importer.writer = self.sketch
        self.known: dict[Any, Value] = {}
        infos = [onnx_ir.to_proto(v) for v in model.inputs]
        found: set[str] = set()
        for value, t in zip(model.inputs, input_types(infos, shapes or {}).values(), strict=True):
            self.known[value] = Value(t, UNWRITTEN, hint=value.name or "")
            for d in t.shape if isinstance(t, TensorType) else ():
                found |= symbols(d)
        self.importer.symbols = frozenset(found)

    def walk(self, before: Step = lambda node, scope: None, after: Step = lambda node, scope: None) -> Meaning:
        """Read all nodes, those of bodies before theirs; returns itself. before, after: called around each node."""
        self._follow(self.model.graph, self.scope(self.model.graph), before, after)
        return self

    def _follow(self, graph: Any, scope: MutableMapping[str, Value], before: Step, after: Step) -> None:
        for node in list(graph):
            before(node, scope)
            for body in subgraphs(node):
                if node.op_type == "Loop" and node.domain in STANDARD:
                    self._enter_loop(node, body)
                self._follow(body, self.scope(body, scope), before, after)
            self.read(node, scope)
            if node.domain in STANDARD and node.op_type in ("If", "Loop"):
                self._leave(node, scope)
            after(node, scope)

    def _enter_loop(self, node: onnx_ir.Node, body: Any) -> None:
        """The body's inputs have the types of what the loop is given, for now."""
        types: list[ValueType] = [TensorType((), DType.int64), TensorType((), DType.bool)]
        types += [OpaqueType() if v is None else self.of(v).type for v in node.inputs[2:]]
        for value, t in zip(body.inputs, types, strict=False):
            self.known[value] = Value(t, UNWRITTEN)

    def _leave(self, node: onnx_ir.Node, scope: MutableMapping[str, Value]) -> None:
        """The types of results: of both branches when they agree, of a loop's states when they stay the same."""
        bodies = subgraphs(node)
        if node.op_type == "If":
            results = [[self.of(v).type for v in body.outputs] for body in bodies]
            agreed = [a if a == b else None for a, b in zip(*results, strict=True)] if len(results) == 2 else []
        else:
            states = len(node.inputs) - 2
            agreed = [self.of(v).type for v in bodies[0].outputs[1 : 1 + states]]
            if agreed != [self.of(v).type for v in bodies[0].inputs[2:]]:
                for inner in inside(node):               # it was not so: what was read in the body is not known
                    for value in (*inner.outputs, *(v for g in subgraphs(inner) for v in g.inputs)):
                        if inner is not node or value not in node.outputs:
                            self.known.pop(value, None)
                agreed = []
        for value, t in zip(node.outputs, agreed, strict=False):
            if isinstance(t, TensorType):
                self.known[value] = Value(t, UNWRITTEN, hint=value.name or "")
                scope[str(value.name)] = self.known[value]

    def scope(self, graph: Any, outer: Mapping[str, Value] | None = None) -> MutableMapping[str, Value]:
        """Name → value for the nodes of a graph: what it sees of outer graphs, its inputs and initialisers."""
        scope: ChainMap[str, Value] = ChainMap({}, outer or {})  # type: ignore[arg-type]
        for value in (*graph.inputs, *getattr(graph, "initializers", {}).values()):
            scope[value.name] = self.of(value)
        return scope

    def of(self, value: onnx_ir.Value) -> Value:
        """The value as the importer sees it: from its node when that was read, else what the model declares."""
        found = self.known.get(value)
        if found is None:
            found = self.known[value] = self.declared(value)
        return found

    def declared(self, value: onnx_ir.Value) -> Value:
        tensor = constant_tensor(value)
        dtype = dtype_of(int(value.dtype)) if value.dtype is not None else None
        if tensor is not None:
            dtype = dtype_of(int(tensor.dtype))
            shape = tuple(int(d) for d in tensor.shape)
            if dtype is None or dtype is DType.string:
                return Value(OpaqueType("strings", dtype), UNWRITTEN, hint=value.name or "")
            hint, small = value.name or "", int(np.prod(shape, dtype=np.int64)) <= SMALL
            return Value(TensorType(shape, dtype), None if small else UNWRITTEN, array_of(tensor) if small else None,
                         hint=hint)
        dims: list[Any] = []
        for d in value.shape if value.shape is not None else [None]:
            try:
                dims.append(d if isinstance(d, int) else parse(str(d.value)) if d is not None and d.value else None)
            except ValueError:
                dims.append(None)
        if dtype is None or any(d is None or not symbols(d) <= self.importer.symbols for d in dims):
            return Value(OpaqueType("unknown", dtype), UNWRITTEN, hint=value.name or "")
        return Value(TensorType(tuple(dims), dtype), UNWRITTEN, hint=value.name or "")

    def read(self, node: onnx_ir.Node, scope: MutableMapping[str, Value]) -> list[Value]:
        """What is known of the node's outputs, now also in `scope`. Bodies of control flow are not read."""
        results: Sequence[Value | None] = ()
        if node.op_type != "Constant" and not (node.domain in STANDARD and node.op_type in CONTROL):
            try:
                results = self.lowered(node, [None if v is None else self.of(v) for v in node.inputs], scope)
            except Exception:                            # a model may be anything; then what it declares is all we know
                results = ()
        for value, result in zip(node.outputs, (*results, *[None] * len(node.outputs)), strict=False):
            if result is not None and not unknown(result):
                self.known[value] = result
            if value.name:
                scope[value.name] = self.of(value)
        return [self.of(v) for v in node.outputs]

    def lowered(self, node: onnx_ir.Node, inputs: Sequence[Value | None], scope: MutableMapping[str, Value]
                ) -> tuple[Value | None, ...]:
        """The node's outputs by its operator's meaning. Raises what the importer raises."""
        from onnx_ir import serde
        self.importer.budget = MOST_NODES
        frame = Frame(self.model.ir.opset_imports, scope)  # type: ignore[arg-type]
        results, _ = self.importer.lowered(serde.serialize_node(node), inputs, 0, frame)
        self.importer.editor.layers.clear()
        self.importer.names.clear()                      # there is no network in which names must differ
        return results

    def compute(self, node: onnx_ir.Node, inputs: Sequence[np.ndarray | None], largest: int) -> list[np.ndarray]:
        """The contents of the node's outputs; intermediate results have at most `largest` elements.

        TensorwrightError or Decline when they cannot be computed.
        """
        operands = [None if a is None else Value(TensorType(a.shape, DType.of(a)), array=a) for a in inputs]
        try:
            self.sketch.largest = largest
            results = self.lowered(node, operands, {})
        finally:
            self.sketch.largest = SMALL
        arrays = [None if r is None else r.array for r in results[: len(node.outputs)]]
        if any(a is None and v.name for a, v in zip(arrays, node.outputs, strict=True)):
            raise Decline("its result is known at run time only")
        return [np.zeros(0) if a is None else a for a in arrays]


def unknown(value: Value) -> bool:
    return isinstance(value.type, OpaqueType) and value.type.dtype is None and value.array is None


def constant_tensor(value: onnx_ir.Value) -> Any:
    """The content of an initialiser that cannot be fed, or of a Constant node; None for everything else."""
    node = value.producer()
    if node is None:
        return value.const_value if value.is_initializer() and not value.is_graph_input() else None
    if node.op_type != "Constant" or node.domain not in STANDARD:
        return None
    import onnx_ir
    for name, attribute in node.attributes.items():
        if attribute.is_ref():
            return None
        if name == "value":
            return attribute.as_tensor()
        if name in ("value_int", "value_ints"):
            return onnx_ir.Tensor(np.array(attribute.value, np.int64))
        if name in ("value_float", "value_floats"):
            return onnx_ir.Tensor(np.array(attribute.value, np.float32))
    return None


def array_of(tensor: Any) -> np.ndarray:
    """A tensor's elements; a view of the file where the type allows. ModelError when it is damaged."""
    try:
        return np.asarray(tensor.numpy())
    except Exception as error:                           # a small tensor is decoded only now, and in many ways
        raise ModelError(f"tensor {tensor.name!r} cannot be decoded: {reason(error)}") from error


def random_nodes(node: onnx_ir.Node) -> bool:
    """Whether the node's results differ from run to run, or may."""
    return (node.domain in STANDARD and node.op_type in RANDOM - CONTROL - {"Dropout"}) or \
        any(random_nodes(n) for g in subgraphs(node) for n in g)
