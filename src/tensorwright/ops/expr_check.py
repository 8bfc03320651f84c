"""Whether an expression is well formed: what every operator that holds one asks before it believes it."""

from __future__ import annotations

from collections.abc import Sequence

from ..dtypes import DType
from ..errors import ShapeError, TypeMismatch
from .expr import FUNCTIONS, Apply, Expr, In

COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
PREDICATES = frozenset({"isnan", "isinf"})


def check_expression(e: Expr, inputs: Sequence[DType | None]) -> None:
    """Errors when e is not a function of inputs of these types: TypeMismatch when a function is unknown, takes another
    number or other types of arguments, or an input has another type; ShapeError when an input is not there."""
    seen: set[int] = set()
    stack: list[Expr] = [e]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, In):
            if not 0 <= node.index < len(inputs):
                raise ShapeError(f"the expression reads input {node.index}, there are {len(inputs)}")
            if inputs[node.index] is not node.dtype:
                raise TypeMismatch(f"the expression reads input {node.index} as {node.dtype}, "
                                   f"it is {inputs[node.index]}")
        if isinstance(node, Apply):
            _check(node)
            stack.extend(node.args)


def _check(node: Apply) -> None:
    fn, types = node.fn, [x.dtype for x in node.args]
    if fn not in FUNCTIONS or len(types) != FUNCTIONS[fn][0]:
        raise TypeMismatch(f"no function {fn!r} of {len(types)} arguments")
    if fn == "cast":
        return
    if fn == "where":
        fine = types == [DType.bool, node.dtype, node.dtype]
    elif fn in COMPARISONS:
        fine = node.dtype is DType.bool and types[0] is types[1]
    elif fn in PREDICATES:
        fine = node.dtype is DType.bool
    else:
        fine = all(t is node.dtype for t in types)
    if not fine:
        raise TypeMismatch(f"{fn} of {', '.join(map(str, types))} cannot give {node.dtype}")
