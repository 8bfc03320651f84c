"""Products of matrices: MatMul, Gemm, Einsum, and on integers."""

from __future__ import annotations

from ..dims import Dim, product
from ..dtypes import DType
from ..errors import ModelError, ShapeError
from ..ops import MatMul, Reduce
from . import scalar
from .convolution import centered
from .node import Node
from .registry import operator
from .scalar import mul
from .values import Decline, Value


@operator("MatMul")
def matmul(n: Node) -> Value:
    return n.add(MatMul(), n[0], n[1])


@operator("MatMulInteger")
def matmul_integer(n: Node) -> Value:
    return multiply_integers(n, n[0], n.optional(2), n[1], n.optional(3))


def multiply_integers(n: Node, a: Value, a_zero: Value | None, b: Value, b_zero: Value | None) -> Value:
    """(a − a_zero)(b − b_zero) in int32. Zero points: scalars, one per row of a or column of b, or laid out already."""
    def zero(z: Value | None, x: Value, axis: int) -> Value:
        if z is not None and z.rank > 1:
            return n.pointwise(lambda e, o: scalar.sub(scalar.cast(e, DType.int32), scalar.cast(o, DType.int32)), x, z)
        return centered(n, x, z, DType.int32, axis)
    return n.add(MatMul(), zero(a_zero, a, a.rank - 2), zero(b_zero, b, b.rank - 1))


@operator("Gemm")
def gemm(n: Node) -> Value:
    """alpha·A'·B' + beta·C"""
    a, b, c = n[0], n[1], n.optional(2)
    if a.rank != 2 or b.rank != 2:
        raise ShapeError(f"matrices are needed, they are {a.type} and {b.type}")
    a = n.transpose(a, (1, 0)) if n.flag("transA") else a
    b = n.transpose(b, (1, 0)) if n.flag("transB") else b
    alpha, beta = n.number("alpha", 1.0), n.number("beta", 1.0)
    y = n.add(MatMul(), a, b)
    if not y.dtype.is_float and (alpha != int(alpha) or beta != int(beta)):
        raise Decline("scaling integers by fractions")
    if alpha != 1.0:
        y = n.pointwise(lambda e: mul(e, alpha), y)
    if c is None or beta == 0.0:
        return y
    if n.since < 7 and c.rank > 2:
        raise Decline("C has more than two dimensions")
    return n.pointwise(lambda e, o: scalar.add(e, o if beta == 1.0 else mul(o, beta)), y, c)


# ---- Einsum ---------------------------------------------------------------------------------------------------

@operator("Einsum")
def einsum(n: Node) -> Value:
    """Operands are contracted from left to right; labels are summed as soon as nothing to the right needs them."""
    values = [n[i] for i in range(len(n.inputs))]
    terms, result = parsed(n.text("equation"), [v.rank for v in values])
    current, labels = values[0], terms[0]
    for i, (v, right) in enumerate(zip(values[1:], terms[1:], strict=True), 1):
        later = set(result).union(*terms[i + 1:])
        current, labels = contracted(n, current, labels, v, right, later)
    current, labels = summed(n, current, labels, set(result))
    if sorted(labels) != sorted(result):
        raise Decline("the output repeats or adds a label")
    return n.transpose(current, [labels.index(c) for c in result])


def parsed(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """Labels of each operand and of the result. An ellipsis becomes labels of its own, aligned at its end."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ModelError(f"equation {equation!r} has {len(terms)} operands, the node {len(ranks)}")
    widest = 0
    hidden = [rank - len(t.replace("...", "")) for t, rank in zip(terms, ranks, strict=True)]
    for t, extra in zip(terms, hidden, strict=True):
        if extra < 0 or (extra and "..." not in t):
            raise ShapeError(f"equation {equation!r} does not fit operands of ranks {ranks}")
        widest = max(widest, extra if "..." in t else 0)
    dots = "".join(chr(0xE000 + i) for i in range(widest))      # private characters: no letter of an equation
    terms = [t.replace("...", dots[widest - extra:]) for t, extra in zip(terms, hidden, strict=True)]
    if arrow:
        result = right.replace("...", dots)
    else:
        everything = "".join(terms)
        result = dots + "".join(sorted(c for c in set(everything) if everything.count(c) == 1 and c not in dots))
    if any(len(set(t)) != len(t) for t in [*terms, result]):
        raise Decline("a label is repeated within an operand (a diagonal)")
    return terms, result


def summed(n: Node, v: Value, labels: str, keep: set[str]) -> tuple[Value, str]:
    """v summed over the labels nobody needs."""
    axes = tuple(i for i, c in enumerate(labels) if c not in keep)
    return (n.add(Reduce("sum", axes, False), v), "".join(c for c in labels if c in keep)) if axes else (v, labels)


def contracted(n: Node, a: Value, la: str, b: Value, lb: str, keep: set[str]) -> tuple[Value, str]:
    """The product of two operands: batch labels (in both, kept), rows (a only), columns (b only), the rest summed."""
    a, la = summed(n, a, la, keep | set(lb))
    b, lb = summed(n, b, lb, keep | set(la))
    da, db = dict(zip(la, a.shape, strict=True)), dict(zip(lb, b.shape, strict=True))
    batch = [c for c in la if c in lb and c in keep]
    inner = [c for c in la if c in lb and c not in keep]
    rows, columns = [c for c in la if c not in lb], [c for c in lb if c not in la]
    if any(da[c] != db[c] and 1 in (da[c], db[c]) for c in inner):
        raise Decline("a summed label broadcasts")
    if not inner and not (rows and columns):
        wide = batch + rows + columns
        return n.pointwise(mul, laid(n, a, la, wide), laid(n, b, lb, wide)), "".join(wide)
    k: Dim = product(da[c] for c in inner)
    left = n.transpose(a, [la.index(c) for c in batch + rows + inner])
    left = n.reshape(left, [*(da[c] for c in batch), product(da[c] for c in rows), k])
    right = n.transpose(b, [lb.index(c) for c in batch + inner + columns])
    right = n.reshape(right, [*(db[c] for c in batch), k, product(db[c] for c in columns)])
    y = n.add(MatMul(), left, right)
    shape = [*y.shape[: len(batch)], *(da[c] for c in rows), *(db[c] for c in columns)]
    return n.reshape(y, shape), "".join(batch + rows + columns)


def laid(n: Node, v: Value, labels: str, wide: list[str]) -> Value:
    """v with its axes in the order of wide, 1 where it has no such label."""
    sizes = dict(zip(labels, v.shape, strict=True))
    v = n.transpose(v, [labels.index(c) for c in wide if c in labels])
    return n.reshape(v, [sizes.get(c, 1) for c in wide])


