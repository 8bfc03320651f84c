"""Where a changed dimension goes in a Reshape whose target was written as numbers.

    x (1, 197, 768) → (1, 197, 12, 64), and the first axis becomes "batch":     (batch, 197, 12, 64)
    x (64, 49, 96) → (1, 8, 8, 49, 96), and the first axis becomes 64·batch:     (batch, 8, 8, 49, 96)
    x (1, 197, 768) → (197, 768):                                                (197·batch, 768)

Both shapes fall into groups of axes of the same product, from left to right; what changes in a group of the operand
changes in its counterpart, at the axis with the same number of elements in front of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..dims import Dim, floordiv, mul


def regrouped(old: Sequence[int], new: Sequence[Dim], target: Sequence[int]) -> list[Dim] | None:
    """The target for an operand of shape `new`, when `target` was the one for `old`; None where it cannot be told.

    old, target    of equal product, all at least 1
    """
    result: list[Dim] = list(target)
    for (start, end), (first, last) in groups(old, target):
        for axis in range(start, end):
            if new[axis] == old[axis]:
                continue
            for place in places(product(old[start:axis]), target, first, last):
                grown = mul(result[place], new[axis])
                if mul(floordiv(grown, old[axis]), old[axis]) == grown:
                    result[place] = floordiv(grown, old[axis])
                    break
            else:
                return None
    return result


def places(front: int, target: Sequence[int], first: int, last: int) -> Iterator[int]:
    """The axes of target[first:last] with `front` elements before them in the group."""
    before = 1
    for axis in range(first, last):
        if before == front:
            yield axis
        before *= target[axis]


def groups(old: Sequence[int], target: Sequence[int]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Runs of axes of equal product, as short as they can be: ((start, end) in old, (start, end) in target)."""
    found, i, j = [], 0, 0
    while i < len(old) or j < len(target):
        start, first = i, j
        a = old[i] if i < len(old) else 1
        b = target[j] if j < len(target) else 1
        i, j = min(i + 1, len(old)), min(j + 1, len(target))
        while a != b:
            if a < b and i < len(old):
                a, i = a * old[i], i + 1
            elif a > b and j < len(target):
                b, j = b * target[j], j + 1
            else:
                return [((0, len(old)), (0, len(target)))]
        found.append(((start, i), (first, j)))
    if found and found[-1][1][0] == found[-1][1][1] and len(found) > 1:       # ones that have no counterpart
        (s, _), (f, _) = found[-2]
        found[-2:] = [((s, len(old)), (f, len(target)))]
    return found


def product(dims: Sequence[int]) -> int:
    result = 1
    for d in dims:
        result *= d
    return result
