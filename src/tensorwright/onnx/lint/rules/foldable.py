"""TW306: work that could be done once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from ...fold import QUANTISATION, fold
from ...meaning import constant_tensor, random_nodes
from ...model import Model, subgraphs
from ..context import Context, operand, plural, standard
from ..record import Found, Severity, rule
from .constant_batch import pinned_expand

if TYPE_CHECKING:
    import onnx_ir

#: Results that need more bytes than this, and more than what they are made of, are better computed again.
LARGEST = 1024


@rule("TW306", "foldable", Severity.INFO, "Nodes that compute the same at every run", why="""
    A transposed weight, a table of positions made from Range and Sin, a mask of constants: work whose result is known
    when the model is saved. Most engines fold it when they build, which takes time at every build, and some only in
    part. In the file it hides that a weight is a weight: quantisers and pruners look for initialisers.
    """, bad="""
    torch.onnx.export(model, (x,), "model.onnx", dynamo=False, do_constant_folding=False)
    """, good="""
    torch.onnx.export(model, (x,), "model.onnx")
    """, fixed="""
    `fold`: the nodes are computed, with float32 arithmetic like the engine's, and their results stored. What would
    make the file larger, like an expanded mask, stays.
    """, fixes=True)
def foldable(context: Context) -> Iterator[Found]:
    roots = []
    constant: set[Any] = {v for v in context.model.graph.initializers.values() if not v.is_graph_input()}
    for node in context.nodes:
        if node.op_type == "Constant":
            constant.update(v for v in node.outputs if context.is_constant(v))
        elif standard(node) and node.op_type not in {*QUANTISATION, "Identity"} and not subgraphs(node) and \
                all(v is None or v in constant for v in node.inputs) and not random_nodes(node) and \
                worth_it(context, node):
            constant.update(node.outputs)
            roots.append(node)
    if roots:
        kept = pinned(context)
        kinds = sorted({n.op_type for n in roots})
        yield Found(f"{plural(len(roots), 'node')} compute{'s' if len(roots) == 1 else ''} constants: "
                    f"{', '.join(kinds[:6])}{', ...' if len(kinds) > 6 else ''}", roots[0],
                    str(roots[0].outputs[0].name), partial(compute, context.model, kept))


def compute(model: Model, kept: list[str]) -> bool:
    before = len(model.all_nodes())
    return bool(fold(model, exclude=kept)) or len(model.all_nodes()) < before


def pinned(context: Context) -> list[str]:
    """Expands that hold a number for the batch: TW102 repairs them, or says so; folded, nothing would be seen of it."""
    targets = [context.constant(operand(n, 1)) for n in context.nodes if standard(n, "Reshape")]
    sizes = {int(a[0]) for a in targets if a is not None and a.size}
    return [str(n.outputs[0].name) for n in context.nodes if standard(n, "Expand") and pinned_expand(context, n, sizes)]


def worth_it(context: Context, node: onnx_ir.Node) -> bool:
    made = sum(size(context, v) for v in node.outputs)
    return made <= LARGEST or made <= sum(size(context, v) for v in node.inputs if v is not None)


def size(context: Context, value: onnx_ir.Value) -> int:
    """Bytes; far too many when not known."""
    if (tensor := constant_tensor(value)) is not None:
        return int(tensor.nbytes)
    shape, dtype = context.shape(value), context.dtype(value)
    if shape is None or dtype is None or not all(isinstance(d, int) for d in shape):
        return 1 << 60
    count = 1
    for d in shape:
        count *= int(d)  # type: ignore[arg-type]
    return count * dtype.itemsize
