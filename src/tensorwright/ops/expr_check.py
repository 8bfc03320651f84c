"""Whether an expression is well formed: what every operator that holds one asks before it believes it."""

from __future__ import annotations

from ..dtypes import DType
from ..errors import TypeMismatch
from .expr import FUNCTIONS, Apply, Expr, In

COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
PREDICATES = frozenset({"isnan", "isinf"})


def check_expression(e: Expr) -> None:
    """TypeMismatch when a function is unknown, or its arguments have the wrong number or types."""
    seen: set[int] = set()
    stack: list[Expr] = [e]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, In) and node.index < 0:
            raise TypeMismatch(f"the expression reads input {node.index}")
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
