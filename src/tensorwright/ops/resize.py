"""Resampling to another size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..dims import Dim
from ..errors import ShapeError
from ..ir import Cost, Op, TensorType
from .movement import extents
from .rules import need_float, widen

MODES = ("nearest", "linear", "cubic")
COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
               "tf_crop_and_resize")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@dataclass(frozen=True)
class Resize(Op):
    """y[i...] = x interpolated at the place that output index i has in x's coordinates, axis by axis

    Inputs  x of any rank; any numeric type for nearest, floating point otherwise.
    Output  (shape), x's type.
    Params  shape: full output shape. mode: "nearest", "linear" or "cubic". coordinate: ONNX's
            coordinate_transformation_mode. nearest_mode: rounding of coordinates, for nearest. cubic_coeff: the
            coefficient a of the cubic kernel. exclude_outside: taps outside x weigh nothing and the rest is rescaled.
            antialias: stretch the linear or cubic kernel when shrinking. scales: output/input ratio per axis as the
            model gives it, None: from the shapes. roi: (starts..., ends...) per axis for tf_crop_and_resize, in
            fractions of x. extrapolation: value outside x for tf_crop_and_resize.
    Cost    two operations per output element and tap (nearest: none).
    Errors  ShapeError when ranks disagree or a mode is unknown; TypeMismatch when integers are to be interpolated.
    Source  ONNX operator Resize, version 19.
    """

    shape: tuple[Dim, ...]
    mode: str = "nearest"
    coordinate: str = "half_pixel"
    nearest_mode: str = "round_prefer_floor"
    cubic_coeff: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    scales: tuple[float, ...] | None = None
    roi: tuple[float, ...] | None = None
    extrapolation: float = 0.0

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        for value, known in ((self.mode, MODES), (self.coordinate, COORDINATES), (self.nearest_mode, ROUNDINGS)):
            if value not in known:
                raise ShapeError(f"resizing knows no {value!r}", try_=f"one of {', '.join(known)}")
        if len(self.shape) != x.rank or (self.scales is not None and len(self.scales) != x.rank):
            raise ShapeError(f"resizing rank {x.rank} to shape {self.shape} with scales {self.scales}", x=x)
        if self.coordinate == "tf_crop_and_resize" and (self.roi is None or len(self.roi) != 2 * x.rank):
            raise ShapeError(f"tf_crop_and_resize needs a region of {2 * x.rank} numbers", roi=self.roi)
        for axis, (d, y) in enumerate(zip(x.shape, self.shape, strict=True)):
            if isinstance(d, int) and d == 0 and isinstance(y, int) and y > 0:
                raise ShapeError(f"axis {axis} has no element to resample", x=x)
        if self.mode != "nearest":
            need_float(x)
        return TensorType(self.shape, x.dtype)

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        y = x if self.mode == "nearest" else widen(x)
        for axis, (d, length) in enumerate(zip(x.shape, extents(self.shape, "shape"), strict=True)):
            if not self.identity(axis, d):
                places = self.places(axis, d, length)
                y = self._nearest(y, axis, places) if self.mode == "nearest" else self._blend(y, axis, places)
                if self.coordinate == "tf_crop_and_resize":
                    outside = (places < 0) | (places > d - 1)
                    y[(slice(None),) * axis + (outside,)] = self.extrapolation
        return y.astype(x.dtype, copy=y is x)

    def identity(self, axis: int, extent: Dim) -> bool:
        """Whether this axis stays as it is."""
        return (extent == self.shape[axis]
                and (self.scales is None or self.scales[axis] == 1)
                and (self.coordinate != "tf_crop_and_resize" or self._region(axis) == (0, 1)))

    def ratio(self, axis: int, extent: int) -> float:
        """Output elements per input element along an axis."""
        return self.scales[axis] if self.scales else extents(self.shape, "shape")[axis] / extent

    def _region(self, axis: int) -> tuple[float, float]:
        assert self.roi is not None
        return self.roi[axis], self.roi[axis + len(self.roi) // 2]

    def places(self, axis: int, extent: int, length: int) -> np.ndarray:
        """Where each output index of an axis lies in x's coordinates, float64 (length,)."""
        scale, i = self.ratio(axis, extent), np.arange(length, dtype=np.float64)
        wide = self.scales[axis] * extent if self.scales else float(length)     # the output's extent before rounding
        match self.coordinate:
            case "asymmetric":
                return i / scale
            case "align_corners":
                return i * (extent - 1) / (wide - 1) if wide != 1 else i * 0
            case "tf_crop_and_resize":
                start, end = self._region(axis)
                if wide == 1:
                    return i * 0 + (start + end) * (extent - 1) / 2
                return start * (extent - 1) + i * (end - start) * (extent - 1) / (wide - 1)
            case "pytorch_half_pixel" if length == 1:
                return i * 0
            case "half_pixel_symmetric":
                return extent / 2 * (1 - length / wide) + (i + 0.5) / scale - 0.5
        return (i + 0.5) / scale - 0.5

    def _nearest(self, x: np.ndarray, axis: int, places: np.ndarray) -> np.ndarray:
        rounded: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "round_prefer_floor": lambda p: np.ceil(p - 0.5), "round_prefer_ceil": lambda p: np.floor(p + 0.5),
            "floor": np.floor, "ceil": np.ceil}
        index = rounded[self.nearest_mode](places)
        return np.take(x, np.clip(index, 0, x.shape[axis] - 1).astype(np.int64), axis)

    def _blend(self, x: np.ndarray, axis: int, places: np.ndarray) -> np.ndarray:
        index, weights = self.taps(places, x.shape[axis], self.ratio(axis, x.shape[axis]))
        y = np.zeros((*x.shape[:axis], len(places), *x.shape[axis + 1:]), x.dtype)
        tail = (1,) * (x.ndim - axis - 1)
        for t in range(index.shape[1]):
            y += np.take(x, index[:, t], axis) * weights[:, t].astype(x.dtype).reshape(-1, *tail)
        return y

    def taps(self, places: np.ndarray, extent: int, ratio: float) -> tuple[np.ndarray, np.ndarray]:
        """The input elements each output element blends, and their weights: int64 and float64 (length, taps)."""
        shrink = min(ratio, 1.0) if self.antialias else 1.0
        reach = math.ceil((1 if self.mode == "linear" else 2) / shrink)
        index = np.floor(places).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
        distance = np.abs(index - places[:, None]) * shrink
        weights = np.clip(1 - distance, 0, None) if self.mode == "linear" else cubic(distance, self.cubic_coeff)
        if self.exclude_outside:
            weights = np.where((index >= 0) & (index < extent), weights, 0)
        if self.exclude_outside or self.antialias:
            weights = weights / weights.sum(1, keepdims=True)
        return np.clip(index, 0, extent - 1), weights

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        x, y = inputs[0], outputs[0]
        assert x is not None
        axes = [axis for axis, d in enumerate(x.shape) if not self.identity(axis, d)]
        taps = {"nearest": 0, "linear": 2, "cubic": 4}[self.mode] ** len(axes) if axes else 0
        return Cost(y.size * (2 * taps), super().cost(inputs, outputs).bytes)


def cubic(d: np.ndarray, a: float) -> np.ndarray:
    """The cubic convolution kernel with coefficient a at distances d ≥ 0 (Keys 1981)."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))
