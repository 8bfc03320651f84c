"""Convolution and its transpose, over one to three spatial axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..dims import Dim
from ..dims import product as product_of
from ..errors import ShapeError
from ..ir import Cost, Op, TensorType
from .matmul import multiply
from .rules import agree, differ, exceeds, positions, same_dtype, span, taken, traffic, widen

Pads = tuple[tuple[int, int], ...]


def check_parameters(op: Op, x: TensorType, w: TensorType, strides: tuple[int, ...], pads: Pads,
                     dilations: tuple[int, ...], groups: int) -> None:
    """What both convolutions ask of their parameters. ShapeError."""
    n = len(strides)
    if not len(pads) == len(dilations) == n or not 1 <= n <= 3:
        raise ShapeError(f"{n} strides, {len(pads)} pads and {len(dilations)} dilations; one each per spatial axis, "
                         "one to three axes, are needed")
    if x.rank != n + 2 or w.rank != n + 2:
        raise ShapeError(f"input has rank {x.rank}, filter {w.rank}; {n} spatial axes need {n + 2}", x=x, w=w)
    if min(*strides, *dilations, groups) < 1:
        raise ShapeError(f"strides {strides}, dilations {dilations} and groups {groups} must be at least 1")


@dataclass(frozen=True)
class Convolution(Op):
    """Convolution: y[n,k,p...] = b[k] + Σ_{c,r...} x[n, c, p·stride + r·dilation − before ...] · w[k,c,r...]

    Inputs  x (N, C, *D); w (K, C/groups, *R); b (K,) or None. One element type for all.
    Output  y (N, K, *P) with P = (D + before + after − dilation·(R−1) − 1) // stride + 1 for each spatial axis.
    Params  strides, dilations: one per spatial axis, ≥ 1. pads: (before, after) per spatial axis, ≥ 0.
            groups: the input and output channels are cut into that many independent parts.
    Cost    2·N·K·ΠP·(C/groups)·ΠR floating-point operations.
    Errors  ShapeError when C ≠ groups · w.shape[1], when groups does not divide K, or when the window is larger than
            the padded input; TypeMismatch when element types differ.
    Source  ONNX operator Conv, version 22. The sum is written for groups = 1.
    """

    strides: tuple[int, ...]
    pads: Pads
    dilations: tuple[int, ...]
    groups: int = 1

    def infer(self, x: TensorType, w: TensorType, b: TensorType | None = None) -> TensorType:  # type: ignore[override]
        check_parameters(self, x, w, self.strides, self.pads, self.dilations, self.groups)
        if any(p < 0 for pair in self.pads for p in pair):
            raise ShapeError(f"pads {self.pads} must not be negative", try_="crop the input with Slice")
        (N, C, *D), (K, Cg, *R) = x.shape, w.shape
        if differ(C, Cg * self.groups):
            raise ShapeError(f"input has {C} channels, filter takes {Cg * self.groups} ({Cg} × groups {self.groups})",
                             x=x, w=w)
        if isinstance(K, int) and K % self.groups:
            raise ShapeError(f"{K} filters cannot be cut into {self.groups} groups", w=w)
        if b is not None:
            check_bias(b, K)
        P = [positions(d + before + after, span(r, dilation), stride) for d, r, (before, after), dilation, stride
             in zip(D, R, self.pads, self.dilations, self.strides, strict=True)]
        return TensorType((N, K, *P), same_dtype(x, w, b))

    def reference(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:  # type: ignore[override]
        G, (K, Cg, *R) = self.groups, w.shape
        P = [positions(d + sum(pair), span(r, dilation), stride) for d, r, pair, dilation, stride
             in zip(x.shape[2:], R, self.pads, self.dilations, self.strides, strict=True)]
        wide, filters = np.pad(widen(x), ((0, 0), (0, 0), *self.pads)), widen(w)
        y = np.empty((len(x), K, *P), wide.dtype)
        if Cg == 1:
            _depthwise(self, wide, filters, y)
        else:
            rows = max(1, IM2COL_ELEMENTS // max(1, Cg * math.prod(R) * math.prod(P[1:])))
            for n, g, p in product(range(len(x)), range(G), range(0, P[0], rows)):
                part = y[n, g * K // G:(g + 1) * K // G, p:p + rows]
                columns = _columns(self, wide[n, g * Cg:(g + 1) * Cg], R, p, part.shape[1:])
                part[...] = multiply(filters[g * K // G:(g + 1) * K // G].reshape(K // G, -1),
                                     columns.reshape(Cg * math.prod(R), -1)).reshape(part.shape)
        if b is not None:
            y += widen(b).reshape(-1, *(1 for _ in P))
        return y.astype(x.dtype, copy=False)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        w, y = taken(inputs[1]), outputs[0]
        return Cost(2 * y.size * product_of(w.shape[1:]), traffic(*inputs, y))


#: How large the unfolded input of one convolution may get, in elements; more output rows are computed in turns.
IM2COL_ELEMENTS = 1 << 24


def _taps(op: Convolution, R: Sequence[int], first: int, P: Sequence[int]) -> Iterator[tuple[Any, Any]]:
    """Each tap of the window with the slices of the padded input it reads for output rows first .. first + P[0]."""
    for tap in product(*map(range, R)):
        starts = [t * d for t, d in zip(tap, op.dilations, strict=True)]
        starts[0] += first * op.strides[0]
        yield tap, tuple(slice(a, a + (p - 1) * s + 1 if p else a, s)
                         for a, p, s in zip(starts, P, op.strides, strict=True))


def _columns(op: Convolution, x: np.ndarray, R: Sequence[int], first: int, P: Sequence[int]) -> np.ndarray:
    """x (C, *D) unfolded to (C, *R, *P): what each tap reads, for output rows from `first` on."""
    columns = np.empty((len(x), *R, *P), x.dtype)
    every: Any = slice(None)
    for tap, where in _taps(op, R, first, P):
        columns[(every, *tap)] = x[(every, *where)]
    return columns


def _depthwise(op: Convolution, x: np.ndarray, w: np.ndarray, y: np.ndarray) -> None:
    """y = the convolution in which each group has one input channel and K/groups filters."""
    G, K, P = op.groups, len(w), y.shape[2:]
    by_group = y.reshape(len(x), G, K // G, *P)
    by_group[...] = 0
    every: Any = slice(None)
    for tap, where in _taps(op, w.shape[2:], 0, P):
        weights = w[(every, 0, *tap)].reshape(G, K // G, *(1 for _ in P))
        by_group += x[(every, every, None, *where)] * weights


@dataclass(frozen=True)
class ConvTranspose(Op):
    """Transposed convolution: y[n,k,q...] = b[k] + Σ x[n,c,p...] · w[c,k,r...] over q = p·stride + r·dilation − before

    Inputs  x (N, C, *D); w (C, K/groups, *R); b (K,) or None. One element type for all.
    Output  y (N, K, *Q) with Q = (D−1)·stride − before − after + dilation·(R−1) + 1 + output_padding.
    Params  strides, dilations ≥ 1, per spatial axis. pads: (before, after) per spatial axis: elements cut off the full
            result, negative to enlarge it with elements that hold only the bias. output_padding: elements more at the
            end of each spatial axis, ≥ 0 (they hold sums where the full result reaches that far, else the bias).
    Cost    2·N·C·ΠD·(K/groups)·ΠR floating-point operations.
    Errors  ShapeError when x and w disagree on C, when groups does not divide C, or when the output would be empty.
    Source  ONNX operator ConvTranspose, version 22.
    """

    strides: tuple[int, ...]
    pads: Pads
    dilations: tuple[int, ...]
    groups: int = 1
    output_padding: tuple[int, ...] = ()

    def infer(self, x: TensorType, w: TensorType, b: TensorType | None = None) -> TensorType:  # type: ignore[override]
        check_parameters(self, x, w, self.strides, self.pads, self.dilations, self.groups)
        if len(self.extra) != len(self.strides):
            raise ShapeError(f"{len(self.output_padding)} output paddings for {len(self.strides)} spatial axes")
        (N, C, *D), (Cw, Kg, *R) = x.shape, w.shape
        C = agree(C, Cw, "input and filter have different channel counts", x=x, w=w)
        if isinstance(C, int) and C % self.groups:
            raise ShapeError(f"{C} channels cannot be cut into {self.groups} groups", x=x)
        if b is not None:
            check_bias(b, Kg * self.groups)
        Q: list[Dim] = []
        for d, r, (before, after), dilation, stride, more in zip(D, R, self.pads, self.dilations, self.strides,
                                                                self.extra, strict=True):
            q = (d - 1) * stride - before - after + span(r, dilation) + more
            if exceeds(0, q):
                raise ShapeError(f"pads {self.pads} cut more than the whole output", x=x, w=w)
            Q.append(q)
        return TensorType((N, Kg * self.groups, *Q), same_dtype(x, w, b))

    def reference(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:  # type: ignore[override]
        (N, C, *D), (_, Kg, *R), G, s = x.shape, w.shape, self.groups, self.strides
        full = [max((d - 1) * stride + span(r, dilation), 0)
                for d, r, dilation, stride in zip(D, R, self.dilations, s, strict=True)]
        wide, filters = widen(x), widen(w)
        y = np.zeros((N, G, Kg, *full), wide.dtype)
        every: Any = slice(None)
        for n, g in product(range(N), range(G)):
            part = slice(g * C // G, (g + 1) * C // G)
            spread = multiply(filters[part].reshape(C // G, -1).T, wide[n, part].reshape(C // G, -1))
            spread = spread.reshape(Kg, *R, *D)
            for tap in product(*map(range, R)):
                where: Any = (slice(t * d, t * d + (e - 1) * stride + 1 if e else 0, stride)
                              for t, d, e, stride in zip(tap, self.dilations, D, s, strict=True))
                y[(n, g, every, *where)] += spread[(every, *tap)]
        y = y.reshape(N, G * Kg, *full)
        for axis, ((before, after), more) in enumerate(zip(self.pads, self.extra, strict=True), 2):
            y = _cut(y, axis, before, after - more)
        if b is not None:
            y = y + widen(b).reshape(-1, *(1 for _ in R))
        return np.ascontiguousarray(y.astype(x.dtype, copy=False))

    @property
    def extra(self) -> tuple[int, ...]:
        """output_padding with its default, zeros, filled in."""
        return self.output_padding or (0,) * len(self.strides)

    def cost(self, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Cost:
        x, w = taken(inputs[0]), taken(inputs[1])
        return Cost(2 * x.size * product_of(w.shape[1:]), traffic(*inputs, outputs[0]))


def check_bias(b: TensorType, channels: Dim) -> None:
    if b.rank != 1 or differ(b.shape[0], channels):
        raise ShapeError(f"bias {b} does not fit {channels} output channels")


def _cut(y: np.ndarray, axis: int, before: int, after: int) -> np.ndarray:
    """y with that many elements cut off at the ends of an axis, or zeros added where negative."""
    pads = [(0, 0)] * y.ndim
    pads[axis] = (max(-before, 0), max(-after, 0))
    inner = [slice(None)] * y.ndim
    inner[axis] = slice(max(before, 0), y.shape[axis] + pads[axis][0] + pads[axis][1] - max(after, 0))
    return np.pad(y, pads)[tuple(inner)]
