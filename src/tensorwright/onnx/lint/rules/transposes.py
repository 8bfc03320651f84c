"""TW301: Transposes that undo each other, or that one could do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ...rewire import remove_unread, take_over
from ..context import Context, integers, may_take_over, standard
from ..record import Found, Severity, rule

if TYPE_CHECKING:
    import onnx_ir

#: Operators of one tensor that look at one element at a time.
ELEMENTWISE = frozenset({"Relu", "LeakyRelu", "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Abs", "Neg", "Erf", "Gelu",
                         "HardSwish", "HardSigmoid", "Elu", "Selu", "Celu", "Softplus", "Softsign", "Mish", "Floor",
                         "Ceil", "Round", "Reciprocal", "Sign", "Not", "Identity", "Cast", "ThresholdedRelu",
                         "Clip", "Add", "Sub", "Mul", "Div", "Pow"})


@rule("TW301", "redundant-transpose", Severity.WARNING, "Transposes that undo each other", why="""
    A Transpose moves every element of its tensor, mostly against the order of the cache. Layers written for
    channels-last and channels-first data, one after the other, leave pairs: to NHWC, an activation, back to NCHW. One
    Transpose that permutes nothing, two in a row, or two around operators that look at single elements can be one, or
    none.
    """, bad="""
    x = x.permute(0, 2, 3, 1)
    x = F.relu(x)
    x = x.permute(0, 3, 1, 2)
    """, good="""
    x = F.relu(x)
    """, fixed="""
    Two in a row become one, or none when they cancel; around elementwise operators with a single reader both are
    removed.
    """, fixes=True)
def redundant_transpose(context: Context) -> Iterator[Found]:
    for node in context.everywhere:
        perm = permutation(context, node)
        if perm is None:
            continue
        if perm == sorted(perm):
            yield Found(f"permutes nothing: {perm}", node, str(node.outputs[0].name),
                        partial(drop, context, node) if may_take_over(node, node.inputs[0]) else None, [node])
            continue
        between = list(upwards(context, node))
        first = between.pop() if between else None
        other = None if first is None else permutation(context, first)
        if first is None or other is None or len(other) != len(perm):
            continue
        both = [other[p] for p in perm]
        if between and both != sorted(both):
            continue
        what = "nothing is left" if both == sorted(both) else f"together {both}"
        possible = both != sorted(both) or may_take_over(node, node.inputs[0] if between else first.inputs[0])
        via = f", through {', '.join(n.op_type for n in reversed(between))}" if between else ""
        yield Found(f"{other} and then {perm}{via}: {what}", node, str(node.outputs[0].name),
                    partial(merge, context, node, first, tuple(between), both) if possible else None,
                    [node, *between, first])


def permutation(context: Context, node: onnx_ir.Node) -> list[int] | None:
    """The perm of a Transpose; None for other nodes and where it is not given and the rank is not known."""
    if not standard(node, "Transpose") or not node.inputs or node.inputs[0] is None:
        return None
    if (perm := integers(node, "perm")) is not None:
        return list(perm)
    shape = context.shape(node.inputs[0])
    return None if shape is None else list(range(len(shape)))[::-1]


def upwards(context: Context, node: onnx_ir.Node) -> Iterator[onnx_ir.Node]:
    """Elementwise operators above a Transpose that nobody else reads, up to the next Transpose."""
    value = node.inputs[0]
    maker = value.producer() if value is not None else None
    if maker is not None and standard(maker, "Transpose") and maker.graph is node.graph:
        yield maker
        return
    found: list[onnx_ir.Node] = []
    while maker is not None and standard(maker) and maker.graph is node.graph and value is not None:
        if context.only_reader(value) is None:
            return
        if standard(maker, "Transpose"):
            yield from found
            yield maker
            return
        data = [v for v in maker.inputs if v is not None and not single(context, v)]
        if maker.op_type not in ELEMENTWISE or len(data) != 1 or len(found) > 16:
            return
        found.append(maker)
        value = data[0]
        maker = value.producer()


def single(context: Context, value: onnx_ir.Value) -> bool:
    array = context.constant(value)
    return array is not None and array.size == 1 and array.ndim <= 1


def drop(context: Context, node: onnx_ir.Node) -> bool:
    if node.inputs[0] is None or not take_over(node, node.inputs[0]):
        return False
    remove_unread(context.model, [node])
    return True


def merge(context: Context, node: onnx_ir.Node, first: onnx_ir.Node, between: tuple[onnx_ir.Node, ...], both: list[int]
          ) -> bool:
    import onnx_ir
    origin = first.inputs[0]
    assert origin is not None
    if not between:
        if both == sorted(both):
            if not take_over(node, origin):
                return False
            remove_unread(context.model, [node])
            return True
        node.replace_input_with(0, origin)
        node.attributes["perm"] = onnx_ir.AttrInt64s("perm", both)
        remove_unread(context.model, [first])
        return True
    last, top = node.inputs[0], between[-1]
    assert last is not None
    if not take_over(node, last):
        return False
    for i, value in enumerate(top.inputs):
        if value is first.outputs[0]:
            top.replace_input_with(i, origin)
    for step in between:
        for value in step.outputs:
            if value is not last or not value.is_graph_output():
                value.shape = None                       # they were said in the other order
    remove_unread(context.model, [node, first])
    return True
