"""Looking through element-wise layers: a value as an expression of other values, however many layers spell it."""

from __future__ import annotations

from collections.abc import Collection

from ..dtypes import DType
from ..ir import TensorType
from ..ir.pattern import Operand, Term, Value
from ..ops import Pointwise
from ..ops.expr import Expr, In, operands, size, substitute
from .graph import Graph
from .simplify import simplify
from .tidy import scalar

#: Expressions of more functions than this are not looked into any further.
LARGE = 200


class Leaves:
    """Values that expressions are made of; In(i) stands for names[i]."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names: list[str] = []
        self._leaves: list[In] = []
        self._made: dict[str, tuple[Term, TensorType]] = {}

    def leaf(self, name: str) -> In:
        t = self.graph.tensor(name)
        assert t is not None
        return self.placeholder(name, t.dtype)

    def placeholder(self, name: str, dtype: DType) -> In:
        """A leaf for a value that does not exist yet."""
        if name not in self.names:
            self._leaves.append(In(len(self.names), dtype))
            self.names.append(name)
        return self._leaves[self.names.index(name)]

    def made(self, term: Term, type: TensorType) -> In:
        """A leaf for a value that is yet to be made."""
        name = f"\0made{len(self._made)}"
        self._made[name] = term, type
        return self.placeholder(name, type.dtype)

    def operand(self, leaf: In) -> Operand:
        """What a leaf stands for."""
        name = self.names[leaf.index]
        return self._made[name][0] if name in self._made else Value(self.graph, name)

    def type(self, leaf: In) -> TensorType:
        name = self.names[leaf.index]
        t = self._made[name][1] if name in self._made else self.graph.tensor(name)
        assert t is not None
        return t

    def name(self, e: Expr) -> str | None:
        """The value that e is, when it is a leaf for one."""
        name = self.names[e.index] if isinstance(e, In) else None
        return None if name in self._made else name

    def of_layer(self, value: str) -> Expr | None:
        """value as its layer computes it; None when no Pointwise layer does."""
        layer = self.graph.producer(value)
        if layer is None or not isinstance(layer.op, Pointwise):
            return None
        parts: list[Expr] = []
        for name in layer.inputs:
            array = self.graph.constants.get(name) if name is not None else None
            assert name is not None
            parts.append((scalar(array) if array is not None else None) or self.leaf(name))
        return simplify(substitute(layer.op.expr, parts))

    def expanded(self, e: Expr) -> Expr:
        """e with every leaf as its Pointwise layer computes it, as far as LARGE allows."""
        while size(e) <= LARGE:
            parts = {x.index: self.of_layer(name) for x in operands(e) if (name := self.name(x)) is not None}
            if not any(parts.values()):
                break
            e = substitute(e, [parts.get(x.index) or x for x in self._leaves])
        return simplify(e)

    def expression(self, value: str, through: Collection[str]) -> Expr:
        """value as its layer computes it, and the values in `through` as their layers do."""
        e = self.of_layer(value) or self.leaf(value)
        parts: dict[int, Expr | None] = {}
        while True:
            for x in operands(e):
                name = self.names[x.index]
                if x.index not in parts:
                    parts[x.index] = self.of_layer(name) if name in through and name != value else None
            if size(e) > LARGE or not any(parts[x.index] for x in operands(e)):
                return simplify(e)
            e = substitute(e, [parts.get(x.index) or x for x in self._leaves])
