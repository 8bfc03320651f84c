"""Resize and Upsample."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..dims import Dim
from ..errors import ModelError, ShapeError
from ..ops import Resize
from .node import Node
from .registry import operator
from .values import Decline, Value, axis_of

MODES = ("nearest", "linear", "cubic")


@operator("Resize", "Upsample")
def resize(n: Node) -> Value:
    """Sizes come from scales or as they are; before version 11 coordinates are asymmetric and rounded down."""
    x = n[0]
    mode = n.text("mode", "nearest")
    mode = "linear" if mode == "bilinear" else mode
    if mode not in MODES:
        raise ModelError(f"mode is {mode!r}", try_=f"one of {', '.join(MODES)}")
    if mode != "nearest" and not x.dtype.is_float:
        raise Decline(f"interpolating {x.dtype}")
    scales: tuple[float, ...] | None
    if n.op_type == "Upsample" or n.since < 11:
        scales = n.floats("scales") if n.has("scales") else _scales(n, 1)
        return _resized(n, x, scales, scaled_shape(x, scales), mode, "asymmetric", "floor")
    axes = tuple(axis_of(a, x.rank) for a in n.ints("axes", tuple(range(x.rank))))
    given = _given(n, 2)
    sizes = None if given is not None else n.dims(3)
    coordinate = n.text("coordinate_transformation_mode", "half_pixel")
    if given is not None:
        scales = spread(given, axes, x.rank, 1.0)
        shape = scaled_shape(x, scales)
    else:
        assert sizes is not None
        if len(sizes) != len(axes):
            raise ShapeError(f"{len(sizes)} sizes for {len(axes)} axes")
        shape, scales = _sized(n, x, axes, sizes)
    roi = None
    if coordinate == "tf_crop_and_resize":
        region = n.array(1).reshape(-1).tolist()
        if len(region) != 2 * len(axes):
            raise ShapeError(f"a region of {len(region)} numbers for {len(axes)} axes")
        first, last = tuple(region[: len(axes)]), tuple(region[len(axes):])
        roi = spread(first, axes, x.rank, 0.0) + spread(last, axes, x.rank, 1.0)
    return _resized(n, x, scales, shape, mode, coordinate, n.text("nearest_mode", "round_prefer_floor"), roi)


def _resized(n: Node, x: Value, scales: tuple[float, ...] | None, shape: tuple[Dim, ...], mode: str, coordinate: str,
             nearest: str, roi: tuple[float, ...] | None = None) -> Value:
    return n.add(Resize(shape, mode, coordinate, nearest, n.number("cubic_coeff_a", -0.75), n.flag("exclude_outside"),
                        n.flag("antialias"), scales, roi, n.number("extrapolation_value", 0.0)), x)


def _given(n: Node, i: int) -> tuple[float, ...] | None:
    """Scales, unless absent or empty."""
    value = n.optional(i)
    if value is None or (value.rank == 1 and value.shape[0] == 0):
        return None
    return _scales(n, i)


def _scales(n: Node, i: int) -> tuple[float, ...]:
    return tuple(float(s) for s in np.asarray(n.array(i), np.float64).reshape(-1))


def spread(values: tuple[float, ...], axes: tuple[int, ...], rank: int, default: float) -> tuple[float, ...]:
    """Values given for some axes, as values for all."""
    if len(values) != len(axes):
        raise ShapeError(f"{len(values)} numbers for {len(axes)} axes")
    result = [default] * rank
    for axis, v in zip(axes, values, strict=True):
        result[axis] = v
    return tuple(result)


def scaled_shape(x: Value, scales: tuple[float, ...]) -> tuple[Dim, ...]:
    """⌊dimension · scale⌋"""
    if len(scales) != x.rank or not all(0 < s < 1e6 for s in scales):
        raise ShapeError(f"scales {scales} for {x.type}")
    shape: list[Dim] = []
    for d, s in zip(x.shape, scales, strict=True):
        exact = Fraction(s)
        shape.append(d * exact.numerator // exact.denominator)
    return tuple(shape)


def _sized(n: Node, x: Value, axes: tuple[int, ...], sizes: tuple[Dim, ...],
           ) -> tuple[tuple[Dim, ...], tuple[float, ...] | None]:
    """The output shape for sizes, with one scale for all axes where the aspect ratio is kept."""
    policy = n.text("keep_aspect_ratio_policy", "stretch")
    shape = list(x.shape)
    if policy == "stretch":
        for axis, size in zip(axes, sizes, strict=True):
            shape[axis] = size
        return tuple(shape), None
    if policy not in ("not_larger", "not_smaller"):
        raise ModelError(f"keep_aspect_ratio_policy is {policy!r}")
    if not all(isinstance(d, int) for d in (*sizes, *(x.shape[a] for a in axes))):
        raise Decline("the aspect ratio depends on the input shapes")
    ratios = [size / x.shape[a] for a, size in zip(axes, sizes, strict=True)]  # type: ignore[operator]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    for axis in axes:
        shape[axis] = int(np.floor(scale * x.shape[axis] + 0.5))  # type: ignore[operator]
    return tuple(shape), spread((scale,) * len(axes), axes, x.rank, 1.0)
