"""TW203: Casts that change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ....dtypes import DType
from ...noops import WIDER
from ...rewire import remove_unread, take_over
from ..context import Context, integer, may_take_over, standard
from ..record import Found, Severity, rule

if TYPE_CHECKING:
    import onnx_ir

@rule("TW203", "redundant-cast", Severity.WARNING, "A Cast that changes nothing", why="""
    A Cast to the type that the tensor has already, or a detour through a type that holds everything: bool to int64 to
    float32 is bool to float32. Each is a pass over the tensor, a wall between operators that would be fused, and a
    tensor in memory. `.float()`, `.long()` and `.to(...)` "to be sure" write them.
    """, bad="""
    mask = (ids != 0).long().float()
    """, good="""
    mask = (ids != 0).float()
    """, fixed="""
    The Cast is removed, or the second of two reads what the first read. A detour that rounds, through float16 say, is
    not redundant and stays.
    """, fixes=True)
def redundant_cast(context: Context) -> Iterator[Found]:
    for node in context.everywhere:
        if not standard(node, "Cast") or node.inputs[0] is None:
            continue
        if node.inputs[0] in context.free and context.content(node.inputs[0]) is not None:
            continue                                     # a number of shape arithmetic: TW101 is about those
        source, to = context.dtype(node.inputs[0]), cast_type(node)
        if source is None or to is None:
            continue
        if source is to:
            yield Found(f"casts {source} to {to}", node, str(node.outputs[0].name),
                        partial(drop, context, node) if may_take_over(node, node.inputs[0]) else None, [node])
            continue
        first = node.inputs[0].producer()
        if first is None or not standard(first, "Cast") or first.graph is not node.graph:
            continue
        origin = context.dtype(first.inputs[0])
        if origin is not None and onnx_name(source) in WIDER.get(onnx_name(origin), ()):
            yield Found(f"casts {origin} to {source} to {to}: the step between changes nothing", node,
                        str(node.outputs[0].name), partial(shorten, context, node, first), [node, first])


def onnx_name(dtype: DType) -> str:
    return {DType.float32: "FLOAT", DType.float64: "DOUBLE"}.get(dtype, dtype.value.upper())


def cast_type(node: onnx_ir.Node) -> DType | None:
    from ....importer.host import dtype_of
    return dtype_of(integer(node, "to", 0))


def drop(context: Context, node: onnx_ir.Node) -> bool:
    if node.inputs[0] is None or not take_over(node, node.inputs[0]):
        return False
    remove_unread(context.model, [node])
    return True


def shorten(context: Context, node: onnx_ir.Node, first: onnx_ir.Node) -> bool:
    node.replace_input_with(0, first.inputs[0])
    remove_unread(context.model, [first])
    return True
