"""GridSample: coordinates → corner indices and weights → gathered pixels, weighted and added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from ..dims import Dim
from ..dims import product as size_of
from ..dtypes import DType
from ..errors import ModelError, ShapeError
from ..ops import GatherND
from ..ops.expr import Const, Expr
from . import scalar
from .node import Node
from .registry import operator
from .scalar import add, call, clamp, div, mul, sub, where
from .values import Decline, Value

MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "cubic": "cubic", "bicubic": "cubic"}


@dataclass(frozen=True)
class Tap:
    """One of the pixels along an axis that a coordinate reads: its index, and its weight (0 where it lies outside)."""

    index: Value
    weight: Value | None


@operator("GridSample")
def grid_sample(n: Node) -> Value:
    """y[n, c, o...] = x[n, c] interpolated at grid[n, o...], whose last axis counts the image's axes from the last."""
    x, grid = n[0], n[1]
    mode, padding = n.text("mode", "linear" if n.since >= 20 else "bilinear"), n.text("padding_mode", "zeros")
    if mode not in MODES or padding not in ("zeros", "border", "reflection"):
        raise ModelError(f"mode is {mode!r}, padding_mode {padding!r}")
    spatial = x.rank - 2
    if spatial < 1 or grid.rank != x.rank or (isinstance(grid.shape[-1], int) and grid.shape[-1] != spatial):
        raise ShapeError(f"grid {grid.type} does not fit {x.type}")
    if not (x.dtype.is_float and grid.dtype.is_float) or not all(isinstance(d, int) and d > 0 for d in x.shape[2:]):
        raise Decline("the image's size is known at run time only, or it holds integers")
    N, C, *extents = x.shape
    out = grid.shape[1:-1]
    points = n.reshape(n.cast(grid, DType.float32), (N, size_of(out), spatial))
    taps = [axis_taps(n, n.take(points, 2, spatial - 1 - a, 1), d, MODES[mode], padding, n.flag("align_corners"))
            for a, d in enumerate(extents) if isinstance(d, int)]
    pixels = n.transpose(n.reshape(x, (N, C, size_of(extents))), (0, 2, 1))
    y = sampled(n, pixels, taps, extents)
    return n.reshape(n.transpose(y, (0, 2, 1)), (N, C, *out))


def axis_taps(n: Node, at: Value, d: int, mode: str, padding: str, corners: bool) -> list[Tap]:
    """The pixels an axis of d pixels contributes. at: normalized coordinates (N, P, 1), −1 and 1 at the borders."""
    low, high = (0.0, d - 1.0) if corners else (-0.5, d - 0.5)

    def place(e: Expr) -> Expr:
        e = mul(mul(add(e, 1.0), 0.5), d - 1.0) if corners else mul(sub(mul(add(e, 1.0), float(d)), 1.0), 0.5)
        e = call("round", e) if mode == "nearest" else e
        if padding == "border":
            return clamp(e, 0.0, d - 1.0)
        return reflected(e, low, high) if padding == "reflection" else e
    position = n.pointwise(place, at)
    if mode == "nearest":
        return [tap(n, position, lambda e: call("round", e), None, d, padding, low, high)]
    floor: Callable[[Expr], Expr] = lambda e: call("floor", e)  # noqa: E731
    offsets = (0, 1) if mode == "linear" else (-1, 0, 1, 2)
    weigh = linear if mode == "linear" else cubic
    return [tap(n, position, lambda e, o=o: add(floor(e), float(o)),  # type: ignore[misc]
                lambda e, o=o: weigh(sub(e, floor(e)), o), d, padding, low, high) for o in offsets]  # type: ignore[misc]


def tap(n: Node, position: Value, pixel: Callable[[Expr], Expr], weigh: Callable[[Expr], Expr] | None, d: int,
        padding: str, low: float, high: float) -> Tap:
    """One tap: its clamped index as int64, its weight with what lies outside zeroed."""
    def inside(e: Expr) -> Expr:
        e = reflected(e, low, high) if padding == "reflection" else e
        e = where(call("isnan", e), 0.0, e)                # an index must lie inside the image whatever the grid holds
        return scalar.cast(clamp(e, 0.0, d - 1.0), DType.int64)
    index = n.pointwise(lambda e: inside(pixel(e)), position)
    if padding != "zeros":
        return Tap(index, None if weigh is None else n.pointwise(weigh, position))

    def weight(e: Expr) -> Expr:
        p = pixel(e)
        exists = call("and", call("ge", p, 0.0), call("le", p, d - 1.0))
        return where(exists, Const(1.0, DType.float32) if weigh is None else weigh(e), 0.0)
    return Tap(index, n.pointwise(weight, position))


def reflected(e: Expr, low: float, high: float) -> Expr:
    """e mirrored at low and high until it lies between them."""
    if high <= low:
        return mul(e, 0.0)
    room = high - low
    distance = call("abs", sub(e, low))
    turns = call("floor", div(distance, room))
    rest = sub(distance, mul(turns, room))
    return where(call("eq", call("fmod", turns, 2.0), 0.0), add(rest, low), sub(high, rest))


def linear(t: Expr, offset: int) -> Expr:
    return t if offset else sub(scalar.const(1.0, t.dtype), t)


def cubic(t: Expr, offset: int, a: float = -0.75) -> Expr:
    """The cubic convolution kernel at distance |t − offset|."""
    x = call("abs", sub(t, float(offset)))
    if offset in (0, 1):                                   # distance at most 1
        return add(mul(mul(sub(mul(x, a + 2), a + 3), x), x), 1.0)
    return sub(mul(add(mul(sub(mul(x, a), 5 * a), x), 8 * a), x), 4 * a)


def sampled(n: Node, pixels: Value, taps: Sequence[Sequence[Tap]], extents: Sequence[Dim]) -> Value:
    """Σ over combinations of taps: weight · pixels[index]. pixels (N, L, C); indices (N, P, 1); result (N, P, C)."""
    terms: list[Value] = []
    for choice in product(*taps):
        index = choice[0].index
        for t, d in zip(choice[1:], extents[1:], strict=True):
            index = n.pointwise(lambda i, j, d=d: add(mul(i, d), j), index, t.index)
        found = n.add(GatherND(1), pixels, index)
        weights = [t.weight for t in choice if t.weight is not None]
        if weights:
            found = n.pointwise(lambda p, *ws: _product(scalar.cast(p, DType.float32), ws), found, *weights)
        terms.append(found)
    total = terms[0] if len(terms) == 1 else n.pointwise(lambda *es: _sum(es), *terms)
    return n.cast(total, pixels.dtype)


def _product(e: Expr, factors: Sequence[Expr]) -> Expr:
    for f in factors:
        e = mul(e, f)
    return e


def _sum(terms: Sequence[Expr]) -> Expr:
    e = terms[0]
    for t in terms[1:]:
        e = add(e, t)
    return e

