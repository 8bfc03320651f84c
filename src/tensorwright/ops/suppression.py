"""Greedy non-maximum suppression, for many images and classes at once, and what it is made of.

Boxes are float32 (…, 4) as two corners (a1, b1, a2, b2); which of a and b is x does not matter here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: (boxes, boxes) → whether each of the first, which is better, suppresses its partner of the second
Collides = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Detections:
    """What is kept of all images, image by image, best first; each array has one entry per detection."""

    image: np.ndarray
    place: np.ndarray           # within its image, from 0
    box: np.ndarray
    kind: np.ndarray
    score: np.ndarray
    corners: np.ndarray         # (K, 4)


def ordered(boxes: np.ndarray) -> np.ndarray:
    """The same boxes with a1 ≤ a2 and b1 ≤ b2."""
    return np.concatenate([np.minimum(boxes[..., :2], boxes[..., 2:]), np.maximum(boxes[..., :2], boxes[..., 2:])], -1)


def overlap(a: np.ndarray, b: np.ndarray, pixel: float = 0.0) -> np.ndarray:
    """Intersection over union of ordered boxes; 0 where they do not meet. pixel: 1 where corners are pixels inside."""
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + pixel, 0)
    common = sides[..., 0] * sides[..., 1]
    union = area(a, pixel) + area(b, pixel) - common
    return np.where((common > 0) & (union > 0), common / np.where(union > 0, union, 1), 0)


def area(boxes: np.ndarray, pixel: float = 0.0) -> np.ndarray:
    sides = boxes[..., 2:] - boxes[..., :2] + pixel
    return sides[..., 0] * sides[..., 1]


def survivors(boxes: np.ndarray, group: np.ndarray, collides: Collides, limit: int | None = None) -> np.ndarray:
    """Which candidates are kept: bool (K,).

    boxes  (K, 4), those of a group together, best first
    group  int (K,), never falling: boxes suppress boxes of their own group only
    limit  no more than so many per group are needed

    Each round keeps the best of every group and drops what it suppresses: as many rounds as a group keeps boxes.
    """
    keep = np.zeros(len(group), bool)
    alive = np.arange(len(group))
    rounds = 0
    while alive.size and (limit is None or rounds < limit):
        of = group[alive]
        head = np.empty(alive.size, bool)
        head[0], head[1:] = True, of[1:] != of[:-1]
        best = alive[head]
        keep[best] = True
        others = alive[~head]
        rival = best[np.cumsum(head) - 1][~head]
        alive = others[~collides(boxes[rival], boxes[others])]
        rounds += 1
    return keep


def rank_within(group: np.ndarray) -> np.ndarray:
    """0, 1, 2 … inside each run of equal values: int (K,)."""
    if not group.size:
        return np.zeros(0, np.intp)
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    lengths = np.diff(np.append(starts, group.size))
    return np.arange(group.size) - np.repeat(starts, lengths)


def best_first(score: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The order that brings groups together, lowest first, the highest score first in each; ties stay as they are."""
    return np.lexsort((-score, group))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˣ) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def wide(x: np.ndarray) -> np.ndarray:
    """float16 as float32; anything else as it is."""
    return x.astype(np.float32) if x.dtype == np.float16 else x
