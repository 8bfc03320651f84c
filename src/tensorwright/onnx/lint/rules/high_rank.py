"""TW104: Reshape, Transpose, Reshape through rank five or six, where four would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ....dims import Dim, product
from ...reshapes import reshape_numbers
from ..context import Context, integer, integers, standard
from ..record import Found, Severity, rule
from .expand import BROADCASTING
from .targets import write

if TYPE_CHECKING:
    import onnx_ir

#: What every engine takes.
ENOUGH = 4


@rule("TW104", "high-rank", Severity.INFO, "Work at rank five or more that could be of rank four", why="""
    Channel shuffles, space-to-depth and windows of attention are written as a view of five or six axes, a permutation,
    and a view back. Axes that stay neighbours in the same order move as one, and axes of size 1 do not move at all.
    Many engines have fast transposes and broadcasts, and some have any, for four axes only: mobile and NPU runtimes
    refuse rank five. tensorwright itself does not mind: a transpose is a choice of strides. Sums, products and the
    like are reported where axes that are broadcast alike could be one.
    """, bad="""
    def shuffle(x, groups):
        n, c, h, w = x.shape
        return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)     # rank 5
    """, good="""
    def shuffle(x, groups):
        n, c, h, w = x.shape
        return x.view(n, groups, c // groups, h * w).transpose(1, 2).reshape(n, c, h, w)    # rank 4
    """, fixed="""
    Neighbouring axes are joined and axes of size 1 dropped in the first Reshape and the Transpose, and the Reshapes
    behind say in numbers what they said before. Done for Transposes, where all three are known.
    """, fixes=True)
def high_rank(context: Context) -> Iterator[Found]:
    for node in context.nodes:
        if standard(node, *BROADCASTING) and (found := broadcast(context, node)) is not None:
            yield found
        if not standard(node, "Transpose") or node.inputs[0] is None:
            continue
        shape = context.shape(node.inputs[0])
        perm = integers(node, "perm") or tuple(range(len(shape or ())))[::-1]
        if shape is None or len(shape) <= ENOUGH or sorted(perm) != list(range(len(shape))):
            continue
        groups, order = joined(shape, perm)
        if len(groups) > ENOUGH:
            continue
        before, after = node.inputs[0].producer(), context.readers(node.outputs[0])
        possible = before is not None and standard(before, "Reshape") and context.only_reader(node.inputs[0]) is node \
            and bool(after) and all(standard(r, "Reshape") for r in after) and not node.outputs[0].is_graph_output()
        yield Found(f"permutes ({', '.join(map(str, shape))}) by {list(perm)}: the same as rank {len(groups)}, "
                    f"({', '.join(str(product(shape[a] for a in g)) for g in groups)}) by {order}", node,
                    str(node.outputs[0].name),
                    (partial(lower, context, node, shape, groups, order)) if possible else None,
                    [before, node, *after] if possible else [])


def broadcast(context: Context, node: onnx_ir.Node) -> Found | None:
    """An elementwise operator whose axes, those joined that every operand has alike, are four or fewer."""
    result = context.shape(node.outputs[0])
    shapes = [context.shape(v) for v in node.inputs if v is not None]
    if result is None or len(result) <= ENOUGH or any(s is None for s in shapes):
        return None
    kinds = [tuple(len(s) < len(result) - a or s[len(s) - len(result) + a] == 1 for s in shapes if s is not None)
             for a in range(len(result)) if result[a] != 1]          # per axis: which operands are broadcast
    rank = sum(a == 0 or kind != kinds[a - 1] for a, kind in enumerate(kinds))
    if rank > ENOUGH:
        return None
    given = " and ".join(f"({', '.join(map(str, s or ()))})" for s in shapes)
    return Found(f"{node.op_type} of {given}: rank {max(rank, 1)} would do", node, str(node.outputs[0].name))


def joined(shape: Sequence[Dim], perm: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """Axes that move together, in the order of the input, and the permutation of those groups."""
    groups: list[list[int]] = []                         # in the order of the output
    last = None                                          # axes of size 1 between two do not part them
    real = [a for a in range(len(shape)) if shape[a] != 1]
    for axis in (a for a in perm if shape[a] != 1):
        if last is not None and real.index(axis) == real.index(last) + 1:
            groups[-1].append(axis)
        else:
            groups.append([axis])
        last = axis
    ordered = sorted(groups)
    return ordered, [ordered.index(g) for g in groups]


def lower(context: Context, node: onnx_ir.Node, shape: Sequence[Dim], groups: list[list[int]], order: list[int]
          ) -> bool:
    import onnx_ir
    before, after = node.inputs[0].producer(), context.readers(node.outputs[0])  # type: ignore[union-attr]
    assert before is not None
    source = context.shape(before.inputs[0])
    middle = [product(shape[a] for a in g) for g in groups]
    result = [middle[i] for i in order]
    first = None if source is None else reshape_numbers(middle, source)
    ends = [context.shape(r.outputs[0]) for r in after]
    targets = [None if e is None else reshape_numbers(e, result) for e in ends]
    if first is None or any(t is None for t in targets):
        return False
    for step, target in ((before, first), *zip(after, targets, strict=True)):
        if integer(step, "allowzero", 0):
            step.attributes["allowzero"] = onnx_ir.AttrInt64("allowzero", 0)
        write(context, step, 1, np.array(target, np.int64), "shape")
    node.attributes["perm"] = onnx_ir.AttrInt64s("perm", order)
    for value in (before.outputs[0], node.outputs[0]):
        value.shape = None
    return True
