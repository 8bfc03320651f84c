"""What structural edits leave to be put in order: nodes after what they read, and tensors' types and shapes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ...errors import ModelError
from ..check import infer
from ..model import Model
from .walk import captured

if TYPE_CHECKING:
    import onnx_ir


def settle(model: Model) -> None:
    """Sort graphs whose nodes stand before what they read; fill in types and shapes, or renew them if they changed.

    Raises   ModelError when nodes depend on each other in a circle, or shapes contradict each other.
    """
    sort(model)
    try:
        infer(model)
    except ModelError:
        infer(model, afresh=True)                        # old shapes are in the way; or it raises with the reason


def typed(model: Model) -> None:
    """Fill in types and shapes that are not known yet, as far as inference goes; nothing happens when it cannot."""
    if any(v.type is None or v.shape is None for n in model.graph for v in n.outputs if v.name):
        with contextlib.suppress(ModelError):
            infer(model)


def sort(model: Model) -> None:
    """Put nodes after those they read from; nothing moves when they are already. ModelError for circles."""
    for root in (model.graph, *(f.graph for f in model.ir.functions.values())):
        if all(ordered(graph) for graph in (root, *root.subgraphs())):
            continue
        try:
            root.sort()
        except ValueError as error:
            raise ModelError("nodes would depend on each other in a circle", at=model.label,
                             try_="connect to a tensor that does not depend on this node") from error


def ordered(graph: onnx_ir.Graph) -> bool:
    done: set[onnx_ir.Node] = set()
    for node in graph:
        for value in captured(node):
            made = value.producer()
            if made is not None and made.graph is node.graph and made not in done:
                return False
        done.add(node)
    return True
