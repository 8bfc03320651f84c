"""Building nodes: operands from tensors, names, arrays and numbers; all of it checked against the operator's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from ...errors import ModelError
from ..model import Model
from . import schema as schemas
from . import tensors
from .settle import typed
from .walk import Names, owners, value_of, visible

if TYPE_CHECKING:
    import onnx
    import onnx_ir

    #: A tensor, its name, a new constant (an array or plain numbers), or None for an operand left out.
    Operand = Union[onnx_ir.Value, str, np.ndarray, float, int, bool, Sequence[Any], None]


class Builder:
    """Makes nodes for one graph of a model. They are in `nodes`, and not in the graph until somebody puts them there.

    build("Conv", x, w, strides=[2, 2])    a node; its result (a tuple of them when there are several)
    build.Conv(x, w, strides=[2, 2])       the same
    build.weight(array)                    a new weight
    """

    def __init__(self, model: Model, graph: onnx_ir.Graph, names: Names | None = None) -> None:
        self.model, self.graph = model, graph
        self.names = names or Names.of(model)
        self.nodes: list[onnx_ir.Node] = []
        self._in_function = any(f.graph is graph for f in model.ir.functions.values())

    def __call__(self, op_type: str, *operands: Operand, domain: str = "", outputs: int | Sequence[str] | None = None,
                 node_name: str | None = None, **attributes: Any) -> Any:
        node = self.node(op_type, operands, attributes, domain=domain, outputs=outputs, name=node_name)
        return node.outputs[0] if len(node.outputs) == 1 else tuple(node.outputs)

    def __getattr__(self, op_type: str) -> Any:
        if op_type.startswith("_"):
            raise AttributeError(op_type)
        return lambda *operands, **rest: self(op_type, *operands, **rest)

    def node(self, op_type: str, operands: Sequence[Operand], attributes: Mapping[str, Any] | None = None, *,
             domain: str = "", outputs: int | Sequence[str] | None = None, name: str | None = None) -> onnx_ir.Node:
        """A node.

        operands   absent ones are None; arrays and numbers become constants of the type that the schema asks for
        outputs    how many results, or their names; None: as many as the operator must have
        Raises     ModelError: no such operator or attribute, too many or too few operands, names that are taken.
        """
        import onnx_ir
        domain = "" if domain == "ai.onnx" else domain
        known = schemas.schema(self.model, op_type, domain, self.graph)
        function = next((f for f in self.model.ir.functions.values() if (f.domain, f.name) == (domain, op_type)), None)
        values = [self.operand(o) if o is None or isinstance(o, (str, onnx_ir.Value)) else o for o in operands]
        while values and values[-1] is None:
            values.pop()
        if known is not None:
            check_operands(known, values, self.model.label)
        made = {k: schemas.attribute(self.model, op_type, domain, k, v, self.graph)
                for k, v in (attributes or {}).items() if v is not None}
        missing = [k for k, a in (known.attributes if known else {}).items() if a.required and k not in made]
        if missing:
            raise ModelError(f"{op_type} needs the attribute{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
                             at=self.model.label)
        peers = [v for v in values if isinstance(v, onnx_ir.Value)]
        if len(peers) < len([v for v in values if v is not None]) and any(v.dtype is None for v in peers):
            typed(self.model)                            # plain numbers take their type from their peers
        inputs = [v if v is None or isinstance(v, onnx_ir.Value) else self._literal(op_type, known, k, v, values)
                  for k, v in enumerate(values)]
        least = len(function.outputs) if function is not None else max(known.min_output, 1) if known else 1
        results = self._results(op_type, known, outputs, least)
        node = onnx_ir.Node(domain, op_type, inputs, list(made.values()), outputs=results,
                            name=self.names.node(op_type) if name is None else self._free(name))
        if known is not None:
            for k, value in enumerate(results):
                value.type = value.type or result_type(known, k, node)
        versions = self.model.ir.opset_imports if not self._in_function else schemas.imports(self.model, self.graph)
        if domain not in versions:
            versions[domain] = 1 if known is None else known.since_version  # type: ignore[index]
        self.nodes.append(node)
        return node

    def operand(self, given: onnx_ir.Value | str | None) -> onnx_ir.Value | None:
        """The tensor; ModelError when nodes of this graph cannot see it."""
        if given is None:
            return None
        import onnx_ir
        if isinstance(given, onnx_ir.Value) and (given.producer() in self.nodes or given.graph is self.graph):
            return given
        value = value_of(self.model, given)
        if value.graph is not self.graph and not visible(value, self.graph, owners(self.model)):
            raise ModelError(f"{value.name!r} cannot be read here: it lies in another graph", at=self.model.label,
                             tensor=f"in graph {getattr(value.graph, 'name', None)!r}", node=f"in {self.graph.name!r}")
        return value

    def weight(self, values: Any, name: str = "constant", dtype: str | onnx_ir.DataType | None = None,
               ) -> onnx_ir.Value:
        """A new constant: an initialiser, or a Constant node in a function, which has no initialisers."""
        import onnx_ir
        array = np.asarray(values)
        if dtype is not None:
            array = tensors.cast(array, dtype, "the constant")
        name = self.names.tensor(name)
        content = tensors.tensor(array, name)
        if self._in_function:
            value = onnx_ir.Value(name=name, type=onnx_ir.TensorType(content.dtype), shape=onnx_ir.Shape(array.shape))
            self.nodes.append(onnx_ir.Node("", "Constant", [], [onnx_ir.AttrTensor("value", content)], outputs=[value],
                                           name=self.names.node("Constant")))
            return value
        value = onnx_ir.Value(name=name, type=onnx_ir.TensorType(content.dtype), shape=onnx_ir.Shape(array.shape),
                              const_value=content)
        self.graph.initializers.add(value)
        return value

    def _literal(self, op_type: str, known: onnx.defs.OpSchema | None, index: int, values: Any,
                 operands: Sequence[Any]) -> onnx_ir.Value:
        """A constant for an operand. Plain numbers take the type the schema asks for: that of their peers."""
        plain = not isinstance(values, (np.ndarray, np.generic))
        return self.weight(values, f"{op_type}_{formal(known, index).name if known else 'constant'}",
                           literal_type(known, index, values, operands) if plain else None)

    def _results(self, op_type: str, known: onnx.defs.OpSchema | None, outputs: int | Sequence[str] | None, least: int,
                 ) -> list[onnx_ir.Value]:
        import onnx_ir
        count = least if outputs is None else outputs if isinstance(outputs, int) else len(outputs)
        if known is not None and not known.min_output <= count <= known.max_output:
            raise ModelError(f"{op_type} has {known.min_output} to {known.max_output} results, not {count}"
                             if known.max_output != known.min_output else
                             f"{op_type} has {known.min_output} result{'s' * (known.min_output != 1)}, not {count}",
                             at=self.model.label)
        if outputs is None or isinstance(outputs, int):
            return [onnx_ir.Value(name=self.names.tensor(op_type.lower())) for _ in range(count)]
        for name in outputs:
            if name and name in self.names.tensors:
                raise ModelError(f"there is a tensor {name!r} already", at=self.model.label)
            self.names.tensors.add(name)
        return [onnx_ir.Value(name=name) for name in outputs]

    def _free(self, name: str) -> str:
        if name and name in self.names.nodes:
            raise ModelError(f"there is a node {name!r} already", at=self.model.label)
        self.names.nodes.add(name)
        return name


def formal(known: onnx.defs.OpSchema, index: int) -> onnx.defs.OpSchema.FormalParameter:
    """The schema's parameter for the operand at this place; the last one when it takes any number."""
    return known.inputs[min(index, len(known.inputs) - 1)]


def check_operands(known: onnx.defs.OpSchema, values: Sequence[object], label: str) -> None:
    """ModelError when there are too many or too few, or one is left out that must be there."""
    import onnx
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    takes = ", ".join(f"[{p.name}]" if p.option == optional else p.name for p in known.inputs) or "no operands"
    if not known.min_input <= len(values) <= known.max_input:
        raise ModelError(f"{known.name} cannot have {len(values)} operand{'s' * (len(values) != 1)}", at=label,
                         takes=takes)
    for k, value in enumerate(values):
        if value is None and formal(known, k).option != optional:
            raise ModelError(f"{known.name} needs its operand {formal(known, k).name}", at=label, takes=takes)


def result_type(known: onnx.defs.OpSchema, index: int, node: onnx_ir.Node) -> onnx_ir.TensorType | None:
    """The type of a result, where the schema makes it that of an operand, or leaves one possibility."""
    import onnx_ir
    if node.op_type == "Cast" and "to" in node.attributes:
        return onnx_ir.TensorType(onnx_ir.DataType(node.attributes["to"].as_int()))
    made = known.outputs[min(index, len(known.outputs) - 1)]
    if not made.is_homogeneous:
        return None
    for k, value in enumerate(node.inputs):
        if value is not None and formal(known, k).type_str == made.type_str and formal(known, k).is_homogeneous \
                and isinstance(value.type, onnx_ir.TensorType):
            return onnx_ir.TensorType(value.type.dtype)
    allowed = next((list(c.allowed_type_strs) for c in known.type_constraints if c.type_param_str == made.type_str),
                   [made.type_str])
    if len(allowed) == 1 and allowed[0].startswith("tensor("):
        return onnx_ir.TensorType(schemas.element_type(allowed[0][7:-1]))
    return None


def literal_type(known: onnx.defs.OpSchema | None, index: int, values: Any, operands: Sequence[Any],
                 ) -> onnx_ir.DataType | None:
    """The element type that plain numbers take as this operand: the only one allowed, or that of a peer operand."""
    import onnx_ir
    array = np.asarray(values)
    natural = {"i": onnx_ir.DataType.INT64, "f": onnx_ir.DataType.FLOAT}.get(array.dtype.kind)
    if known is None or array.dtype.kind in "USO":
        return natural
    wanted = formal(known, index).type_str
    allowed = next((sorted(c.allowed_type_strs) for c in known.type_constraints if c.type_param_str == wanted),
                   [wanted])
    peers = [v.dtype for k, v in enumerate(operands) if isinstance(v, onnx_ir.Value) and v.dtype is not None
             and formal(known, k).type_str == wanted]
    if peers:
        return peers[0]
    if len(allowed) == 1 and allowed[0].startswith("tensor("):
        return schemas.element_type(allowed[0][7:-1])
    return natural
