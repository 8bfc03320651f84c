"""Deformable convolution and attention: bilinear samples at learnt places.

Source: plugins ModulatedDeformConv2d and MultiscaleDeformableAttnPlugin_TRT, versions 1 and 2 each, of
github.com/NVIDIA/TensorRT. float16 is computed in float32, and rounded at the end.
"""

from __future__ import annotations

import numpy as np

from ...errors import UnsupportedError
from ...ir import TensorType
from ...ops.sampling import corners, deformed
from ...ops.suppression import wide
from .rules import agree, at_least, default, dims_are, floating, length, library, ranks, whole


def modulated_deform_conv(x: np.ndarray, offset: np.ndarray, mask: np.ndarray, weight: np.ndarray,
                          bias: np.ndarray | None = None, *, stride: tuple[int, ...], padding: tuple[int, ...],
                          dilation: tuple[int, ...], group: int, deformable_group: int) -> np.ndarray:
    """x (N, C, H, W), offset (N, 2·D·R·S, P, Q) of (dy, dx) in turn, mask (N, D·R·S, P, Q), weight (K, C/group, R, S).

    → (N, K, P, Q). D is deformable_group. Each tap reads x at its place plus its offset, times its mask. As in the
    original, the first value of stride, padding and dilation is the horizontal one.
    """
    (sw, sh), (left, top), (dw, dh) = stride, padding, dilation
    added = None if bias is None else wide(bias)
    return deformed(wide(x), wide(weight), wide(offset), wide(mask), added, strides=(sh, sw), begin=(top, left),
                    dilations=(dh, dw), group=group, offset_group=deformable_group).astype(x.dtype)


def modulated_deform_conv_types(x: TensorType, offset: TensorType, mask: TensorType, weight: TensorType,
                                bias: TensorType | None = None, *, stride: tuple[int, ...], padding: tuple[int, ...],
                                dilation: tuple[int, ...], group: int, deformable_group: int) -> TensorType:
    for name, value, low in (("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)):
        length(name, value, 2)
        at_least(name, min(value), low)
    for name, n in (("group", group), ("deformable_group", deformable_group)):
        at_least(name, n, 1)
    given = [t for t in (x, offset, mask, weight, bias) if t is not None]
    floating("inputs", *given)
    for what, t in (("x", x), ("offset", offset), ("mask", mask), ("weight", weight)):
        ranks(what, t, 4)
    (N, C, H, W), (K, Cg, R, S) = x.shape, weight.shape
    agree("channels of x and weight · group", C, Cg * group)
    for name, n, d in (("group", group, K), ("deformable_group", deformable_group, C)):
        if isinstance(d, int):
            agree(f"a multiple of {name}, and the channels", d - d % n, d)
    P, Q = ((d + 2 * p - (n - 1) * e - 1) // s + 1
            for d, n, s, p, e in zip((H, W), (R, S), stride[::-1], padding[::-1], dilation[::-1], strict=True))
    dims_are("offset", offset, N, 2 * deformable_group * R * S, P, Q)
    dims_are("mask", mask, N, deformable_group * R * S, *offset.shape[2:])
    if bias is not None:
        dims_are("bias", bias, K)
    return TensorType((N, K, *offset.shape[2:]), x.dtype)


def deformable_attention(value: np.ndarray, shapes: np.ndarray, starts: np.ndarray, places: np.ndarray,
                         weights: np.ndarray) -> np.ndarray:
    """value (N, S, M, D), shapes (L, 2) of (height, width), starts (L,), places (N, Q, M, L, P, 2) of (x, y) from 0 to
    1, weights (N, Q, M, L, P) → (N, Q, M, D): of each query and head the weighted sum over levels and points."""
    N, _, M, D = value.shape
    Q, L, P = places.shape[1], places.shape[3], places.shape[4]
    heads = np.ascontiguousarray(wide(value).transpose(0, 2, 1, 3)).reshape(N * M, -1, D)
    at, share = wide(places).transpose(0, 2, 1, 3, 4, 5), wide(weights).transpose(0, 2, 1, 3, 4)   # (N, M, Q, L, P, …)
    result, rows = np.zeros((N * M, Q, D), np.float32), np.arange(N * M)[:, None]
    for level in range(L):
        (height, width), start = (int(n) for n in shapes[level]), int(starts[level])
        for p in range(P):
            y = at[:, :, :, level, p, 1] * np.float32(height) - np.float32(0.5)
            x = at[:, :, :, level, p, 0] * np.float32(width) - np.float32(0.5)
            for index, bilinear in corners(y, x, height, width):
                part = (bilinear * share[:, :, :, level, p]).reshape(N * M, Q, 1)
                result += heads[rows, start + index.reshape(N * M, Q)] * part
    return result.reshape(N, M, Q, D).transpose(0, 2, 1, 3).astype(value.dtype)


def deformable_attention_types(value: TensorType, shapes: TensorType, starts: TensorType, places: TensorType,
                               weights: TensorType) -> TensorType:
    floating("value, places and weights", value, places, weights)
    whole("shapes", shapes)
    whole("starts", starts)
    ranks("value", value, 4)
    N, _, M, D = value.shape
    ranks("places", places, 6)
    Q, L, P = places.shape[1], places.shape[3], places.shape[4]
    dims_are("shapes", shapes, L, 2)
    dims_are("starts", starts, L)
    dims_are("places", places, N, Q, M, L, P, 2)
    dims_are("weights", weights, N, Q, M, L, P)
    if not isinstance(L, int) or not isinstance(P, int):
        raise UnsupportedError("the numbers of levels and points must be known", places=places)
    return TensorType((N, Q, M, D), value.dtype)


library("ModulatedDeformConv2d", modulated_deform_conv, modulated_deform_conv_types, {
    "stride": default((1, 1)), "padding": default((0, 0)), "dilation": default((1, 1)), "group": default(1),
    "deformable_group": default(1)}, (4, 5), versions="12")
library("MultiscaleDeformableAttnPlugin_TRT", deformable_attention, deformable_attention_types, {}, (5, 5),
        versions="12")
