"""Folding constants: what does not depend on the model's inputs is computed once and stored.

    Mul(Transpose(w), 2)                   → an initialiser
    Concat(Gather(Shape(x), 1), [-1])      → [3, -1], where axis 1 of x is 3 (and axis 0 may be dynamic)
    If(true) { a } else { b }              → a

Nodes are computed by the importer's meaning of ONNX's operators in NumPy. A dynamic dimension is taken to be at least
one. A fold that makes the file larger (Expand, Tile, a weight that is still used elsewhere) is declined.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError
from ..importer.values import Decline, Value
from ..ir import TensorType
from .edit import edit
from .flatten import flatten_if
from .meaning import CONTROL, STANDARD, Meaning, array_of, constant_tensor, random_nodes
from .model import Model, subgraphs
from .rewire import Names, label, matches, remove_unread
from .storage import reason

if TYPE_CHECKING:
    import onnx_ir

#: They tell engines which tensors are quantised, and how.
QUANTISATION = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
#: A constant of unknown size of result is computed when its operands have at most this many bytes.
BLIND = 1 << 24


@dataclass
class Folded:
    """folded: nodes that are constants now. flattened: Ifs replaced by a branch. declined: node → why it stays."""

    folded: list[str] = field(default_factory=list)
    flattened: list[str] = field(default_factory=list)
    declined: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.folded or self.flattened)


@edit
def fold(model: Model, *, largest: int = 1024, exclude: Iterable[str] = (), meaning: Meaning | None = None) -> Folded:
    """Compute all nodes whose results are constant, and store the results as initialisers.

    largest   bytes: a result may take more than the constants it replaces only up to this size
    exclude   names of nodes, operators or tensors (with * and ?) to leave alone
    meaning   filled while the nodes are read, for a caller that goes on with it
    """
    exclude = tuple([exclude] if isinstance(exclude, str) else exclude)
    return Folding(model, largest, exclude).run(meaning)


class Folding:
    def __init__(self, model: Model, largest: int, exclude: tuple[str, ...]) -> None:
        if largest < 0:
            raise ModelError(f"largest is {largest}; it is a number of bytes")
        self.model, self.largest, self.exclude = model, largest, exclude
        self.report = Folded()
        #: candidates in order, and what they make when that is known already
        self.candidates: dict[Any, list[np.ndarray] | None] = {}
        self.constant: set[Any] = set()

    def run(self, meaning: Meaning | None) -> Folded:
        fix_initialisers(self.model)
        read = [v for g in self.model.graphs() for v in getattr(g, "initializers", {}).values() if v.uses()]
        self.meaning = meaning or Meaning(self.model)
        self.names: Names | None = None
        self.visit(self.model.graph, self.meaning.scope(self.model.graph))
        while self.decline_growth():
            pass
        self.replace(self.computed())
        for value in read:                               # those that served a condition or a result only
            if value.is_initializer() and not (value.uses() or value.is_graph_output() or value.is_graph_input()):
                del value.graph.initializers[value.name]  # type: ignore[union-attr]
        return self.report

    # which nodes are constant ----------------------------------------------------------------------------------------
    def visit(self, graph: Any, scope: MutableMapping[str, Value]) -> None:
        for value in getattr(graph, "initializers", {}).values():
            if not value.is_graph_input():
                self.constant.add(value)
        for node in graph:                               # branches that are flattened are met right after their If
            if node.op_type == "Constant" and node.domain in STANDARD:
                self.constant.update(v for v in node.outputs if constant_tensor(v) is not None)
            if node.op_type == "If" and node.domain in STANDARD and self.flattened(node):
                continue
            for inner in subgraphs(node):
                self.visit(inner, self.meaning.scope(inner, scope))
            self.consider(node, scope)

    def flattened(self, node: onnx_ir.Node) -> bool:
        condition = self.meaning.of(node.inputs[0]).array if node.inputs and node.inputs[0] is not None else None
        if condition is None or condition.size != 1 or matches(node, self.exclude):
            return False
        self.names = self.names or Names(self.model)
        self.report.flattened.append(label(node))
        flatten_if(node, bool(condition.reshape(())[()]), self.names)
        return True

    def consider(self, node: onnx_ir.Node, scope: MutableMapping[str, Value]) -> None:
        """Note the node when its results do not depend on the model's inputs."""
        results = self.meaning.read(node, scope)
        fixed = all(v is None or v in self.constant for v in node.inputs) and not subgraphs(node)
        wanted = [r for r, v in zip(results, node.outputs, strict=True) if v.name]
        known = bool(wanted) and all(r.array is not None for r in wanted)
        if (node.op_type == "Constant" and node.domain in STANDARD) or not (fixed or known) or not wanted:
            return
        if why := self.left_alone(node):
            if fixed:
                self.report.declined[label(node)] = why
            return
        arrays = None
        if known:
            arrays = [np.zeros(0) if r.array is None else r.array for r in results]
        elif not all(isinstance(r.type, TensorType) and r.type.is_static for r in wanted):
            arrays = self.tried(node)
            if arrays is None:
                return
        if any(a.dtype.kind in "OSUT" for a in arrays or ()):
            return
        self.candidates[node] = arrays
        self.constant.update(node.outputs)

    def left_alone(self, node: onnx_ir.Node) -> str | None:
        if matches(node, self.exclude):
            return "excluded"
        if random_nodes(node):
            return "its result differs from run to run"
        if node.domain in STANDARD and node.op_type in QUANTISATION:
            return "it tells engines what is quantised"
        if node.domain in STANDARD and node.op_type in CONTROL:
            return "loops are not run"
        return None

    def tried(self, node: onnx_ir.Node) -> list[np.ndarray] | None:
        """The results of a node whose meaning does not tell their size; None, with a note, when they are not known."""
        size = sum(size_of(self.meaning.of(v)) for v in node.inputs if v is not None)
        try:
            operands = [None if v is None else self.leaf(v) for v in node.inputs]
            if size > BLIND:
                raise Decline("how large its result is shows only when it runs")
            arrays = self.meaning.compute(node, operands, BLIND)
        except Exception as error:                       # a model may be anything: what cannot be computed stays
            self.report.declined[label(node)] = reason(error)
            return None
        for value, array in zip(node.outputs, arrays, strict=True):
            self.meaning.known[value] = Value(TensorType(array.shape, self.meaning_type(array)), array=array)
        return arrays

    @staticmethod
    def meaning_type(array: np.ndarray) -> Any:
        from ..dtypes import DType
        return DType.of(array)

    def leaf(self, value: onnx_ir.Value) -> np.ndarray:
        if (array := self.meaning.of(value).array) is not None:
            return array
        if (tensor := constant_tensor(value)) is not None:
            return array_of(tensor)
        raise Decline("how large its result is shows only when it runs")

    # which of them make the file larger ------------------------------------------------------------------------------
    def decline_growth(self) -> bool:
        """Take back candidates whose results need more room than the constants they set free; whether any was."""
        spent: set[Any] = set()
        before = len(self.candidates)
        for node in reversed(list(self.candidates)):
            stored = [v for v in node.outputs if self.is_stored(v)]
            if (need := sum(size_of(self.meaning.of(v)) for v in stored)) <= self.largest:
                continue
            room = 0
            for value in self.set_free(node):
                if value not in spent and room < need:
                    spent.add(value)
                    room += size_of(self.meaning.of(value))
            if need > room:
                del self.candidates[node]
                self.report.declined[label(node)] = f"its result takes {need} bytes, {room} would be saved"
        return len(self.candidates) < before

    def is_stored(self, value: onnx_ir.Value) -> bool:
        """Whether somebody who stays reads this result of a candidate."""
        return value.is_graph_output() or any(n not in self.candidates for n in value.consumers())

    def set_free(self, node: onnx_ir.Node) -> Iterable[onnx_ir.Value]:
        """Constants below a candidate that only candidates read."""
        waiting, seen = [node], {node}
        while waiting:
            for value in waiting.pop().inputs:
                maker = None if value is None else value.producer()
                if maker is not None and maker in self.candidates:
                    waiting += [maker] if maker not in seen else []
                    seen.add(maker)
                elif value is not None and not self.is_stored(value):
                    yield value

    # doing it --------------------------------------------------------------------------------------------------------
    def computed(self) -> dict[Any, np.ndarray]:
        """The contents of the results that are stored. Nodes that cannot be computed stop being candidates."""
        contents: dict[Any, np.ndarray] = {}
        readers: dict[Any, int] = {}
        for node in self.candidates:
            for value in set(node.inputs):
                readers[value] = readers.get(value, 0) + 1
        for node in list(self.candidates):
            try:
                arrays = self.candidates[node]
                if arrays is None:
                    operands = [None if v is None else contents[v] if v in contents else self.leaf(v)
                                for v in node.inputs]
                    types = [self.meaning.of(v).type for v in node.outputs]
                    sizes = [t.size for t in types if isinstance(t, TensorType) and isinstance(t.size, int)]
                    most = 16 * (sum(sizes) + sum(a.size for a in operands if a is not None)) + 4096
                    arrays = self.meaning.compute(node, operands, most)
                contents.update(zip(node.outputs, arrays, strict=True))
            except Exception as error:                   # out of memory, among others
                self.report.declined[label(node)] = reason(error)
                del self.candidates[node]
                continue                                 # and its operands stay in `contents`: now they are stored
            for value in set(node.inputs):
                readers[value] -= 1
                if value in contents and not readers[value] and not self.is_stored(value):
                    del contents[value]
        return contents

    def replace(self, contents: dict[Any, np.ndarray]) -> None:
        import onnx_ir
        for node in self.candidates:
            graph, unread = node.graph, True
            assert graph is not None
            for old in node.outputs:
                if not self.is_stored(old):
                    continue
                tensor = onnx_ir.tensor(np.ascontiguousarray(contents[old]).reshape(contents[old].shape), name=old.name)
                name, old.name = old.name, None
                constant = stored(graph, node, str(name), tensor, old.is_graph_output())
                old.replace_all_uses_with(constant, replace_graph_outputs=True)
                unread = False
            self.report.folded.append(label(node) if node.name or unread else str(name))
        remove_unread(self.model, list(self.candidates))


def stored(graph: Any, before: onnx_ir.Node, name: str, tensor: Any, as_node: bool = False) -> onnx_ir.Value:
    """A new constant of a graph: an initialiser, or a Constant node in front of another where it must be a result."""
    import onnx_ir
    value = onnx_ir.Value(name=name, shape=onnx_ir.Shape(tensor.shape), type=onnx_ir.TensorType(tensor.dtype))
    if as_node or not isinstance(graph, onnx_ir.Graph):
        node = onnx_ir.Node("", "Constant", [], [onnx_ir.AttrTensor("value", tensor)], outputs=[value])
        graph.insert_before(before, node)
        return value
    value.const_value = tensor
    graph.register_initializer(value)
    return value


def size_of(value: Value) -> int:
    """Bytes of a value of static type; 0 for what is not one."""
    t = value.type
    if not isinstance(t, TensorType) or not t.is_static:
        return 0
    bits = {"int4": 4, "uint4": 4, "float4_e2m1": 4, "int2": 2, "uint2": 2}.get(t.dtype.value, 8 * t.dtype.itemsize)
    return -(-int(t.size) * bits // 8)  # type: ignore[arg-type]


def fix_initialisers(model: Model) -> None:
    """Before IR version 4 every initialiser had to be an input as well: from 4 on they are constants only."""
    if (model.ir.ir_version or 0) < 4 and model.graph.initializers:
        for value in [v for v in model.graph.inputs if v.is_initializer()]:
            model.graph.inputs.remove(value)
        model.ir.ir_version = 4
