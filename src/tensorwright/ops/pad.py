"""Padding and cropping at the ends of axes."""

from __future__ import annotations

from dataclasses import dataclass

from ..dims import Dim
from ..errors import ShapeError
from ..ir import Op, TensorType

PAD_MODES = ("constant", "edge", "reflect", "wrap")


@dataclass(frozen=True)
class Pad(Op):
    """y = x with elements put before and after it, or cut off, along each axis

    Inputs  x of any type.
    Output  shape[i] = before + x.shape[i] + after, x's type.
    Params  pads: (before, after) per axis of x; negative numbers crop (cropping comes first).
            mode: "constant" (value), "edge" (the nearest element), "reflect" (mirrored about the edge element, which is
            not repeated; mirrored again where it reaches further), "wrap" (periodic).
            value: for "constant".
    Cost    no arithmetic.
    Errors  ShapeError when more is cropped than there is, or when a mode other than constant has nothing to copy.
    Source  ONNX operator Pad, version 25.
    """

    pads: tuple[tuple[Dim, Dim], ...]
    mode: str = "constant"
    value: float | int = 0

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        if self.mode not in PAD_MODES:
            raise ShapeError(f"no padding mode is named {self.mode!r}", try_=f"one of {', '.join(PAD_MODES)}")
        if len(self.pads) != x.rank:
            raise ShapeError(f"{len(self.pads)} pads for rank {x.rank}", x=x)
        shape = tuple(before + d + after for (before, after), d in zip(self.pads, x.shape, strict=True))
        for axis, (d, y) in enumerate(zip(x.shape, shape, strict=True)):
            if isinstance(y, int) and y < 0:
                raise ShapeError(f"axis {axis} of {d} elements cannot be cropped by {self.pads[axis]}", x=x)
            if self.mode != "constant" and isinstance(d, int) and d == 0 and isinstance(y, int) and y > 0:
                raise ShapeError(f"axis {axis} has no element to repeat for mode {self.mode!r}", x=x)
        return TensorType(shape, x.dtype)
