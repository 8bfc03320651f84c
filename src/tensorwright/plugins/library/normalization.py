"""Normalisations: of instances, groups, rows with a skip connection, and by length.

Source: plugins InstanceNormalization_TRT (versions 1 to 3), GroupNormalizationPlugin (1),
CustomSkipLayerNormPluginDynamic (1 and 2, and 5 and 6, which are the same) and Normalize_TRT (1) of
github.com/NVIDIA/TensorRT.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dims import product
from ...errors import InputError, ShapeError, UnsupportedError
from ...ir import TensorType
from ..attributes import Attribute
from ..graph import Tensor, ops
from .expressions import expression, weights
from .rules import ARRAY, FLOAT, INT, at_least, default, floating, one_of, ranks

#: Of the variance: BERT's. The original has none, and divides 0 by 0 where all elements of a row are equal.
SKIP_EPSILON = 1e-12
#: Attributes that may be left out.
OPTIONAL = Attribute("array", None)


def instance_norm(x: Tensor, *, epsilon: float, scales: np.ndarray, bias: np.ndarray, relu: int, alpha: float) -> Any:
    """x (N, C, …) → the same, each map of mean 0 and deviation 1, times scales (C,), plus bias (C,).

    relu    negative results are multiplied by alpha
    """
    y = ops.InstanceNormalization(x, ops.CastLike(weights(scales), x), ops.CastLike(weights(bias), x), epsilon=epsilon)
    return ops.LeakyRelu(y, alpha=alpha) if relu else y


def instance_norm_types(x: TensorType, *, scales: np.ndarray, bias: np.ndarray, relu: int, **_: Any) -> TensorType:
    floating("x", x)
    if len(x.shape) < 3:
        raise ShapeError(f"x is {x}: it has no maps")
    one_of("relu", relu, 0, 1)
    _per_channel(x, scales=scales, bias=bias)
    return x


def _per_channel(x: TensorType, **given: np.ndarray) -> None:
    for name, value in given.items():
        if isinstance(x.shape[1], int) and value.size != x.shape[1]:
            raise InputError(f"attribute {name!r} has {value.size} values, x has {x.shape[1]} channels")


def group_norm(x: Tensor, scale: Tensor, bias: Tensor, *, eps: float, num_groups: int) -> Any:
    """x (N, C, …), scale and bias of C elements → x, each group of channels normalised, times scale, plus bias."""
    one = ops.CastLike(np.ones(num_groups, np.float32), x)
    y = ops.InstanceNormalization(ops.Reshape(x, np.array([0, num_groups, -1])), one, one - one, epsilon=eps)
    wide = np.array([1, -1] + [1] * (len(x.shape) - 2))
    return ops.Reshape(y, ops.Shape(x)) * ops.Reshape(scale, wide) + ops.Reshape(bias, wide)


def group_norm_types(x: TensorType, scale: TensorType, bias: TensorType, *, num_groups: int, **_: Any) -> TensorType:
    floating("inputs", x, scale, bias)
    at_least("num_groups", num_groups, 1)
    if len(x.shape) < 3:
        raise ShapeError(f"x is {x}: it has no maps")
    C = x.shape[1]
    for what, t in (("scale", scale), ("bias", bias)):
        count = product(t.shape)
        if isinstance(count, int) and isinstance(C, int) and count != C:
            raise ShapeError(f"{what} has {count} elements, x has {C} channels")
    if isinstance(C, int) and C % num_groups:
        raise InputError(f"attribute 'num_groups' is {num_groups}, x has {C} channels")
    return x


def skip_layer_norm(x: Tensor, skip: Tensor, *, gamma: np.ndarray, beta: np.ndarray, bias: np.ndarray | None = None,
                    **_: Any) -> Any:
    """x and skip (S, B, E) or (S, B, E, 1, 1) → x + skip + bias, each row of E elements normalised, · gamma + beta."""
    total = x + skip
    if bias is not None:
        total = total + ops.CastLike(weights(bias, *_row(x, bias.size)), x)
    rows = ops.Reshape(total, np.array([-1, gamma.size]))
    y = ops.LayerNormalization(rows, ops.CastLike(weights(gamma), x), ops.CastLike(weights(beta), x), axis=1,
                               epsilon=SKIP_EPSILON)
    return ops.Reshape(y, ops.Shape(x))


def _row(x: Tensor, size: int) -> tuple[int, ...]:
    """Where a row of x lies among its axes: the last that is not one of the ones behind."""
    return size, *(1,) * (len(x.shape) - 3 if len(x.shape) > 3 else 0)


def skip_layer_norm_types(x: TensorType, skip: TensorType, *, type_id: int, gamma: np.ndarray, beta: np.ndarray,
                          bias: np.ndarray | None, ld: int | None = None) -> TensorType:
    precision(type_id)
    floating("x and skip", x, skip)
    ranks("x", x, 3, 4, 5)
    if len(x.shape) != len(skip.shape):
        raise ShapeError(f"x is {x}, skip is {skip}")
    E = gamma.size
    row = x.shape[2] if len(x.shape) != 4 else x.shape[1]
    for name, n in (("ld", ld), ("beta", beta.size), ("bias", None if bias is None else bias.size)):
        if n not in (None, E):
            raise InputError(f"attribute {name!r} is, or has, {n}: gamma has {E} values")
    if isinstance(row, int) and row != E:
        raise ShapeError(f"x is {x}: its rows are not of gamma's {E} elements")
    return x


def precision(type_id: int) -> None:
    """Computed in the type of the inputs, whichever of float32 (0) and float16 (1) was asked for."""
    one_of("type_id", type_id, 0, 1, try_="export the model without int8 (2)" if type_id == 2 else None)


def normalize(x: Tensor, *, weights: np.ndarray, acrossSpatial: int, channelShared: int, eps: float, nbWeights: int
              ) -> Any:
    """x (N, C, H, W) / √(Σ x² + eps) · weights: the sum over channels, or (acrossSpatial) over each image."""
    axes = np.array([1, 2, 3] if acrossSpatial else [1])
    length = np.sqrt(ops.ReduceSum(x * x, axes, keepdims=1) + eps)
    return x / length * ops.CastLike(np.asarray(weights, np.float32).reshape(1, -1, 1, 1), x)


def normalize_types(x: TensorType, *, weights: np.ndarray, acrossSpatial: int, channelShared: int, eps: float,
                    nbWeights: int) -> TensorType:
    floating("x", x)
    ranks("x", x, 4)
    if acrossSpatial and not channelShared:
        raise UnsupportedError("attributes 'acrossSpatial' with 'channelShared' of 0: the original divides by the "
                               "weights where its documentation multiplies",
                               try_="set channelShared to 1 with the weight 1, and scale the channels in a layer of "
                                    "its own")
    if channelShared and weights.size != 1:
        raise InputError(f"attribute 'weights' has {weights.size} values; with channelShared it is one")
    if not channelShared:
        _per_channel(x, weights=weights)
    return x


expression("InstanceNormalization_TRT", instance_norm, instance_norm_types, {
    "epsilon": FLOAT, "scales": ARRAY, "bias": ARRAY, "relu": default(0), "alpha": default(0.0)}, (1, 1), "123")
expression("GroupNormalizationPlugin", group_norm, group_norm_types, {"eps": default(1e-5), "num_groups": INT}, (3, 3))
_SKIP = {"type_id": INT, "beta": ARRAY, "gamma": ARRAY, "bias": OPTIONAL}
expression("CustomSkipLayerNormPluginDynamic", skip_layer_norm, skip_layer_norm_types, {"ld": INT, **_SKIP}, (2, 2),
           "15")
expression("CustomSkipLayerNormPluginDynamic", skip_layer_norm, skip_layer_norm_types, _SKIP, (2, 2), "26")
expression("Normalize_TRT", normalize, normalize_types, {
    "weights": ARRAY, "acrossSpatial": INT, "channelShared": INT, "nbWeights": default(1), "eps": FLOAT}, (1, 1))
