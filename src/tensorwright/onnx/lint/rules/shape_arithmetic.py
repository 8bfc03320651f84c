"""TW101: shapes that are known, computed step by step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ....dims import Expr
from ...reshapes import reshape_numbers
from ..context import Context, integer, operand, plural, standard
from ..record import Found, Severity, rule
from .targets import write

if TYPE_CHECKING:
    import onnx_ir

#: Operator → the inputs that say a shape, or places in one. The rest of a graph does not need to know its numbers.
SHAPES = {"Reshape": (1,), "Expand": (1,), "ConstantOfShape": (0,), "Tile": (1,), "Slice": (1, 2), "Pad": (1,),
          "Resize": (3,), "Range": (0, 1, 2), "Split": (1,), "Unsqueeze": (1,), "CenterCropPad": (1,)}


@rule("TW101", "shape-arithmetic", Severity.WARNING, "Nodes that compute a shape which is known", why="""
    Every `x.shape[1]` and `x.size(0)` that the exporter traces becomes a Shape and a Gather, every arithmetic step on
    it a Mul or Div, and `view` or `reshape` glue the pieces together with Unsqueeze and Concat. Often the result is
    known when the model is exported: all of it, or all but the batch, which Reshape writes as 0 or -1. Engines that
    do not evaluate shapes symbolically run these nodes on the CPU, cannot fuse across them, and refuse to plan memory
    ahead. Some take a Reshape with a computed shape for a data-dependent one and decline the model.
    """, bad="""
    def forward(self, x):                       # the TorchScript exporter writes 20 nodes for this line
        n, c, h, w = x.shape
        return x.view(n, c, h * w)
    """, good="""
    def forward(self, x):
        return x.flatten(2)                     # or x.view(x.shape[0], 64, -1), with the numbers you know

    torch.onnx.export(model, (x,), "model.onnx", dynamo=True)   # the newer exporter evaluates shapes itself
    """, fixed="""
    The shape becomes a constant: with 0 for a dimension that is the input's own, -1 for one dynamic dimension, and 1
    where Expand keeps a dimension. The nodes that nobody reads any more are removed. A shape with two dynamic
    dimensions that cannot be written so is not reported: the arithmetic is needed.
    """, fixes=True)
def shape_arithmetic(context: Context) -> Iterator[Found]:
    for node in context.nodes:
        if not standard(node) or node.op_type not in SHAPES:
            continue
        for index in SHAPES[node.op_type]:
            value = operand(node, index)
            if value is None or value.producer() is None or context.is_constant(value) or value not in context.free:
                continue
            written = known(context, node, index, value)
            if written is None:
                continue
            count = sum(1 for n in chain(value) if n.op_type != "Constant")
            content = context.content(value)
            said = "[" + ", ".join(map(str, () if content is None else content.reshape(-1))) + "]"
            how = "" if said == str(written.reshape(-1).tolist()) else f"; {written.tolist()} says the same"
            yield Found(f"{plural(count, 'node')} compute{'s' if count == 1 else ''} the shape {said}, which is known"
                        f"{how}", node, str(value.name), partial(repair, context, node, index, written),
                        [node], Severity.WARNING if count > 1 else Severity.INFO)


def known(context: Context, node: onnx_ir.Node, index: int, value: onnx_ir.Value) -> np.ndarray | None:
    """The constant that can stand in the place of a computed shape; None: there is none."""
    content = context.content(value)
    if content is None or content.size > 64:
        return None
    dtype = context.dtype(value)
    if dtype is None:
        return None
    if not any(isinstance(d, Expr) for d in content.reshape(-1)):
        return content.astype(dtype.numpy)
    source = context.shape(node.inputs[0]) if node.inputs else None
    target = list(content.reshape(-1))
    if source is None or not all(isinstance(d, (int, Expr)) for d in target):
        return None
    if node.op_type == "Reshape" and not integer(node, "allowzero", 0):
        written = reshape_numbers(target, source)
        return None if written is None else np.array(written, np.int64)
    if node.op_type == "Reshape":                        # allowzero: −1 may stand, 0 would be a number
        free = [i for i, d in enumerate(target) if isinstance(d, Expr)]
        if len(free) == 1 and all(isinstance(d, Expr) or d > 0 for d in target):
            return np.array([-1 if i in free else d for i, d in enumerate(target)], np.int64)
    if node.op_type == "Expand" and len(target) >= len(source):
        own = [*[None] * (len(target) - len(source)), *source]
        if all(not isinstance(d, Expr) or d == o for d, o in zip(target, own, strict=True)):
            return np.array([1 if isinstance(d, Expr) else d for d in target], np.int64)
    return None


def repair(context: Context, node: onnx_ir.Node, index: int, written: np.ndarray) -> bool:
    write(context, node, index, written, "shape")
    return True


def chain(value: Any) -> set[Any]:
    """The nodes that compute a shape, back to the tensors whose shape it is."""
    found: set[Any] = set()
    waiting = [value]
    while waiting and len(found) < 1000:
        maker = waiting.pop().producer()
        if maker is not None and maker not in found:
            found.add(maker)
            if maker.op_type not in ("Shape", "Size"):
                waiting += [v for v in maker.inputs if v is not None]
    return found
