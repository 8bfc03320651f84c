"""Dimensions as nodes: a shape tensor that is computed from the shapes of the model's inputs when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dims import Dim, Expr
from ..errors import ModelError
from .fold import stored
from .meaning import Meaning
from .model import Model
from .rewire import Names

if TYPE_CHECKING:
    import onnx_ir

#: A dimension's operator → ONNX's.
OPERATORS = {"floordiv": "Div", "mod": "Mod", "min": "Min", "max": "Max"}


class ShapeWriter:
    """Writes dimensions as int64 tensors of one element, in front of a node of the main graph; each once.

    meaning   says which axis of which input a symbol stands for
    """

    def __init__(self, model: Model, meaning: Meaning, names: Names) -> None:
        self.model, self.names = model, names
        self.made: dict[Any, onnx_ir.Value] = {}
        self.last: onnx_ir.Node | None = None
        self.places: dict[Dim, tuple[onnx_ir.Value, int]] = {}
        for value in model.inputs:
            for axis, d in enumerate(getattr(meaning.of(value).type, "shape", ())):
                if isinstance(d, Expr):
                    self.places.setdefault(d, (value, axis))

    def shape(self, dims: Sequence[Dim], before: onnx_ir.Node) -> onnx_ir.Value:
        """int64 (n,): the dimensions."""
        if all(isinstance(d, int) for d in dims):
            return self.constant(list(dims), before)
        return self.node("Concat", [self.dim(d) for d in dims], before, axis=0)

    def dim(self, d: Dim) -> onnx_ir.Value:
        if d not in self.made:
            self.made[d] = self._dim(d)
        return self.made[d]

    def _dim(self, d: Dim) -> onnx_ir.Value:
        first = self.model.graph[0]
        if not isinstance(d, Expr):
            return self.constant([d], first)
        if d in self.places:
            value, axis = self.places[d]
            shape = self.made.get(value)
            if shape is None:
                shape = self.made[value] = self.first("Shape", [value])
            return self.first("Gather", [shape, self.constant([axis], first)])
        total: onnx_ir.Value | None = None
        for monomial, factor in d.terms:
            term = None if factor == 1 and monomial else self.dim(factor)
            for atom, power in monomial:
                for _ in range(power):
                    value = self.atom(atom)
                    term = value if term is None else self.first("Mul", [term, value])
            assert term is not None
            total = term if total is None else self.first("Add", [total, term])
        assert total is not None
        return total

    def atom(self, atom: Any) -> onnx_ir.Value:
        if atom.kind == "symbol":
            raise ModelError(f"no input has the dimension {atom.args[0]!r} alone, and it is needed to compute a shape",
                             at=self.model.label)
        return self.first(OPERATORS[atom.kind], [self.dim(a) for a in atom.args])

    def first(self, op_type: str, inputs: list[onnx_ir.Value], **attributes: Any) -> onnx_ir.Value:
        """A node at the beginning of the graph, behind those written so far: all of it hangs on inputs alone."""
        import onnx_ir
        node = onnx_ir.node(op_type, inputs, attributes or None, name=self.names.fresh(f"dimension_{op_type.lower()}"))
        node.outputs[0].name = self.names.fresh(f"{node.name}_out")
        graph = self.model.graph
        if self.last is None:
            graph.insert_before(graph[0], node)
        else:
            graph.insert_after(self.last, node)
        self.last = node
        return node.outputs[0]

    def node(self, op_type: str, inputs: list[onnx_ir.Value], before: onnx_ir.Node, **attributes: Any
             ) -> onnx_ir.Value:
        import onnx_ir
        name = self.names.fresh(f"{op_type.lower()}_of_dimensions")
        node = onnx_ir.node(op_type, inputs, attributes or None, name=name)
        node.outputs[0].name = self.names.fresh(f"{node.name}_out")
        before.graph.insert_before(before, node)  # type: ignore[union-attr]
        return node.outputs[0]

    def constant(self, numbers: Sequence[Any], before: onnx_ir.Node) -> onnx_ir.Value:
        import onnx_ir
        tensor = onnx_ir.tensor(np.array(numbers, np.int64), name=self.names.fresh("shape"))
        return stored(self.model.graph, before, str(tensor.name), tensor)
