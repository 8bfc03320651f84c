"""Resampling to another size."""

from __future__ import annotations

from dataclasses import dataclass

from ..dims import Dim
from ..errors import ShapeError
from ..ir import Op, TensorType
from .rules import need_float

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
