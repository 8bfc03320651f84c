"""Other floating-point types: float32 → float16 or bfloat16 and back, float64 → float32, with some nodes kept.

Every tensor of the old type becomes one of the new type where the node that makes it, and so all its operands of that
type, can: by the operator's schema, and unless the user keeps it. Where both types meet stands one Cast per tensor.
Inputs, outputs, operands of control flow and of functions keep their type.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import DType
from ..errors import ModelError
from ..importer.expand import schema_of
from .edit import edit
from .fold import fix_initialisers
from .meaning import STANDARD, array_of
from .model import Model, subgraphs
from .rewire import Names, label, matches

if TYPE_CHECKING:
    import onnx_ir

#: Only move elements: between two nodes that keep their type, these keep it as well.
MOVING = frozenset({"Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Gather", "Concat",
                    "Split", "Expand", "Tile", "Pad", "DepthToSpace", "SpaceToDepth", "GatherND", "GatherElements"})
#: type → ONNX's spelling in operator schemas
SPELLING = {DType.float16: "tensor(float16)", DType.bfloat16: "tensor(bfloat16)", DType.float32: "tensor(float)",
            DType.float64: "tensor(double)"}


@dataclass
class Converted:
    """converted: nodes of the new type. kept: node → why it is not. casts: how many were put in.

    overflow, underflow    weight → elements beyond the new type's range, and those that became 0
    """

    converted: int = 0
    kept: dict[str, str] = field(default_factory=dict)
    casts: int = 0
    overflow: dict[str, int] = field(default_factory=dict)
    underflow: dict[str, int] = field(default_factory=dict)


@edit
def set_precision(model: Model, dtype: str = "float16", *, keep: Iterable[str] = (), boundary: bool = False,
                  overflow: str = "clamp") -> Converted:
    """Compute in another floating-point type: "float16", "bfloat16" (from float32), or "float32" (from those two).

    keep       names of nodes, operators or tensors (with * and ?) that keep their type
    boundary   change the model's inputs and outputs, too
    overflow   weights beyond the new type's range: "clamp" them to its largest number (infinities stay), "keep" the
               nodes that read them as they are, or "refuse"
    """
    new = floating(dtype)
    if new is DType.float64:
        raise ModelError("models are converted to float32, float16 or bfloat16", at=model.label)
    report = Converted()
    for old in (DType.float32,) if new is not DType.float32 else (DType.float16, DType.bfloat16):
        Conversion(model, old, new, keep, boundary, overflow, report).run()
    return report


@edit
def remove_doubles(model: Model, *, keep: Iterable[str] = (), boundary: bool = False, overflow: str = "clamp"
                   ) -> Converted:
    """float64 → float32; the arguments are those of `set_precision`."""
    report = Converted()
    Conversion(model, DType.float64, DType.float32, keep, boundary, overflow, report).run()
    return report


def floating(dtype: str) -> DType:
    if dtype not in [t.value for t in SPELLING]:
        raise ModelError(f"{dtype!r} is not a floating-point type", try_="float16, bfloat16 or float32")
    return DType(dtype)


class Conversion:
    def __init__(self, model: Model, old: DType, new: DType, keep: Iterable[str], boundary: bool, overflow: str,
                 report: Converted) -> None:
        import onnx_ir

        from ..importer.expand import type_code
        if overflow not in ("clamp", "keep", "refuse"):
            raise ModelError(f"overflow is {overflow!r}", try_="clamp, keep or refuse")
        self.model, self.old, self.new, self.boundary, self.overflow = model, old, new, boundary, overflow
        self.keep = tuple([keep] if isinstance(keep, str) else keep)
        self.report = report
        self.old_code, self.new_code = (onnx_ir.DataType(type_code(t)) for t in (old, new))
        self.names = Names(model)
        self.casts: dict[tuple[Any, Any, Any], onnx_ir.Value] = {}
        self.weights: dict[Any, onnx_ir.Value] = {}
        self.changed: set[Any] = set()                   # values that have the new type

    def run(self) -> None:
        from .check import infer
        fix_initialisers(self.model)
        infer(self.model)                                # the types of all tensors are needed
        nodes = [n for graph in self.model_graphs() for n in graph]
        for node in nodes:
            self.infer_types(node)
        chosen = {n for n in nodes if self.able(n)}
        chosen -= self.between(chosen)
        if self.boundary:
            for value in self.model.graph.inputs:
                if value.dtype == self.old_code and not value.is_initializer():
                    self.retype(value)
        for node in nodes:
            if node in chosen:
                for i, value in enumerate(node.outputs):
                    if value.dtype == self.old_code and (node.op_type in ("Cast", "ConstantOfShape")
                                                         or self.takes(node, i, output=True)):
                        self.retype(value)
                self.attributes(node)
        for node in nodes:
            for i, value in enumerate(node.inputs):
                if value is not None and (node.op_type != "Cast" or node.domain not in STANDARD):
                    self.feed(node, i, value, node in chosen and self.takes(node, i))
        for graph in self.model_graphs():
            self.results(graph)
        self.report.converted += len(chosen)
        for value, made in self.weights.items():
            if value.is_initializer() and not (value.uses() or value.is_graph_output() or value.is_graph_input()):
                graph, name = value.graph, str(value.name)
                del graph.initializers[name], graph.initializers[str(made.name)]
                made.name = name                         # nobody reads the old one: the new one has its name
                graph.register_initializer(made)

    def model_graphs(self) -> list[Any]:
        """The main graph and the graphs in its nodes; functions stay."""
        functions = {id(g) for f in self.model.ir.functions.values() for g in (f, f.graph, *f.subgraphs())}
        return [g for g in self.model.graphs() if id(g) not in functions]

    def infer_types(self, node: onnx_ir.Node) -> None:
        """Types of results that onnx's inference did not tell, inside bodies: those of operands they are bound to."""
        import onnx_ir
        schema: Any = schema_of(node.op_type, self.model.opset) if node.domain in STANDARD else None
        for k, value in enumerate(node.outputs):
            if value.dtype is not None or schema is None or not schema.outputs:
                continue
            if node.op_type == "Cast":
                value.type = onnx_ir.TensorType(onnx_ir.DataType(node.attributes["to"].as_int()))
                continue
            name = schema.outputs[min(k, len(schema.outputs) - 1)].type_str
            like = [v for i, v in enumerate(node.inputs) if v is not None and v.dtype is not None
                    and schema.inputs[min(i, len(schema.inputs) - 1)].type_str == name]
            if like:
                value.type = like[0].type

    # which nodes -----------------------------------------------------------------------------------------------------
    def able(self, node: onnx_ir.Node) -> bool:
        """Whether the node can compute in the new type; says in the report why not, where it computes in the old."""
        touched = [v for v in (*node.inputs, *node.outputs) if v is not None and v.dtype == self.old_code]
        if not touched or (node.op_type == "Constant" and node.domain in STANDARD):
            return False
        why = self.obstacle(node)
        if why:
            self.report.kept[label(node)] = why
        return not why

    def obstacle(self, node: onnx_ir.Node) -> str | None:
        if matches(node, self.keep):
            return "kept by request"
        if node.domain not in STANDARD or (node.domain, node.op_type, node.overload) in self.model.ir.functions:
            return "an operator of a custom domain"
        if subgraphs(node):
            return "its bodies are converted, its operands are not"
        schema = schema_of(node.op_type, self.model.opset)
        if schema is None:
            return "not an operator of this operator set"
        if node.op_type in ("Cast", "ConstantOfShape"):
            return None
        if any(v is not None and v.dtype is None and v.name for v in (*node.inputs, *node.outputs)):
            return "takes sequences, or tensors of unknown type"
        movable = [i for i, v in enumerate(node.inputs) if v is not None and v.dtype == self.old_code
                   and self.takes(node, i)]
        if not movable:
            return f"{node.op_type} has no {self.new} form"
        if any(v.dtype == self.old_code and not self.takes(node, i, output=True) for i, v in enumerate(node.outputs)):
            return f"{node.op_type} makes {self.old} only"
        if self.overflow != "clamp":
            for v in node.inputs:
                if v is not None and v.dtype == self.old_code and (n := self.beyond(v)):
                    if self.overflow == "refuse":
                        raise ModelError(f"{n} elements of {v.name!r} are beyond the range of {self.new}",
                                         at=self.model.label, try_='overflow="clamp" or "keep", or keep the node')
                    self.report.overflow[str(v.name)] = n
                    return f"{n} elements of {v.name!r} are beyond the range of {self.new}"
        return None

    def takes(self, node: onnx_ir.Node, index: int, output: bool = False) -> bool:
        """Whether this operand (result) may have the new type, bound to a type that operands share."""
        schema: Any = schema_of(node.op_type, self.model.opset)
        formals = schema.outputs if output else schema.inputs
        if not formals:
            return False
        name = formals[min(index, len(formals) - 1)].type_str
        allowed: Any = next((c.allowed_type_strs for c in schema.type_constraints if c.type_param_str == name), [])
        bound = {formals_.type_str for formals_ in schema.inputs}
        return SPELLING[self.new] in allowed and name in bound

    def between(self, chosen: set[Any]) -> set[Any]:
        """Nodes that only move elements between nodes that keep the old type: two Casts would be for nothing."""
        moving = {n for n in chosen if n.op_type in MOVING}
        left: set[Any] = set()
        while moving:
            region, rest = set(), [moving.pop()]
            outside = True
            while rest:
                node = rest.pop()
                region.add(node)
                edges = [(v.producer(), v) for v in node.inputs if v is not None and v.dtype == self.old_code]
                for value in node.outputs:
                    outside &= not (value.is_graph_output() and self.boundary)
                    edges += [(n, value) for n in value.consumers()]
                for other, value in edges:
                    if other in moving:
                        moving.discard(other)
                        rest.append(other)
                    elif other is None:
                        outside &= not (value.is_initializer() or self.boundary)
                    elif other not in region and other in chosen:
                        outside = False
            if outside:
                left |= region
        for node in left:
            self.report.kept[label(node)] = "only moves elements between nodes that are kept"
        return left

    # changing them ---------------------------------------------------------------------------------------------------
    def retype(self, value: onnx_ir.Value) -> None:
        import onnx_ir
        value.type = onnx_ir.TensorType(self.new_code)
        self.changed.add(value)

    def attributes(self, node: onnx_ir.Node) -> None:
        import onnx_ir
        if node.op_type == "Cast" and node.attributes["to"].as_int() == int(self.old_code):
            node.attributes["to"] = onnx_ir.AttrInt64("to", int(self.new_code))
        if node.op_type == "ConstantOfShape":
            given = node.attributes.get("value")
            content = np.zeros(1, self.old.numpy) if given is None else array_of(given.as_tensor())
            if content.dtype == self.old.numpy:
                content = self.narrow(content, label(node))
                node.attributes["value"] = onnx_ir.AttrTensor("value", onnx_ir.tensor(content))

    def feed(self, node: onnx_ir.Node, index: int, value: onnx_ir.Value, wants_new: bool) -> None:
        """Give an operand the type the node wants."""
        if wants_new and value.dtype == self.old_code:
            node.replace_input_with(index, self.weight(value) or self.cast(value, node, self.new_code))
        elif not wants_new and value in self.changed:
            node.replace_input_with(index, self.cast(value, node, self.old_code))

    def weight(self, value: onnx_ir.Value) -> onnx_ir.Value | None:
        """An initialiser or Constant in the new type; None when the tensor is not one."""
        import onnx_ir

        from .meaning import constant_tensor
        if value in self.weights:
            return self.weights[value]
        tensor = constant_tensor(value)
        if tensor is None or value.graph is None:
            return None
        maker = value.producer()
        array = self.narrow(array_of(tensor), str(value.name))
        needed = len([1 for n, i in value.uses()]) > 1 or value.is_graph_output()
        name = self.names.fresh(f"{value.name}_{self.new}") if needed or maker is not None else str(value.name)
        made = onnx_ir.tensor(array, name=name)
        graph: Any = value.graph
        if maker is not None:
            node = onnx_ir.Node("", "Constant", [], [onnx_ir.AttrTensor("value", made)], num_outputs=1,
                                name=self.names.fresh(f"{label(maker)}_{self.new}"))
            graph.insert_after(maker, node)
            result = node.outputs[0]
            result.name = name
        else:
            result = onnx_ir.Value(name=name)
            if not needed:
                del graph.initializers[str(value.name)]
            result.const_value = made
            graph.register_initializer(result)
        result.type, result.shape = onnx_ir.TensorType(self.new_code), onnx_ir.Shape(array.shape)
        self.weights[value] = result
        return result

    def cast(self, value: onnx_ir.Value, node: onnx_ir.Node, to: onnx_ir.DataType) -> onnx_ir.Value:
        """The tensor in another type: one Cast per graph that reads it so; before a Cast from there, its operand."""
        import onnx_ir
        graph = node.graph
        assert graph is not None
        key = (value, to, graph if value.graph is not graph else None)
        if key not in self.casts:
            cast = onnx_ir.node("Cast", [value], {"to": int(to)}, name=self.names.fresh(f"{value.name}_cast"))
            made = cast.outputs[0]
            made.name, made.shape = self.names.fresh(f"{value.name}_{to.name.lower()}"), value.shape
            made.type = onnx_ir.TensorType(to)
            maker = value.producer()
            if maker is not None and maker.graph is graph:
                graph.insert_after(maker, cast)
            else:
                graph.insert_before(graph[0], cast)
            self.casts[key] = made
            self.report.casts += 1
        return self.casts[key]

    def results(self, graph: Any) -> None:
        """Results of a graph keep the old type and their names: a Cast makes them."""
        import onnx_ir
        if graph is self.model.graph and self.boundary:
            return
        for k, value in enumerate(graph.outputs):
            if value in self.changed and value.producer() is not None:
                name = value.name
                value.name = self.names.fresh(f"{name}_{self.new}")
                cast = onnx_ir.node("Cast", [value], {"to": int(self.old_code)}, name=self.names.fresh(f"{name}_cast"))
                made = cast.outputs[0]
                made.name, made.shape, made.type = name, value.shape, onnx_ir.TensorType(self.old_code)
                graph.append(cast)
                graph.outputs[k] = made
                self.report.casts += 1

    # numbers ---------------------------------------------------------------------------------------------------------
    def beyond(self, value: onnx_ir.Value) -> int:
        from .meaning import constant_tensor
        tensor = constant_tensor(value)
        return 0 if tensor is None else int(outside(array_of(tensor), self.new).sum())

    def narrow(self, array: np.ndarray, name: str) -> np.ndarray:
        """The array in the new type; finite numbers stay finite."""
        if self.new.itemsize >= self.old.itemsize and self.new is not DType.float16:
            return array.astype(self.new.numpy)
        if (beyond := outside(array, self.new)).any():
            self.report.overflow[name] = int(beyond.sum())
            array = np.where(beyond, np.copysign(largest(self.new), array), array)
        with np.errstate(over="ignore", under="ignore"):
            result = array.astype(self.new.numpy)
        if lost := int(np.count_nonzero(array) - np.count_nonzero(result)):
            self.report.underflow[name] = lost
        return result


def largest(dtype: DType) -> float:
    import ml_dtypes
    return float(ml_dtypes.finfo(dtype.numpy).max)


def outside(array: np.ndarray, dtype: DType) -> np.ndarray:
    """Where finite elements are larger than any number of the type."""
    wide = array.astype(np.float32) if array.dtype.itemsize < 4 else array
    return np.isfinite(wide) & (np.abs(wide) > largest(dtype))
