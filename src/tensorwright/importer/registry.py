"""The table of lowerings: ONNX operator → the function that turns a node into layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from .node import Node
    from .values import Value

#: What a lowering returns: one value, or one per output of the node (None for outputs that nobody reads).
Result = Union["Value", "tuple[Value | None, ...]"]
Lowering = Callable[["Node"], Result]

#: Operators of the standard domain, each with what lowers all its versions since 6.
LOWERINGS: dict[str, Lowering] = {}
#: What operators do to shape values: the node's outputs from its inputs' contents; Decline when not known.
SHAPE_RULES: dict[str, Lowering] = {}
#: Lowerings that look at types or shapes only, and so accept every element type and opaque content.
ANY_TYPE: set[str] = set()


def operator(*names: str, any_type: bool = False) -> Callable[[Lowering], Lowering]:
    """Registers a lowering for ONNX operators. It raises Decline when it cannot express the node."""
    def register(f: Lowering) -> Lowering:
        for name in names:
            assert name not in LOWERINGS, name
            LOWERINGS[name] = f
            if any_type:
                ANY_TYPE.add(name)
        return f
    return register


def shape_rule(*names: str) -> Callable[[Lowering], Lowering]:
    """Registers how an operator acts on shape values."""
    def register(f: Lowering) -> Lowering:
        for name in names:
            SHAPE_RULES[name] = f
        return f
    return register
