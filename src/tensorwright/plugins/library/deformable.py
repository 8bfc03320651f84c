"""Deformable convolution and attention: bilinear samples at learnt places.

Source: plugins ModulatedDeformConv2d and MultiscaleDeformableAttnPlugin_TRT, versions 1 and 2 each, of
github.com/NVIDIA/TensorRT. float16 is computed in float32, and rounded at the end.
"""

from __future__ import annotations

import numpy as np

from ...errors import UnsupportedError
from ...ir import TensorType
from .rules import agree, at_least, default, dims_are, floating, length, library, ranks, whole
from .suppression import wide


def corners(y: np.ndarray, x: np.ndarray, height: int, width: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For places (y, x) of a map: (index of a neighbour in the flat map, its bilinear weight), four times.

    Neighbours outside the map have weight 0, and so have all of a place that is not nearer than one to the map.
    """
    near = (y > -1) & (y < height) & (x > -1) & (x < width)
    y, x = np.where(near, y, 0), np.where(near, x, 0)
    top, left = np.floor(y), np.floor(x)
    found = []
    for row, wy in ((top, top + 1 - y), (top + 1, y - top)):
        for column, wx in ((left, left + 1 - x), (left + 1, x - left)):
            inside = near & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = np.where(inside, row * width + column, 0).astype(np.intp)
            found.append((index, np.where(inside, wy * wx, 0).astype(np.float32)))
    return found


def modulated_deform_conv(x: np.ndarray, offset: np.ndarray, mask: np.ndarray, weight: np.ndarray,
                          bias: np.ndarray | None = None, *, stride: tuple[int, ...], padding: tuple[int, ...],
                          dilation: tuple[int, ...], group: int, deformable_group: int) -> np.ndarray:
    """x (N, C, H, W), offset (N, 2·D·R·S, P, Q) of (dy, dx) in turn, mask (N, D·R·S, P, Q), weight (K, C/group, R, S).

    → (N, K, P, Q). D is deformable_group. Each tap reads x at its place plus its offset, times its mask. As in the
    original, the first value of stride, padding and dilation is the horizontal one.
    """
    stride, padding, dilation = stride[::-1], padding[::-1], dilation[::-1]
    (N, C, H, W), (K, Cg, R, S), (P, Q), D = x.shape, weight.shape, offset.shape[2:], deformable_group
    shift = wide(offset).reshape(N, D, R * S, 2, P, Q)
    r, s = (a.reshape(R * S, 1, 1) for a in np.divmod(np.arange(R * S), S))
    y = (np.arange(P) * stride[0] - padding[0]).reshape(P, 1) + r * dilation[0] + shift[:, :, :, 0]
    z = (np.arange(Q) * stride[1] - padding[1]) + s * dilation[1] + shift[:, :, :, 1]           # (N, D, R·S, P, Q)
    factor, flat = wide(mask).reshape(N, D, 1, R * S * P * Q), wide(x).reshape(N, D, C // D, H * W)
    columns = np.zeros((N, D, C // D, R * S * P * Q), np.float32)
    for index, share in corners(y, z, H, W):
        at = np.broadcast_to(index.reshape(N, D, 1, -1), columns.shape)
        columns += np.take_along_axis(flat, at, 3) * (share.reshape(N, D, 1, -1) * factor)
    rows = columns.reshape(N, group, Cg * R * S, P * Q)
    result = np.matmul(wide(weight).reshape(group, K // group, Cg * R * S), rows).reshape(N, K, P, Q)
    if bias is not None:
        result += wide(bias).reshape(K, 1, 1)
    return result.astype(x.dtype)


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
