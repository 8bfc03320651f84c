"""Max and average pooling over windows."""

from __future__ import annotations

from dataclasses import dataclass

from ..dims import Dim, ceildiv, minimum
from ..errors import ShapeError
from ..ir import Op, TensorType
from .rules import need_float, positions, span


@dataclass(frozen=True)
class Pool(Op):
    """y[n,c,p...] = max or average of x over a dilated window that starts at p·stride − before

    Inputs  x (N, C, *D). Any numeric type for max, a floating-point type for average.
    Output  y (N, C, *P), P = (D + before + after − dilation·(R−1) − 1) // stride + 1 with R the window's extent; with
            ceil the division rounds up, and a last window that would start beyond D + before is dropped.
    Params  kind: "max" or "average". window, strides, dilations: one per spatial axis, ≥ 1. pads: (before, after) per
            spatial axis, ≥ 0. include_pad: an average divides by the elements covered including explicit padding (not
            what ceil adds beyond it), else by the elements of x covered. ceil: see Output.
    Cost    one operation per output element and window element.
    Errors  ShapeError when the window is larger than the padded input.
            A maximum over no element is −∞, or the type's least number; an average over none is NaN.
    Source  ONNX operators MaxPool and AveragePool, version 22.
    """

    kind: str
    window: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    dilations: tuple[int, ...]
    include_pad: bool = False
    ceil: bool = False

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        n = len(self.window)
        if self.kind not in ("max", "average"):
            raise ShapeError(f"no pooling is named {self.kind!r}", try_='"max" or "average"')
        if not len(self.strides) == len(self.pads) == len(self.dilations) == n or n < 1:
            raise ShapeError(f"{n} window extents, {len(self.strides)} strides, {len(self.pads)} pads and "
                             f"{len(self.dilations)} dilations; one of each per spatial axis is needed")
        if x.rank != n + 2:
            raise ShapeError(f"input has rank {x.rank}; {n} spatial axes need {n + 2}", x=x)
        if min(*self.window, *self.strides, *self.dilations) < 1 or any(p < 0 for pair in self.pads for p in pair):
            raise ShapeError(f"{self}: windows, strides and dilations must be at least 1, pads at least 0")
        if self.kind == "average":
            need_float(x)
        return TensorType((*x.shape[:2], *map(self.positions, range(n), x.shape[2:])), x.dtype)

    def positions(self, axis: int, extent: Dim) -> Dim:
        """How many windows spatial axis `axis` has over an input of `extent` elements."""
        (before, after), stride = self.pads[axis], self.strides[axis]
        reach = span(self.window[axis], self.dilations[axis])
        floor = positions(extent + before + after, reach, stride)
        if not self.ceil or stride == 1:
            return floor
        room = extent + before + after - reach
        return minimum(ceildiv(room, stride), (extent + before - 1) // stride) + 1
