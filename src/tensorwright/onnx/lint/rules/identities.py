"""TW302 and TW303: Identity and Dropout."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from ...rewire import remove_unread, take_over
from ..context import Context, may_take_over, standard
from ..record import Found, Severity, rule
from .training import drops

if TYPE_CHECKING:
    import onnx_ir


@rule("TW302", "identity", Severity.INFO, "Identity nodes", why="""
    An Identity computes nothing. Engines drop it, as a rule, and each that they do not drop is a copy. Exporters write
    one for a weight that two layers share, for `nn.Identity`, for dropout in evaluation, and for outputs that would
    otherwise be the same tensor. They hide patterns from tools that look for "Conv followed by Relu".
    """, bad="""
    self.shortcut = nn.Identity()
    return x + self.shortcut(x).clone()
    """, good="""
    return x + x
    """, fixed="""
    Readers read the Identity's input, and the node goes. It stays where an output of the model is an input, a weight or
    another output: TW308 is about those.
    """, fixes=True)
def identity(context: Context) -> Iterator[Found]:
    for node in context.everywhere:
        if standard(node, "Identity") and node.inputs and may_take_over(node, node.inputs[0]):
            yield Found("computes nothing", node, str(node.outputs[0].name), partial(drop, context, node), [node])


@rule("TW303", "dropout", Severity.WARNING, "Dropout in a model for inference", why="""
    Dropout does nothing at inference. That it is there says that the model was exported as for training; most engines
    remove it, some do not know the operator, and BatchNormalization next to it may be in training mode too, which is
    worse (TW304).
    """, bad="""
    torch.onnx.export(model, (x,), "model.onnx", dynamo=False,
                      training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    """, good="""
    model.eval()
    torch.onnx.export(model, (x,), "model.onnx")
    """, fixed="""
    Readers read the Dropout's input, and the node goes, where it is not in training mode and nobody reads its mask.
    """, fixes=True)
def dropout(context: Context) -> Iterator[Found]:
    for node in context.everywhere:
        if not standard(node, "Dropout") or not node.inputs or drops(context, node) is not False:
            continue
        masked = len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output())
        possible = not masked and may_take_over(node, node.inputs[0])
        yield Found("does nothing at inference", node, str(node.outputs[0].name),
                    partial(drop, context, node) if possible else None, [node])


def drop(context: Context, node: onnx_ir.Node) -> bool:
    if node.inputs[0] is None or not take_over(node, node.inputs[0]):
        return False
    remove_unread(context.model, [node])
    return True


