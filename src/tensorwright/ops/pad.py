"""Padding and cropping at the ends of axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dims import Dim
from ..errors import ShapeError
from ..ir import Cost, Op, TensorType
from .movement import extents
from .rules import exceeds, moved

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
            if exceeds(0, y):
                raise ShapeError(f"axis {axis} of {d} elements cannot be cropped by {self.pads[axis]}", x=x)
            if self.mode != "constant" and isinstance(d, int) and d == 0 and isinstance(y, int) and y > 0:
                raise ShapeError(f"axis {axis} has no element to repeat for mode {self.mode!r}", x=x)
        return TensorType(shape, x.dtype)

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        pads = [extents(pair, "padding") for pair in self.pads]
        x = x[tuple(slice(max(-before, 0), max(d - max(-after, 0), 0))
                    for (before, after), d in zip(pads, x.shape, strict=True))]
        grow = [(max(before, 0), max(after, 0)) for before, after in pads]
        if self.mode == "constant":
            y = np.full([before + d + after for (before, after), d in zip(grow, x.shape, strict=True)],
                        np.asarray(self.value).astype(x.dtype), x.dtype)
            y[tuple(slice(before, before + d) for (before, _), d in zip(grow, x.shape, strict=True))] = x
            return y
        for axis, (before, after) in enumerate(grow):
            if before or after:
                x = np.take(x, self._source(x.shape[axis], before, after), axis)
        return x.copy()

    def _source(self, extent: int, before: int, after: int) -> np.ndarray:
        """Which element of an axis each element of the padded axis copies."""
        if not extent:
            raise ShapeError(f"an axis has no element to repeat for mode {self.mode!r}")
        index = np.arange(-before, extent + after)
        if self.mode == "edge":
            return np.clip(index, 0, extent - 1)
        if self.mode == "wrap":
            return index % extent
        period = max(2 * (extent - 1), 1)
        return np.minimum(index % period, period - index % period) if extent > 1 else index * 0

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return moved(inputs[0], outputs[0])
