"""Writing a small model node by node, and finding the tensor of the user's model that it is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ModelError
from ..check import infer
from ..model import Model
from ..seam import described
from ..storage import load

if TYPE_CHECKING:
    import onnx
    import onnx_ir

#: The first operator set with the forms of Squeeze, Softmax, Split, ... that the pieces use.
LEAST_OPSET = 13
#: A dimension: a number, a symbol, or None
Dim = Any


class Writer:
    """One graph in the making; tensors are names.

    opset    version of the default operator set
    """

    def __init__(self, label: str, model: Model, least: int = LEAST_OPSET) -> None:
        self.label, self.opset = label, max(model.opset, least)
        self.domains: dict[str, int] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.count = 0

    def input(self, name: str, dtype: int, shape: Sequence[Dim]) -> str:
        import onnx
        self.inputs.append(onnx.helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """An initialiser. dtype: NumPy's."""
        import onnx
        self.weights.append(onnx.numpy_helper.from_array(np.asarray(value, dtype), self._name("constant")))
        return self.weights[-1].name

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one result; the result's name. Inputs of "" are left out."""
        return self.nodes_of(op, inputs, 1, domain, **attributes)[0]

    def nodes_of(self, op: str, inputs: Sequence[str], count: int, domain: str = "", **attributes: Any) -> list[str]:
        """A node with `count` results."""
        import onnx
        outputs = [self._name(op)] if count == 1 else [self._name(op) for _ in range(count)]
        self.nodes.append(onnx.helper.make_node(op, inputs, outputs, f"{self.label}/{op}_{len(self.nodes)}",
                                                domain=domain, **attributes))
        return outputs

    def cast(self, x: str, dtype: int) -> str:
        return self.node("Cast", x, to=dtype)

    def split(self, x: str, sizes: Sequence[int], axis: int) -> list[str]:
        return self.nodes_of("Split", [x, self.constant(sizes)], len(sizes), axis=axis)

    def reduce(self, op: str, x: str, axis: int, keep: bool) -> str:
        """ReduceSum, ReduceMax, ... over one axis: an input, or an attribute in operator sets before its change."""
        if op == "ReduceSum" or self.opset >= 18:
            return self.node(op, x, self.constant([axis]), keepdims=int(keep))
        return self.node(op, x, axes=[axis], keepdims=int(keep))

    def output(self, tensor: str, name: str, dtype: int, shape: Sequence[Dim]) -> None:
        """The result of the last node that made `tensor` gets this name and becomes an output."""
        import onnx
        for node in self.nodes:
            for names in (node.input, node.output):
                for place, other in enumerate(names):
                    if other == tensor:
                        names[place] = name
        self.outputs.append(onnx.helper.make_tensor_value_info(name, dtype, list(shape)))

    def model(self) -> Model:
        import onnx
        graph = onnx.helper.make_graph(self.nodes, self.label, self.inputs, self.outputs, self.weights)
        imports = [onnx.helper.make_opsetid(d, v) for d, v in {"": self.opset, **self.domains}.items()]
        made = onnx.helper.make_model(graph, opset_imports=imports, producer_name="tensorwright")
        made.ir_version = onnx.helper.find_min_ir_version_for(imports, ignore_unknown=True)
        return load(made)

    def _name(self, hint: str) -> str:
        self.count += 1
        return f"{self.label}/{hint.lower()}_{self.count}"


def pick(model: Model, name: str | None, kind: str) -> onnx_ir.Value:
    """The input or output (kind) of this name, or the only one. ModelError when it is not there or not clear.

    Exporters leave sizes of outputs unknown that shape inference knows: it is asked, on a copy of the model.
    """
    values = model.inputs if kind == "input" else model.outputs
    if kind == "output" and any(v.shape is None or not all(isinstance(d, int) for d in v.shape[1:]) for v in values):
        model = model.clone()
        infer(model)
        values = model.outputs
    listed = ", ".join(f"{v.name} {described(v)}" for v in values)
    if name is None:
        if len(values) != 1:
            raise ModelError(f"the model has {len(values)} {kind}s; say which one is meant", at=model.label,
                             try_=f"{kind}=...: {listed}")
        return values[0]
    for value in values:
        if value.name == name:
            return value
    raise ModelError(f"the model has no {kind} {name!r}", at=model.label, try_=listed)


def shape_of(model: Model, value: onnx_ir.Value, *ranks: int) -> list[Dim]:
    """The value's dimensions: numbers, symbols, or None. ModelError unless its rank is known and one of these."""
    if value.shape is None or (ranks and len(value.shape) not in ranks):
        raise ModelError(f"{value.name!r} is {described(value)}; this needs {' or '.join(map(str, ranks)) or 'known'} "
                         "axes", at=model.label)
    return [d if isinstance(d, int) else d.value for d in value.shape]


def floating(model: Model, value: onnx_ir.Value) -> Any:
    """The value's NumPy element type. ModelError when it is not a floating-point type."""
    import onnx_ir
    kinds = onnx_ir.DataType
    if value.dtype not in (kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE):
        raise ModelError(f"{value.name!r} is {described(value)}; this needs a floating-point tensor", at=model.label)
    return value.dtype.numpy()
