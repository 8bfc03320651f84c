"""Deleting nodes and reconnecting what they joined; replacing tensors; connecting operands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import ModelError
from ..check import infer
from ..edit import edit, settle_later
from ..model import Model
from .build import Builder, check_operands, literal_type
from .schema import schema
from .tensors import constant
from .walk import Names, detach, named, node_of, owners, readers, type_text, value_of, visible

if TYPE_CHECKING:
    import onnx_ir

    from .build import Operand
    from .walk import NodeKey, TensorKey


#: Operators whose first result always has the element type and shape of their first input.
KEEPING = frozenset("""
    Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization Ceil Celu Clip Cos Cosh Dropout Elu Erf Exp
    Floor Gelu GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization LRN LayerNormalization
    LeakyRelu Log LogSoftmax LpNormalization MeanVarianceNormalization Mish Neg PRelu RMSNormalization Reciprocal Relu
    Round Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu""".split())


@edit
def delete_node(model: Model, node: NodeKey, *, through: TensorKey | Mapping[str, str] | None = None) -> None:
    """Delete a node; what read its result reads one of its inputs instead. Outputs of the graph keep their names.

    through   that input; for a node with several results that are read, result → input. None: the one input that is
              not constant, or the one that has the result's type and shape.
    Raises    ModelError when no input, or more than one, comes into question; and when the graph does not fit together
              with that input.
    Walk `model.nodes`, which is a copy, to delete nodes in a loop.
    """
    node = node_of(model, node)
    graph = node.graph
    assert graph is not None
    read = [v for v in node.outputs if v.uses() or v.is_graph_output()]
    if isinstance(through, Mapping):
        unknown = set(through) - {str(v.name) for v in node.outputs}
        if unknown:
            raise ModelError(f"{named(node)} does not make {sorted(unknown)[0]!r}", at=model.label,
                             try_=", ".join(str(v.name) for v in node.outputs))
    elif through is not None and not read:
        _input_called(model, node, through)
    bridges = {v: _bridge(model, node, v, through.get(str(v.name)) if isinstance(through, Mapping) else through)
               for v in read}
    for old, new in bridges.items():
        if node.op_type == "Identity" and needs_identity(old, new):
            raise ModelError(f"{named(node)} must stay: output {old.name!r} of the graph cannot be {new.name!r} itself",
                             at=model.label)
        redirect(model, old, new, node)
    detach(node)
    graph.remove(node)
    settle_later(model)


@edit
def delete_nodes(model: Model, nodes: list[NodeKey]) -> None:
    """`delete_node` for several: all of them, or none."""
    for node in [node_of(model, n) for n in nodes]:
        delete_node(model, node)


def _bridge(model: Model, node: onnx_ir.Node, result: onnx_ir.Value, through: TensorKey | None) -> onnx_ir.Value:
    """The input that takes the place of this result."""
    if through is not None:
        return _input_called(model, node, through)
    inputs = list(dict.fromkeys(v for v in node.inputs if v is not None))
    if not inputs:
        raise ModelError(f"{named(node)} cannot be deleted: it has no input to put in the place of {result.name!r}",
                         at=model.label, readers=readers(result))
    if any(v.type is None or v.shape is None for v in (*inputs, result)):
        infer(model)
    data = [v for v in inputs if constant(v) is None] or inputs
    fitting = [v for v in data if same_type(v, result)]
    if len(fitting) == 1:
        return fitting[0]
    if len(data) == 1 and keeps_type(node, data[0], result):
        return data[0]
    reason = f"{len(fitting)} of its inputs have the type of {result.name!r}" if fitting else \
        f"its result {result.name!r} is {type_text(result)}"
    raise ModelError(f"{named(node)} can be deleted in more than one way: {reason}"
                     if len(data) > 1 else f"{named(node)} changes what flows through it: {reason}", at=model.label,
                     **{f"input {v.name!r}": type_text(v) for v in data},
                     try_=f"through={data[0].name!r}" + (f" or through={data[1].name!r}" if len(data) > 1 else ""))


def _input_called(model: Model, node: onnx_ir.Node, key: TensorKey) -> onnx_ir.Value:
    for value in node.inputs:
        if value is not None and (value is key or value.name == key):
            return value
    name = key if isinstance(key, str) else key.name
    raise ModelError(f"{named(node)} does not read {name!r}", at=model.label,
                     try_=" or ".join(f"through={v.name!r}" for v in node.inputs if v is not None) or None)


def same_type(a: onnx_ir.Value, b: onnx_ir.Value) -> bool:
    """Both have the same element type and shape, and that is certain."""
    return a.type is not None and a.type == b.type and a.shape is not None and b.shape is not None \
        and list(a.shape) == list(b.shape) and not (a.shape.has_unknown_dim() and len(a.shape) > 0)


def keeps_type(node: onnx_ir.Node, given: onnx_ir.Value, result: onnx_ir.Value) -> bool:
    """Is the first result certain to have the first input's type and shape, whatever they are?"""
    return node.op_type in KEEPING and node.domain == "" and node.inputs[0] is given and node.outputs[0] is result


def needs_identity(old: onnx_ir.Value, new: onnx_ir.Value) -> bool:
    """Must an output of a graph that was `old` be copied from `new`, because `new` keeps its own name and place?"""
    return old.is_graph_output() and (new.producer() is None or new.is_graph_output() or new.graph is not old.graph)


def redirect(model: Model, old: onnx_ir.Value, new: onnx_ir.Value, place: onnx_ir.Node, names: Names | None = None,
             ) -> None:
    """Whoever reads `old` reads `new`. Where `old` is an output of its graph, `new` takes its name, or a copy does.

    place   the node before which the copy (an Identity) is put; usually the one that makes `old` and is to go
    """
    import onnx_ir
    if old is new:
        return
    graph = old.graph
    output = old.is_graph_output()
    copied = needs_identity(old, new)
    for user, index in old.uses():
        user.replace_input_with(index, new)
    if not output:
        return
    assert graph is not None
    name, names = str(old.name), names or Names.of(model)
    old.name = names.tensor(f"{name}_before")
    if copied:
        taker = onnx_ir.Value(name=name, type=old.type, shape=old.shape)
        place.prepend(onnx_ir.Node("", "Identity", [new], outputs=[taker],
                                   name=names.node(f"{name}_is_{new.name}")))
    else:
        taker = new
        taker.name = name
        taker.type, taker.shape = new.type or old.type, new.shape or old.shape
    for k, value in enumerate(graph.outputs):
        if value is old:
            graph.outputs[k] = taker


@edit
def replace_tensor(model: Model, old: TensorKey, new: TensorKey) -> None:
    """Let everybody who reads one tensor read another. Outputs of the graph keep their names.

    The nodes that made the old one stay; `remove_unused` removes them when nothing else needs them.
    """
    old, new = value_of(model, old), value_of(model, new)
    made = old.producer()
    graph = old.graph
    assert graph is not None
    if old.is_graph_output() and made is None:
        raise ModelError(f"{old.name!r} is an input and an output of the graph at once", at=model.label)
    around = owners(model)
    for user in old.consumers():
        if user.graph is None or not visible(new, user.graph, around):
            raise ModelError(f"{named(user)} reads {old.name!r}, and cannot read {new.name!r}, which lies in another "
                             "graph", at=model.label)
    redirect(model, old, new, made if made is not None else graph[0])
    settle_later(model)


@edit
def set_input(model: Model, node: NodeKey, index: int | str, tensor: Operand) -> None:
    """Connect a node's operand to another tensor (or a new constant); None leaves an optional one out.

    index    its place, or its name in the operator's schema ("B" of Conv), or the name of the tensor that is there
    Raises   ModelError when there is no such operand, or nodes would depend on each other in a circle.
    """
    import onnx_ir
    node = node_of(model, node)
    assert node.graph is not None
    known = schema(model, node.op_type, node.domain, node.graph)
    if isinstance(index, str):
        formals = [p.name for p in known.inputs] if known else []
        actual = [v.name if v is not None else None for v in node.inputs]
        if index not in formals and index not in actual:
            raise ModelError(f"{named(node)} has no operand {index!r}", at=model.label,
                             try_=", ".join([*formals, *(repr(a) for a in actual if a)]))
        index = formals.index(index) if index in formals else actual.index(index)
    if index < 0:
        raise ModelError("places of operands count from 0", at=model.label)
    values: list[object] = [*node.inputs, *[None] * (index + 1 - len(node.inputs))]
    values[index] = tensor
    while values and values[-1] is None:
        values.pop()
    if known is not None:
        check_operands(known, values, model.label)
    build = Builder(model, node.graph)
    if tensor is None or isinstance(tensor, (str, onnx_ir.Value)):
        value = build.operand(tensor)
    else:
        value = build.weight(tensor, f"{node.name or node.op_type}_{index}",
                             literal_type(known, index, tensor, node.inputs) if not hasattr(tensor, "dtype") else None)
        node.prepend(build.nodes)
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)
    node.resize_inputs(len(values))
    settle_later(model)
