"""TW106: Expand in front of operators that broadcast by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ....dims import Dim
from ...rewire import remove_unread
from ..context import Context, standard
from ..record import Found, Severity, rule

if TYPE_CHECKING:
    import onnx_ir

BROADCASTING = ("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Mean", "Sum", "Mod", "Where", "And", "Or", "Xor",
                "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "BitwiseAnd", "BitwiseOr", "BitwiseXor",
                "BitShift")


@rule("TW106", "expand", Severity.WARNING, "Broadcasting by Expand in front of an operator that broadcasts", why="""
    Expand writes the same numbers many times; Add, Mul, Where and the like read a smaller operand many times without
    being asked. An engine that executes the Expand moves as many bytes as the full tensor has, and often computes the
    shape to expand to from the input's shape first.
    """, bad="""
    y = x * self.scale.expand(x.shape[0], 64, 56, 56)       # scale: (1, 64, 1, 1)
    """, good="""
    y = x * self.scale
    """, fixed="""
    The operators read the smaller tensor; the Expand and the nodes that computed its shape go. Done where the shapes
    say that the results stay the same size.
    """, fixes=True)
def expand(context: Context) -> Iterator[Found]:
    for node in context.nodes:
        if not standard(node, "Expand") or node.outputs[0].is_graph_output() or node.inputs[0] is None:
            continue
        small, large = context.shape(node.inputs[0]), context.shape(node.outputs[0])
        readers = context.readers(node.outputs[0])
        if small is None or large is None or not readers:
            continue
        if all(standard(r, *BROADCASTING) and same_without(context, r, node.outputs[0], small) for r in readers):
            yield Found(f"({', '.join(map(str, small))}) is expanded to ({', '.join(map(str, large))}) for "
                        f"{', '.join(sorted({r.op_type for r in readers}))}, which broadcast"
                        f"{'s' if len({r.op_type for r in readers}) == 1 else ''} by itself", node,
                        str(node.outputs[0].name), partial(bypass, context, node), [node, *readers])


def same_without(context: Context, reader: onnx_ir.Node, value: onnx_ir.Value, small: Sequence[Dim]) -> bool:
    """Whether the reader's result has the same shape when this operand is not expanded."""
    result = context.shape(reader.outputs[0])
    shapes = [small if v is value else context.shape(v) for v in reader.inputs if v is not None]
    return result is not None and all(s is not None for s in shapes) and \
        broadcast([s for s in shapes if s is not None]) == tuple(result)


def broadcast(shapes: Sequence[Sequence[Dim]]) -> tuple[Dim, ...] | None:
    """The shape of an elementwise result; None when dynamic dimensions leave it open."""
    rank = max(map(len, shapes))
    result: list[Dim] = []
    for axis in range(-rank, 0):
        dims = {s[axis] for s in shapes if len(s) >= -axis} - {1}
        if len(dims) > 1:
            return None
        result.append(dims.pop() if dims else 1)
    return tuple(result)


def bypass(context: Context, node: onnx_ir.Node) -> bool:
    small = node.inputs[0]
    assert small is not None
    node.outputs[0].replace_all_uses_with(small)
    remove_unread(context.model, [node])
    return True
