"""Convolution and its transpose, over one to three spatial axes."""

from __future__ import annotations

from dataclasses import dataclass

from ..dims import Dim
from ..errors import ShapeError
from ..ir import Op, TensorType
from .rules import agree, differ, positions, same_dtype, span

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
            if isinstance(q, int) and q < 0:
                raise ShapeError(f"pads {self.pads} cut more than the whole output", x=x, w=w)
            Q.append(q)
        return TensorType((N, Kg * self.groups, *Q), same_dtype(x, w, b))

    @property
    def extra(self) -> tuple[int, ...]:
        """output_padding with its default, zeros, filled in."""
        return self.output_padding or (0,) * len(self.strides)


def check_bias(b: TensorType, channels: Dim) -> None:
    if b.rank != 1 or differ(b.shape[0], channels):
        raise ShapeError(f"bias {b} does not fit {channels} output channels")
