"""Max and average pooling over windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..dims import Dim, ceildiv, maximum, minimum
from ..errors import ShapeError
from ..ir import Cost, Op, TensorType
from .movement import extents
from .rules import exceeds, lowest, need_float, positions, span, traffic, widen


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
        if not self.ceil:
            return positions(extent + before + after, reach, stride)
        last = ceildiv(extent + before + after - reach, stride)
        if exceeds(0, last):
            raise ShapeError(f"window spans {reach} elements, the padded input has {extent + before + after}")
        inside = (extent + before - 1) // stride             # the last window that starts before the padding
        return minimum(last, inside) + 1 if after <= reach else maximum(minimum(last, inside) + 1, last)

    def reference(self, x: np.ndarray) -> np.ndarray:  # type: ignore[override]
        wide, n = widen(x), len(self.window)
        P = extents(tuple(map(self.positions, range(n), x.shape[2:])), "output")
        fill = lowest(wide.dtype) if self.kind == "max" else 0
        reach = [(p - 1) * s + span(r, d) for p, s, r, d
                 in zip(P, self.strides, self.window, self.dilations, strict=True)]
        shape = [max(before + d, need) for (before, _), d, need in zip(self.pads, x.shape[2:], reach, strict=True)]
        padded = np.full((*x.shape[:2], *shape), fill, wide.dtype)
        inner: Any = (slice(before, before + d) for (before, _), d in zip(self.pads, x.shape[2:], strict=True))
        padded[(..., *inner)] = wide
        y = np.full((*x.shape[:2], *P), fill, wide.dtype)
        for tap in product(*map(range, self.window)):
            where: Any = (slice(t * d, t * d + (p - 1) * s + 1 if p > 0 else 0, s)
                          for t, d, p, s in zip(tap, self.dilations, P, self.strides, strict=True))
            (np.maximum if self.kind == "max" else np.add)(y, padded[(..., *where)], out=y)
        if self.kind == "average":
            with np.errstate(all="ignore"):
                for axis in range(n):                       # the count is a product, one factor per axis
                    count = self.covered(axis, x.shape[2 + axis], P[axis])
                    y /= count.astype(y.dtype).reshape([-1 if i == axis else 1 for i in range(n)])
        return y.astype(x.dtype, copy=False)

    def covered(self, axis: int, extent: int, windows: int) -> np.ndarray:
        """How many elements that count each window covers along one spatial axis."""
        before, after = self.pads[axis]
        low, high = (-before, extent + after) if self.include_pad else (0, extent)
        first = np.arange(windows) * self.strides[axis] - before
        taps = first[:, None] + np.arange(self.window[axis]) * self.dilations[axis]
        return np.sum((taps >= low) & (taps < high), axis=1)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        return Cost(outputs[0].size * math.prod(self.window), traffic(inputs[0], outputs[0]))
