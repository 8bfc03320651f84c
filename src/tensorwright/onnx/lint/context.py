"""What the rules ask about a model: types, contents, readers, how the importer takes each node, facts about weights.

Everything is worked out once, when it is first asked for; the model is not changed by looking.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dims import Dim, Expr
from ...dtypes import DType
from ...errors import TensorwrightError
from ...importer.values import Decline, Value
from ...ir import TensorType
from ..meaning import CONTROL, STANDARD, Meaning, constant_tensor, random_nodes
from ..model import Model
from .weights import Weight, weights_of

if TYPE_CHECKING:
    import onnx_ir


class Context:
    """A model, for the rules to look at."""

    def __init__(self, model: Model) -> None:
        self.model = model
        #: nodes of the main graph, and of all graphs and functions
        self.nodes = model.nodes
        self.everywhere = model.all_nodes()
        self.main = frozenset(self.nodes)

    # types and contents ----------------------------------------------------------------------------------------------
    @cached_property
    def meaning(self) -> Reading:
        reading = Reading(self.model)
        reading.walk()
        return reading

    def dtype(self, value: onnx_ir.Value | None) -> DType | None:
        """Element type, as far as known."""
        return None if value is None else getattr(self.meaning.of(value).type, "dtype", None)

    def shape(self, value: onnx_ir.Value | None) -> tuple[Dim, ...] | None:
        """Dimensions: numbers, and expressions of the inputs' dynamic dimensions; None when not all are known."""
        found = None if value is None else self.meaning.of(value).type
        return found.shape if isinstance(found, TensorType) else None

    def content(self, value: onnx_ir.Value | None) -> np.ndarray | None:
        """The numbers (or dimensions) a small tensor holds, as an object array; None when not known before it runs."""
        return None if value is None else self.meaning.of(value).content

    def constant(self, value: onnx_ir.Value | None) -> np.ndarray | None:
        """The numbers of a tensor that holds the same at every run; None for others, and for large ones."""
        return None if value is None else self.meaning.of(value).array

    def is_constant(self, value: onnx_ir.Value | None) -> bool:
        """Whether a tensor is stored in the model: an initialiser nobody can feed, or a Constant node's."""
        return value is not None and constant_tensor(value) is not None

    @cached_property
    def free(self) -> frozenset[Any]:
        """Values that depend on constants and on shapes, not on the contents of the model's inputs."""
        found: set[Any] = set()
        for graph in self.model.graphs():
            found.update(v for v in getattr(graph, "initializers", {}).values() if not v.is_graph_input())
        for node in self.nodes:
            if node.op_type in ("Shape", "Size") or (node.op_type not in CONTROL and all(
                    v is None or v in found for v in node.inputs) and not random_nodes(node)):
                found.update(node.outputs)
        return frozenset(found)

    # the graph -------------------------------------------------------------------------------------------------------
    def readers(self, value: onnx_ir.Value) -> tuple[onnx_ir.Node, ...]:
        """Nodes that read a value, each once."""
        return tuple(dict.fromkeys(use.node for use in value.uses()))

    def only_reader(self, value: onnx_ir.Value) -> onnx_ir.Node | None:
        """The node that alone reads the value, once, when it is no output of its graph."""
        uses = list(value.uses())
        return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None

    @cached_property
    def weights(self) -> list[Weight]:
        return weights_of(self.model)

    @cached_property
    def batch(self) -> frozenset[str]:
        """Symbols of the inputs' first axes."""
        found = set()
        for value in self.model.inputs:
            shape = self.shape(value) or ()
            if shape and isinstance(shape[0], Expr):
                found.add(str(shape[0]))
        return frozenset(found)


class Reading(Meaning):
    """Types and contents, and which way the importer takes each node.

    host       node → why it runs as a host step
    unread     node → why the importer cannot read it
    """

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.host: dict[Any, str] = {}
        self.unread: dict[Any, str] = {}

    def read(self, node: onnx_ir.Node, scope: MutableMapping[str, Value]) -> list[Value]:
        if node.op_type in CONTROL and standard(node):   # the importer unrolls what constants decide
            try:
                results = self.lowered(node, [None if v is None else self.of(v) for v in node.inputs], scope)
                self.known.update({v: r for v, r in zip(node.outputs, results, strict=False) if r is not None})
            except Exception:                            # noted by `lowered`, or nothing to say
                pass
        return super().read(node, scope)

    def lowered(self, node: onnx_ir.Node, inputs: Sequence[Value | None], scope: MutableMapping[str, Value]
                ) -> tuple[Value | None, ...]:
        reasons = self.importer.ways.reasons
        reasons.clear()
        try:
            results = super().lowered(node, inputs, scope)
        except (TensorwrightError, Decline) as error:
            self.unread[node] = error.what if isinstance(error, TensorwrightError) else str(error)
            raise
        if reasons:
            self.host[node] = next(iter(reasons.values()))
        return results


def standard(node: onnx_ir.Node, *op_types: str) -> bool:
    """Whether a node is one of these operators of the standard domain (any, when none is given)."""
    return node.domain in STANDARD and (not op_types or node.op_type in op_types)


def integer(node: onnx_ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.is_ref() else int(attribute.as_int())


def integers(node: onnx_ir.Node, name: str) -> tuple[int, ...] | None:
    attribute = node.attributes.get(name)
    return None if attribute is None or attribute.is_ref() else tuple(map(int, attribute.as_ints()))


def text(node: onnx_ir.Node, name: str, default: str) -> str:
    attribute = node.attributes.get(name)
    return default if attribute is None or attribute.is_ref() else str(attribute.as_string())


def operand(node: onnx_ir.Node, index: int) -> onnx_ir.Value | None:
    """Input number `index`, None when it is absent."""
    return node.inputs[index] if index < len(node.inputs) else None


def may_take_over(node: onnx_ir.Node, value: onnx_ir.Value | None) -> bool:
    """Whether `rewire.take_over` can put the value in the place of the node's result.

    Not where the result is an output of its graph and the value an input, a weight, an output, or of an outer graph.
    """
    if value is None or not node.outputs[0].is_graph_output():
        return value is not None
    maker = value.producer()
    return maker is not None and maker.graph is node.graph and not value.is_graph_output()


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
