"""TW307: branches that are decided when the model is saved."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ...flatten import flatten_if
from ...rewire import Names, remove_unread
from ..context import Context, standard
from ..record import Found, Severity, rule

if TYPE_CHECKING:
    import onnx_ir


@rule("TW307", "constant-branch", Severity.WARNING, "An If whose condition is always the same", why="""
    A branch ends everything an engine can do with a graph: fusion, memory planning and shape inference stop there, and
    many engines run the two sides as separate programs, or not at all. The TorchScript exporter writes an If for
    `squeeze(1)` where it does not know the size of the axis, and scripted modules keep every `if` on a setting.
    """, bad="""
    x = torch.squeeze(x, 1)                   # of unknown size to the exporter: If(size == 1, Squeeze, Identity)
    """, good="""
    x = x[:, 0]                               # or x.flatten(1), or reshape to the shape you know
    """, fixed="""
    The branch that is taken moves to the place of the If.
    """, fixes=True)
def constant_branch(context: Context) -> Iterator[Found]:
    for node in context.nodes:
        if not standard(node, "If") or not node.inputs:
            continue
        condition = context.constant(node.inputs[0])
        if condition is not None and condition.size == 1:
            taken = bool(condition.reshape(())[()])
            yield Found(f"the condition is always {str(taken).lower()}", node, str(node.outputs[0].name),
                        partial(flatten, context, node, taken), [node])


def flatten(context: Context, node: onnx_ir.Node, taken: bool) -> bool:
    condition = node.inputs[0]
    maker = condition.producer() if condition is not None else None
    flatten_if(node, taken, Names(context.model))
    if maker is not None:
        remove_unread(context.model, [maker])
    return True
