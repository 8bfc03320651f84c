"""Winograd's minimal filtering F(m, r), y = Aᵀ[(G·g) ⊙ (Bᵀ·d)]: matrices from points, and code that applies them.

A filter applied at every second input is the sum of two filters, one of the even taps on the even inputs and one of the
odd taps on the odd inputs, each with stride one: the matrices of both, side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import prod

import numpy as np

from ..llvm import Function

#: products → finite points. ±3/4 and ±3/2 keep the error of six two to five times below that of ±1, ±2
POINTS = {3: (Fraction(0), Fraction(1)),
          4: (Fraction(0), Fraction(1), Fraction(-1)),
          5: (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(-3, 2)),
          6: (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2))}

Matrix = tuple[tuple[float, ...], ...]
Exact = list[list[Fraction]]


def inputs_of(m: int, r: int, s: int) -> int:
    """Inputs that m outputs of r taps at stride s depend on; as many products."""
    return s * (m - 1) + r


def hardest(m: int, r: int, s: int) -> int:
    """Products of the longest of the filters that the stride splits it into: a measure of rounding errors."""
    return m + -(-r // s) - 1


@cache
def matrices(m: int, r: int = 3, s: int = 1) -> tuple[Matrix, Matrix, Matrix]:
    """(Aᵀ (m, n), G (n, r), Bᵀ (n, n)) of m outputs of r ≥ s taps at stride s, n = `inputs_of(m, r, s)`."""
    n = inputs_of(m, r, s)
    a, g, b = ([[Fraction(0)] * columns for _ in range(rows)] for rows, columns in ((m, n), (n, r), (n, n)))
    for phase in range(s):
        taps, places = range(phase, r, s), range(phase, n, s)
        part_a, part_g, part_b = _toom_cook(m, len(taps))
        for i, row in enumerate(places):
            for k in range(m):
                a[k][row] = part_a[k][i]
            for t, tap in enumerate(taps):
                g[row][tap] = part_g[i][t]
            for j, column in enumerate(places):
                b[row][column] = part_b[i][j]
    return _floats(a), _floats(g), _floats(b)


@cache
def without_scales(m: int, r: int, s: int) -> tuple[Matrix, tuple[float, ...]]:
    """(G' (n, r), scales (r)) with G = G'·diag(scales): the smallest of the points becomes 1, others small integers."""
    g = np.array(matrices(m, r, s)[1])
    scales = np.ones(r)
    for phase in range(s):
        taps = len(range(phase, r, s))
        if taps > 1:
            unit = min(abs(p) for p in POINTS[m + taps - 1] if p)
            scales[phase::s] = [float(unit ** k) for k in range(taps)]
    return tuple(map(tuple, (g / scales).tolist())), tuple(scales.tolist())


def _toom_cook(m: int, r: int) -> tuple[Exact, Exact, Exact]:
    """(Aᵀ (m, n), G (n, r), Bᵀ (n, n)) at stride 1, n = m + r − 1, with the point at infinity last.

    G takes a filter's values at the points as they are: filters may be transformed while they are used.
    """
    n = m + r - 1
    if r == 1:
        one = [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]
        return one, [[Fraction(1)] for _ in range(n)], one
    points = POINTS[n]
    scales = {p: prod((p - q for q in points if q != p), start=Fraction(1)) for p in points}
    last = min(abs(p) for p in points if p) ** (r - 1)
    a = [[p ** i / scales[p] for p in points] + [int(i == m - 1) / last] for i in range(m)]
    g = [[p ** k for k in range(r)] for p in points]
    b = [_polynomial([q for q in points if q != p]) + [Fraction(0)] for p in points]
    g.append([int(k == r - 1) * last for k in range(r)])
    b.append(_polynomial(points))
    return a, g, b


def _polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients of Π (x − root), constant first."""
    result = [Fraction(1)]
    for r in roots:
        result = [(result[i - 1] if i else 0) - r * (result[i] if i < len(result) else 0)
                  for i in range(len(result) + 1)]
    return result


def _floats(rows: Sequence[Sequence[Fraction]]) -> Matrix:
    return tuple(tuple(float(x) for x in row) for row in rows)


def transform_filters(w: np.ndarray, m: int, s: int, groups: int) -> np.ndarray:
    """w (K, C / groups, r, r) → U (n·n·groups, C / groups, K / groups) = G·w·Gᵀ, computed in float64, rounded once."""
    k, c, r, _ = w.shape
    g = np.array(matrices(m, r, s)[1])
    u = np.einsum("ak,hockl,bl->abhco", g, w.reshape(groups, k // groups, c, r, r).astype(np.float64), g, optimize=True)
    return u.reshape(-1, c, k // groups).astype(w.dtype)


def apply(f: Function, type_: str, matrix: Matrix, xs: Sequence[str]) -> list[str]:
    """matrix · xs in vector code. Rows, or columns, that differ only in signs share their sums."""
    columns = signed_pairs(list(zip(*matrix, strict=True)))
    if columns:
        xs, matrix = _fold_columns(f, type_, matrix, list(xs), columns)
    results: dict[int, str] = {}
    for i, j in signed_pairs(matrix):
        same = [a == b for a, b in zip(matrix[i], matrix[j], strict=True)]
        even = _sum(f, type_, [c if s else 0 for c, s in zip(matrix[i], same, strict=True)], xs)
        odd = _sum(f, type_, [0 if s else c for c, s in zip(matrix[i], same, strict=True)], xs)
        results[i], results[j] = f.op("fadd", type_, even, odd), f.op("fsub", type_, even, odd)
    return [results[i] if i in results else _sum(f, type_, row, xs) for i, row in enumerate(matrix)]


def signed_pairs(rows: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Disjoint pairs of rows that are equal up to some, not all, signs."""
    pairs, used = [], set[int]()
    for i, a in enumerate(rows):
        for j in range(i + 1, len(rows)):
            b = rows[j]
            equal, opposite = (any(x == s * y != 0 for x, y in zip(a, b, strict=True)) for s in (1, -1))
            alike = all(abs(x) == abs(y) for x, y in zip(a, b, strict=True))
            if equal and opposite and alike and not {i, j} & used:
                pairs.append((i, j))
                used |= {i, j}
    return pairs


def _fold_columns(f: Function, type_: str, matrix: Matrix, xs: list[str],
                  pairs: list[tuple[int, int]]) -> tuple[list[str], Matrix]:
    """c·x ± c·y = c·(x ± y): replace each pair of inputs by its sum and difference."""
    rows = [list(row) for row in matrix]
    for i, j in pairs:
        xs[i], xs[j] = f.op("fadd", type_, xs[i], xs[j]), f.op("fsub", type_, xs[i], xs[j])
        for row in rows:
            row[i], row[j] = (row[i], 0.0) if row[i] == row[j] else (0.0, row[i])
    return xs, tuple(map(tuple, rows))


def _sum(f: Function, type_: str, row: Sequence[float], xs: Sequence[str]) -> str:
    """Σ row[i]·xs[i], starting with a term of coefficient one where there is one."""
    terms = sorted(((c, x) for c, x in zip(row, xs, strict=True) if c), key=lambda t: t[0] != 1)
    total = ""
    for c, x in terms:
        if not total and c == 2:
            total = f.op("fadd", type_, x, x)
        elif not total:
            total = x if c == 1 else f.op("fmul", type_, x, f.const(type_, c))
        elif abs(c) == 1:
            total = f.op("fadd" if c > 0 else "fsub", type_, total, x)
        else:
            total = f.fma(type_, x, f.const(type_, c), total)
    return total
