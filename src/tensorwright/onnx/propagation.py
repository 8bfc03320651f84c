"""May onnx's inference propagate contents through a model? It writes out every Range, however long a file makes it."""

from __future__ import annotations

from typing import Any

from ..ir import TensorType
from .meaning import STANDARD, Meaning
from .model import Model

#: Elements of the longest Range that onnx may write out.
LONGEST = 1 << 20


def may_propagate(model: Model) -> bool:
    """False where a Range is longer than LONGEST, or nothing tells how long it is."""
    ranges = [n for n in model.all_nodes() if n.op_type == "Range" and n.domain in STANDARD]
    if not ranges:
        return True
    meaning = Meaning(model)
    try:
        meaning.walk()
    except Exception:                                    # a damaged model: the checker says what is wrong with it
        return False
    return all(bounded(meaning, n) for n in ranges)


def bounded(meaning: Meaning, node: Any) -> bool:
    """A dynamic length is not written out: onnx does not know the numbers."""
    t = meaning.of(node.outputs[0]).type
    return isinstance(t, TensorType) and (not isinstance(t.size, int) or t.size <= LONGEST)
