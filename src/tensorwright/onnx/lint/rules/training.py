"""TW304 and TW305: what training leaves in an exported model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...structure.walk import captured
from ..context import Context, integer, operand, plural, standard
from ..record import Found, Severity, rule

if TYPE_CHECKING:
    import onnx_ir

#: Operators with weights: what heads are made of.
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "QLinearConv", "QLinearMatMul"})
NAMED = re.compile(r"(^|[._/:-])(aux|loss|train)", re.IGNORECASE)


@rule("TW304", "training-mode", Severity.ERROR, "BatchNormalization or Dropout in training mode", why="""
    In training mode BatchNormalization uses the mean and variance of the batch it is given, so that the result for an
    image depends on the others in its batch, and Dropout sets random elements to zero. Neither can be folded into a
    convolution, and the results are not those of evaluation.
    """, bad="""
    model.train()
    torch.onnx.export(model, (x,), "model.onnx", dynamo=False, training=torch.onnx.TrainingMode.TRAINING)
    """, good="""
    model.eval()
    torch.onnx.export(model, (x,), "model.onnx")
    """, fixed="""
    Not repaired: evaluation mode gives other numbers, and exporting again is the way to be sure which were meant.
    """)
def training_mode(context: Context) -> Iterator[Found]:
    for node in context.everywhere:
        if standard(node, "BatchNormalization") and (
                integer(node, "training_mode", 0) or is_old_training(context, node)):
            yield Found("normalises with the statistics of each batch", node, str(node.outputs[0].name))
        elif standard(node, "Dropout") and drops(context, node):
            yield Found("sets random elements to zero", node, str(node.outputs[0].name))


def is_old_training(context: Context, node: onnx_ir.Node) -> bool:
    """Before version 14, BatchNormalization with outputs for statistics was training."""
    return context.model.opset < 14 and sum(bool(v.name) for v in node.outputs) > 1


def drops(context: Context, node: onnx_ir.Node) -> bool | None:
    """Whether a Dropout is in training mode; None when that is decided at run time."""
    if context.model.opset < 12 or operand(node, 2) is None:
        return False
    flag = context.constant(operand(node, 2))
    return None if flag is None else bool(flag.reshape(-1)[:1].any())


@rule("TW305", "training-output", Severity.WARNING, "An output that only training needs", why="""
    Auxiliary classifiers, deep supervision and intermediate predictions help to train a network; at inference they cost
    their layers' time, their memory and the copy of the result, call after call. Engines cannot know that nobody reads
    an output.
    """, bad="""
    def forward(self, x):
        x = self.stem(x)
        aux = self.aux_head(x)
        return self.head(self.body(x)), aux
    """, good="""
    def forward(self, x):
        x = self.stem(x)
        y = self.head(self.body(x))
        return (y, self.aux_head(x)) if self.training else y
    """, fixed="""
    Which outputs are read is for you to say: `wright onnx remove-output` removes one with all that only it needed.
    """)
def training_output(context: Context) -> Iterator[Found]:
    outputs = context.model.outputs
    if not 2 <= len(outputs) <= 256:
        return
    needed = reached(context)
    shapes = [(context.shape(v), context.dtype(v)) for v in outputs]
    for i, value in enumerate(outputs):
        own = [n for n, mask in needed.items() if mask == 1 << i]
        heads = sum(n.op_type in WEIGHTED for n in own)
        if not heads:
            continue
        by_name = any(NAMED.search(t) for t in (str(value.name), (value.producer() or own[0]).name or ""))
        others = [j for j in range(len(outputs)) if j != i and shapes[j] == shapes[i] and shapes[i][0] is not None]
        deeper = [j for j in others if goes_on(context, needed, own, i, j, heads)]
        if by_name or deeper:
            beside = f", as large as {outputs[deeper[0]].name!r}, which goes {further(needed, deeper[0])}" if deeper \
                else ""
            yield Found(f"output {value.name!r} has {plural(len(own), 'node')} for itself{beside}: is it read?",
                        value.producer(), str(value.name))


def reached(context: Context) -> dict[Any, int]:
    """Node of the main graph → the outputs that need it, as bits."""
    needed: dict[Any, int] = {}
    for i, value in enumerate(context.model.outputs):
        if (maker := value.producer()) is not None:
            needed[maker] = needed.get(maker, 0) | 1 << i
    for node in reversed(context.nodes):
        mask = needed.get(node, 0)
        if mask:
            for value in captured(node):
                maker = value.producer()
                if maker is not None and maker in context.main:
                    needed[maker] = needed.get(maker, 0) | mask
    return needed


def goes_on(context: Context, needed: dict[Any, int], own: list[Any], i: int, j: int, heads: int) -> bool:
    """Whether output j goes on, with twice the weighted nodes, from where output i's own nodes branch off."""
    inside = set(own)
    branch = {v.producer() for n in own for v in n.inputs if v is not None and v.producer() is not None} - inside
    more = sum(n.op_type in WEIGHTED for n, mask in needed.items() if mask >> j & 1 and not mask >> i & 1)
    return more >= 2 * heads and any(needed.get(b, 0) >> j & 1 for b in branch)


def further(needed: dict[Any, int], j: int) -> str:
    count = sum(n.op_type in WEIGHTED for n, mask in needed.items() if mask == 1 << j)
    return f"{plural(count, 'weighted layer')} further"
